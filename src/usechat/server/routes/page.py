"""Serves the built page, with caching headers and a content security policy.

The files are those of Next's static export (16.4): ``chat/index.html`` or ``chat.html`` for ``/chat``, ``404.html``,
and below ``_next/static`` names with a digest in them. Beside them lie their compressed versions, see
`usechat.server.routes.precompressed`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import usechat
from usechat.server.routes.precompressed import find_compressed

__all__ = ["PageFiles", "default_page_folder"]

FOREVER: Final = "public, max-age=31536000, immutable"
ASK_EACH_TIME: Final = "no-cache"
INLINE_SCRIPT: Final = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
PAGE_HEADERS: Final = {
    # A page tells its own server where it lies, and nobody else: `LoopbackOnly` looks at it.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
POLICY: Final = (
    "default-src 'self'",
    "font-src 'self' data:",
    # React writes style attributes into the HTML that it renders while the page is built.
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
WORKER_POLICY: Final = "default-src 'none'; script-src 'self'; frame-ancestors 'none'"
"""A worker has the policy of its own script: it may load further files of this server, and ask nobody for anything."""
NOT_BUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>usechat</title></head><body>
<h1>usechat is running</h1>
<p>The API answers at <code>POST /api/chat</code>. The chat page has not been built yet. In a checkout:</p>
<pre>make run</pre>
<p>or, by hand:</p>
<pre>npm --prefix web ci
npm --prefix web run build:static</pre>
<p>A page that lies elsewhere is named by <code>USECHAT_WEB_DIR</code>.</p>
</body></html>
"""


def default_page_folder() -> Path:
    """Return where the page lies in an installed package; in a checkout, where ``make run`` builds it, built or not."""
    package = Path(usechat.__file__).resolve().parent
    installed = package / "server" / "page"
    return installed if installed.is_dir() else package.parents[1] / "web" / "out"


class PageFiles(StaticFiles):
    """The folder of the built page, which may be built again while the server runs.

    Args:
        folder: The folder.
        image_origins: Other hosts from which the page may load pictures. A model or a tool can name any: what it names
            learns who looks at the answer, and can be told what the answer holds.
    """

    def __init__(self, folder: Path, image_origins: Iterable[str] = ()) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.folder = folder
        self.images = " ".join(("img-src 'self' data: blob:", *image_origins))
        # The check would fail every request while there is no folder.
        self.config_checked = True

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return the file for a path: itself, ``PATH.html`` or ``PATH/index.html``."""
        for candidate in (path, f"{path}.html", f"{path}/index.html"):
            full_path, found = super().lookup_path(candidate)
            if found is not None and stat.S_ISREG(found.st_mode):
                return full_path, found
        return "", None

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, or the 404 page."""
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 405:
                raise
        if path == "." and not (self.folder / "index.html").is_file():
            return HTMLResponse(NOT_BUILT, headers={**PAGE_HEADERS, "cache-control": "no-store"})
        full_path, found = self.lookup_path("404.html")
        wants_html = "text/html" in Headers(scope=scope).get("accept", "")
        if found is None or not wants_html:
            return JSONResponse({"detail": "Not Found"}, status_code=404)
        return self.file_response(full_path, found, scope, status_code=404)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file with its headers, compressed for who takes that; or 304 when the browser has it."""
        path, asked = Path(full_path), Headers(scope=scope)
        # A range of a compressed file is nothing that a client could unpack.
        takes = "" if "range" in asked else asked.get("accept-encoding", "")
        compressed = find_compressed(path, stat_result, takes)
        if compressed is None:
            response = super().file_response(path, stat_result, scope, status_code)
        else:
            encoding, packed_path, packed_status = compressed
            response = super().file_response(packed_path, packed_status, scope, status_code)
            if response.status_code != 304:
                response.headers["content-encoding"] = encoding
                # Ranges are those of the file itself.
                del response.headers["accept-ranges"]
        response.headers["vary"] = "accept-encoding"
        is_lasting = path.is_relative_to(self.folder.resolve() / "_next" / "static")
        response.headers["cache-control"] = FOREVER if is_lasting else ASK_EACH_TIME
        if path.suffix == ".html":
            # Also of a 304, whose headers take the place of those that the browser keeps.
            response.headers.update(PAGE_HEADERS)
            scripts = script_policy(path, stat_result.st_mtime_ns)
            response.headers["content-security-policy"] = "; ".join([*POLICY, self.images, scripts])
        elif path.suffix == ".js":
            response.headers["content-security-policy"] = WORKER_POLICY
        return response


@lru_cache(maxsize=64)
def script_policy(path: Path, _mtime_ns: int) -> str:
    """Return what scripts an HTML file may run: files of this server, and its own, by their digests."""
    digests = [hashlib.sha256(script).digest() for script in INLINE_SCRIPT.findall(path.read_bytes())]
    sources = ["'self'", *(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)]
    return f"script-src {' '.join(dict.fromkeys(sources))}"
