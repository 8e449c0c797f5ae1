"""`validate_ui_messages`: check stored or posted UI messages against the schemas of an application.

`usechat.messages.ui` checks the form of messages; this checks what only the application knows: tools' inputs, data
parts, metadata. Upstream: ``validateUIMessages`` (``ai/src/ui/validate-ui-messages.ts``, 7.0.173).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from usechat.checks import named
from usechat.errors import ConfigurationError, RequestError
from usechat.guard import Contained, original_error
from usechat.messages.ui import UIMessage
from usechat.messages.validation import request_error_from_validation
from usechat.tools.schema import InputSchema, read_input_schema
from usechat.tools.tool import Tools, read_tools

__all__ = ["validate_ui_messages"]

CHECKED_STATES = frozenset({"input-available", "approval-requested", "approval-responded", "output-available"})
"""States in which a call's input is whole and valid. A failed call may have failed because it is not."""


def validate_ui_messages(
    messages: Sequence[UIMessage | Mapping[str, Any]],
    *,
    tools: Tools | None = None,
    data_schemas: Mapping[str, Any] | None = None,
    metadata_schema: Any = None,
) -> list[UIMessage]:
    """Return the messages, checked, so that nothing made up or outdated in them reaches a model or a page.

        messages = validate_ui_messages(chat.messages, tools=agent.tools, data_schemas={"progress": Progress})

    Args:
        messages: UI messages, as objects or as JSON.
        tools: The tools; each whole input in the messages must fit its tool's schema, and each tool must be there. A
            JSON schema as a dict describes its input and checks nothing. Without tools, inputs are not checked.
        data_schemas: Types or JSON schemas of data parts by the name after ``data-``. A part with another name is
            refused; without schemas, data parts are not checked.
        metadata_schema: The type of every message's metadata.

    Raises:
        RequestError: A message does not fit; the path says where.
        ConfigurationError: A schema is none.
    """
    by_name = None if tools is None else {name: tool.schema for name, tool in read_tools(tools).items()}
    own_data = None if data_schemas is None else {name: read_input_schema(each) for name, each in data_schemas.items()}
    of_metadata = None if metadata_schema is None else read_input_schema(metadata_schema)
    read = [read_message(message, f"messages[{at}]") for at, message in enumerate(messages)]
    for at, message in enumerate(read):
        path = f"messages[{at}]"
        if of_metadata is not None:
            check(of_metadata, message.metadata, f"{path}.metadata", "the schema of the metadata")
        for number, part in enumerate(message.parts):
            check_part(part, f"{path}.parts[{number}]", by_name, own_data)
    return read


def read_message(message: Any, path: str) -> UIMessage:
    if isinstance(message, UIMessage):
        return message
    if not isinstance(message, Mapping):
        raise ConfigurationError(f"validate_ui_messages takes UI messages, not {named(message)}")
    try:
        return UIMessage.model_validate(dict(cast("Mapping[str, Any]", message)))
    except ValidationError as error:
        refused = request_error_from_validation(error)
        within = f"{path}.{refused.path}" if refused.path else path
        raise RequestError(refused.message, path=within, status=refused.status) from None


def check_part(
    part: Mapping[str, Any],
    path: str,
    tools: Mapping[str, InputSchema] | None,
    data: Mapping[str, InputSchema] | None,
) -> None:
    kind: str = part["type"]
    if data is not None and kind.startswith("data-"):
        check_known(data, kind.removeprefix("data-"), part.get("data"), f"{path}.data", "data part")
    if tools is None or part.get("state") not in CHECKED_STATES or part.get("providerExecuted"):
        return
    if kind.startswith("tool-"):
        check_known(tools, kind.removeprefix("tool-"), part.get("input"), f"{path}.input", "tool")
    elif kind == "dynamic-tool" and part["toolName"] in tools:
        check_known(tools, part["toolName"], part.get("input"), f"{path}.input", "tool")


def check_known(schemas: Mapping[str, InputSchema], name: str, value: Any, path: str, what: str) -> None:
    schema = schemas.get(name)
    if schema is None:
        raise RequestError(f"is of a {what} that is not known here", path=path, status=422)
    check(schema, value, path, f"the schema of its {what}")


def check(schema: InputSchema, value: Any, path: str, of: str) -> None:
    try:
        with Contained():
            schema.check(value)
    except Exception as error:  # noqa: BLE001 - whatever a schema raises, the message does not fit
        raise RequestError(f"does not fit {of}", path=path, status=422) from original_error(error)
