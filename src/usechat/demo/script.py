"""The demo's script: choose the blocks that answer a Messages API request.

Pure and deterministic: the same request gets the same answer. A topic is a sequence of acts. An act has blocks and may
end with a call of one of the demo's tools; the next request brings the result, and the script continues after that act.
So the number of tool results since the user's last message gives the position in the script. Knows no HTTP, no pace and
none of usechat's types, only the format of https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, Literal, TypeAlias, cast

import msgspec

from usechat.demo.texts import (
    APPROVAL,
    ATTACHED,
    CHART,
    CITED,
    DATA,
    DENIED,
    ERROR,
    FILE,
    GREETING,
    LONG,
    LOOK_AROUND,
    MARKDOWN,
    REASONING,
    REASONING_ANSWER,
    SEARCH_HITS,
    SEARCH_QUERY,
    SOURCES,
    TOOL,
    TOUR,
)

__all__ = ["TOPICS", "Block", "Cited", "Failure", "Search", "Text", "Thinking", "ToolUse", "answer"]

Json = Mapping[str, Any]


class Text(msgspec.Struct, frozen=True):
    """Plain text."""

    text: str


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning."""

    text: str


class Cited(msgspec.Struct, frozen=True):
    """A sentence with a citation of a search hit."""

    text: str
    hit: Mapping[str, str]
    cited_text: str


class Search(msgspec.Struct, frozen=True):
    """A web search that the provider ran, and its hits."""

    query: str
    hits: Sequence[Mapping[str, str]]


class ToolUse(msgspec.Struct, frozen=True):
    """A call of a tool that the application runs."""

    name: str
    input: Json


class Failure(msgspec.Struct, frozen=True):
    """An error event, which ends the stream."""

    type: str
    message: str


Block: TypeAlias = Text | Thinking | Cited | Search | ToolUse | Failure


class _Result(msgspec.Struct, frozen=True):
    """A tool result of the conversation."""

    text: str
    is_error: bool

    @property
    def fields(self) -> Json:
        """The fields of the result when it is a JSON object; otherwise empty."""
        try:
            value: Any = json.loads(self.text)
        except ValueError:
            return {}
        return cast("Json", value) if isinstance(value, dict) else {}


class _Act(msgspec.Struct, frozen=True, kw_only=True):
    says: tuple[Block, ...]
    call: ToolUse | None = None
    reply: Callable[[_Result], str] | None = None
    """Returns the text that follows the result of the call."""
    needs: str | None = None
    """The name of the provider's tool that this act requires."""


def answer(request: Json) -> tuple[Block, ...]:
    """Return the blocks of the answer to a Messages API request."""
    words, files, results = _last_turn(request.get("messages") or ())
    offered = {str(tool.get("name")) for tool in request.get("tools") or ()}
    return tuple(_joined(_perform(_acts(words, files), results, offered)))


def _perform(acts: Sequence[_Act], results: Iterator[_Result], offered: set[str]) -> list[Block]:
    """Return the blocks after the last call with a result, up to the next call without one."""
    blocks: list[Block] = []
    for act in acts:
        missing = next((name for name in (act.needs, act.call and act.call.name) if name and name not in offered), None)
        if missing is not None:
            blocks.append(Text(f"\n\n*(This needs the tool `{missing}`, which this application does not offer.)*\n\n"))
            continue
        if act.call is None or act.reply is None:
            blocks += act.says
            continue
        result = next(results, None)
        if result is None:
            return [*blocks, *act.says, act.call]
        blocks = [Text(_failed(act.call, result) if result.is_error else act.reply(result))]
    return blocks


