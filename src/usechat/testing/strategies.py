"""Hypothesis strategies for answers: any legal sequence of parts, and any sequence at all.

For tests of whatever takes parts or frames. Needs the ``hypothesis`` package, which this module alone imports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from hypothesis import strategies as st

from usechat import parts as p

__all__ = ["any_parts", "any_text", "json_values", "legal_parts", "provider_metadata"]

SPECIAL_TEXTS = ("", '"', "\\", "\n", "\r\n", "\x00", "\u2028", "\u0085", "é", "😀", "\ud83d", "\ude00", "data: x\n\n")
BLOCKS = frozenset({"0", "1", 'a "b"', "__proto__"})
BLOCK_IDS = st.sampled_from(sorted(BLOCKS))
NAMES = st.sampled_from(["get_weather", "search", "x"])
MEDIA_TYPES = st.sampled_from(["image/png", "text/plain"])
FILE_URLS = st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "https://example.org/a.png"])
FLAGS = st.sampled_from([None, True, False])
YES = st.sampled_from([None, True])
ENCODINGS = st.sampled_from([None, "json", "text"])
RESULTS = st.sampled_from(["preliminary", "output", "error", "denied"])
SOURCE: dict[str, Any] = {"type": "source", "sourceType": "url", "id": "s1", "url": "https://example.org/"}
CITATIONS = st.sampled_from([None, ({"source": SOURCE, "citedText": "so"},)])
KEPT: dict[str, dict[str, Any]] = {"anthropic": {"citations": ["web"]}}
KEPT_BEFORE_7 = st.sampled_from([None, {}, KEPT])


@cache
def any_text() -> st.SearchStrategy[str]:
    """Text with all that breaks careless framing: line ends, quotes, NUL, lone halves of characters."""
    return st.one_of(st.sampled_from(SPECIAL_TEXTS), st.text(max_size=8))


INPUT_TEXTS = st.one_of(any_text(), st.sampled_from(['{"a": ', "[1, ", "tru", '"b\\u00', "-1.", "}"]))


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Any value JSON has, large integers included."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(min_value=-(2**70), max_value=2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        any_text(),
    )
    return st.recursive(leaves, json_containers, max_leaves=4)


def json_containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(children, max_size=3), st.dictionaries(any_text(), children, max_size=3))


@cache
def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(["a", "b", "é"]), json_values(), max_size=2)


@cache
def provider_metadata() -> st.SearchStrategy[dict[str, dict[str, Any]] | None]:
    """What a provider adds to a part, or nothing."""
    return st.one_of(st.none(), st.fixed_dictionaries({"anthropic": json_objects()}))


@cache
def message_metadata() -> st.SearchStrategy[Any]:
    counts = st.one_of(st.none(), st.integers(min_value=0, max_value=10**6))
    usages = st.builds(p.Usage, input_no_cache=counts, input_cache_read=counts, output=counts, input_first=counts)
    return st.one_of(json_objects(), st.fixed_dictionaries({"usage": usages}))


@cache
def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


@cache
def finish_reasons() -> st.SearchStrategy[p.FinishReason]:
    raws = st.sampled_from([None, "end_turn", "pause_turn", "refusal", "compaction", "model_context_window_exceeded"])
    unified = st.sampled_from(["stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"])
    return st.builds(p.FinishReason, unified, raws)


@cache
def finish_steps() -> st.SearchStrategy[p.FinishStep]:
    return st.builds(p.FinishStep, finish_reason=finish_reasons(), usage=st.just(p.Usage(output=3)))


@cache
def finishes() -> st.SearchStrategy[p.Finish]:
    usage = st.just(p.Usage(output=3))
    return st.builds(
        p.Finish, finish_reason=finish_reasons(), total_usage=usage, message_metadata=optional(message_metadata())
    )


@cache
def starts() -> st.SearchStrategy[p.Start]:
    ids = st.sampled_from([None, "m1", "m2"])
    return st.builds(p.Start, message_id=ids, message_metadata=optional(message_metadata()))


@cache
def notes() -> st.SearchStrategy[p.Part]:
    """What an application may send at any time."""
    ids = st.sampled_from([None, "d1", "d2"])
    data = st.builds(p.Data, name=st.sampled_from(["x", "y"]), data=json_values(), id=ids, transient=FLAGS)
    return st.one_of(data, st.builds(p.MessageMetadata, message_metadata()))


@cache
def single_parts() -> st.SearchStrategy[p.Part]:
    """Content that stands for itself."""
    metadata = provider_metadata()
    document = st.builds(
        p.SourceDocument,
        source_id=BLOCK_IDS,
        media_type=MEDIA_TYPES,
        title=any_text(),
        filename=optional(any_text()),
        provider_metadata=metadata,
    )
    since, until = st.sampled_from([0, 6, 7]), st.sampled_from([5, 99])
    url = st.builds(
        p.SourceUrl,
        source_id=BLOCK_IDS,
        url=st.just("https://example.org/"),
        title=optional(any_text()),
        provider_metadata=metadata,
        since_major=since,
        until_major=until,
    )
    steering = st.builds(p.SteeringMessage, id=BLOCK_IDS, parts=st.just(({"type": "text", "text": "more"},)))
    return st.one_of(
        url,
        document,
        st.builds(p.File, media_type=MEDIA_TYPES, url=FILE_URLS, provider_metadata=metadata),
        st.builds(p.ReasoningFile, media_type=MEDIA_TYPES, url=FILE_URLS, provider_metadata=metadata),
        st.builds(p.Custom, st.just("anthropic.message_start"), metadata),
        steering,
    )


def as_strategies(values: dict[str, Any]) -> dict[str, st.SearchStrategy[Any]]:
    """``values``, those that are no strategies as such that give themselves."""
    return {key: as_strategy(value) for key, value in values.items()}


def as_strategy(value: Any) -> st.SearchStrategy[Any]:
    return cast("st.SearchStrategy[Any]", value) if isinstance(value, st.SearchStrategy) else st.just(value)


@dataclass
class Call:
    """A tool call of the answer that is being made up."""

    id: str
    name: str
    dynamic: bool | None
    provider_executed: bool | None
    is_open: bool = True
    is_settled: bool = False
    approval: str | None = None


@dataclass
class Answer:
    """A legal answer as far as it goes."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    parts: list[p.Part] = field(default_factory=list[p.Part])
    text: set[str] = field(default_factory=set[str])
    reasoning: set[str] = field(default_factory=set[str])
    calls: list[Call] = field(default_factory=list[Call])
    calls_made: int = 0
    calls_before_step: int = 0

    def add(self, strategy: st.SearchStrategy[Any]) -> None:
        """One part, drawn."""
        self.parts.append(self.draw(strategy))

    def make(self, part: type[p.Part], **values: Any) -> None:
        """One part of these values, of which some may be strategies."""
        drawn = {key: self.draw(strategy) for key, strategy in as_strategies(values).items()}
        self.parts.append(part(**drawn))

    def pick(self, values: list[Any]) -> Any:
        """One of ``values``."""
        return self.draw(st.sampled_from(values))

    def open_calls(self) -> list[Call]:
        """The calls whose input is still arriving."""
        return [call for call in self.calls if call.is_open]

    def ready_calls(self) -> list[Call]:
        """The calls that await a result."""
        return [call for call in self.calls if not call.is_open and not call.is_settled]

    def forget_open(self) -> None:
        """Nothing goes on from here that is open now."""
        self.text.clear()
        self.reasoning.clear()
        self.calls = [call for call in self.calls if not call.is_open]


