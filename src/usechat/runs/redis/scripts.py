"""The Lua scripts of the log on Redis: each makes a decision and its writes in one step.

The keys, all below one prefix and all with a time to live:

- ``run:ID`` a hash: ``info`` (JSON), ``state``, ``token``, ``entries``, ``bytes`` (their size), ``batches`` (how many
  the stream holds), ``stop`` (the reason, once asked), ``seen`` (ms since the epoch: when another process last read
  it), ``left`` (once its readers have left);
- ``log:ID`` a stream. An entry's id is ``N-0``, where N counts the frames' entries up to its end, so that a cursor is
  a place in the stream; ``d`` holds the frames, ``s`` the sizes of the entries they came in. The last one has the id
  ``N-1`` and holds the end state ``e`` and last frames ``d``;
- ``chat:CHAT`` the id of the chat's newest run; ``resumed:CHAT`` whether its client comes back; ``asked:CHAT`` whether
  somebody has just loaded it;
- ``leases`` a sorted set: until when (ms) each running run's producer counts as alive;
- ``line:CHAT`` the messages that wait for a chat (`usechat.runs.redis.line`);
- ``ended`` a list of the ended runs that are kept, the first to end first: until when (ms), the bytes of all before it,
  these with its own, and its id. It bounds what ended runs take. Those that could not be saved are not in it.

Redis' own clock is the only one that decides over leases. A script may be carried out long after it was sent: it waits
in the socket of a Redis that is paused, when whoever sent it has given up. So the one that takes runs from their
producers says by when, in Redis' time, and which signs of life it has seen: one that came since makes it void.

A Redis that is short of memory may drop any key. A stream that holds less than its hash says has been dropped: its
producer writes it anew, and nobody goes on with the rest. All keys of a run get their time together; the ones that are
missing then are made anew.

The scripts name keys that they find in others, so they need a Redis that is no cluster.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

__all__ = [
    "END_LOST",
    "LATE",
    "LEAVE",
    "NOW",
    "OPEN",
    "RESUME",
    "STOP",
    "STOP_LEFT",
    "TAKE_LOST",
    "TOUCH",
    "UNREAD",
    "WAKE",
    "WRITE",
    "Script",
]


@dataclass(frozen=True)
class Script:
    """A Lua script and the digest that Redis knows it by."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_FORGET = """
-- ARGV prefix keep most most_bytes ...
local function forget_later(ended, id, size)
  local last = redis.call('LINDEX', ended, -1)
  local before = last and tonumber(string.match(last, '^%d+ %d+ (%d+) ')) or 0
  local through = before + size
  redis.call('RPUSH', ended, string.format('%.0f %.0f %.0f ', now + ARGV[2], before, through) .. id)
  redis.call('PEXPIRE', ended, ARGV[2])
  -- The newest is kept, however large: its readers may not have the end yet.
  for count = redis.call('LLEN', ended), 2, -1 do
    local due, skipped, _, oldest = string.match(redis.call('LINDEX', ended, 0), '^(%d+) (%d+) (%d+) (.*)$')
    local is_due = tonumber(due) <= now
    if not is_due and count <= tonumber(ARGV[3]) and through - skipped <= tonumber(ARGV[4]) then break end
    redis.call('LPOP', ended)
    if not is_due then
      redis.call('UNLINK', ARGV[1] .. 'log:' .. oldest)
      -- What is known of a lost run stays for as long as its producer might come back.
      local run = ARGV[1] .. 'run:' .. oldest
      if redis.call('HGET', run, 'state') ~= 'lost' then redis.call('DEL', run) end
    end
  end
end
"""

OPEN = Script(
    NOW
    + """
-- KEYS run log chat leases  ARGV prefix id info token lease retain
-- Token 0 makes a new run. Another one brings a run back that Redis has lost, for the producer that holds it.
local prefix, id, token = ARGV[1], ARGV[2], tonumber(ARGV[4])
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('HGET', KEYS[1], 'token') end
local newest = redis.call('GET', KEYS[3])
if token == 0 then
  if newest and redis.call('HGET', prefix .. 'run:' .. newest, 'state') == 'running' then return false end
  token = time[1] * 1000000 + time[2]
  newest = false
end
token = string.format('%.0f', token)
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'info', ARGV[3], 'state', 'running', 'token', token, 'entries', 0,
  'batches', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if not newest then redis.call('SET', KEYS[3], id, 'PX', ARGV[6]) end
redis.call('ZADD', KEYS[4], now + ARGV[5], id)
redis.call('PEXPIRE', KEYS[4], ARGV[6])
return token
"""
)
"""Returns the run's token; nil when the chat has a running run."""

