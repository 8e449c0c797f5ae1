"""Users by tokens: what is signed counts, and nothing else does."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from usechat.errors import ConfigurationError
from usechat.server.access.asking import asking, current_user
from usechat.server.access.sign_in.tokens import PAUSE_SECONDS, KeySet, TokenError, Tokens
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than thirty-two characters"
OWN_PAGE = {"origin": "https://chat.example", "host": "chat.example"}


def make_settings(**given: Any) -> Settings:
    return Settings.model_validate({"model": "demo", "database_url": "off", **given})


def sign(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    given = {"sub": "ann", "exp": int(time.time()) + 600, **claims}
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm, headers)


def sign_by_hand(key: bytes, kid: str) -> str:
    """Sign with what PyJWT itself would not take for a secret."""
    parts = [{"alg": "HS256", "kid": kid}, {"sub": "ann", "exp": 9999999999}]
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join([text, urlsafe_b64encode(hmac.digest(key, text, "sha256")).rstrip(b"=")]).decode()


async def refusal(settings: Settings, token: str) -> str:
    with pytest.raises(TokenError) as refused:
        await Tokens(settings).user_of(token)
    return str(refused.value)


async def test_signed_token_names_its_user() -> None:
    settings = make_settings(jwt_secret=SECRET, jwt_audience="chat", jwt_issuer="accounts")
    assert await Tokens(settings).user_of(sign(aud="chat", iss="accounts")) == "ann"
    assert await refusal(settings, sign(aud="other", iss="accounts")) == "The token is not valid."
    assert await refusal(settings, sign(aud="chat", iss="other")) == "The token is not valid."
    assert await refusal(settings, sign(iss="accounts")) == "The token is not valid."


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": 1}, "The token has expired."),
        ({"exp": None}, "The token is not valid."),
        ({"sub": None}, "The token is not valid."),
        ({"sub": ""}, "The token names no user."),
        ({"nbf": 9999999999}, "The token is not valid."),
        # Meant for another service.
        ({"aud": "another"}, "The token is not valid."),
    ],
)
async def test_token_that_does_not_count(claims: dict[str, Any], text: str) -> None:
    assert await refusal(make_settings(jwt_secret=SECRET), sign(**claims)) == text


async def test_clocks_may_differ() -> None:
    late = sign(exp=int(time.time()) - 5)
    assert await Tokens(make_settings(jwt_secret=SECRET)).user_of(late) == "ann"
    assert await refusal(make_settings(jwt_secret=SECRET, jwt_leeway_seconds=0), late) == "The token has expired."


@pytest.mark.parametrize("token", ["", "a.b.c", "..", sign(SECRET + "x"), sign()[:-3], sign() + "x", "\udcff.a.b"])
async def test_forged_token_is_refused(token: str) -> None:
    assert await refusal(make_settings(jwt_secret=SECRET), token) == "The token is not valid."


async def test_unsigned_token_is_refused() -> None:
    no_key: Any = None
    unsigned = jwt.encode({"sub": "ann", "exp": 9999999999}, no_key, "none")
    assert await refusal(make_settings(jwt_secret=SECRET), unsigned) == "The token is not valid."


# Key sets


class Publisher:
    """A service that publishes its keys."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                body = json.dumps({"keys": publisher.keys}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        self.thread = Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_PUBLIC = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "r", "alg": "RS256"}
EC_PUBLIC = {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "e", "alg": "ES256"}


async def test_published_keys_check_tokens_and_are_fetched_once(publisher: Publisher) -> None:
    publisher.keys = [RSA_PUBLIC, EC_PUBLIC]
    tokens = Tokens(make_settings(jwt_jwks_url=publisher.url))
    for _ in range(3):
        assert await tokens.user_of(sign(RSA_KEY, "RS256", {"kid": "r"})) == "ann"
        assert await tokens.user_of(sign(EC_KEY, "ES256", {"kid": "e"}, sub="bob")) == "bob"
    assert publisher.asked == 1


async def test_new_key_is_fetched_and_old_one_ends(publisher: Publisher) -> None:
    publisher.keys = [RSA_PUBLIC]
    tokens = Tokens(make_settings(jwt_jwks_url=publisher.url))
    old, new = sign(RSA_KEY, "RS256", {"kid": "r"}), sign(EC_KEY, "ES256", {"kid": "e"})
    assert await tokens.user_of(old) == "ann"
    publisher.keys = [EC_PUBLIC]
    # Strangers can name unknown keys as often as they like.
    for _ in range(20):
        with pytest.raises(TokenError):
            await tokens.user_of(new)
    assert publisher.asked == 1
    assert tokens.key_set is not None
    tokens.key_set.tried_at -= PAUSE_SECONDS
    assert await tokens.user_of(new) == "ann"
    with pytest.raises(TokenError):
        await tokens.user_of(old)
    assert publisher.asked == 2


