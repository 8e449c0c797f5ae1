"""A program that serves answers and tells what of them is left for the garbage collector: a JSON object of counts.

Its arguments are what the demo model is asked, one conversation each; ``leave:`` before one leaves in its middle.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import sys
from typing import Any

import httpx
import uvicorn

from tests.support.waiting import PATIENCE, eventually
from usechat.server.processes.entry import load_app

OURS = ("usechat", "uvicorn", "starlette", "fastapi", "anthropic")


async def main(questions: list[str]) -> None:
    server = uvicorn.Server(uvicorn.Config(load_app(), port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        for number in range(2):
            # What is imported and kept by the first answers is no leftover.
            await asyncio.sleep(2.5 if number == 0 else 0)
            gc.collect()
            gc.garbage.clear()
            gc.disable()
            chats = [(f"chat-{number}-{index}", question) for index, question in enumerate(questions)]
            await asyncio.gather(*(ask(client, chat_id, question) for chat_id, question in chats))
        await asyncio.sleep(0.5)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        counts = collections.Counter(map(kind_of, gc.garbage))
    server.should_exit = True
    await serving
    sys.stdout.write(json.dumps({kind: count for kind, count in counts.items() if kind.startswith(OURS)}))


async def ask(client: httpx.AsyncClient, chat_id: str, question: str) -> None:
    text = question.removeprefix("leave:")
    body = {"id": chat_id, "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}]}
    async with client.stream("POST", "/api/chat", json=body, headers={"x-usechat-sdk": "7"}) as response:
        async for piece in response.aiter_bytes():
            if text != question and b'"text-delta"' in piece:
                break


def kind_of(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
