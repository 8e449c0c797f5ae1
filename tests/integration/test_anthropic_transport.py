"""The way to a provider: TLS, proxies, and connections that are dropped, on both event loops that people use."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.anthropic_calls import CALL, texts
from tests.support.certificates import server_tls, write_certificate
from tests.support.waiting import AT_ONCE
from usechat.errors import ProviderConnectionError
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

ANSWER = "High water is at 14:20 in Whitby."
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def read(url: str, **options: Any) -> str:
    model = anthropic("claude-sonnet-4-6", base_url=url, api_key="key-1", **options)
    return texts([part async for batch in model.stream(CALL) for part in batch])


async def test_answer_comes_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with ReplayServer(Reply("text", split=10), tls=server_tls(certificate)) as server:
        assert [await read(server.url), await read(server.url)] == [ANSWER, ANSWER]
    assert server.connection_count == 1


async def test_certificate_that_nobody_knows_is_refused(tmp_path: Path):
    async with ReplayServer("text", tls=server_tls(write_certificate(tmp_path))) as server:
        with pytest.raises(ProviderConnectionError, match="certificate verify failed"):
            await read(server.url, max_retries=0)
    assert server.requests == []


async def test_leaving_closes_a_connection_over_tls_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with ReplayServer(Reply("text", hold_after=4), tls=server_tls(certificate)) as server:
        answer = anthropic("m", base_url=server.url, api_key="key-1").stream(CALL)
        await anext(answer)
        left_at = time.monotonic()
        await answer.aclose()
        await server.requests[0].wait_async()
    assert server.requests[0].aborted_at is not None
    assert server.requests[0].aborted_at - left_at < AT_ONCE


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"http_proxy": "{proxy}"}, "http://provider.test/v1/messages"),
        ({"all_proxy": "{proxy}"}, "http://provider.test/v1/messages"),
        ({"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}, "/v1/messages"),
        ({"no_proxy": "*"}, "/v1/messages"),
    ],
)
async def test_proxy_of_the_environment_is_gone_through(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    async with ReplayServer("text") as server:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=server.url))
        assert await read("http://provider.test" if "test" in expected else server.url) == ANSWER
    assert server.requests[0].path == expected
