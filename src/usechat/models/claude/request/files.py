"""Convert files to content blocks of the Messages API, or to a note when the model cannot read them.

Source: ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, cast

from usechat.errors import RequestError
from usechat.messages.model import FileContent
from usechat.messages.text_files import decode_text, is_text, unreadable_note
from usechat.models.claude.keys import anthropic_options
from usechat.models.claude.request.context import Block, BlockContext

__all__ = ["file_or_note", "has_citations"]

_FILES_BETA: Final = "files-api-2025-04-14"
_PDF_BETA: Final = "pdfs-2024-09-25"
_PDF: Final = "application/pdf"
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def file_or_note(file: FileContent, context: BlockContext, *, refuses: bool) -> list[Block]:
    """Return the blocks of a file, or a note when Anthropic does not accept it.

    Args:
        file: The file.
        context: The state that the request's converters share.
        refuses: Whether to raise the error instead of returning a note.

    Raises:
        RequestError: Anthropic does not accept the file, and ``refuses`` is set.
    """
    try:
        return _file_blocks(file, context)
    except RequestError:
        if refuses:
            raise
        # The sender got the error when the message was new. In history, a note lets the chat continue.
        return [{"type": "text", "text": unreadable_note(file.filename)}]


def _file_blocks(file: FileContent, context: BlockContext) -> list[Block]:
    if file.provider_reference is not None:
        return [_reference_block(file, context)]
    top_level = file.media_type.partition("/")[0]
    if is_text(file.media_type, file.filename):
        return _text_document(file, context)
    if file.data == "":
        raise RequestError("A file is empty.", path="messages", status=422)
    if top_level == "image":
        return [{"type": "image", "source": _image_source(file)}]
    if file.media_type == _PDF:
        context.betas[_PDF_BETA] = None
        source = {"type": "url", "url": file.url} if file.data is None else _base64_source(_PDF, file.data)
        return [_document(file, source)]
    raise RequestError(
        "A file has a type that the model cannot read; it takes images, PDF and text.", path="messages", status=415
    )


def _reference_block(file: FileContent, context: BlockContext) -> Block:
    file_id = (file.provider_reference or {}).get("anthropic")
    if not file_id:
        raise RequestError("A file is known to another provider only.", path="messages", status=422)
    context.betas[_FILES_BETA] = None
    if anthropic_options(file.provider_options).get("container_upload") is True:
        return {"type": "container_upload", "file_id": file_id}
    kind = "image" if file.media_type.partition("/")[0] == "image" else "document"
    return {"type": kind, "source": {"type": "file", "file_id": file_id}}


def _image_source(file: FileContent) -> Block:
    if file.data is None:
        return {"type": "url", "url": file.url}
    if file.media_type not in _IMAGES:
        raise RequestError("An image is not JPEG, PNG, GIF or WebP.", path="messages", status=415)
    return _base64_source(file.media_type, file.data)


def _base64_source(media_type: str, data: str) -> Block:
    return {"type": "base64", "media_type": media_type, "data": data}


def _text_document(file: FileContent, context: BlockContext) -> list[Block]:
    if file.data is None:
        raise RequestError("Only images and PDF can be given by URL.", path="messages", status=415)
    text = decode_text(base64.b64decode(file.data))
    if not text.strip():
        context.warnings.append("an empty text file was left out")
        return []
    return [_document(file, {"type": "text", "media_type": "text/plain", "data": text})]


def _document(file: FileContent, source: Block) -> Block:
    options = anthropic_options(file.provider_options)
    block: Block = {"type": "document", "source": source}
    title = options.get("title", file.filename)
    if isinstance(title, str) and title:
        block["title"] = title
    if isinstance(options.get("context"), str) and options["context"]:
        block["context"] = options["context"]
    if has_citations(file):
        block["citations"] = {"enabled": True}
    return block


def has_citations(file: FileContent) -> bool:
    """Return whether the options of a document enable citations."""
    citations = anthropic_options(file.provider_options).get("citations")
    return isinstance(citations, Mapping) and cast("Mapping[str, Any]", citations).get("enabled") is True
