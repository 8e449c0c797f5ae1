"""What the released clients of the AI SDK refuse: a reader of finished streams, for tests of any backend.

A refusal is what makes the client throw, so that the chat ends in an error: a chunk or key that its schema does not
have, a value of the wrong type, a chunk that belongs to nothing before it.
"""

from usechat.testing.client_rules.data_stream import find_data_stream_refusals
from usechat.testing.client_rules.ui_message_stream import find_refusals

__all__ = ["find_data_stream_refusals", "find_refusals"]
