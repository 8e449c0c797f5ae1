"""Addresses and keys as people write them: requests arrive, or one sentence says what to write."""

from __future__ import annotations

import pytest

from tests.integration.anthropic_calls import read, texts
from usechat.errors import ConfigurationError
from usechat.models import anthropic
from usechat.models.claude.address import DEFAULT_BASE_URL
from usechat.models.claude.client import ClientSettings, aclose_client, shared_client
from usechat.testing.replay import ReplayServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/v1", "{}/v1/", " {}/v1 ", "{}//"])
async def test_every_form_of_an_address_is_the_same_one(form: str, monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("text") as server:
        given = anthropic("claude-sonnet-4-6", base_url=form.format(server.url), api_key=" key\n")
        assert texts(await read(given))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", form.format(server.url))
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key\n")
        found = anthropic("claude-sonnet-4-6")
        assert texts(await read(found))
        await found.aclose()
    assert [request.path for request in server.requests] == ["/v1/messages"] * 2
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer key"}


@pytest.mark.parametrize("blank", ["", " "])
async def test_blank_address_is_none(blank: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", blank)
    settings = ClientSettings("key")
    upstream = await shared_client(settings)
    assert str(upstream.client.base_url).rstrip("/") == DEFAULT_BASE_URL
    await aclose_client(settings)


@pytest.mark.parametrize("wrong", ["localhost:8000", "//proxy.example", "proxy.example/v1", "https://a\nb"])
async def test_wrong_address_is_refused_in_one_sentence(wrong: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match="base_url must be a URL such as"):
        anthropic("claude-sonnet-4-6", base_url=wrong)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", wrong)
    with pytest.raises(ConfigurationError):
        await read(anthropic("claude-sonnet-4-6", api_key="key"))


async def test_wrong_key_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match="api_key must be one word"):
        anthropic("claude-sonnet-4-6", api_key="one\ntwo")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "one two")
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY must be one word"):
        await read(anthropic("claude-sonnet-4-6"))


async def test_blank_key_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "  ")
    with pytest.raises(ConfigurationError, match="no key for Anthropic"):
        await read(anthropic("claude-sonnet-4-6"))
