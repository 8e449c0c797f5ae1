"""Parses leniently the requests of ``useChat`` and ``useCompletion`` of AI SDK 3 to 7.

A part stays the object that was posted. Only what later code relies on is checked. Unknown keys are kept, and
`UIMessage.to_json` returns what was posted. Messages of AI SDK 3 and 4 are converted to the later form;
`UIMessage.original` has the posted message. An error is one `RequestError` that names a path and never repeats the
client's values. Knows no HTTP framework; `ChatRequest` is a pydantic model, so FastAPI accepts it as a body parameter.

Source: ``ai/src/ui/ui-messages.ts`` and ``http-chat-transport.ts`` of 5.0.277, 6.0.324 and 7.0.173;
``@ai-sdk/ui-utils/src/call-chat-api.ts`` for AI SDK 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from usechat.errors import RequestError
from usechat.json import LONE_SURROGATE, JsonDepthError, find_deep, to_json_value
from usechat.messages.answer_checks import check_answers
from usechat.messages.legacy import is_legacy_message, to_ui_message
from usechat.messages.limits import DEFAULT_LIMITS, BodyLimits, decode_limited
from usechat.messages.part_checks import check_part
from usechat.messages.validation import request_error_from_validation
from usechat.unsafe_keys import UnsafeKeyError, find_unsafe_key, refuse_unsafe_keys

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "StoredUIMessage",
    "UIMessage",
    "UIPart",
    "decode_body",
    "is_tool_part",
    "parse_body",
    "parse_chat_request",
    "parse_completion_request",
    "tool_name",
]


def is_tool_part(part: Mapping[str, Any]) -> bool:
    """Return whether a UI part is a tool call, of a static or a dynamic tool."""
    return part["type"] == "dynamic-tool" or part["type"].startswith("tool-")


def tool_name(part: Mapping[str, Any]) -> str:
    """Return the name of the tool that a tool part calls."""
    return part["toolName"] if part["type"] == "dynamic-tool" else part["type"].removeprefix("tool-")


UIPart: TypeAlias = Annotated[dict[str, Any], AfterValidator(check_part)]
"""A part of a UI message: the AI SDK's ``UIMessagePart`` in JSON."""


class UIMessage(BaseModel):
    """A message of a chat in the form of ``useChat``."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    """The client's id of the message; AI SDK 4 sends none."""
    role: Literal["system", "user", "assistant", "data"]
    """The author. Only AI SDK 4 has ``data``; no model gets such a message."""
    metadata: Any = None
    parts: Annotated[list[UIPart], FailFast()]
    """The parts. An error names only the first wrong one; a list of all could be as long as the body."""

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: ModelWrapValidatorHandler[UIMessage]) -> UIMessage:
        if not isinstance(value, dict):
            return handler(value)
        posted = cast("dict[str, Any]", value)
        if not is_legacy_message(posted):
            return handler(posted)
        return LegacyUIMessage.of(handler(to_ui_message(posted)), posted)

    @property
    def original(self) -> Mapping[str, Any]:
        """The message exactly as posted, in AI SDK 4's form if the client is that old."""
        return self.to_json()

    @property
    def text(self) -> str:
        """The texts of the text parts, joined."""
        return "".join(part["text"] for part in self.parts if part["type"] == "text")

    def to_json(self) -> dict[str, Any]:
        """Return the message in the form of AI SDK 5 and later.

        It is a JSON object with the keys that were posted, unknown ones included, and no defaults.
        """
        posted = self.model_fields_set
        return {
            **{name: value for name, value in self.__dict__.items() if name in posted},
            **(self.model_extra or {}),
        }


