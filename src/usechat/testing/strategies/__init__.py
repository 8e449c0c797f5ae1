"""Hypothesis strategies for answers: any legal sequence of parts, and any sequence at all.

For tests of whatever takes parts or frames. Needs the ``hypothesis`` package, which this package alone imports.
"""

from usechat.testing.strategies.illegal import any_parts
from usechat.testing.strategies.legal import legal_parts
from usechat.testing.strategies.values import any_text, json_values, provider_metadata

__all__ = ["any_parts", "any_text", "json_values", "legal_parts", "provider_metadata"]
