"""The lines of messages that wait for a chat, in Redis: one for all processes."""

from __future__ import annotations

from typing import Final

from usechat.runs.line import PLACE_SECONDS
from usechat.runs.redis.client import ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.scripts import NOW, Script

__all__ = ["RedisLine"]

STAND: Final = Script(
    NOW
    + """
-- KEYS line  ARGV place milliseconds
-- A hash: each place's number in the line, and until when (ms) it is kept.
local mine, before, last = nil, 0, 0
local numbers = {}
local held = redis.call('HGETALL', KEYS[1])
for index = 1, #held, 2 do
  local number, through = string.match(held[index + 1], '^(%d+) (%d+)$')
  number = tonumber(number)
  if held[index] == ARGV[1] then
    mine = number
  elseif tonumber(through) < now then
    redis.call('HDEL', KEYS[1], held[index])
  else
    table.insert(numbers, number)
    last = math.max(last, number)
  end
end
mine = mine or last + 1
for _, number in ipairs(numbers) do
  if number < mine then before = before + 1 end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f', mine, now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return before
"""
)
"""Returns how many stand before the place."""


class RedisLine:
    """The lines of all processes' chats.

    Args:
        client: The client of the log.
        keys: The log's keys.
    """

    def __init__(self, client: ScriptClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def stand(self, chat_id: str, place: str) -> int:
        """Take a place at the end of the chat's line, or keep it. Return how many stand before it."""
        milliseconds = round(PLACE_SECONDS * 1000)
        return int(await self._client.call(STAND, [self._keys.line(chat_id)], place, milliseconds))

    async def leave(self, chat_id: str, place: str) -> None:
        """Give a place up."""
        await self._client.command("HDEL", self._keys.line(chat_id), place)
