"""The built page as browsers get it. The application is called directly; the page is a small one made here."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from usechat.server.app import create_app
from usechat.server.routes.page import PageFiles, default_page_folder
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

INLINE = "self.next=[]"
INDEX = f'<html><script src="/_next/static/a.js"></script><script>{INLINE}</script><script>{INLINE}</script></html>'
HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    for name, text in {
        "index.html": INDEX,
        "v4/index.html": "<p>v4</p>",
        "fetch.html": "<p>fetch</p>",
        "404.html": "<p>nowhere</p>",
        "_next/static/a.js": "run()",
        "icon.svg": "<svg/>",
        "../secret.html": "secret",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    return folder


@pytest.fixture
async def client(page: Path) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(Settings.model_validate({"model": "demo", "web_dir": page, "database_url": "off"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as made:
        yield made


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", INDEX),
        ("/index.html", INDEX),
        ("/v4", "<p>v4</p>"),
        ("/v4/", "<p>v4</p>"),
        ("/fetch", "<p>fetch</p>"),
        ("/fetch/", "<p>fetch</p>"),
        ("/icon.svg", "<svg/>"),
    ],
)
async def test_path_leads_to_its_file(client: httpx.AsyncClient, path: str, text: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.text) == (200, text)


async def test_html_is_asked_for_each_time_and_may_run_its_own_scripts_only(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/")).headers
    digest = base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()
    assert headers["cache-control"] == "no-cache"
    assert f"script-src 'self' 'sha256-{digest}'" in headers["content-security-policy"].split("; ")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"


async def test_pictures_come_from_named_hosts_only(client: httpx.AsyncClient, page: Path) -> None:
    sources = "img-src 'self' data: blob:"
    assert sources in (await client.get("/")).headers["content-security-policy"].split("; ")
    settings = {"model": "demo", "web_dir": page, "database_url": "off", "image_origins": "https://img.example"}
    app = create_app(Settings.model_validate(settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as named:
        policy = (await named.get("/")).headers["content-security-policy"].split("; ")
    assert f"{sources} https://img.example" in policy


async def test_policy_follows_a_page_that_is_built_anew(client: httpx.AsyncClient, page: Path) -> None:
    before = (await client.get("/")).headers["content-security-policy"]
    (page / "index.html").write_text("<script>other()</script>")
    assert (await client.get("/")).headers["content-security-policy"] != before


async def test_files_with_a_digest_in_their_name_are_kept_forever(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/_next/static/a.js")).headers
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"].startswith("text/javascript")


async def test_worker_may_load_files_of_its_server_and_nothing_else(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/_next/static/a.js")).headers["content-security-policy"].split("; ")
    assert policy == ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]


async def test_unchanged_file_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    response = await client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (response.status_code, response.content) == (304, b"")
    # A browser puts these headers in the place of those that it keeps.
    policies = ("content-security-policy", "referrer-policy", "cache-control")
    assert [response.headers[name] for name in policies] == [first.headers[name] for name in policies]


async def test_head_has_the_headers_alone(client: httpx.AsyncClient) -> None:
    response = await client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(INDEX))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/..%2fsecret.html",
        "/v4/..%2f..%2fsecret.html",
        "/..%5csecret.html",
        "/%2Fsecret.html",
        "/secret",
        "/link.html",
        "/link",
        "/%00",
        "/v4/%ff",
        f"/{'x' * 5000}",
    ],
)
async def test_nothing_outside_the_folder_is_served(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert "secret" not in response.text


async def test_browser_gets_the_pages_own_404(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere", headers=HTML)
    assert (response.status_code, response.text) == (404, "<p>nowhere</p>")
    assert "content-security-policy" in response.headers


async def test_program_gets_a_404_in_json(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere")
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


async def test_page_cannot_be_posted_to(client: httpx.AsyncClient) -> None:
    response = await client.post("/", content=b"")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


async def test_page_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(PageFiles(tmp_path / "out"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/")
        missing = await client.get("/v4", headers=HTML)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "index.html").write_text("built")
        assert (await client.get("/")).text == "built"
    assert response.status_code == 200
    assert "make run" in response.text
    assert missing.status_code == 404


def test_page_of_a_checkout_lies_beside_its_sources() -> None:
    assert default_page_folder() == Path(__file__).resolve().parents[4] / "web" / "out"
