"""The doorbell: after a commit, tell arq which lanes have work. Lost rings cost only latency."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from app.core.logging import get_logger
from app.core.metrics import DOORBELL_RINGS
from app.core.tasks import end_tasks

log = get_logger(__name__)

RING_EVERY_SECONDS: Final = 0.02
RING_TIMEOUT_SECONDS: Final = 0.25
BREAKER_SECONDS: Final = 5.0
LANES_PENDING_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ring:
    """Work of one kind has become due in one lane."""

    kind: str
    lane: str

    @property
    def function(self) -> str:
        return f"drain_{self.kind}"

    @property
    def queue(self) -> str:
        return queue_of(self.kind)


def queue_of(kind: str) -> str:
    """The arq queue of one kind of work: each kind is a bulkhead of its own."""
    return f"smmos:queue:{kind}"


def serialize(value: Any) -> bytes:
    """Jobs are JSON: a pickle would make write access to Redis an access to our workers."""
    return json.dumps(value, default=repr).encode()


def deserialize(data: bytes) -> Any:
    return json.loads(data)


def connect_arq(redis_url: str, *, socket_timeout_seconds: float = 1.0) -> ArqRedis:
    """An arq connection whose every command is bounded; arq's own settings know no such limit."""
    pool = ConnectionPool.from_url(
        redis_url,
        socket_timeout=socket_timeout_seconds,
        socket_connect_timeout=socket_timeout_seconds,
        health_check_interval=15,
    )
    return ArqRedis(
        connection_pool=pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
    )


class Doorbell(Protocol):
    """What the unit of work does with the lanes that a commit made due."""

    def ring(self, rings: set[Ring]) -> None: ...


class SilentDoorbell:
    """For processes without Redis at hand: the workers' own poll finds the work."""

    def ring(self, rings: set[Ring]) -> None:
        DOORBELL_RINGS.labels("silent").inc(len(rings))


class ArqDoorbell:
    """Collects lanes and rings them from one task, at most every 20 ms, behind a breaker."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._pending: set[Ring] = set()
        self._wake = asyncio.Event()
        self._silent_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._ring_forever(), name="doorbell")

    async def stop(self) -> None:
        # Said as well, because a Redis call that is canceled as it ends may swallow the cancel.
        self._stopped = True
        if self._task is not None:
            await end_tasks([self._task])
        await self._redis.aclose(close_connection_pool=True)

    def ring(self, rings: set[Ring]) -> None:
        """Never waits: an answer is not delayed by Redis."""
        if time.monotonic() < self._silent_until or len(self._pending) > LANES_PENDING_MAX:
            DOORBELL_RINGS.labels("dropped").inc(len(rings))
            return
        self._pending |= rings
        self._wake.set()

    async def _ring_forever(self) -> None:
        while not self._stopped:
            await self._wake.wait()
            self._wake.clear()
            rings, self._pending = self._pending, set()
            await self._ring_now(rings)
            await asyncio.sleep(RING_EVERY_SECONDS)

    async def _ring_now(self, rings: set[Ring]) -> None:
        try:
            async with asyncio.timeout(RING_TIMEOUT_SECONDS):
                for ring in rings:
                    await self._redis.enqueue_job(
                        ring.function,
                        ring.lane,
                        _job_id=f"{ring.function}:{ring.lane}",
                        _queue_name=ring.queue,
                    )
        except (RedisError, OSError, TimeoutError) as error:
            self._silent_until = time.monotonic() + BREAKER_SECONDS
            DOORBELL_RINGS.labels("failed").inc(len(rings))
            log.warning("doorbell_failed", error=repr(error), silent_seconds=BREAKER_SECONDS)
        else:
            DOORBELL_RINGS.labels("rung").inc(len(rings))