async def test_keys_go_on_to_count_while_the_publisher_is_away(publisher: Publisher) -> None:
    publisher.keys = [RSA_PUBLIC]
    keys = KeySet(publisher.url)
    assert await keys.find("r") is not None
    publisher.keys = [{"broken": True}]
    keys.fetched_at = keys.tried_at = -1e9
    assert await keys.find("r") is not None
    # The only key needs no name.
    assert await keys.find(None) is not None


async def test_public_key_is_no_secret(publisher: Publisher) -> None:
    publisher.keys = [RSA_PUBLIC, {"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"}]
    settings = make_settings(jwt_jwks_url=publisher.url)
    public = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key, kid in ((public, "r"), (b"secret" * 8, "o")):
        assert await refusal(settings, sign_by_hand(key, kid)) == "The token is not valid."
    # Nor is it a key of another algorithm.
    assert await refusal(settings, sign(EC_KEY, "ES256", {"kid": "r"})) == "The token is not valid."


def test_keys_come_over_https() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        Tokens(make_settings(jwt_jwks_url="http://accounts.example/keys"))


# Over HTTP

Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asked() -> Asked:
    @asynccontextmanager
    async def ask(**settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
        app = create_app(make_settings(**settings))

        @app.get("/api/whoami")
        async def whoami() -> str:
            return current_user()

        # Before the route for unknown paths.
        app.router.routes.insert(0, app.router.routes.pop())
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://chat.example") as client:
            yield client

    return ask


async def test_token_of_the_header_gives_a_user(asked: Asked) -> None:
    async with asked(jwt_secret=SECRET, api_keys="the-key") as client:
        answered = await client.get("/api/whoami", headers={"authorization": f"Bearer {sign()}"})
        assert (answered.status_code, answered.json()) == (200, "user:ann")
        answered = await client.get("/api/whoami", headers={"authorization": "Bearer the-key"})
        assert answered.json() == "default"
        assert (await client.get("/api/whoami")).status_code == 401
    assert asking.get().user is None


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", OWN_PAGE, 400),
        ("GET", {}, 200),
        ("GET", {"sec-fetch-site": "same-origin"}, 200),
        ("GET", {"sec-fetch-site": "cross-site"}, 401),
        ("POST", {"sec-fetch-site": "same-site"}, 401),
        ("POST", {}, 401),
        ("POST", {"origin": "https://evil.example"}, 401),
        ("POST", {"origin": "https://sub.chat.example"}, 401),
        ("POST", {"origin": "null"}, 401),
    ],
)
async def test_cookie_counts_on_our_own_page_only(
    asked: Asked, method: str, headers: dict[str, str], status: int
) -> None:
    async with asked(jwt_secret=SECRET, jwt_cookie="session") as client:
        cookie = {"cookie": f"a=b; session={sign()}"}
        path = "/api/whoami" if method == "GET" else "/api/chat"
        answered = await client.request(method, path, headers={**cookie, **headers}, content=b"{}")
        assert answered.status_code == status


async def test_cookie_counts_only_where_it_is_named(asked: Asked) -> None:
    async with asked(jwt_secret=SECRET) as client:
        assert (await client.get("/api/whoami", headers={"cookie": f"session={sign()}"})).status_code == 401
    async with asked(api_keys="the-key", jwt_cookie="session") as client:
        assert (await client.get("/api/whoami", headers={"cookie": "session=the-key"})).status_code == 401
    async with asked(jwt_secret=SECRET, jwt_cookie="session") as client:
        for cookie in ("other=1", "session", "\x01=;;=", ""):
            assert (await client.get("/api/whoami", headers={"cookie": cookie})).status_code == 401


async def test_named_key_gives_a_user(asked: Asked, tmp_path: Any) -> None:
    from usechat.server.access.sign_in.key_file import KeyFile

    path = tmp_path / "keys.json"
    key = KeyFile(path).make("ci")
    async with asked(keys_file=path) as client:
        answered = await client.get("/api/whoami", headers={"authorization": f"Bearer {key}"})
        assert (answered.status_code, answered.json()) == (200, "key:ci")
        assert (await client.get("/api/whoami", headers={"authorization": "Bearer other"})).status_code == 401