def _joined(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the blocks with neighbouring texts joined, because a model does not split a text into several blocks."""
    for is_text, group in groupby(blocks, key=lambda block: isinstance(block, Text)):
        if is_text:
            yield Text("".join(block.text for block in group if isinstance(block, Text)))
        else:
            yield from group


def _failed(call: ToolUse, result: _Result) -> str:
    return f"The call of `{call.name}` failed: {result.text}\n\n"


def _last_turn(messages: Sequence[Json]) -> tuple[str, Sequence[str], Iterator[_Result]]:
    """Return the text of the user's last message, what files came with it, and the tool results after it."""
    words = ""
    files: list[str] = []
    results: list[_Result] = []
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message.get("content") or ()
        blocks: Sequence[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        brought = [block for block in blocks if block.get("type") == "tool_result"]
        results += [_result(block) for block in brought]
        if len(brought) < len(blocks) or not blocks:
            words, results = " ".join(str(block["text"]) for block in blocks if "text" in block), []
            files = [_file(block) for block in blocks if block.get("type") in {"image", "document"}]
    return words, files, iter(results)


def _file(block: Json) -> str:
    if block["type"] == "image":
        return "a picture"
    return f"the file “{block['title']}”" if block.get("title") else "a file"


def _result(block: Json) -> _Result:
    content = block.get("content") or ""
    parts: Sequence[Json] = [{"text": content}] if isinstance(content, str) else content
    text = "\n".join(str(part["text"]) for part in parts if "text" in part)
    return _Result(text, bool(block.get("is_error")))


def _weather(result: _Result) -> str:
    fields = result.fields
    if "temperature" not in fields:
        return f"The tool answered: {result.text}\n\n"
    return f"In **{fields.get('city')}** it is {fields['temperature']} °C and {fields.get('sky')}.\n\n"


def _picture(result: _Result) -> str:
    drawn = result.fields.get("drawn", "a picture")
    return f"There it is: {drawn}. It came as a file part, made by a few lines of Python.\n\n"


def _progress(result: _Result) -> str:
    return (
        f"The tool wrote its progress {result.fields.get('steps', 'several')} times into one data part, and one "
        "notification that is not kept in the message.\n\n"
    )


def _chart(result: _Result) -> str:
    warmest = result.fields.get("warmest")
    if not isinstance(warmest, dict):
        return f"The tool answered: {result.text}\n\n"
    found = ", ".join(f"{city} {degrees} °C" for city, degrees in cast("Json", warmest).items())
    return f"The warmest day of each: {found}.\n\n"


def _sent(result: _Result) -> str:
    if result.fields.get("status") == "sent":
        return f"You agreed, so the tool ran. {result.fields.get('note', '')}\n\n"
    return DENIED.format(reason=result.text) + "\n\n"


_TEXT = _Act(says=(Text(MARKDOWN),))
_REASONING = _Act(says=(Thinking(REASONING), Text(REASONING_ANSWER)))
_SOURCES = _Act(
    needs="web_search",
    says=(
        Text(SOURCES),
        Search(SEARCH_QUERY, SEARCH_HITS),
        *(Cited(said, SEARCH_HITS[index], quoted) for said, index, quoted in CITED),
        Text("\n\n"),
    ),
)
_TOOL = _Act(says=(Text(TOOL),), call=ToolUse("get_weather", {"city": "Lisbon"}), reply=_weather)
_DATA = _Act(says=(Text(DATA),), call=ToolUse("show_progress", {"steps": 5}), reply=_progress)
_CHART = _Act(says=(Text(CHART),), call=ToolUse("show_chart", {"cities": ["Lisbon", "Oslo"]}), reply=_chart)
_FILE = _Act(says=(Text(FILE),), call=ToolUse("draw_picture", {"subject": "hills at sunset"}), reply=_picture)
_APPROVAL = _Act(
    says=(Text(APPROVAL),),
    call=ToolUse(
        "send_email",
        {"to": "ada@example.com", "subject": "Hello", "body": "This e-mail was written by usechat's demo."},
    ),
    reply=_sent,
)
_ERROR = _Act(says=(Text(ERROR), Failure("overloaded_error", "Overloaded")))

Topic = Literal["tour", "approval", "sources", "chart", "file", "data", "error", "reasoning", "long", "tool", "text"]

TOPICS: Mapping[Topic, tuple[frozenset[str], tuple[_Act, ...]]] = {
    "tour": (
        frozenset({"tour", "everything", "all"}),
        (
            _Act(says=(Text(TOUR),)),
            _REASONING,
            _TEXT,
            _SOURCES,
            _TOOL,
            _DATA,
            _CHART,
            _FILE,
            _APPROVAL,
            _ERROR,
        ),
    ),
    "approval": (frozenset({"approval", "approve", "approvals", "email", "mail"}), (_APPROVAL,)),
    "sources": (frozenset({"source", "sources", "search", "cite", "citation", "citations"}), (_SOURCES,)),
    # A chart may be drawn, too.
    "chart": (frozenset({"chart", "charts", "plot", "temperatures"}), (_CHART,)),
    "file": (frozenset({"file", "files", "picture", "image", "draw"}), (_FILE,)),
    "data": (frozenset({"data", "progress"}), (_DATA,)),
    "error": (frozenset({"error", "errors", "fail", "failure"}), (_ERROR,)),
    "reasoning": (frozenset({"reasoning", "reason", "think", "thinking"}), (_REASONING,)),
    "long": (frozenset({"long", "longer", "stop"}), (_Act(says=(Text(LONG),)),)),
    "tool": (frozenset({"tool", "tools", "weather"}), (_TOOL,)),
    "text": (frozenset({"text", "markdown", "table", "code", "math", "formula"}), (_TEXT,)),
}
"""The topics: the words that choose each, and its acts. The first topic that has a word of the message is chosen."""


def _acts(words: str, files: Sequence[str]) -> tuple[_Act, ...]:
    said = set(re.findall(r"[a-z]+", words.lower()))
    # A user who sends a picture and writes of a picture means that one.
    acts = next((acts for name, (keys, acts) in TOPICS.items() if keys & said and not (files and name == "file")), None)
    if acts is None:
        acts = (_Act(says=(Text(LOOK_AROUND if files else GREETING),)),)
    elif acts == (_TOOL,):
        acts = (msgspec.structs.replace(_TOOL, call=ToolUse("get_weather", {"city": _city(words)})),)
    attached = (_Act(says=(Text(ATTACHED.format(files=" and ".join(dict.fromkeys(files)))),)),) if files else ()
    return *attached, *acts


def _city(words: str) -> str:
    """Return the name behind the word "in"."""
    after = re.search(r"\bin ([\w'’ -]+)", words)
    named = takewhile(lambda word: word[0].isupper(), after[1].split() if after else ())
    return " ".join(named) or "Lisbon"