@st.composite
def legal_parts(draw: Callable[[st.SearchStrategy[Any]], Any], *, max_size: int = 20) -> list[p.Part]:
    """Any legal sequence of parts, whole or broken off.

    Blocks interleave; there are several steps, tools of every kind with and without streamed input, approvals,
    preliminary outputs, errors, aborts, data parts and metadata. Each tool call has an id of its own.
    """
    answer = Answer(draw)
    if draw(st.booleans()):
        answer.add(starts())
    for _ in range(draw(st.integers(min_value=0, max_value=3))):
        add_step(answer, max_size)
        end = draw(st.sampled_from(["go on", "go on", "go on", "error", "abort", "cut"]))
        if end != "go on":
            END_EARLY[end](answer)
            return answer.parts
        answer.add(finish_steps())
        answer.forget_open()
        settle_some(answer)
    answer.add(finishes())
    for _ in range(draw(st.integers(min_value=0, max_value=1))):
        answer.add(notes())
    return answer.parts


def add_step(answer: Answer, max_size: int) -> None:
    answer.add(st.builds(p.StartStep, message_id=st.sampled_from([None, "m1"])))
    answer.calls_before_step = len(answer.calls)
    for _ in range(answer.draw(st.integers(min_value=0, max_value=max_size))):
        actions = [act for act, is_possible in ACTIONS if is_possible(answer)]
        answer.pick(actions)(answer)


