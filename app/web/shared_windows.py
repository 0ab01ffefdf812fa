"""Sliding windows counted in Redis, for all processes: many hits in one round trip."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import ConnectionPool, Redis

from app.core.gathering import Gathering

WINDOW_SECONDS: Final = 60
_HITS_MAX: Final = 100
_KEY_PREFIX: Final = "smmos:pace:"

# Two fixed windows approximate a sliding one: of the window before, the share that still overlaps
# the last minute counts. Redis's own clock decides, so that processes need not agree on the time.
_HIT: Final = """
local window = tonumber(ARGV[1])
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local number = math.floor(ms / window)
local passed = ms % window
local answers = {}
for i, key in ipairs(KEYS) do
    local limit, cost = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local kept = redis.call('HMGET', key, 'number', 'count', 'before')
    local count, before = 0, 0
    if tonumber(kept[1]) == number then
        count, before = tonumber(kept[2]), tonumber(kept[3])
    elseif tonumber(kept[1]) == number - 1 then
        before = tonumber(kept[2])
    end
    local weighted = math.floor(before * (window - passed) / window) + count
    local allowed = 0
    if weighted + cost <= limit then
        allowed, count, weighted = 1, count + cost, weighted + cost
        redis.call('HSET', key, 'number', number, 'count', count, 'before', before)
        redis.call('PEXPIRE', key, 2 * window)
    end
    answers[i] = {allowed, weighted, before, count, window - passed}
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One request to be counted, and the most that its window may hold."""

    name: str
    limit: int
    cost: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Whether a hit was let in, how many more would be, and when the next place becomes free."""

    allowed: bool
    remaining: int
    reset_seconds: int


class SharedWindows:
    """The counts of all processes. Hits that arrive together are counted in one call."""

    def __init__(self, redis_url: str, *, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._connections = ConnectionPool.from_url(
            redis_url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )
        self._script = Redis(connection_pool=self._connections).register_script(_HIT)
        self._hits = Gathering[Hit, Counted](self._count, size_max=_HITS_MAX)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._connections.disconnect()

    async def hit(self, hit: Hit) -> Counted:
        """Count it, unless it is over the limit. Raises RedisError, OSError, TimeoutError."""
        return await self._hits.ask(hit)

    async def _count(self, hits: Sequence[Hit]) -> list[Counted]:
        keys = [_KEY_PREFIX + hit.name for hit in hits]
        arguments = [WINDOW_SECONDS * 1000]
        for hit in hits:
            arguments += (hit.limit, hit.cost)
        async with asyncio.timeout(self._timeout_seconds):
            answers = await self._script(keys, arguments)
        return [_counted(hit, answer) for hit, answer in zip(hits, answers, strict=True)]


def _counted(hit: Hit, answer: Sequence[int]) -> Counted:
    allowed, weighted, before, count, left_ms = answer
    # The window before fades evenly, and frees a place each time that it has lost one hit.
    frees_ms = [left_ms % (WINDOW_SECONDS * 1000 / before)] if before else []
    if count:
        frees_ms.append(left_ms)
    seconds = math.ceil(min(frees_ms, default=0) / 1000)
    return Counted(
        bool(allowed), max(0, hit.limit - weighted), min(max(1, seconds), WINDOW_SECONDS)
    )
