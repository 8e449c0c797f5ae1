"""The page signs in with an API key, and has a cookie in its place from then on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from usechat.server.access.sign_in import sessions
from usechat.server.access.sign_in.key_file import KeyFile
from usechat.server.access.sign_in.sessions import LIFE_SECONDS, Sessions
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer the-key"}
OWN = {"origin": "https://chat.example"}
SECRET = "of-sixteen-characters"
INFO = "/api/info"


@asynccontextmanager
async def asked(base: str = "https://chat.example", **settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
    given = {"model": "demo", "database_url": "off", "approval_secret": SECRET, **settings}
    transport = httpx.ASGITransport(create_app(Settings.model_validate(given)), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


async def test_page_signs_in_and_out() -> None:
    async with asked(api_keys="the-key") as client:
        signed_in = await client.post("/api/session", headers={**KEY, **OWN})
        assert signed_in.status_code == 204
        value, *attributes = signed_in.headers["set-cookie"].split("; ")
        assert attributes == ["HttpOnly", f"Max-Age={LIFE_SECONDS}", "Path=/", "SameSite=strict", "Secure"]
        assert "the-key" not in value
        # The client sends the cookie from here on.
        assert (await client.get(INFO)).status_code == 200
        signed_out = await client.delete("/api/session", headers=OWN)
        assert (signed_out.status_code, "Max-Age=0" in signed_out.headers["set-cookie"]) == (204, True)
        assert (await client.get(INFO)).status_code == 401


async def test_cookie_is_secure_where_the_page_is() -> None:
    async with asked("http://chat.example", api_keys="the-key") as client:
        assert "Secure" not in (await client.post("/api/session", headers=KEY)).headers["set-cookie"]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"origin": "https://evil.example"}, 401),
        ("GET", {"sec-fetch-site": "cross-site"}, 401),
        ("DELETE", OWN, 204),
        ("DELETE", {"sec-fetch-site": "same-origin"}, 204),
        ("DELETE", {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}, 204),
        ("DELETE", {}, 401),
        ("DELETE", {"origin": "https://evil.example"}, 401),
        ("DELETE", {"origin": "https://other.chat.example", "sec-fetch-site": "same-site"}, 401),
        ("DELETE", {"origin": "null"}, 401),
        # Behind a proxy that names another host, as `next dev` does.
        ("DELETE", {"host": "127.0.0.1:8000", "sec-fetch-site": "same-origin", **OWN}, 204),
        ("DELETE", {"host": "127.0.0.1:8000", "x-forwarded-host": "chat.example", **OWN}, 204),
        ("DELETE", {"host": "127.0.0.1:8000", **OWN}, 401),
        ("DELETE", {"sec-fetch-site": "cross-site", **OWN}, 401),
    ],
)
async def test_session_counts_on_our_own_page_only(method: str, headers: dict[str, str], status: int) -> None:
    async with asked(api_keys="the-key") as client:
        await client.post("/api/session", headers=KEY)
        path = INFO if method == "GET" else "/api/session"
        assert (await client.request(method, path, headers=headers)).status_code == status


async def test_session_counts_beside_the_cookies_of_other_applications() -> None:
    async with asked(api_keys="the-key") as client:
        made = (await client.post("/api/session", headers=KEY)).headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        cookies = f'seen={{"a": [1, 2]}}; {made}; theme="dark'
        assert (await client.get(INFO, headers={"cookie": cookies})).status_code == 200


async def test_session_has_the_user_of_its_key_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    monkeypatch.setattr("usechat.server.access.sign_in.key_file.FRESH_SECONDS", 0.0)
    key = KeyFile(path).make("ann")
    async with asked(keys_file=path, api_keys="the-key") as client:
        await client.post("/api/session", headers={"authorization": f"Bearer {key}"})
        assert (await client.get(INFO)).json()["user"] == "key:ann"
        KeyFile(path).revoke("ann")
        over = await client.get(INFO)
        assert (over.status_code, over.json()["detail"]) == (401, "The session is over. Sign in again.")


async def test_session_counts_in_every_process_with_its_secret() -> None:
    async with asked(api_keys="the-key") as one, asked(api_keys="the-key") as same:
        await one.post("/api/session", headers=KEY)
        same.cookies = one.cookies
        assert (await same.get(INFO)).status_code == 200
        async with asked(api_keys="the-key", approval_secret="another-secret-of-theirs") as other:
            other.cookies = one.cookies
            assert (await other.get(INFO)).status_code == 401


async def test_session_is_made_from_a_key_alone() -> None:
    async with asked(api_keys="the-key") as client:
        assert (await client.post("/api/session")).status_code == 401
        assert (await client.post("/api/session", headers={"authorization": "Bearer other"})).status_code == 401
        await client.post("/api/session", headers=KEY)
        refused = await client.post("/api/session", headers=OWN)
        assert (refused.status_code, refused.json()["detail"][:21]) == (400, "A session is made fro")
    async with asked(jwt_secret="s" * 32) as client:
        import jwt

        token = jwt.encode({"sub": "ann", "exp": 9999999999}, "s" * 32, "HS256")
        bearer = {"authorization": f"Bearer {token}"}
        assert (await client.post("/api/session", headers=bearer)).status_code == 400


async def test_forged_and_old_sessions_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sessions(SECRET)
    known = {"a-digest": None, "another": None}
    good = made.make("a-digest")
    assert made.find(good, known) == "a-digest"
    name, end, signature = good.split(".")
    for forged in (
        "",
        "..",
        name,
        f"{name}.{int(end) + 1}.{signature}",
        f"{name}.{end}.{signature[:-1]}",
        f"{name}.{end}.",
        f"{name}.{end}.ä",
        f"{name}.²2.{signature}",
        f"{name}.{'9' * 5000}.{signature}",
        f"{made.make('another').partition('.')[0]}.{end}.{signature}",
        Sessions("another secret").make("a-digest"),
    ):
        assert made.find(forged, known) is None
    assert made.find(good, {"another": None}) is None
    monkeypatch.setattr(sessions.time, "time", lambda: int(end))
    assert made.find(good, known) is None


async def test_stranger_learns_how_to_sign_in() -> None:
    async with asked(api_keys="the-key", jwt_secret="s" * 32, jwt_cookie="token", sign_in_url="/login") as client:
        ways = {"ways": ["key", "token", "cookie"], "session": True, "url": "/login"}
        refused = await client.get(INFO)
        assert (refused.status_code, refused.json()["signIn"]) == (401, ways)
        assert (await client.get(INFO, headers=KEY)).json()["signIn"] == ways
        assert "signIn" not in (await client.get("/api/chats")).json()
    async with asked(host="0.0.0.0", insecure=True) as client:
        assert (await client.get(INFO)).json()["signIn"] == {"ways": [], "session": False, "url": None}


@pytest.mark.parametrize(
    "url", ["//evil.example", "/\\evil.example", "javascript:alert(1)", "http://other.example", "/a b"]
)
def test_page_to_sign_in_on_is_a_page(url: str) -> None:
    with pytest.raises(ValueError, match="sign_in_url"):
        Settings.model_validate({"sign_in_url": url})
    for good in ("/login?next=1", "https://accounts.example/in", "http://localhost:3000/login"):
        assert Settings.model_validate({"sign_in_url": good}).sign_in_url == good
