"""Checks for a chat store of one's own, as tests of pytest.

    from usechat.testing.stores import ChatStoreSuite

    class TestMyStore(ChatStoreSuite):
        @pytest.fixture
        async def store(self):
            store = MyStore("…")
            yield store
            await store.aclose()

Requires ``pytest``. The tests are run by the plugin of anyio, which usechat brings.
"""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("chats", "lists", "turns")))

from usechat.testing.stores.suite import ChatStoreSuite  # noqa: E402 - a failed assert shows what it compared

__all__ = ["ChatStoreSuite"]
