"""Find what the released clients of the AI SDK refuse in a finished stream, for tests of any backend.

A refusal makes the client throw, so that the chat ends in an error. Its cause is a chunk or key that is missing from
the client's schema, a value of the wrong type, or a chunk that refers to an earlier chunk which is missing.
"""

from usechat.testing.client_rules.data_stream import find_data_stream_refusals
from usechat.testing.client_rules.ui_message_stream import find_refusals

__all__ = ["find_data_stream_refusals", "find_refusals"]
