"""The worker process: one arq queue and one poll of its own per kind of work, until SIGTERM."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop
from arq import Worker, func
from arq.typing import WorkerCoroutine
from prometheus_client import start_http_server
from redis.exceptions import RedisError

from app.catalog import mirror
from app.catalog.mirror import SYNC
from app.core import work
from app.core.clock_watch import hear_the_time, watch_clock
from app.core.doorbell import connect_arq, deserialize, queue_of, serialize
from app.core.errors import AppError
from app.core.event_loop import watch_event_loop
from app.core.garbage import spare_what_is_loaded
from app.core.logging import configure_logging, get_logger
from app.core.metrics import WORK_FAILURES
from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.core.tasks import end_tasks
from app.files.service import COLLECT
from app.orders.canceling import CANCEL
from app.orders.refill_moves import REFILL, REFILL_FOLLOW
from app.orders.service import DISPATCH, FOLLOW, RECONCILE
from app.providers.wire import Wire
from app.refunds.deciding import CLAIM
from app.schedules.starting import SCHEDULE
from app.supply.service import PROBE
from workers.cancels import drain_cancel
from workers.claims import drain_claim
from workers.context import Drain, WorkerContext
from workers.dispatch import drain_dispatch
from workers.files import drain_collect
from workers.follow import drain_follow
from workers.probes import drain_probe
from workers.reconcile import drain_reconcile
from workers.refills import drain_refill, drain_refill_follow
from workers.schedules import drain_schedule
from workers.sync import drain_sync
from workers.upkeep import UPKEEP, drain_upkeep, promise_tasks

log = get_logger(__name__)

DRAINS: Final[dict[str, Drain]] = {
    DISPATCH: drain_dispatch,
    FOLLOW: drain_follow,
    RECONCILE: drain_reconcile,
    PROBE: drain_probe,
    UPKEEP: drain_upkeep,
    SYNC: drain_sync,
    CANCEL: drain_cancel,
    REFILL: drain_refill,
    REFILL_FOLLOW: drain_refill_follow,
    SCHEDULE: drain_schedule,
    COLLECT: drain_collect,
    CLAIM: drain_claim,
}
"""Every kind of work and the function that drains it."""

RING_SECONDS_MAX: Final = 5
LANES_AT_ONCE_MAX: Final = 50
RESTART_SECONDS_MIN: Final = 1.0
RESTART_SECONDS_MAX: Final = 15.0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish the calls under way and return."""
    configure_logging(settings.log_level, settings.log_format)
    if settings.worker_metrics_port is not None:
        start_http_server(settings.worker_metrics_port, addr="127.0.0.1")
    spare_what_is_loaded()
    uvloop.run(_main(settings))


async def _main(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(settings, name="worker"))
        # Before anything is judged by it.
        await hear_the_time(runtime)
        wire = await stack.enter_async_context(Wire(clock=runtime.clock))
        context = WorkerContext(runtime, wire, stopping)
        tasks = [
            asyncio.create_task(watch_event_loop(), name="event-loop-lag"),
            asyncio.create_task(watch_clock(runtime), name="clock-skew"),
        ]
        tasks += [
            asyncio.create_task(coroutine, name=name)
            for kind in DRAINS
            for name, coroutine in (
                (f"poll-{kind}", _poll_forever(context, kind)),
                (f"arq-{kind}", _listen_forever(context, kind)),
            )
        ]
        log.info("worker_started", kinds=list(DRAINS))
        await stopping.wait()
        log.info("worker_stopping")
        await _drain(context, tasks)
    log.info("worker_stopped")


async def _drain(context: WorkerContext, tasks: list[asyncio.Task[None]]) -> None:
    """Begin nothing new, wait for the drains under way to record their answers, then leave."""
    try:
        async with asyncio.timeout(context.settings.drain_seconds):
            while context.lanes.tasks:
                await asyncio.wait(context.lanes.tasks)
    except TimeoutError:
        log.warning("worker_left_calls_behind", lanes=len(context.lanes.busy))
    await end_tasks(tasks)


async def _poll_forever(context: WorkerContext, kind: str) -> None:
    """Look for due lanes by ourselves, so that work is done with Redis away and rings lost."""
    settings = context.settings
    while not context.stopping.is_set():
        try:
            async with context.runtime.uow.begin() as session:
                if kind == UPKEEP:
                    await promise_tasks(session)
                elif kind == SYNC:
                    await mirror.promise(session)
                lanes = await work.due_lanes(session, kind)
        except AppError as error:
            log.warning("poll_put_off", kind=kind, error=error.detail)
            lanes = []
        except Exception:
            # A poll that ended for good would leave this kind to rings alone, and rings get lost.
            WORK_FAILURES.labels(kind).inc()
            log.exception("poll_failed", kind=kind)
            lanes = []
        # Any of them: those that are closed stay due, and must not keep the rest from their turn.
        for lane in random.sample(lanes, min(len(lanes), LANES_AT_ONCE_MAX)):
            context.start_drain(kind, lane, DRAINS[kind])
        await asyncio.sleep(random.uniform(settings.poll_seconds_min, settings.poll_seconds_max))


def _ring_function(context: WorkerContext, kind: str) -> WorkerCoroutine:
    """The arq function of one kind. It only starts the drain: arq forgets the job at once, so
    that the next ring is not taken for a repetition, and no time-out of arq's can cut a call off.
    """

    async def answer_ring(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ARG001 - arq's shape
        [lane] = args
        context.start_drain(kind, lane, DRAINS[kind])

    return answer_ring


async def _listen_forever(context: WorkerContext, kind: str) -> None:
    """Run arq on one queue, and start it again when a Redis error has ended it."""
    pause = RESTART_SECONDS_MIN
    redis_url = context.settings.redis_url.get_secret_value()
    while not context.stopping.is_set():
        redis = connect_arq(redis_url)
        worker = Worker(
            functions=[func(_ring_function(context, kind), name=f"drain_{kind}")],
            queue_name=queue_of(kind),
            redis_pool=redis,
            handle_signals=False,
            max_jobs=LANES_AT_ONCE_MAX,
            max_tries=1,
            retry_jobs=False,
            keep_result=0,
            job_timeout=RING_SECONDS_MAX,
            job_completion_wait=RING_SECONDS_MAX,
            poll_delay=0.1,
            health_check_interval=15,
            health_check_key=f"smmos:health:{kind}",
            allow_abort_jobs=False,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
        )
        started = asyncio.get_running_loop().time()
        try:
            await worker.async_run()
        except (RedisError, OSError) as error:
            log.warning("arq_restarts", kind=kind, error=repr(error), seconds=round(pause, 1))
        except Exception:
            WORK_FAILURES.labels(kind).inc()
            log.exception("arq_failed", kind=kind, seconds=round(pause, 1))
        finally:
            await redis.aclose(close_connection_pool=True)
        healthy = asyncio.get_running_loop().time() - started > RESTART_SECONDS_MAX
        pause = RESTART_SECONDS_MIN if healthy else min(pause * 2, RESTART_SECONDS_MAX)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
