"""Per-key pace: a sliding window in Redis, a local one when Redis is away, and its headers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.core.logging import get_logger
from app.core.metrics import RATE_LIMIT_FALLBACKS
from app.web.shared_windows import WINDOW_SECONDS, Hit, SharedWindows

log = get_logger(__name__)

REDIS_TIMEOUT_SECONDS: Final = 0.25
BREAKER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what its headers say."""

    allowed: bool
    group: str
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """RateLimit fields as the IETF draft (generation 10) writes them."""
        return {
            "RateLimit-Policy": f'"{self.group}";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.group}";r={self.remaining};t={self.reset_seconds}',
        }


class RateLimiter:
    """Counts requests per key and group. Money never depends on it: the ledger guards that."""

    def __init__(self, redis_url: str | None) -> None:
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SharedWindows | None = None
        self._away_until = 0.0
        if redis_url is not None:
            self._shared = SharedWindows(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.close()

    @property
    def redis_is_away(self) -> bool:
        """Whether the shared count cannot be had at the moment."""
        return self._shared is None or time.monotonic() < self._away_until

    async def hit(self, key: str, group: str, *, per_minute: int, cost: int = 1) -> Verdict:
        """Count a request of this key in this group; over the limit it is not counted."""
        if self._shared is not None and not self.redis_is_away:
            try:
                counted = await self._shared.hit(Hit(f"{group}:{key}", per_minute, cost))
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = time.monotonic() + BREAKER_SECONDS
                log.warning("rate_limiter_local", error=repr(error), seconds=BREAKER_SECONDS)
            else:
                return Verdict(
                    counted.allowed, group, per_minute, counted.remaining, counted.reset_seconds
                )
        RATE_LIMIT_FALLBACKS.inc()
        return await _judge(self._local, RateLimitItemPerMinute(per_minute), key, group, cost)

    async def hit_local(self, key: str, group: str, *, per_minute: int) -> Verdict:
        """Count in this process only: for addresses that fail to sign in."""
        return await _judge(self._local, RateLimitItemPerMinute(per_minute), key, group, 1)


async def _judge(
    limiter: SlidingWindowCounterRateLimiter,
    item: RateLimitItemPerMinute,
    key: str,
    group: str,
    cost: int,
) -> Verdict:
    allowed = await limiter.hit(item, group, key, cost=cost)
    stats = await limiter.get_window_stats(item, group, key)
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Verdict(allowed, group, item.amount, max(0, stats.remaining), min(reset, WINDOW_SECONDS))
