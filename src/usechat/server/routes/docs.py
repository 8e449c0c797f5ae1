"""The page of the routes: the OpenAPI document as plain HTML.

The usual page loads a program from another host, into the origin where the chat page keeps its key. This one has no
script at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from usechat.server.routes.page import PAGE_HEADERS

__all__ = ["make_docs_router"]

STYLE: Final = "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}pre{overflow:auto}"
HEADERS: Final = {**PAGE_HEADERS, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}  # fmt: skip


def make_docs_router(describe: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """Return the route of the page.

    Args:
        describe: Returns the OpenAPI document.
    """
    router = APIRouter()

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """Show the routes."""
        return HTMLResponse("\n".join(page(describe())), headers=HEADERS)

    return router


def page(document: Mapping[str, Any]) -> Iterator[str]:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>"
    yield '<p>The same as an OpenAPI document: <a href="/openapi.json">/openapi.json</a></p>'
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            yield from details("Parameters", operation.get("parameters"))
            yield from details("Body", operation.get("requestBody", {}).get("content"))
            yield from details("Responses", operation.get("responses"))
    yield "</body></html>"


def details(title: str, value: Any) -> Iterator[str]:
    if value:
        text = escape(json.dumps(value, indent=2))
        yield f"<details><summary>{title}</summary><pre>{text}</pre></details>"
