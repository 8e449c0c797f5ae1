"""What a browser gets where the build has compressed the page's files: bytes and headers, as they are on the wire."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from usechat.server.routes.page import PageFiles
from usechat.server.routes.precompressed import accepted_encodings

pytestmark = pytest.mark.anyio

PLAIN = b"run();" * 300
PACKED = {"br": b"what brotli makes of it", "gzip": gzip.compress(PLAIN)}
CHROMIUM = "gzip, deflate, br, zstd"
SCRIPT = "/_next/static/a.js"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    for name in ("_next/static/a.js", "index.html", "404.html"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PLAIN)
        path.with_name(f"{path.name}.br").write_bytes(PACKED["br"])
        path.with_name(f"{path.name}.gz").write_bytes(PACKED["gzip"])
    (folder / "icon.svg").write_text("<svg/>")
    return folder


@pytest.fixture
async def client(page: Path) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(PageFiles(page))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as made:
        yield made


async def get(
    client: httpx.AsyncClient, path: str, encodings: str, method: str = "GET", **headers: str
) -> tuple[httpx.Response, bytes]:
    """The response, and the bytes of its body as they were sent."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream(method, path, headers={"accept-encoding": encodings, **sent}) as response:
        return response, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize(
    ("header", "encodings"),
    [
        (CHROMIUM, ["br", "gzip"]),
        ("gzip, deflate", ["gzip"]),
        ("GZIP;Q=0.8", ["gzip"]),
        ("br;q=0.5, gzip", ["gzip", "br"]),
        ("br;q=0, gzip;q=0.1", ["gzip"]),
        ("*", ["br", "gzip"]),
        ("br;q=0, *;q=0.5", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("gzip; q=much", []),
        ("gzip; level=1", ["gzip"]),
        ("identity", []),
        ("", []),
    ],
)
async def test_client_says_which_encodings_it_takes(header: str, encodings: list[str]) -> None:
    assert accepted_encodings(header) == encodings


@pytest.mark.parametrize(("header", "encoding"), [(CHROMIUM, "br"), ("gzip, deflate", "gzip")])
async def test_browser_gets_the_smallest_file_that_it_takes(
    client: httpx.AsyncClient, header: str, encoding: str
) -> None:
    response, body = await get(client, SCRIPT, header)
    assert response.status_code == 200
    assert body == PACKED[encoding]
    assert response.headers["content-encoding"] == encoding
    assert response.headers["content-length"] == str(len(body))
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_who_takes_none_gets_the_file_itself(client: httpx.AsyncClient) -> None:
    response, body = await get(client, SCRIPT, "identity")
    assert body == PLAIN
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("header", [CHROMIUM, "identity"])
async def test_caches_are_told_that_the_encoding_decides(client: httpx.AsyncClient, header: str) -> None:
    for path in ("/", SCRIPT, "/icon.svg"):
        response, _ = await get(client, path, header)
        assert response.headers["vary"] == "accept-encoding"


async def test_html_keeps_its_policy(client: httpx.AsyncClient) -> None:
    (packed, body), (plain, _) = await get(client, "/", CHROMIUM), await get(client, "/", "identity")
    assert body == PACKED["br"]
    assert packed.headers["content-type"] == "text/html; charset=utf-8"
    for name in ("content-security-policy", "cache-control", "referrer-policy"):
        assert packed.headers[name] == plain.headers[name]


async def test_404_page_is_compressed_as_well(client: httpx.AsyncClient) -> None:
    response, body = await get(client, "/nowhere", CHROMIUM, accept="text/html")
    assert (response.status_code, response.headers["content-encoding"], body) == (404, "br", PACKED["br"])


async def test_head_has_the_headers_of_the_compressed_file(client: httpx.AsyncClient) -> None:
    response, body = await get(client, SCRIPT, CHROMIUM, "HEAD")
    assert body == b""
    assert response.headers["content-encoding"] == "br"
    assert response.headers["content-length"] == str(len(PACKED["br"]))


async def test_each_encoding_is_known_again_by_its_own_tag(client: httpx.AsyncClient) -> None:
    tags = {header: (await get(client, "/", header))[0].headers["etag"] for header in (CHROMIUM, "gzip", "identity")}
    assert len(set(tags.values())) == 3
    for header, tag in tags.items():
        response, body = await get(client, "/", header, if_none_match=tag)
        assert (response.status_code, body) == (304, b"")
        assert response.headers["etag"] == tag
        assert response.headers["vary"] == "accept-encoding"
        assert "content-encoding" not in response.headers
    response, body = await get(client, "/", CHROMIUM, if_none_match=tags["identity"])
    assert (response.status_code, body) == (200, PACKED["br"])


async def test_range_is_one_of_the_file_itself(client: httpx.AsyncClient) -> None:
    response, body = await get(client, SCRIPT, CHROMIUM, range="bytes=2-9")
    assert (response.status_code, body) == (206, PLAIN[2:10])
    assert response.headers["content-range"] == f"bytes 2-9/{len(PLAIN)}"
    assert "content-encoding" not in response.headers


async def test_range_of_what_came_compressed_is_answered_with_the_whole(client: httpx.AsyncClient) -> None:
    packed, _ = await get(client, SCRIPT, CHROMIUM)
    response, body = await get(client, SCRIPT, CHROMIUM, range="bytes=2-9", if_range=packed.headers["etag"])
    assert (response.status_code, body) == (200, PLAIN)
    assert "accept-ranges" not in packed.headers


async def test_compressed_file_of_an_older_page_is_not_sent(client: httpx.AsyncClient, page: Path) -> None:
    assert (await get(client, "/", CHROMIUM))[1] == PACKED["br"]
    (page / "index.html").write_text("written by hand")
    response, body = await get(client, "/", CHROMIUM)
    assert body == b"written by hand"
    assert "content-encoding" not in response.headers


async def test_compressed_file_that_lies_elsewhere_is_not_sent(client: httpx.AsyncClient, page: Path) -> None:
    (page.parent / "secret").write_bytes(b"secret")
    (page / "index.html.br").unlink()
    (page / "index.html.br").symlink_to(page.parent / "secret")
    assert (await get(client, "/", CHROMIUM))[1] == PACKED["gzip"]


async def test_file_without_a_gzip_version_is_sent_itself(client: httpx.AsyncClient, page: Path) -> None:
    (page / "index.html.gz").unlink()
    assert (await get(client, "/", CHROMIUM))[1] == PLAIN
