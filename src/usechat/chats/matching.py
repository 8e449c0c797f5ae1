"""Finds the messages that a client posts in the tree of its chat.

The client holds one path. It may lack messages that are stored, have messages that are not, hold another path than the
one that is shown, or have edited its copy. AI SDK 5 and later give every message an id. AI SDK 4 posts none, so its
messages are recognized by their contents and their place. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias, cast

import msgspec

from usechat.chats.merge import is_tool_part
from usechat.chats.tree import MessageTree, SavedMessage
from usechat.errors import RequestError

__all__ = ["Match", "find_messages", "message_id"]

Posted: TypeAlias = Mapping[str, Any]
Contents: TypeAlias = list[tuple[Any, Any]]
"""The contents of a message: the kind and the content of each part."""

_SAID: Final = (("text", "text"), ("file", "url"))
_SAID_BEFORE: Final = (("text", "text"), ("file", "mediaType"))
"""As `_SAID`, for a message with a known id to which no answer is wanted: the addresses of its files may be signed anew
each time."""


class Match(msgspec.Struct, frozen=True):
    """A posted message, matched with the stored ones."""

    stored: SavedMessage | None = None
    """The stored message that it is; ``None`` for a message that is to be added."""
    known: SavedMessage | None = None
    """A stored message with its id: the same message, or the one of which it is another version or a copy."""
    is_equal: bool = False
    """Whether it is known to be equal to the stored message, so that nothing is to be taken from it or told to it."""


def message_id(message: Posted) -> str | None:
    """Return the message's id if it has a usable one."""
    found = message.get("id")
    return found if isinstance(found, str) and found else None


def find_messages(
    tree: MessageTree, shown: Sequence[SavedMessage], posted: Sequence[Posted], *, is_store_right: bool = False
) -> list[Match]:
    """Match each posted message with the tree.

    Stored messages are found as long as the client's messages follow a path of the tree. From the first one that does
    not, all are to be added. An answer that the client never got may be missing between two messages of the user, and
    the first messages of a long chat may be left out.

    Args:
        tree: The stored messages.
        shown: Those of the path that is shown, which go first where several could be meant.
        posted: The client's messages, oldest first.
        is_store_right: Whether the stored chat is the truth. Then a known id is enough, except for the last message, to
            which the client wants an answer, and unknown messages that are not the user's are passed over.

    Raises:
        RequestError: A message has the id of one with another role.
    """
    if not tree.messages:
        return [Match() for _ in posted]
    return _follow(tree, shown, posted) or _Search(tree, shown, posted, is_store_right).run()


def _follow(tree: MessageTree, shown: Sequence[SavedMessage], posted: Sequence[Posted]) -> list[Match] | None:
    """Match the messages of a client that has the shown path, and perhaps one new message. Return None for any other.

    This is the usual case, which the search would find as well, in several times the time.
    """
    if not len(shown) <= len(posted) <= len(shown) + 1:
        return None
    matches: list[Match] = []
    for message, stored in zip(posted, shown, strict=False):
        is_equal = stored.message == message
        if not is_equal and not _is_copy(stored, message):
            return None
        matches.append(Match(stored, stored, is_equal))
    if len(posted) > len(shown):
        new = message_id(posted[-1])
        if new is None or new in {one.message["id"] for one in tree.messages}:
            return None
        matches.append(Match())
    return matches


def _is_copy(stored: SavedMessage, message: Posted) -> bool:
    """Return whether a posted message is a copy, whole or in part, of an answer of ours."""
    is_same = message.get("id") == stored.message["id"] and message["role"] == stored.role
    return is_same and stored.run_id is not None


