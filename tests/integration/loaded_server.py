"""A server with metrics for clients that it should bear, and what they ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.running_server import serving
from tests.support.load_clients import Answer, Site, chat_body
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import PATIENCE
from usechat.testing.replay import Reply

ANY_FILES = 10**6
LARGE = Reply(
    events=[
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 10_000}}
            for _ in range(600)
        ],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 400}},
        {"type": "message_stop"},
    ],
    split=-1,
)
LARGE_DELTAS = 600


@contextmanager
def serving_site(folder: Path, upstream: ScriptedUpstream, **variables: str) -> Generator[Site]:
    """Start a server with a key and metrics; see that it still runs in the end.

    Args:
        folder: Where it runs.
        upstream: Its model.
        variables: Further settings.
    """
    with serving(
        folder,
        ANTHROPIC_BASE_URL=upstream.url,
        ANTHROPIC_API_KEY="unused",
        USECHAT_MODEL="claude-sonnet-4-6",
        USECHAT_API_KEYS="the-key",
        USECHAT_METRICS="true",
        **variables,
    ) as running:
        yield Site(running.client.base_url.port or 0, running.process.pid, "the-key")
        assert running.process.poll() is None


def chat(site: Site, chat_id: str, address: str) -> bytes:
    return site.request("POST", "/api/chat", chat_body(chat_id, "When is high water?"), address=address)


async def ended(*answers: Answer) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(answer.over for answer in answers))
