"""Reads the files of messages: checks URLs, decodes data: URLs, detects image types.

Nothing is fetched here or anywhere else: an https: URL goes to the provider unchanged. All schemes except data: and
https: are refused (``file:``, ``javascript:``, and ``http:`` unless allowed).

Source: ``ai/src/prompt/file-part-data.ts``, ``@ai-sdk/provider-utils/src/detect-media-type.ts`` (7.0.173), RFC 2397.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from usechat.errors import RequestError
from usechat.messages.model import FileContent

__all__ = ["provider_options", "read_file_part"]

_URL_SAFE: Final = "/%:=&?~#+!$,;'@()*[]|"
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")

_IMAGE_SIGNATURES: Final = (
    ("image/png", re.compile(rb"\x89PNG")),
    ("image/jpeg", re.compile(rb"\xff\xd8")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("image/bmp", re.compile(rb"BM.{4}\0{4}", re.DOTALL)),
    ("image/tiff", re.compile(rb"II\x2a\0|MM\0\x2a")),
    ("image/avif", re.compile(rb"\0{3}.ftypavif", re.DOTALL)),
    ("image/heic", re.compile(rb"\0{3}.ftypheic", re.DOTALL)),
)
_MAX_URL: Final = 64 * 1024
"""Longest URL in characters, data: URLs excepted; no server accepts a longer one."""
_MAX_NAME: Final = 200
"""Characters at the end of a file name that are searched for its extension."""
_UNQUOTED_AT_ONCE: Final = 64 * 1024
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE: Final = b" \t\n\r\x0b\x0c"
_SIGNATURE_BASE64_LENGTH: Final = 24
"""Length of the longest signature in base64 characters."""


def read_file_part(part: Mapping[str, Any], path: str, *, allow_http: bool = False) -> FileContent:
    """Return the file of a UI file part.

    Args:
        part: The UI part.
        path: The path of the part in the request, for errors.
        allow_http: Whether http: URLs are accepted too.

    Raises:
        RequestError: 422 for a URL with another scheme or one that cannot be read.
    """
    reference = part.get("providerReference")
    url = part.get("url") or ""
    filename, options = part.get("filename"), provider_options(part.get("providerMetadata"))
    if reference is not None:
        names = {key: value for key, value in reference.items() if isinstance(value, str)}
        media_type = part.get("mediaType") or "application/octet-stream"
        return FileContent(media_type=media_type, provider_reference=names, filename=filename, provider_options=options)
    if url[:5].lower() == "data:":
        media_type, data = _read_data_url(url, f"{path}.url")
        return FileContent(
            media_type=_sniff_image(data) or media_type or _declared_media_type(part),
            data=data,
            filename=filename,
            provider_options=options,
        )
    return FileContent(
        media_type=_declared_media_type(part),
        url=_checked_url(url, f"{path}.url", allow_http=allow_http),
        filename=filename,
        provider_options=options,
    )


def provider_options(metadata: Any) -> Mapping[str, Mapping[str, Any]] | None:
    """Return the provider options for a UI part's provider metadata. Only objects within an object are kept."""
    if metadata is None or not isinstance(metadata, Mapping):
        return None
    members = cast("Mapping[Any, Any]", metadata).items()
    return {str(key): cast("Mapping[str, Any]", value) for key, value in members if isinstance(value, Mapping)} or None


def _declared_media_type(part: Mapping[str, Any]) -> str:
    declared = part.get("mediaType")
    if declared:
        return declared.partition(";")[0].strip().lower()
    name = part.get("filename") or urlsplit((part.get("url") or "")[:_MAX_URL]).path
    return mimetypes.guess_type(name[-_MAX_NAME:])[0] or "application/octet-stream"


def _checked_url(url: str, path: str, *, allow_http: bool) -> str:
    allowed = ("https", "http") if allow_http else ("https",)
    if len(url) > _MAX_URL:
        raise RequestError("is too long for a URL that is not data:", path=path, status=422)
    try:
        split = urlsplit(url.strip())
        has_host = bool(split.hostname)
    except ValueError:
        raise RequestError("must be a URL", path=path, status=422) from None
    if split.scheme not in allowed or not has_host:
        names = " or ".join(f"{scheme}:" for scheme in ("data", *allowed))
        raise RequestError(f"must be a {names} URL", path=path, status=422)
    # Write it as JavaScript's `new URL` does: with a path, and everything escaped that needs it.
    tail = (quote(text, safe=_URL_SAFE) for text in (split.path or "/", split.query, split.fragment))
    return urlunsplit((split.scheme, split.netloc.lower(), *tail))


def _read_data_url(url: str, path: str) -> tuple[str, str]:
    """Return the media type ("" when the URL has none) and the content as base64."""
    header, comma, content = url[5:].partition(",")
    if not comma or len(header) > _MAX_URL:
        raise RequestError("must be a data: URL", path=path, status=422)
    media_type, *parameters = (item.strip().lower() for item in header.split(";"))
    raw = _unquote(content) if "%" in content else content.encode("utf-8", "replace")
    if "base64" not in parameters:
        return media_type, base64.b64encode(raw).decode("ascii")
    return media_type, _checked_base64(raw, path)


def _unquote(text: str) -> bytes:
    # Piece by piece: unquoting a long text in one call would block the event loop.
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        end = start + _UNQUOTED_AT_ONCE
        # Do not cut within an escape, which has three characters.
        cut = text.rfind("%", max(end - 2, start + 1), end)
        end = end if cut < 0 else cut
        pieces.append(unquote_to_bytes(text[start:end]))
        start = end
    return b"".join(pieces)


def _checked_base64(text: bytes, path: str) -> str:
    # Standard base64, the common case, costs one pass. Anything else is normalized first, as JavaScript's `atob` does.
    try:
        binascii.a2b_base64(text, strict_mode=True)
        return text.decode("ascii")
    except binascii.Error:
        standard = text.translate(_STANDARD, _WHITE_SPACE).rstrip(b"=")
    if _NOT_BASE64.search(standard) or len(standard) % 4 == 1:
        raise RequestError("must hold base64", path=path, status=422)
    padded = standard + b"=" * (-len(standard) % 4)
    return base64.b64encode(base64.b64decode(padded)).decode("ascii")


def _sniff_image(data: str) -> str | None:
    head = base64.b64decode(data[:_SIGNATURE_BASE64_LENGTH])
    return next((media_type for media_type, signature in _IMAGE_SIGNATURES if signature.match(head)), None)
