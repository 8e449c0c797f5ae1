"""Parts: the neutral units of an answer in flight.

A model yields parts, the loop adds more, and encoders write them as frames. A part knows no wire format: it has the
fields that any of them needs. An optional field is ``None`` when absent, and is then left out of frames. A required
field (``input``, ``output``, ``data``) may have the value ``None``, which is sent as ``null``.

A part is named after its chunk in the AI SDK's UI message stream (``ai/src/ui-message-stream/ui-message-chunks.ts``,
7.0.173), if it has one.
"""

from __future__ import annotations

from typing import TypeAlias

from usechat.parts.content import (
    Citation,
    Custom,
    Data,
    File,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningFile,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    TextDelta,
    TextEnd,
    TextStart,
)
from usechat.parts.message import (
    Abort,
    Error,
    Finish,
    FinishStep,
    MessageMetadata,
    ModelFinish,
    ResetStep,
    Start,
    StartStep,
    SteeringMessage,
)
from usechat.parts.tools import (
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolCall,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from usechat.parts.values import (
    FinishReason,
    ProviderMetadata,
    UnifiedFinishReason,
    Usage,
    add_counts,
)

__all__ = [
    "Abort",
    "Citation",
    "Custom",
    "Data",
    "Error",
    "File",
    "Finish",
    "FinishReason",
    "FinishStep",
    "MessageMetadata",
    "ModelFinish",
    "ModelPart",
    "Part",
    "ProviderMetadata",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningFile",
    "ReasoningStart",
    "ResetStep",
    "SourceDocument",
    "SourceUrl",
    "Start",
    "StartStep",
    "SteeringMessage",
    "TextDelta",
    "TextEnd",
    "TextStart",
    "ToolApprovalRequest",
    "ToolApprovalResponse",
    "ToolCall",
    "ToolInputAvailable",
    "ToolInputDelta",
    "ToolInputError",
    "ToolInputStart",
    "ToolOutputAvailable",
    "ToolOutputDenied",
    "ToolOutputError",
    "UnifiedFinishReason",
    "Usage",
    "add_counts",
]

ModelPart: TypeAlias = (
    TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | SourceUrl
    | SourceDocument
    | File
    | ReasoningFile
    | Custom
    | ToolInputStart
    | ToolInputDelta
    | ToolCall
    | ToolOutputAvailable
    | ToolOutputError
    | ModelFinish
    | Error
)
"""The parts that a model may yield."""

Part: TypeAlias = (
    Start
    | StartStep
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | SourceUrl
    | SourceDocument
    | File
    | ReasoningFile
    | Custom
    | Data
    | MessageMetadata
    | ToolInputStart
    | ToolInputDelta
    | ToolInputAvailable
    | ToolInputError
    | ToolOutputAvailable
    | ToolOutputError
    | ToolOutputDenied
    | ToolApprovalRequest
    | ToolApprovalResponse
    | FinishStep
    | Finish
    | Abort
    | Error
    | ResetStep
    | SteeringMessage
)
"""The parts of an answer, which encoders write."""
