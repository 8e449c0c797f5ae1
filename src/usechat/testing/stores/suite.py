"""The whole suite for a chat store."""

from __future__ import annotations

import pytest

from usechat.chats.store import ChatStore
from usechat.testing.stores.lists import ListChecks
from usechat.testing.stores.turns import TurnChecks

__all__ = ["ChatStoreSuite"]


class ChatStoreSuite(TurnChecks, ListChecks):
    """All that a `usechat.chats.store.ChatStore` promises, as tests. Make a subclass whose name begins with ``Test``.

    Each test gets an empty store from the fixture ``store``, which you define in the subclass, its module or a
    ``conftest.py``. For a store that several processes share, define the fixture ``other`` in the subclass as well: the
    same chats through another instance, with connections of its own.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Return the event loop to test in."""
        return "asyncio"

    @pytest.fixture
    def other(self, store: ChatStore) -> ChatStore:
        """Return the same chats as another process has them."""
        return store
