"""Named keys from the command line to a running server, over HTTP and the WebSocket."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
from websockets.sync.client import connect

from tests.integration.running_server import run, serving
from tests.integration.test_server_socket import address, frame, receive_to_end

NOTICED_SECONDS = 30.0


def keys(folder: Path, *arguments: str) -> tuple[int, str]:
    done = run(folder, ["keys", *arguments], USECHAT_KEYS_FILE="keys.json")
    return done.returncode, done.stdout + done.stderr


def test_key_is_made_listed_used_and_revoked(tmp_path: Path) -> None:
    code, made = keys(tmp_path, "make", "ann")
    assert code == 0
    assert keys(tmp_path, "make", "ann") == (
        2,
        "usechat: there is a key named ann: revoke it first, or choose another name.\n",
    )
    code, listed = keys(tmp_path, "list")
    assert listed.startswith("ann  made 20")
    assert listed.endswith("in force\n")
    assert made.strip() not in listed
    header = {"authorization": f"Bearer {made.strip()}"}
    with serving(tmp_path, USECHAT_MODEL="demo", USECHAT_KEYS_FILE="keys.json") as server:
        assert server.client.get("/api/info").status_code == 401
        assert server.client.get("/api/info", headers=header).status_code == 200
        with connect(address(server)) as socket:
            socket.send(frame("a", header, "chat-a"))
            assert receive_to_end(socket)[-1] == {"type": "end", "requestId": "a"}
        assert keys(tmp_path, "revoke", "ann") == (0, "")
        end = time.monotonic() + NOTICED_SECONDS
        while server.client.get("/api/info", headers=header).status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert "revoked 20" in keys(tmp_path, "list")[1]


def test_chats_of_a_user_are_nobody_elses(tmp_path: Path) -> None:
    ann, bob = ({"authorization": f"Bearer {keys(tmp_path, 'make', name)[1].strip()}"} for name in ("ann", "bob"))
    with serving(tmp_path, USECHAT_MODEL="demo", USECHAT_KEYS_FILE="keys.json", USECHAT_API_KEYS="shared") as server:
        ask = server.client.request
        message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "the secret of ann"}]}
        assert ask("POST", "/api/chat", json={"id": "c", "messages": [message]}, headers=ann).status_code == 200
        assert ask("GET", "/api/chats/c", headers=ann).json()["messages"][0]["id"] == "m"
        for other in (bob, {"authorization": "Bearer shared"}):
            assert ask("GET", "/api/chats", headers=other).json()["chats"] == []
            assert ask("GET", "/api/chats?search=secret", headers=other).json()["chats"] == []
            assert ask("GET", "/api/chats/c/export", headers=other).status_code == 404
            assert ask("PATCH", "/api/chats/c", json={"title": "mine"}, headers=other).status_code == 404
            assert ask("DELETE", "/api/chats/c", headers=other).status_code == 404
            assert ask("POST", "/api/chat", json={"id": "c", "messages": [message]}, headers=other).status_code == 404
            assert ask("GET", "/api/chat/c/stream", headers=other).status_code in (204, 404)
            with connect(address(server)) as socket:
                socket.send(frame("a", other, "c"))
                assert receive_to_end(socket)[-1]["type"] == "error"
        assert ask("GET", "/api/chats/c", headers=ann).json()["title"] == "the secret of ann"


def test_cookie_opens_the_socket_of_our_own_page_only(tmp_path: Path) -> None:
    secret = "s" * 32
    token = jwt.encode({"sub": "ann", "exp": 9999999999}, secret, "HS256")
    with serving(tmp_path, USECHAT_MODEL="demo", USECHAT_JWT_SECRET=secret, USECHAT_JWT_COOKIE="session") as server:
        cookie = {"cookie": f"session={token}"}
        own = str(server.client.base_url).rstrip("/")
        ends: list[str] = []
        for origin in (own, "https://evil.example"):
            with connect(address(server), additional_headers={**cookie, "origin": origin}) as socket:
                socket.send(frame("a", {}, "c"))
                ends.append(receive_to_end(socket)[-1]["type"])
        assert ends == ["end", "error"]
        assert server.client.get("/api/chats/c", headers=cookie).status_code == 200


def test_keys_need_a_file(tmp_path: Path) -> None:
    done = run(tmp_path, ["keys", "list"])
    assert (done.returncode, done.stderr) == (2, "usechat: USECHAT_KEYS_FILE must name the file of the keys.\n")