WRITE = Script(
    NOW
    + _FORGET
    + """
-- KEYS leases ended  ARGV prefix keep most most_bytes lease retain writes frames...
-- For each write: id, chat, token, first, last, size, sizes, state, renews, is_unsaved; MessagePack, as the answer is:
-- one word each, instead of ten that the client spells and reads one by one. (Redis' MessagePack has no bytes: frames
-- go apart.)
-- Answers the same when it comes twice, as it does when the connection broke before the first answer.
local prefix, keep, lease, retain = ARGV[1], ARGV[2], ARGV[5], ARGV[6]

local function expire(run, log, chat, id, time)
  redis.call('PEXPIRE', run, time)
  redis.call('PEXPIRE', log, time)
  local newest = redis.call('GET', chat)
  if newest == id then
    redis.call('PEXPIRE', chat, time)
  elseif not newest or redis.call('HGET', prefix .. 'run:' .. newest, 'state') ~= 'running' then
    redis.call('SET', chat, id, 'PX', time)
  end
end

local function write(frames, id, chat_id, token, first, last, size, sizes, state, renews, is_unsaved)
  local key, log, chat = prefix .. 'run:' .. id, prefix .. 'log:' .. id, prefix .. 'chat:' .. chat_id
  local run = redis.call('HMGET', key, 'state', 'token', 'entries', 'stop', 'batches')
  if not run[1] then return {'missing', 0} end
  local entries = tonumber(run[3])
  if run[2] ~= token then return {'fenced', entries} end
  if run[1] ~= 'running' then return {run[1] == state and 'ended' or 'fenced', entries} end
  local batches = tonumber(run[5])
  if batches and redis.call('XLEN', log) ~= batches then
    redis.call('DEL', log)
    redis.call('HSET', key, 'entries', 0, 'batches', 0)
    return {'hole', 0}
  end
  if first > entries then return {'behind', entries} end
  if last > entries then
    redis.call('XADD', log, last .. '-0', 'd', frames, 's', sizes)
    redis.call('HSET', key, 'entries', last, 'bytes', size)
    if batches then redis.call('HINCRBY', key, 'batches', 1) end
    if entries == 0 then redis.call('PEXPIRE', log, retain) end
    entries = last
  end
  if state ~= '' then
    redis.call('XADD', log, entries .. '-1', 'e', state, 'd', '')
    redis.call('HSET', key, 'state', state)
    if batches then redis.call('HINCRBY', key, 'batches', 1) end
    expire(key, log, chat, id, is_unsaved and retain or keep)
    if not is_unsaved then forget_later(KEYS[2], id, size) end
    redis.call('ZREM', KEYS[1], id)
    return {'ended', entries}
  end
  if renews then
    redis.call('ZADD', KEYS[1], now + lease, id)
    redis.call('PEXPIRE', KEYS[1], retain)
    expire(key, log, chat, id, retain)
  end
  return {'written', entries, run[4] or nil}
end

local answers = {}
for index, one in ipairs(cmsgpack.unpack(ARGV[7])) do answers[index] = write(ARGV[7 + index], unpack(one)) end
return cmsgpack.pack(answers)
"""
)
"""Returns for each write its result, the number of entries in Redis, and the reason to stop if there is one."""

_STOP = """
redis.call('HSETNX', KEYS[1], 'stop', ARGV[2])
redis.call('PUBLISH', KEYS[2], ARGV[1])
return 1
"""

STOP = Script(
    """
-- KEYS run channel leases  ARGV message reason id
-- One that was taken from a dead producer has a lease until it has its end: it may go on.
local state = redis.call('HGET', KEYS[1], 'state')
local is_taken = state == 'lost' and redis.call('ZSCORE', KEYS[3], ARGV[3])
if state ~= 'running' and not is_taken then return 0 end
"""
    + _STOP
)
"""Returns whether the run was running, or might have gone on."""

STOP_LEFT = Script(
    """
-- KEYS run channel resumed  ARGV message reason
local run = redis.call('HMGET', KEYS[1], 'state', 'left')
if run[1] ~= 'running' or not run[2] or redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
"""
    + _STOP
)
"""Returns whether the run was running, and left for good."""

LEAVE = Script("""
-- KEYS run
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'left', 1) end
""")
"""Notes that the run's readers have left. Makes no key: it would have no time to live."""

LATE = Script(
    NOW
    + """
-- KEYS leases  ARGV margin count one
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
return {string.format('%.0f', now), redis.call('ZSCORE', KEYS[1], ARGV[3]) or '', late}
"""
)
"""Returns the time (ms), the end of the named run's lease, and the leases that end within a margin: ids and ends."""