def settle_some(answer: Answer) -> None:
    """Results may come between two steps, as after an approval."""
    for call in answer.ready_calls():
        if answer.draw(st.booleans()):
            add_result(answer, call)


def end_with_error(answer: Answer) -> None:
    answer.add(st.builds(p.Error, any_text()))
    if answer.draw(st.booleans()):
        answer.add(finish_steps())
        answer.add(finishes())


def end_with_abort(answer: Answer) -> None:
    answer.add(st.builds(p.Abort, optional(any_text())))


def end_in_the_middle(answer: Answer) -> None:
    """The rest never came."""


END_EARLY = {"error": end_with_error, "abort": end_with_abort, "cut": end_in_the_middle}


def add_single(answer: Answer) -> None:
    answer.add(st.one_of(single_parts(), notes()))


def start_text(answer: Answer) -> None:
    block = answer.pick(sorted(BLOCKS - answer.text))
    answer.make(p.TextStart, id=block, provider_metadata=provider_metadata())
    answer.text.add(block)


def grow_text(answer: Answer) -> None:
    block = answer.pick(sorted(answer.text))
    answer.make(p.TextDelta, id=block, delta=any_text(), provider_metadata=optional(provider_metadata()))


def end_text(answer: Answer) -> None:
    block = answer.pick(sorted(answer.text))
    answer.make(
        p.TextEnd,
        id=block,
        provider_metadata=provider_metadata(),
        citations=CITATIONS,
        provider_metadata_before_7=KEPT_BEFORE_7,
    )
    answer.text.remove(block)


def start_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(BLOCKS - answer.reasoning))
    answer.make(p.ReasoningStart, id=block, provider_metadata=provider_metadata())
    answer.reasoning.add(block)


def grow_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(answer.reasoning))
    answer.make(p.ReasoningDelta, id=block, delta=any_text(), provider_metadata=provider_metadata())


def end_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(answer.reasoning))
    answer.make(p.ReasoningEnd, id=block, provider_metadata=provider_metadata())
    answer.reasoning.remove(block)


def new_call(answer: Answer) -> Call:
    answer.calls_made += 1
    call = Call(f"call_{answer.calls_made}", answer.draw(NAMES), answer.draw(YES), answer.draw(YES))
    answer.calls.append(call)
    return call


def named(call: Call) -> dict[str, Any]:
    return {"tool_call_id": call.id, "tool_name": call.name}


def described(call: Call) -> dict[str, Any]:
    return {
        **named(call),
        "provider_executed": call.provider_executed,
        "dynamic": call.dynamic,
        "provider_metadata": provider_metadata(),
        "tool_metadata": optional(json_objects()),
    }


def start_input(answer: Answer) -> None:
    call = new_call(answer)
    answer.make(p.ToolInputStart, **described(call), title=optional(any_text()), input_encoding=ENCODINGS)


def grow_input(answer: Answer) -> None:
    call = answer.pick(answer.open_calls())
    answer.make(p.ToolInputDelta, tool_call_id=call.id, delta=INPUT_TEXTS)


def end_input(answer: Answer) -> None:
    make_input(answer, answer.pick(answer.open_calls()))


def call_at_once(answer: Answer) -> None:
    make_input(answer, new_call(answer))


def make_input(answer: Answer, call: Call) -> None:
    call.is_open = False
    title = optional(any_text())
    if answer.draw(st.booleans()):
        answer.make(p.ToolInputAvailable, **described(call), title=title, input=json_values())
        return
    call.is_settled = True
    texts = {"error_text": any_text(), "client_text": optional(any_text())}
    answer.make(p.ToolInputError, **described(call), title=title, input=json_values(), **texts)
    if answer.draw(st.booleans()):
        again = {**named(call), "provider_executed": call.provider_executed, "dynamic": call.dynamic}
        answer.make(p.ToolOutputError, **again, **texts, invalid_input=True)


def ask_approval(answer: Answer) -> None:
    call = answer.pick([call for call in answer.ready_calls() if call.approval is None])
    call.approval = f"approval_{call.id}"
    answer.make(
        p.ToolApprovalRequest,
        approval_id=call.approval,
        tool_call_id=call.id,
        signature=optional(any_text()),
        is_automatic=FLAGS,
        reason=optional(any_text()),
        input_schema_input=json_values(),
        approval_descriptor=json_values(),
    )


