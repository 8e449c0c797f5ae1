"""What came of it all: the counts of the failure test, and what of them must not be."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.deployment import Site
from tests.chaos.failures import Span
from tests.chaos.upstream import expected_text
from tests.chaos.user import Session, Turn, User, as_text

__all__ = ["Verdict"]

CLEAR_REFUSALS = (409, 502, 503, 504)
"""The server's own, and nginx's where no server is there to answer."""
END_OF_TURN = re.compile(r"turn turn-(\S+) of chat \S+ ended: \w+")
FAILED = re.compile(r"of chat (\S+) (?:ended: (?:failed|lost)|could not be saved)")
"""A chat with an answer that failed, whose process died, or that was not saved when it ended for its readers."""
TRACEBACK = re.compile(r"^(\d{4}-.*)\n  Traceback", re.MULTILINE)
"""A record that is no outage, which takes one line."""
CLOSING = "_terminate_graceful_close() done"
"""SQLAlchemy's task that takes leave of a silent database, and whose end nobody hears when its caller is cancelled."""
GIVEN_UP = re.compile(r"run run-(\S+) of chat \S+ was not saved")
"""An answer whose process ended before the database said whether it is saved."""
IN_FLIGHT = 1000
"""Characters that a reader may have of an answer whose process was killed the moment after, Redis perhaps with it."""

PROXY_PATIENCE = 24.0
"""Seconds of silence that nginx bears."""


def was_silent(user: User, session: Session) -> bool:
    """Whether the proxy gave up a stream that has no sign of life, which waited for a lost answer's end."""
    return not user.wire.has_heartbeat and session.ended - session.heard >= PROXY_PATIENCE