TAKE_LOST = Script(
    NOW
    + """
-- KEYS leases  ARGV prefix lease retain silence one latest count, then id and end of each lease that was seen
-- Without a name, runs whose leases have ended are taken; with one, that run if it has been silent.
if now > tonumber(ARGV[6]) then return {} end
local taken = {}
for index = 8, #ARGV, 2 do
  local id, seen = ARGV[index], ARGV[index + 1]
  local held = redis.call('ZSCORE', KEYS[1], id) or ''
  local is_due = held == seen and #taken < tonumber(ARGV[7])
  if is_due and held ~= '' then
    is_due = held - (ARGV[5] == '' and 0 or ARGV[2] - ARGV[4]) <= now
  end
  local key = ARGV[1] .. 'run:' .. id
  local state = is_due and redis.call('HGET', key, 'state')
  if state == 'running' or state == 'lost' then
    local token = string.format('%.0f', time[1] * 1000000 + time[2])
    redis.call('HSET', key, 'state', 'lost', 'token', token)
    redis.call('PEXPIRE', key, ARGV[3])
    redis.call('PEXPIRE', ARGV[1] .. 'log:' .. id, ARGV[3])
    redis.call('ZADD', KEYS[1], now + ARGV[2], id)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    table.insert(taken, {redis.call('HGET', key, 'info'), 'lost', token})
  elseif is_due then
    redis.call('ZREM', KEYS[1], id)
  end
end
return taken
"""
)
"""Returns info, state and token of each run that was taken; nothing when it is too late."""

END_LOST = Script(
    NOW
    + _FORGET
    + """
-- KEYS run log chat leases ended  ARGV prefix keep most most_bytes id token frames
-- The hash stays for as long as a paused producer might come back: without it Redis would look as if it had lost data.
-- Frames that were dropped cannot be ended: who reads them finds out (TOUCH), and makes an end of his own.
local run = redis.call('HMGET', KEYS[1], 'state', 'token', 'entries', 'batches', 'bytes')
if run[1] ~= 'lost' or run[2] ~= ARGV[6] then return 0 end
if redis.call('ZREM', KEYS[4], ARGV[5]) == 0 then return 0 end
if not run[4] or redis.call('XLEN', KEYS[2]) == tonumber(run[4]) then
  redis.call('XADD', KEYS[2], run[3] .. '-1', 'e', 'lost', 'd', ARGV[7])
  if run[4] then redis.call('HINCRBY', KEYS[1], 'batches', 1) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if redis.call('GET', KEYS[3]) == ARGV[5] then redis.call('PEXPIRE', KEYS[3], ARGV[2]) end
forget_later(KEYS[5], ARGV[5], (run[5] or 0) + #ARGV[7])
return 1
"""
)
"""Returns whether the run was the caller's to end."""

RESUME = Script(
    NOW
    + """
-- KEYS run log leases  ARGV id token info entries lease
-- One that somebody has asked to stop is not gone on with, nor one of which frames were dropped.
local run = redis.call('HMGET', KEYS[1], 'state', 'token', 'entries', 'batches', 'stop')
if run[2] ~= ARGV[2] then return 0 end
-- It comes twice when the connection broke before the first answer. The token is of one taking.
if run[1] == 'running' then return 1 end
if run[1] ~= 'lost' or run[5] or not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
if run[3] ~= ARGV[4] or redis.call('XLEN', KEYS[2]) ~= tonumber(run[4]) then return 0 end
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'running', 'info', ARGV[3])
return 1
"""
)
"""Returns whether the run, which the caller had taken, runs again."""

TOUCH = Script(
    NOW
    + """
-- KEYS run log
local run = redis.call('HMGET', KEYS[1], 'state', 'info', 'batches')
if not run[1] then return false end
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now))
local is_whole = not run[3] or redis.call('XLEN', KEYS[2]) == tonumber(run[3])
return {run[1], run[2], is_whole and 1 or 0}
"""
)
"""Returns the run's state and info, and whether all its frames are there; nil when there is no such run."""

UNREAD = Script(
    NOW
    + """
-- KEYS run
local seen = redis.call('HGET', KEYS[1], 'seen')
return seen and now - seen
"""
)
"""Returns the milliseconds since another process read the run; nil when none has."""

WAKE = Script("""
-- KEYS wake; ARGV time
redis.call('XADD', KEYS[1], 'MAXLEN', 1, '*', 'w', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")
"""Wakes the process that waits for entries of the key. One command: the key has its time even if who asks dies then."""
