"""The pages of all clients, built once, on one server; and the AI SDK's own servers beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.conformance.sides import JS
from tests.e2e.browser import Visitors
from tests.e2e.clients.client_page import ClientPage
from tests.e2e.upstream import Upstream
from tests.support.backend import Backend
from tests.support.node import NodeProgram

__all__ = ["Open", "Oracle"]

Open = Callable[..., ClientPage]
Oracle = Callable[[int], str]

_HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built pages."""
    folder = tmp_path_factory.mktemp("clients") / "pages"
    subprocess.run(["node", _HERE / "build.mjs", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def server(pages: Path, shared_upstream: Upstream) -> Iterator[str]:
    """The server that has the pages and answers them."""
    backend = start(pages, shared_upstream)
    yield backend.url
    backend.close()


@pytest.fixture(scope="session")
def hasty_server(pages: Path, shared_upstream: Upstream) -> Iterator[str]:
    """As `server`, and waits half a second, not five, for those who left in the middle of an answer."""
    backend = start(pages, shared_upstream, GRACE_SECONDS="0.5")
    yield backend.url
    backend.close()


def start(pages: Path, upstream: Upstream, **variables: str) -> Backend:
    log = pages.parent / f"server-{len(variables)}.log"
    return Backend("tests.e2e.clients.app:app", upstream=upstream.url, log=log, CLIENT_PAGES=str(pages), **variables)


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory, shared_upstream: Upstream) -> Iterator[Oracle]:
    """The address of a major's own server, which is started when it is asked for."""
    programs: list[NodeProgram] = []
    logs = tmp_path_factory.mktemp("oracles")

    @cache
    def start(major: int) -> str:
        arguments = ["--major", str(major), "--upstream", shared_upstream.url]
        program = NodeProgram(JS / "oracle" / "main.mjs", *arguments, log=logs / f"{major}.log")
        programs.append(program)
        return program.ask("address")

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def open_page(visitors: Visitors, server: str) -> Iterator[Open]:
    """Opens pages, and closes them after the test."""
    contexts: list[BrowserContext] = []

    def open_page(path: str, server: str = server, **options: Any) -> ClientPage:
        contexts.append(visitors.come())
        return ClientPage(contexts[-1], server, path, **options)

    yield open_page
    for context in contexts:
        visitors.go(context)
