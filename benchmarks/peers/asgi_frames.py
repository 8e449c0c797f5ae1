"""The limit of one send a delta: frames encoded beforehand, no upstream. BENCH_TOKENS holds the texts."""

from __future__ import annotations

import asyncio
import json
import os
from functools import cache

from benchmarks.peers.asgi import Receive, Scope, Send, read_body, start

TOKENS = [json.dumps(token, ensure_ascii=False).encode() for token in json.loads(os.environ["BENCH_TOKENS"])]


@cache
def frames(deltas: int) -> list[bytes]:
    """A whole answer, a frame a delta."""
    texts = (TOKENS[(index * 7 + index // 64) & 63] for index in range(deltas))
    return [
        b'data: {"type":"start"}\n\ndata: {"type":"text-start","id":"0"}\n\n',
        *(b'data: {"type":"text-delta","id":"0","delta":%b}\n\n' % text for text in texts),
        b'data: {"type":"text-end","id":"0"}\n\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n',
    ]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer that the body names, at its pace."""
    if scope["type"] != "http":
        return
    body = await read_body(receive)
    _, deltas, pace, *_ = body[body.index(b"bench:") :].split(b'"')[0].split(b":")
    await start(send)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for frame in frames(int(deltas)):
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        due += int(pace) / 1e6
        if int(pace) and due > loop.time():
            await asyncio.sleep(due - loop.time())
    await send({"type": "http.response.body", "body": b"", "more_body": False})
