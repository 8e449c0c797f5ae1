"""The site that `make docs` builds: all pages and public names, no dead link, nothing from another host."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import usechat.testing

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    *("usechat", "usechat.models", "usechat.tools", "usechat.adapters", "usechat.telemetry", "usechat.doctor"),
    *(module.name for module in pkgutil.iter_modules(usechat.testing.__path__, "usechat.testing.")),
]


class Page(HTMLParser):
    """A built page: what can be linked to in it, where it links to, and what a browser loads for it unasked."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif "href" in found:
            self.loaded.append(found["href"])
        self.loaded += [found[name] for name in ("src", "srcset", "data", "poster") if name in found]


class Site:
    """A built site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def pages(self) -> dict[Path, Page]:
        return {path: Page(path) for path in self.folder.rglob("*.html")}

    def target(self, page: Page, link: str) -> Path:
        """Return the file that a link on a page leads to."""
        path = unquote(urlsplit(link).path)
        file = self.folder / path[1:] if path.startswith("/") else page.path.parent / path if path else page.path
        return (file / "index.html" if file.is_dir() else file).resolve()

    def find_dead(self, page: Page, link: str) -> str | None:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        target = self.target(page, link)
        is_there = target.is_file() and (not parts.fragment or unquote(parts.fragment) in self.pages[target].ids)
        return None if is_there else f"{page.path.relative_to(self.folder)}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("docs").resolve() / "site"
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "scripts/docs", folder],
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Site(folder)


def test_each_public_name_is_in_the_reference(site: Site) -> None:
    ids = {found for page in site.pages.values() if "reference" in page.path.parts for found in page.ids}
    names = [f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__]
    assert len(names) > 100
    assert [name for name in names if name not in ids] == []


def test_no_link_is_dead(site: Site) -> None:
    links = [(page, link) for page in site.pages.values() for link in page.links]
    assert len(links) > 1000
    assert [dead for page, link in links if (dead := site.find_dead(page, link)) is not None] == []


def test_each_page_is_in_the_navigation(site: Site) -> None:
    home = site.pages[site.folder / "index.html"]
    linked = {site.target(home, link) for link in home.links}
    assert [path for path in site.pages if path not in linked and path.name != "404.html"] == []


def test_nothing_is_loaded_from_another_host(site: Site) -> None:
    loaded = {url for page in site.pages.values() for url in page.loaded}
    styles = "".join(path.read_text() for path in site.folder.rglob("*.css"))
    loaded |= set(re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", styles))
    assert len(loaded) > 3
    assert [url for url in loaded if urlsplit(url).netloc] == []


def test_search_finds_the_pages_and_the_reference(site: Site) -> None:
    index = (site.folder / "search.json").read_text()
    assert "getting-started" in index
    assert "stream_text" in index


def test_list_for_language_models_has_each_page(site: Site) -> None:
    home = site.pages[site.folder / "index.html"]
    listed = re.findall(r"^- \[.+\]\(<(.+)>\)", (site.folder / "llms.txt").read_text(), re.MULTILINE)
    assert len(listed) == len(site.pages) - 1
    assert [link for link in listed if not site.target(home, link).is_file()] == []