class Verdict:
    """Judges users and what is stored of them.

    Args:
        site: As it is when all is over.
        users: What they saw.
    """

    def __init__(self, site: Site, users: Sequence[User]) -> None:
        self.site = site
        self.users = users
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    # -- readers ------------------------------------------------------------------------------------------------------

    def judge_readers(self) -> None:
        """Every response had a legal end."""
        for user in self.users:
            for turn in user.turns:
                self.counts["questions"] += 1
                self.counts["questions asked again"] += turn.posts - 1
                self.counts["requests to stop"] += turn.stops
                if not turn.is_answered:
                    self.faults.append(f"{user.wire.name}, {turn.question}: was not answered in time")
                for session in turn.sessions:
                    self.judge_session(user, turn, session)

    def judge_session(self, user: User, turn: Turn, session: Session) -> None:
        """This one had."""
        self.counts["responses read"] += 1
        name = session.outcome
        if name == "over":
            name = f"over: {session.reading.end or 'without an end'}"
        if name == "refused":
            name = f"refused: {session.status}"
        self.counts[f"  {name}"] += 1
        for fault in self.session_faults(user, turn, session):
            self.faults.append(f"{user.wire.name}, {turn.question}, {session.how}: {fault}")
        if not any(text.startswith(session.reading.text) for text in texts_for(user, turn, session)):
            self.faults.append(f"{turn.question}, {session.how}: read {session.reading.text[-100:]!r}")

    def session_faults(self, user: User, turn: Turn, session: Session) -> Iterator[str]:
        """What must not be."""
        match session.outcome:
            case "stuck":
                yield f"never ended; {session.server or 'nobody'} answered {session.status}, {len(session.data)} bytes"
            case "refused" if session.status not in CLEAR_REFUSALS and not (
                # How a text stream tells a failure before its first byte.
                session.status == 500 and tells_failure(user, turn, session)
            ):
                yield f"refused with {session.status}"
            case "cut" if not (
                self.was_down(session)
                or was_silent(user, session)
                or self.was_asleep(session)
                or tells_failure(user, turn, session)
                or self.was_told_of_failure(user)
            ):
                yield f"cut by {session.server}, which was not ended"
            case "over" if not session.reading.end:
                yield f"ended without a word: {session.data[-200:]!r}"
            case "over" if session.reading.end == "finish" and session.reading.text not in texts_for(
                user, turn, session
            ):
                yield f"called an answer whole that ends with {session.reading.text[-100:]!r}"
            case _:
                yield from session.reading.refusals

    def was_down(self, session: Session) -> bool:
        """Whether the server that answered was ended meanwhile."""
        servers = [server for server in self.site.servers if server.address == session.server]
        ends = [end for server in servers for end in server.ends]
        return any(session.began <= last and first <= session.ended for first, last in ends)

    def was_asleep(self, session: Session) -> bool:
        """Whether the proxy gave up a server that was paused, or a reader did."""
        servers = [server for server in self.site.servers if server.address == session.server]
        pauses = [pause for server in servers for pause in server.pauses]
        is_met = any(session.heard <= last and first <= session.ended for first, last in pauses)
        return is_met and session.ended - session.heard >= PROXY_PATIENCE

    def was_told_of_failure(self, user: User) -> bool:
        """Whether a cut after the whole text tells a failure, for which other streams have a frame."""
        return user.wire.name == "text" and user.chat_id in self.in_logs(FAILED)

    # -- chats --------------------------------------------------------------------------------------------------------

    def judge_chat(self, user: User, exported: Mapping[str, Any]) -> None:
        """All that was saved is right, and all that was seen is saved."""
        texts = [as_text(message) for message in exported["messages"]]
        roles = [message["role"] for message in exported["messages"]]
        if [text for text, role in zip(texts, roles, strict=True) if role == "user"] != [
            turn.question for turn in user.turns
        ]:
            self.faults.append(f"{user.chat_id}: has {list(zip(roles, texts, strict=True))}")
        for turn in user.turns:
            places = self.places_of_answers(texts, roles, turn)
            self.counts["answers saved"] += len(places)
            for place in places:
                self.judge_answer(turn, texts[place], exported["details"][place]["status"])
            self.judge_seen(turn, answers_in_tree(exported.get("tree", ()), turn.question))

    def places_of_answers(self, texts: Sequence[str], roles: Sequence[str], turn: Turn) -> list[int]:
        """Where in the chat the turn's answers are."""
        places: list[int] = []
        for place in range(texts.index(turn.question) + 1 if turn.question in texts else len(texts), len(texts)):
            if roles[place] == "user":
                break
            places.append(place)
        return places

    def judge_answer(self, turn: Turn, text: str, status: str) -> None:
        """It is the model's, and whole if it says so."""
        self.counts[f"  {status}"] += 1
        whole = expected_text(turn.question)
        if status == "streaming" or not whole.startswith(text):
            self.faults.append(f"{turn.question}: saved as {status}: {text[-100:]!r}")
        if status == "whole" and text != whole:
            self.faults.append(f"{turn.question}: saved as whole without its last {len(whole) - len(text)} characters")

    def judge_seen(self, turn: Turn, saved: Sequence[str]) -> None:
        """What a reader had is saved, but for what was in flight when a process was killed."""
        whole = expected_text(turn.question)
        seen = [text for session in turn.sessions if whole.startswith(text := session.reading.text)]
        longest = max(seen, key=len, default="")
        missing = len(longest) - max(map(len, saved), default=0)
        if missing > 0:
            self.counts["characters in flight when a process was killed"] += missing
            self.counts["answers that they belong to"] += 1
        if missing > (IN_FLIGHT if self.counts["server killed"] else 0):
            self.faults.append(f"{turn.question}: {missing} characters were read and not saved")

    # -- what is left ----------------------------------------------------------------------------------------------

    def judge_rest(self, calls: Mapping[str, int]) -> None:
        """Nothing is left open anywhere."""
        count = self.site.row_count
        left = {
            "turns open": count("turns", "status IS NULL"),
            "chats held": count("chats", "active_run_id IS NOT NULL"),
            "messages streaming": count("messages", "status = 'streaming'"),
            "model calls open": calls["open"],
            **self.site.left_behind(),
        }
        self.counts["model calls"] = calls["calls"]
        self.counts["  cancelled"] = calls["cancelled"]
        self.counts.update(left)
        self.faults += [f"{name}: {number}" for name, number in left.items() if number]
        tracebacks = [record for record in self.in_logs(TRACEBACK) if CLOSING not in record]
        self.counts["tracebacks in the logs"] = len(tracebacks)
        self.faults += tracebacks
        self.judge_turns(count("turns", "true"))

    def judge_turns(self, turns: int) -> None:
        """Each was told to have ended once, unless its process ended between the commit and the telling.

        One that is killed says nothing. One that is stopped while the database is silent names the answers of which
        it does not know whether they are saved.
        """
        told = self.in_logs(END_OF_TURN)
        given_up = set(self.in_logs(GIVEN_UP)) - set(told)
        untold, twice = turns - len(set(told)), len(told) - len(set(told))
        self.counts["turns"] = turns
        self.counts["  told to have ended"] = len(set(told))
        self.counts["  ended with their process before they were told"] = untold
        self.counts["  told twice"] = twice
        if twice or untold > self.counts["server killed"] + len(given_up):
            self.faults.append(f"of {turns} turns {len(told)} ends were told, of {len(set(told))} turns")

    def in_logs(self, pattern: re.Pattern[str]) -> list[str]:
        """Return what the pattern's group finds in the logs of all servers."""
        return [found for log in self.site.logs() for found in pattern.findall(log)]

    # -- what was broken ----------------------------------------------------------------------------------------------

    def describe_kinds(self, spans: Sequence[Span]) -> Mapping[str, Mapping[str, float]]:
        """Return of each kind of fault how often and how long there was one, and how many answers were read then."""
        kinds: dict[str, Counter[str]] = {}
        for span in spans:
            kind = kinds.setdefault(span.kind, Counter())
            kind["times"] += 1
            kind["longest"] = max(kind["longest"], round(span.ended - span.began))
            kind["answers"] += sum(is_under_way(turn, span) for user in self.users for turn in user.turns)
        return kinds

    def table(self) -> str:
        """The counts, for people."""
        width = max(map(len, self.counts))
        return "\n".join(f"{name:{width}}  {number:6}" for name, number in self.counts.items())


def is_under_way(turn: Turn, span: Span) -> bool:
    """Return whether somebody read the turn's answer, or asked for it, while something was broken."""
    sessions = turn.sessions
    return bool(sessions) and sessions[0].began <= span.ended and span.began <= max(each.ended for each in sessions)


def answers_in_tree(tree: Sequence[Mapping[str, Any]], question: str) -> list[str]:
    """Return the texts of all answers to a question: one that was asked again has several, of which one is shown."""
    asked = {one["place"]["node"] for one in tree if as_text(one["message"]) == question}
    return [as_text(one["message"]) for one in tree if one["place"]["parent"] in asked]


def texts_for(user: User, turn: Turn, session: Session) -> list[str]:
    """Return the texts of which a reader may see a part: of the turn, or of one before it that was still answered."""
    begun = min((each.answered for each in turn.sessions if each.how == "first"), default=math.inf)
    comes_before = session.how != "first" and session.began < begun
    turns = user.turns[: user.turns.index(turn) + 1] if comes_before else [turn]
    return [expected_text(each.question) for each in reversed(turns)]


def tells_failure(user: User, turn: Turn, session: Session) -> bool:
    """Return whether the cut says that the rest of the answer cannot be had: a text stream has no other sign."""
    return user.wire.name == "text" and session.reading.text != expected_text(turn.question)
