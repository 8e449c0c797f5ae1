"""Which files are text, and what is written in them."""

from __future__ import annotations

import pytest

from usechat.messages.text_files import decode_text, is_text

GERMAN = "Größe;Straße;Übergröße\nfünf;Schöne Aussicht;zwölf\n" * 20


@pytest.mark.parametrize(
    ("media_type", "filename"),
    [
        ("text/plain", None),
        ("application/json", "a"),
        ("application/geo+json", None),
        ("application/yaml", None),
        ("application/javascript", None),
        ("image/svg+xml", "a.svg"),
        ("application/vnd.ms-excel", "a.CSV"),
        ("application/octet-stream", "notes.md"),
        ("", "config.yaml"),
    ],
)
def test_readable_files_are_text(media_type: str, filename: str | None):
    assert is_text(media_type, filename)


@pytest.mark.parametrize(
    ("media_type", "filename"),
    [
        ("application/pdf", "a.txt"),
        ("image/png", "a.csv"),
        ("application/vnd.ms-excel", "a.xls"),
        ("application/octet-stream", "csv"),
        ("application/octet-stream", None),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a.docx"),
    ],
)
def test_other_files_are_none(media_type: str, filename: str | None):
    assert is_text(media_type, filename) == (filename == "csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_text_is_decoded_in_its_own_encoding(encoding: str):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    assert decode_text((mark + GERMAN).encode(encoding)) == GERMAN


def test_what_looks_like_no_encoding_is_read_all_the_same():
    assert decode_text(bytes(range(256)))
    assert decode_text(b"") == ""
