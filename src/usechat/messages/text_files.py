"""Recognizes and decodes text files, and makes the note that replaces an unreadable file."""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["decode_text", "is_text", "unreadable_note"]

_TEXT_TYPES: Final = frozenset(
    f"application/{name}"
    for name in (
        "csv", "ecmascript", "graphql", "javascript", "json", "ld+json", "sql", "toml", "typescript", "x-httpd-php",
        "x-javascript", "x-ndjson", "x-python", "x-sh", "x-tex", "x-typescript", "x-yaml", "xml", "yaml",
    )
)  # fmt: skip
_VAGUE_TYPES: Final = frozenset({"", "application/octet-stream", "application/vnd.ms-excel"})
"""Media types that browsers give to unknown files, and to CSV when Excel is installed. For these the name decides."""
_TEXT_ENDINGS: Final = frozenset(
    [
        "c", "cfg", "conf", "cpp", "cs", "css", "csv", "go", "graphql", "h", "htm", "html", "ini", "java", "js", "json",
        "jsonl", "jsx", "kt", "log", "md", "mdx", "mjs", "ndjson", "php", "ps1", "py", "r", "rb", "rs", "rst", "sh",
        "sql", "svg", "swift", "tex", "toml", "ts", "tsv", "tsx", "txt", "vue", "xml", "yaml", "yml",
    ]
)  # fmt: skip
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EXAMINED_BYTES: Final = 64 * 1024
"""Bytes of a text that are examined for its encoding: enough for any language, and bounded in time."""


def is_text(media_type: str, filename: str | None) -> bool:
    """Return whether a file of this type and name is text that a model can get."""
    if media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml", "+yaml")):
        return True
    ending = (filename or "").rpartition(".")[2].lower()
    return media_type in _VAGUE_TYPES and ending in _TEXT_ENDINGS


def decode_text(data: bytes) -> str:
    """Decode a text file: as UTF-8, by its byte order mark, or by the encoding detected."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is not None:
        return data.decode(encoding, "replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Imported on demand: most texts are UTF-8.
        from charset_normalizer import from_bytes

        found = from_bytes(data[:_EXAMINED_BYTES]).best()
        return data.decode("latin-1" if found is None else found.encoding, "replace")


def unreadable_note(filename: str | None) -> str:
    """Return the note that the model gets instead of an unreadable file."""
    name = f' "{filename}"' if filename else ""
    return f"[The file{name} cannot be read and was left out.]"