def answer_approval(answer: Answer) -> None:
    call = answer.pick([call for call in answer.ready_calls() if call.approval is not None])
    answer.make(
        p.ToolApprovalResponse,
        approval_id=call.approval,
        approved=st.booleans(),
        reason=optional(any_text()),
        provider_executed=YES,
        provider_metadata=provider_metadata(),
    )


def end_call(answer: Answer) -> None:
    add_result(answer, answer.pick(answer.ready_calls()))


def add_result(answer: Answer, call: Call) -> None:
    kind = answer.draw(RESULTS)
    call.is_settled = kind != "preliminary"
    if kind == "error":
        texts = {"error_text": any_text(), "client_text": optional(any_text())}
        answer.make(p.ToolOutputError, **described(call), **texts)
    elif kind == "denied":
        answer.make(p.ToolOutputDenied, **named(call))
    else:
        preliminary = True if kind == "preliminary" else None
        answer.make(p.ToolOutputAvailable, **described(call), output=json_values(), preliminary=preliminary)


def reset_step(answer: Answer) -> None:
    answer.make(p.ResetStep)
    answer.text.clear()
    answer.reasoning.clear()
    del answer.calls[answer.calls_before_step :]


ACTIONS: tuple[tuple[Callable[[Answer], None], Callable[[Answer], Any]], ...] = (
    (add_single, lambda answer: True),
    (start_text, lambda answer: len(answer.text) < 2),
    (grow_text, lambda answer: answer.text),
    (end_text, lambda answer: answer.text),
    (start_reasoning, lambda answer: len(answer.reasoning) < 2),
    (grow_reasoning, lambda answer: answer.reasoning),
    (end_reasoning, lambda answer: answer.reasoning),
    (start_input, lambda answer: len(answer.calls) < 4),
    (grow_input, lambda answer: answer.open_calls()),
    (end_input, lambda answer: answer.open_calls()),
    (call_at_once, lambda answer: len(answer.calls) < 4),
    (ask_approval, lambda answer: any(call.approval is None for call in answer.ready_calls())),
    (answer_approval, lambda answer: any(call.approval is not None for call in answer.ready_calls())),
    (end_call, lambda answer: answer.ready_calls()),
    (reset_step, lambda answer: True),
)
"""What can come next, and when."""


def any_parts(*, max_size: int = 20) -> st.SearchStrategy[list[p.Part]]:
    """Any sequence of parts, most of them illegal."""
    call = Call("call_1", "search", dynamic=None, provider_executed=None)
    other = Call("call_2", "get_weather", dynamic=True, provider_executed=True)
    of_calls = [strategy for each in (call, other) for strategy in parts_of_call(each)]
    blocks = [st.builds(kind, BLOCK_IDS) for kind in (p.TextStart, p.TextEnd, p.ReasoningStart, p.ReasoningEnd)]
    deltas = [st.builds(kind, BLOCK_IDS, any_text(), provider_metadata()) for kind in (p.TextDelta, p.ReasoningDelta)]
    frame: list[st.SearchStrategy[Any]] = [starts(), st.just(p.StartStep()), finish_steps(), finishes()]
    ends = [st.builds(p.Abort, optional(any_text())), st.builds(p.Error, any_text()), st.just(p.ResetStep())]
    return st.lists(st.one_of(*frame, *blocks, *deltas, *of_calls, *ends, single_parts(), notes()), max_size=max_size)


def built(part: type[p.Part], **values: Any) -> st.SearchStrategy[p.Part]:
    """A part of these values, of which some may be strategies."""
    return st.builds(part, **as_strategies(values))


def parts_of_call(call: Call) -> list[st.SearchStrategy[Any]]:
    """Every part that names a tool call."""
    said = {**named(call), "provider_executed": YES, "dynamic": YES}
    approval = f"approval_{call.id}"
    return [
        built(p.ToolInputStart, **described(call)),
        built(p.ToolInputDelta, tool_call_id=call.id, delta=any_text()),
        built(p.ToolInputAvailable, **described(call), input=json_values()),
        built(p.ToolInputError, **described(call), input=json_values(), error_text=any_text()),
        built(p.ToolOutputAvailable, **said, output=json_values(), preliminary=YES),
        built(p.ToolOutputError, **said, error_text=any_text(), invalid_input=st.booleans()),
        built(p.ToolOutputDenied, **named(call)),
        built(p.ToolApprovalRequest, approval_id=approval, tool_call_id=call.id),
        built(p.ToolApprovalResponse, approval_id=approval, approved=st.booleans()),
    ]
