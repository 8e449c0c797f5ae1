"""A browser, the servers whose pages it visits, and the model service behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.e2e.browser import Visitors, chromium
from tests.e2e.chat_page import ChatPage
from tests.e2e.programs import next_start
from tests.e2e.upstream import ASK_FOR_SILENCE, Upstream
from tests.e2e.web_build import build_for_next_start
from tests.support.programs import Program, nginx, usechat_serve
from usechat.models.embedded.server import local_available

Visit = Callable[..., ChatPage]

# How long a page may take to show what it has been sent, on a machine that also runs the model.
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the end of a long silence comes last; the first test may have to wait for a build of the page."""
    items.sort(key=lambda item: "silences" in _fixtures_of(item))
    for item in items:
        item.add_marker(pytest.mark.timeout(300))


def _fixtures_of(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture(scope="session", autouse=True)
def early_start(request: pytest.FixtureRequest) -> None:
    """Has what takes its time begin with the session, so that it passes while other tests run."""
    for name in ("silences", "begun_tour"):
        if any(name in _fixtures_of(item) for item in request.session.items):
            # What goes wrong is told by the tests that need it: pytest keeps the exception for them.
            with contextlib.suppress(Exception):
                request.getfixturevalue(name)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def visitors(browser: Browser) -> Visitors:
    return Visitors(browser)


@pytest.fixture
def visit(browser: Browser, visitors: Visitors) -> Iterator[Visit]:
    """Opens pages, each for a visitor who has seen no page before, and closes them after the test."""
    contexts: list[BrowserContext] = []

    def open_page(url: str, path: str = "/", **options: Any) -> ChatPage:
        contexts.append(visitors.come(**options))
        return ChatPage(browser, url, path, contexts[-1])

    yield open_page
    for context in contexts:
        visitors.go(context)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs run and leave their logs."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """The model service of `replayed`; a test says first what it `will` answer."""
    return shared_upstream


@pytest.fixture(scope="session")
def replayed(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """A server that gets its answers from `upstream`."""
    with replayed_server(shared_upstream, folder) as server:
        yield server.url


@pytest.fixture(scope="session")
def guarded(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """As `replayed`, for those who know one of two API keys; it names a page to sign in on."""
    keys, page = "first-key,second-key", "/login?from=chat"
    with replayed_server(shared_upstream, folder, USECHAT_API_KEYS=keys, USECHAT_SIGN_IN_URL=page) as server:
        yield server.url


@pytest.fixture(scope="session")
def unsaved(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """As `replayed`, and keeps no chats."""
    with replayed_server(shared_upstream, folder, USECHAT_DATABASE_URL="off") as server:
        yield server.url


@pytest.fixture(scope="session")
def local(folder: Path) -> Iterator[str]:
    """A server with the embedded model."""
    missing = local_available()
    if missing is not None:
        pytest.skip(f"the embedded model cannot run here: {missing}")
    with usechat_serve("--model", "local", folder=folder, USECHAT_MAX_OUTPUT_TOKENS="250", is_forked=True) as server:
        yield server.url


@pytest.fixture(scope="session")
def demo(folder: Path) -> Iterator[str]:
    """A server with the demo model."""
    with usechat_serve("--model", "demo", folder=folder, is_forked=True) as server:
        yield server.url


@pytest.fixture(scope="session")
def begun_tour(browser: Browser, demo: str) -> Iterator[ChatPage]:
    """A page whose visitor has asked the demo for all it has."""
    page = ChatPage(browser, demo)
    page.ask("tour")
    yield page
    page.close()


@pytest.fixture(scope="session")
def behind_next(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """`next start`, which sends requests for ``/api`` on to a server that gets its answers from `upstream`."""
    held = build_for_next_start(folder / "next-build.log")
    port = held.getsockname()[1]
    with held, hasty_server(shared_upstream, folder, port=port), next_start(folder=folder) as server:
        yield server.url


@pytest.fixture(scope="session")
def behind_nginx(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """nginx before a server that gets its answers from `upstream`."""
    with hasty_server(shared_upstream, folder) as replayed, nginx(replayed.url, folder=folder) as server:
        yield server.url


@pytest.fixture(scope="session")
def silences(browser: Browser, behind_next: str, behind_nginx: str) -> Iterator[Mapping[str, ChatPage]]:
    """Pages behind proxies, by proxy, that have asked a model which stays silent for 36 seconds."""
    addresses = {"next": behind_next, "nginx": behind_nginx}
    # Dots that move would be drawn all that time, beside the other tests.
    pages = {proxy: ChatPage(browser, address, reduced_motion="reduce") for proxy, address in addresses.items()}
    for page in pages.values():
        page.ask(ASK_FOR_SILENCE)
    yield pages
    for page in pages.values():
        page.close()


def replayed_server(upstream: Upstream, folder: Path, *, port: int = 0, **variables: str) -> Program:
    credentials = {"ANTHROPIC_BASE_URL": upstream.url, "ANTHROPIC_API_KEY": "none"}
    return usechat_serve(
        "--model", "claude-sonnet-4-6", folder=folder, port=port, is_forked=True, **credentials, **variables
    )


def hasty_server(upstream: Upstream, folder: Path, *, port: int = 0) -> Program:
    """A server that waits half a second, not five, for those who left in the middle of an answer."""
    return replayed_server(upstream, folder, port=port, USECHAT_GRACE_SECONDS="0.5")
