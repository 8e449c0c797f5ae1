"""The clients' schemas of the UI message stream's chunks, for each version of the majors 5, 6 and 7.

Source: the schema of each release from 5.0.0 to 5.0.277, 6.0.324 and 7.0.173 that differs from the release before.
Shares no table with the encoders, so that a mistake in one shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from usechat.protocol.dialects import Version

__all__ = ["SCHEMAS", "Key", "has"]


class Key(NamedTuple):
    """A key of a chunk in the schemas."""

    name: str
    type: str
    required: bool
    since: str


_SCHEMAS = """
start                  messageId?:text messageMetadata?:any
start-step
finish-step
finish                 finishReason?:reason@5.0.92,6.0.0,7.0.0 messageMetadata?:any
abort                  reason?:text@-,6.0.15,7.0.0
error                  errorText:text
message-metadata       messageMetadata?:any
text-start             id:text providerMetadata?:metadata
text-delta             id:text delta:text providerMetadata?:metadata
text-end               id:text providerMetadata?:metadata citations?:list@-,-,7.0.138
reasoning-start        id:text providerMetadata?:metadata
reasoning-delta        id:text delta:text providerMetadata?:metadata
reasoning-end          id:text providerMetadata?:metadata
source-url             sourceId:text url:text title?:text providerMetadata?:metadata
source-document        sourceId:text mediaType:text title:text filename?:text providerMetadata?:metadata
file                   url:text mediaType:text providerMetadata?:metadata
tool-input-start       toolCallId:text toolName:text providerExecuted?:flag dynamic?:flag title?:text@-,6.0.0,7.0.0 \
    providerMetadata?:metadata@-,6.0.39,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0 \
    inputEncoding?:text@-,6.0.308,7.0.142
tool-input-delta       toolCallId:text inputTextDelta:text
tool-input-available   toolCallId:text toolName:text input:any providerExecuted?:flag dynamic?:flag \
    providerMetadata?:metadata title?:text@-,6.0.0,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-input-error@5.0.7,6.0.0,7.0.0 toolCallId:text toolName:text input:any providerExecuted?:flag dynamic?:flag \
    errorText:text providerMetadata?:metadata title?:text@-,6.0.0,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-available  toolCallId:text output:any providerExecuted?:flag dynamic?:flag \
    preliminary?:flag@5.0.11,6.0.0,7.0.0 providerMetadata?:metadata@-,6.0.120,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-error      toolCallId:text errorText:text providerExecuted?:flag dynamic?:flag \
    providerMetadata?:metadata@-,6.0.120,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-denied@-,6.0.0,7.0.0     toolCallId:text
tool-approval-request@-,6.0.0,7.0.0  approvalId:text toolCallId:text signature?:text@-,6.0.202,7.0.0 \
    approvalDescriptor?:any@-,6.0.274,7.0.87 inputSchemaInput?:any@-,6.0.290,7.0.113 \
    isAutomatic?:flag@-,-,7.0.0 reason?:text@-,-,7.0.82
tool-approval-response@-,-,7.0.0     approvalId:text approved:flag reason?:text providerExecuted?:flag \
    providerMetadata?:metadata
custom@-,-,7.0.0             kind:text providerMetadata?:metadata
reasoning-file@-,-,7.0.0     url:text mediaType:text providerMetadata?:metadata
reset-step@-,-,7.0.70
steering-message@-,-,7.0.163 id:text parts:list
data-*                       id?:text data:any transient?:flag
"""
"""One chunk a line: its type and keys, each with its first version in the majors 5, 6 and 7 (``-``: not in this major).

The schemas make ``input``, ``output`` and ``data`` optional; here they are required, because servers always send them.
"""


def _read_schemas() -> dict[str, tuple[str, dict[str, Key]]]:
    schemas: dict[str, tuple[str, dict[str, Key]]] = {}
    for line in _SCHEMAS.strip().splitlines():
        head, *words = line.split()
        type_, _, since = head.partition("@")
        schemas[type_] = (since, {key.name: key for key in map(_read_key, words)})
    return schemas


def _read_key(word: str) -> Key:
    name, _, rest = word.partition(":")
    type_, _, since = rest.partition("@")
    return Key(name.removesuffix("?"), type_, not name.endswith("?"), since)


SCHEMAS: Mapping[str, tuple[str, Mapping[str, Key]]] = _read_schemas()
"""For each chunk type: its first versions, and its keys by name."""


def has(version: Version, since: str) -> bool:
    """Return whether ``version`` is ``since`` or later; ``since`` has one version for each of the majors 5, 6 and 7."""
    if not since:
        return True
    first = since.split(",")[version[0] - 5]
    return first != "-" and version >= tuple(map(int, first.split(".")))
