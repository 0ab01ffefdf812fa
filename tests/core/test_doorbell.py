"""The doorbell: rings soon, seldom and once, and whatever ails Redis delays nobody."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest
from arq.connections import ArqRedis

from app.core import doorbell
from app.core.db import create_sessions
from app.core.doorbell import ArqDoorbell, Ring, connect_arq, queue_of
from app.core.metrics import DOORBELL_RINGS
from app.core.runtime import Runtime
from app.core.uow import UnitOfWork, ring_after_commit
from tests.fixtures.pace import GIVE_UP_SECONDS
from tests.fixtures.servers import Servers

RING = Ring("dispatch", "lane-1")


def counted(outcome: str) -> float:
    return float(DOORBELL_RINGS.labels(outcome)._value.get())


async def until_counted(outcome: str, more_than: float) -> None:
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while counted(outcome) <= more_than:  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0.001)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[ArqRedis]:
    redis = connect_arq(servers.redis_url)
    await redis.flushdb()
    yield redis
    await redis.aclose(close_connection_pool=True)


@pytest.fixture
async def bell(
    redis: ArqRedis, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ArqDoorbell]:
    """A bell that a stalled machine does not make give up."""
    monkeypatch.setattr(doorbell, "RING_TIMEOUT_SECONDS", GIVE_UP_SECONDS)
    bell = ArqDoorbell(connect_arq(servers.redis_url))
    bell.start()
    yield bell
    await bell.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Somebody listens, takes the connection, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
async def deaf_bell(silent_port: int) -> AsyncIterator[ArqDoorbell]:
    bell = ArqDoorbell(connect_arq(f"redis://127.0.0.1:{silent_port}/0"))
    bell.start()
    yield bell
    await bell.stop()


async def test_a_ring_is_a_job_of_its_kinds_queue_named_by_kind_and_lane(
    redis: ArqRedis, bell: ArqDoorbell
) -> None:
    rung = counted("rung")
    bell.ring({RING})
    await until_counted("rung", rung)
    assert await redis.zrange(queue_of("dispatch"), 0, -1) == [b"drain_dispatch:lane-1"]
    job = orjson.loads(await redis.get("arq:job:drain_dispatch:lane-1"))
    assert (job["f"], job["a"]) == ("drain_dispatch", ["lane-1"])


async def test_ringing_again_before_anyone_answers_leaves_one_job(
    redis: ArqRedis, bell: ArqDoorbell
) -> None:
    for _ in range(3):
        rung = counted("rung")
        bell.ring({RING})
        await until_counted("rung", rung)
    assert await redis.zcard(queue_of("dispatch")) == 1


async def test_a_thousand_rings_at_once_are_one(redis: ArqRedis, bell: ArqDoorbell) -> None:
    rung = counted("rung")
    for _ in range(1000):
        bell.ring({RING})
    await until_counted("rung", rung)
    assert counted("rung") == rung + 1


async def test_steady_ringing_goes_out_at_most_every_twenty_milliseconds(
    redis: ArqRedis, bell: ArqDoorbell
) -> None:
    rung, began = counted("rung"), time.monotonic()
    for _ in range(60):
        bell.ring({RING})
        await asyncio.sleep(0.002)
    rounds_max = (time.monotonic() - began) / doorbell.RING_EVERY_SECONDS + 2
    assert 1 <= counted("rung") - rung <= rounds_max


async def test_a_redis_that_hangs_is_left_alone_until_the_breaker_closes(
    deaf_bell: ArqDoorbell,
) -> None:
    failed, dropped = counted("failed"), counted("dropped")
    deaf_bell.ring({RING})
    await until_counted("failed", failed)
    deaf_bell.ring({RING, Ring("follow", "lane-1")})
    assert counted("dropped") == dropped + 2
    deaf_bell._silent_until = time.monotonic()  # as if the five seconds were over
    deaf_bell.ring({RING})
    await until_counted("failed", failed + 1)


async def test_a_redis_that_is_gone_costs_rings_and_nothing_else(unused_tcp_port: int) -> None:
    bell = ArqDoorbell(connect_arq(f"redis://127.0.0.1:{unused_tcp_port}/0"))
    bell.start()
    failed = counted("failed")
    bell.ring({RING})
    await until_counted("failed", failed)
    await bell.stop()


async def test_a_commit_is_not_delayed_by_a_redis_that_hangs(
    runtime: Runtime, deaf_bell: ArqDoorbell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "RING_TIMEOUT_SECONDS", 2 * GIVE_UP_SECONDS)
    uow = UnitOfWork(create_sessions(runtime.engine), runtime.clock, deaf_bell)
    failed = counted("failed")
    async with asyncio.timeout(GIVE_UP_SECONDS):
        for number in range(20):
            async with uow.begin() as session:
                ring_after_commit(session, "dispatch", str(number))
    # The first ring still waits for its answer.
    assert counted("failed") == failed


async def test_a_bell_whose_redis_comes_back_rings_again(
    redis: ArqRedis, bell: ArqDoorbell
) -> None:
    failed, rung = counted("failed"), counted("rung")
    await redis.client_kill_filter(_type="normal", skipme=True)
    bell.ring({RING})
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while counted("failed") == failed and counted("rung") == rung:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    bell._silent_until = 0.0
    rung = counted("rung")
    bell.ring({Ring("dispatch", "lane-2")})
    await until_counted("rung", rung)
    assert b"drain_dispatch:lane-2" in await redis.zrange(queue_of("dispatch"), 0, -1)


async def test_it_stops_although_a_call_to_redis_swallows_the_cancel(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling = asyncio.Event()

    async def swallow(*_: object, **__: object) -> None:
        calling.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(redis, "enqueue_job", swallow)
    bell = ArqDoorbell(redis)
    bell.start()
    bell.ring({RING})
    await calling.wait()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        await bell.stop()