class _Search:
    def __init__(
        self, tree: MessageTree, shown: Sequence[SavedMessage], posted: Sequence[Posted], is_store_right: bool
    ) -> None:
        self.tree = tree
        self.shown = frozenset([message.number for message in shown])
        self.posted = posted
        self.is_store_right = is_store_right
        self.by_id: defaultdict[str, list[SavedMessage]] = defaultdict(list)
        for message in tree.visible:
            self.by_id[message.message["id"]].append(message)
        self.read: dict[int, Contents] = {}
        """Contents by number: a message may be compared with many."""

    @cached_property
    def ids(self) -> frozenset[str | None]:
        """The ids of the posted messages."""
        return frozenset([message_id(message) for message in self.posted])

    def run(self) -> list[Match]:
        matches: list[Match] = []
        before: SavedMessage | None = None
        is_on_path, is_begun = True, False
        for index, message in enumerate(self.posted):
            known = self._known(index)
            stored = self._find(index, known, before, is_begun) if is_on_path else None
            matches.append(Match(stored, stored or self._best(known)))
            if stored is not None:
                before, is_begun = stored, True
            elif not self._is_passed_over(message, is_begun):
                is_on_path = False
        return matches

    def _is_passed_over(self, message: Posted, is_begun: bool) -> bool:
        if self.is_store_right:
            return message["role"] != "user"
        # A page may put a new instruction before the same messages each time.
        return not is_begun and message["role"] in ("system", "data")

    def _known(self, index: int) -> list[SavedMessage]:
        """Return the stored messages with the id of a posted one."""
        message = self.posted[index]
        known = self.by_id.get(message_id(message) or "", [])
        for one in known:
            if one.role != message["role"]:
                raise RequestError("must be the same as before", path=f"messages[{index}].role", status=422)
        return known

    def _find(
        self, index: int, known: Sequence[SavedMessage], before: SavedMessage | None, is_begun: bool
    ) -> SavedMessage | None:
        """Return the stored message that a posted one is."""
        message, is_last = self.posted[index], index == len(self.posted) - 1
        same = self._same_versions(known, message, is_last)
        if not is_begun and same:
            return self._best(same)
        next_ones = self._next_after(before, message)
        places = {one.number for one in next_ones}
        found = [one for one in same if one.number in places]
        if not known and (not is_last or message_id(message) is None):
            found = self._like(message, next_ones)
        if not found and not is_begun and not is_last and self._may_stand_anywhere(message):
            found = self._like(message, self.tree.visible)
        return self._best(found)

    def _same_versions(self, known: Sequence[SavedMessage], message: Posted, is_last: bool) -> list[SavedMessage]:
        """Return the stored messages with a posted one's id that are the version which the client has."""
        same = [one for one in known if self._is_same(one, message, is_last)]
        if len(same) > 1:
            return [one for one in same if _is_said(one.message, message)] or same
        return same

    def _may_stand_anywhere(self, message: Posted) -> bool:
        """Return whether a posted message is looked for in the whole chat.

        A message without an id that was alone went to the end of the path, and the client lacks those before it.
        """
        return self.is_store_right and message["role"] == "user" and message_id(message) is None

    def _next_after(self, before: SavedMessage | None, message: Posted) -> list[SavedMessage]:
        """Return the stored messages that can stand at the place of a posted one."""
        next_ones = [*self.tree.children(before and before.number)]
        if message["role"] == "user" and before is not None and before.role == "user":
            # The client never got the answer between them.
            answers = [one for one in next_ones if one.role == "assistant"]
            next_ones += [after for answer in answers for after in self.tree.children(answer.number)]
        return next_ones

    def _best(self, messages: Sequence[SavedMessage]) -> SavedMessage | None:
        """Return the one that is shown, or the latest."""
        return max(messages, key=lambda one: (one.number in self.shown, one.number), default=None)

    def _is_same(self, stored: SavedMessage, message: Posted, is_last: bool) -> bool:
        """Return whether a posted message with the stored one's id is the same version of it."""
        if stored.id in self.tree.answer_ids or stored.message == message:
            # The client has a copy of our answer, whole or in part. What is stored at another path is our answer, too.
            return True
        if is_last and stored.role == "user":
            return list(stored.message["parts"]) == list(message["parts"])
        return self.is_store_right or _is_said(stored.message, message)

    def _like(self, message: Posted, stored: Sequence[SavedMessage]) -> list[SavedMessage]:
        """Return the stored messages that a posted one without a known id can be."""
        alike = [one for one in stored if one.role == message["role"]]
        if message["role"] != "assistant":
            said = _contents(message)
            return [one for one in alike if self._contents(one) == said]
        own = [one for one in alike if one.id not in self.ids and _is_same_answer(one.message, message)]
        # A message without an id is any version of the answer at its place.
        return own or (alike if message_id(message) is None else [])

    def _contents(self, message: SavedMessage) -> Contents:
        if message.number not in self.read:
            self.read[message.number] = _contents(message.message)
        return self.read[message.number]


def _is_said(stored: Posted, posted: Posted) -> bool:
    return _contents(stored, _SAID_BEFORE) == _contents(posted, _SAID_BEFORE)


def _is_same_answer(stored: Posted, posted: Posted) -> bool:
    texts, calls = (_text(stored), _text(posted)), (_calls(stored), _calls(posted))
    shared = min(len(ids) for ids in calls)
    is_beginning = texts[0].startswith(texts[1]) or texts[1].startswith(texts[0])
    return is_beginning and calls[0][:shared] == calls[1][:shared]


def _parts(message: Posted) -> list[Posted]:
    return [cast("Posted", part) for part in message.get("parts") or () if isinstance(part, Mapping)]


def _contents(message: Posted, said: Sequence[tuple[str, str]] = _SAID) -> Contents:
    return [(kind, part.get(key)) for part in _parts(message) for kind, key in said if part.get("type") == kind]


def _text(message: Posted) -> str:
    return "".join(str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text")


def _calls(message: Posted) -> list[str]:
    return [part["toolCallId"] for part in _parts(message) if is_tool_part(part)]