class LegacyUIMessage(UIMessage):
    """A message of AI SDK 3 or 4, converted to the later form."""

    _posted: Mapping[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @classmethod
    def of(cls, message: UIMessage, posted: Mapping[str, Any]) -> LegacyUIMessage:
        """Return the message with its posted form."""
        # Unknown keys can have any name, so they cannot be keyword arguments.
        legacy = cls.model_construct(
            message.model_fields_set,
            id=message.id,
            role=message.role,
            metadata=message.metadata,
            parts=message.parts,
        )
        cast("dict[str, Any]", legacy.model_extra).update(message.model_extra or {})
        legacy._posted = posted  # noqa: SLF001 - its own class
        return legacy

    @property
    def original(self) -> Mapping[str, Any]:
        """The message exactly as posted."""
        return self._posted


class StoredUIMessage(UIMessage):
    """A message whose tool calls are the server's own, from its store."""


BodyT = TypeVar("BodyT", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _clean(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context == _ALREADY_CLEAN:
            return value
        try:
            value = to_json_value(value)
        except JsonDepthError:
            raise PydanticCustomError("too_deep", "is nested too deep", {"key": find_deep(value)}) from None
        return refuse_unsafe_value(value)

    @property
    def extra(self) -> dict[str, Any]:
        """All other keys of the body: ``model``, ``data`` and those that the page adds."""
        return self.model_extra or {}


def refuse_unsafe_value(value: Any) -> Any:
    """Return the value, for pydantic. Clients get the value back later, so it must have no unsafe key.

    Raises:
        PydanticCustomError: The value has a key that clients refuse (`usechat.unsafe_keys`).
    """
    if (path := find_unsafe_key(value)) is not None:
        raise PydanticCustomError("unsafe_key", "must not be a key", {"key": path})
    return value


_ALREADY_CLEAN: Final = "clean JSON"
"""The validation context of a body that `to_json_value` has processed."""


def _check_id(name: str | None, key: str | None = None) -> None:
    # No URL, Redis key or header can hold a lone surrogate.
    if name is not None and not name.isascii() and LONE_SURROGATE.search(name) is not None:
        raise PydanticCustomError("lone_surrogate", "{key}", {"key": key})


class ChatRequest(_Body):
    """The body of a ``useChat`` request, of any major: all messages, the last message only, or a trigger only.

    For the short bodies the application loads the earlier messages and sets ``messages``:

        chat.messages = merge_messages(load(chat.id), chat)
    """

    id: str | None = None
    """The chat's id."""
    messages: Annotated[list[UIMessage], FailFast()] = Field(default_factory=list[UIMessage])
    """All messages; empty when the client sends less. Set it to a list of UI messages, as objects or dicts, to answer
    that."""
    message: UIMessage | None = None
    """The last message, of a client that sends only that."""
    trigger: str | None = None
    """``submit-message`` or ``regenerate-message``; AI SDK 4 sends none."""
    message_id: str | None = Field(default=None, alias="messageId")
    """The id of the message that is edited, regenerated or continued."""

    _begins_with_id: bool = PrivateAttr(default=False)
    _is_planned: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _note_order(cls, value: Any, handler: ModelWrapValidatorHandler[ChatRequest]) -> ChatRequest:
        chat = handler(value)
        body = cast("dict[str, Any]", value if isinstance(value, dict) else {})
        chat._begins_with_id = next(iter(body), None) == "id"  # noqa: SLF001 - its own class
        if not chat.posted and (chat.trigger != "regenerate-message" or chat.id is None):
            raise PydanticCustomError("missing", "is missing", {"key": "messages"})
        if chat.is_continuation:
            check_answers(chat.posted[-1].parts, f"messages[{len(chat.messages) - 1}]" if chat.messages else "message")
        return chat

    @field_validator("messages")
    @classmethod
    def _not_empty(cls, messages: list[UIMessage]) -> list[UIMessage]:
        if not messages:
            raise PydanticCustomError("empty", "must not be empty")
        # One check of all messages is nearly always enough. The wrong one is searched only when there is one.
        if not "".join([message.id or "" for message in messages]).isascii():
            for index, message in enumerate(messages):
                _check_id(message.id, f"[{index}].id")
        return messages

    @field_validator("message")
    @classmethod
    def _of_sendable_id(cls, message: UIMessage | None) -> UIMessage | None:
        _check_id(message and message.id, "id")
        return message

    @field_validator("id", "trigger", "message_id")
    @classmethod
    def _of_characters(cls, name: str | None) -> str | None:
        _check_id(name)
        return name

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        Raises:
            RequestError: ``messages`` gets something that is not a list of UI messages.
        """
        super().__setattr__(name, read_ui_messages(value) if name == "messages" else value)

    @property
    def posted(self) -> list[UIMessage]:
        """The messages that are at hand: all, the last one, or none."""
        return self.messages or ([] if self.message is None else [self.message])

    def note_planned(self) -> None:
        """Note that the request is a turn of a saved chat: only the turn's own response saves the answer."""
        self._is_planned = True

    @property
    def is_planned(self) -> bool:
        """Whether the request is a turn of a saved chat."""
        return self._is_planned

    @property
    def begins_with_id(self) -> bool:
        """Whether the first key of the body is the chat's id: AI SDK 4 sends it first since 4.0.36."""
        return self._begins_with_id

    @property
    def is_v4(self) -> bool:
        """Whether AI SDK 3 or 4 sent it: a string ``content`` and no ``trigger``, which later majors always send."""
        legacy = (item for item in self.posted if isinstance(item, LegacyUIMessage))
        return self.trigger is None and any(isinstance(item.original.get("content"), str) for item in legacy)

    @property
    def continues_message_id(self) -> str | None:
        """The id of the assistant message that the answer continues; None when the last message is no such message."""
        return self.posted[-1].id if self.is_continuation else None

    @property
    def is_continuation(self) -> bool:
        """Whether the answer continues the last message, which may have no id."""
        return self.posted[-1:] != [] and self.posted[-1].role == "assistant" and self.trigger != "regenerate-message"


_MESSAGES: Final = TypeAdapter(list[UIMessage])


def read_ui_messages(messages: Any) -> list[UIMessage]:
    """Return UI messages that an application gives, as objects or dicts.

    Raises:
        RequestError: One of them is not valid.
    """
    try:
        return _MESSAGES.validate_python(messages)
    except ValidationError as error:
        refused = request_error_from_validation(error)
        raise RequestError(refused.message, path=f"messages{refused.path}", status=refused.status) from None


class CompletionRequest(_Body):
    """The body of a ``useCompletion`` request, of any major."""

    prompt: str

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str) -> str:
        if not prompt.strip():
            raise PydanticCustomError("empty", "must not be empty")
        return prompt


def parse_chat_request(body: bytes, limits: BodyLimits = DEFAULT_LIMITS) -> ChatRequest:
    """Read the body of a ``useChat`` request.

    Raises:
        RequestError: 400 when the body is not JSON or has no messages, 413 when it exceeds a limit, 422 when a value
            has the wrong type.
    """
    return parse_body(ChatRequest, body, limits)


def parse_completion_request(body: bytes, limits: BodyLimits = DEFAULT_LIMITS) -> CompletionRequest:
    """Read the body of a ``useCompletion`` request.

    Raises:
        RequestError: 400 when the body is not JSON or has no prompt, 413 when it exceeds a limit, 422 when a value has
            the wrong type.
    """
    return parse_body(CompletionRequest, body, limits)


def decode_body(body: bytes, limits: BodyLimits) -> Any:
    """Decode a body.

    Raises:
        RequestError: 400 when the body is not JSON, 413 when it exceeds a limit.
    """
    try:
        return refuse_unsafe_keys(body, decode_limited(body, limits))
    except JsonDepthError:
        raise _too_deep() from None
    except UnsafeKeyError as error:
        raise RequestError("must not be a key", path=error.path, status=400) from None
    except ValueError:
        raise RequestError("The body is not JSON.", status=400) from None


def _too_deep(path: str = "") -> RequestError:
    return RequestError("is nested too deep" if path else "The body is nested too deep.", path=path, status=400)


def parse_body(model: type[BodyT], body: bytes, limits: BodyLimits = DEFAULT_LIMITS) -> BodyT:
    """Read a JSON body as a pydantic model.

    Raises:
        RequestError: 400 when the body is not JSON, 413 when it exceeds a limit, otherwise the error of
            `request_error_from_validation`.
    """
    value = decode_body(body, limits)
    try:
        return model.model_validate(to_json_value(value), context=_ALREADY_CLEAN)
    except JsonDepthError:
        raise _too_deep(find_deep(value)) from None
    except ValidationError as error:
        raise request_error_from_validation(error) from None
