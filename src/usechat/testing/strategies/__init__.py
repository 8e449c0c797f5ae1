"""Hypothesis strategies for answers: any legal sequence of parts, and any sequence, legal or not.

For tests of code that reads parts or frames. Requires the ``hypothesis`` package, which only this package imports.
"""

from usechat.testing.strategies.illegal import any_parts
from usechat.testing.strategies.legal import legal_parts
from usechat.testing.strategies.values import any_text, json_values, provider_metadata

__all__ = ["any_parts", "any_text", "json_values", "legal_parts", "provider_metadata"]
