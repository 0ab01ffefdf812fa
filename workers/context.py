"""What the functions of a worker work with, and how one lane is drained once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from app.core.clock import elapsed_seconds
from app.core.errors import Unavailable
from app.core.logging import get_logger
from app.core.metrics import WORK_FAILURES
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.uow import Transaction
from app.providers.wire import Wire

log = get_logger(__name__)

ROUNDS_MAX: Final = 10_000
"""A drain ends after so many rounds; what is left is found by the next ring or poll."""
PATIENCE_SECONDS: Final = 15.0
PATIENCE_PAUSE_SECONDS: Final = 0.25

Result = TypeVar("Result")

Drain = Callable[["WorkerContext", str], Awaitable[None]]


@dataclass(slots=True)
class Lanes:
    """Which lanes this process is draining: a second ring makes the first drain look again."""

    busy: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The parts of a worker process. `stopping` is set by SIGTERM: no new work is begun then."""

    runtime: Runtime
    wire: Wire
    stopping: asyncio.Event
    lanes: Lanes = field(default_factory=Lanes)

    @property
    def settings(self) -> Settings:
        return self.runtime.settings

    async def persist(self, transaction: Transaction[Result]) -> Result:
        """Run what follows a lease, and wait for a database that restarts: given up at once, the
        work would lie until its lease has run out. The lease's token must make it repeatable.
        """
        until = elapsed_seconds() + PATIENCE_SECONDS
        while True:
            try:
                return await self.runtime.uow.run(transaction, repeatable=True)
            except Unavailable as error:
                if elapsed_seconds() >= until:
                    raise
                log.info("waiting_for_the_database", error=error.detail)
            await asyncio.sleep(PATIENCE_PAUSE_SECONDS)

    def rung(self, kind: str, lane: str) -> asyncio.Event:
        """Set when somebody rings for a lane that is being drained: there may be more to do."""
        return self.lanes.busy.get((kind, lane)) or asyncio.Event()

    def start_drain(self, kind: str, lane: str, drain: Drain) -> None:
        """Drain a lane in a task of this process; it ends by itself once nothing is due."""
        if (kind, lane) in self.lanes.busy:
            self.lanes.busy[kind, lane].set()
        elif not self.stopping.is_set():
            task = asyncio.create_task(drain_once(self, kind, lane, drain), name=f"{kind}:{lane}")
            self.lanes.tasks.add(task)
            task.add_done_callback(self.lanes.tasks.discard)


async def drain_once(context: WorkerContext, kind: str, lane: str, drain: Drain) -> None:
    """Drain a lane, unless this process already does: then that drain looks once more.

    An unexpected error ends this drain only; the work it had leased is freed by the sweeper.
    """
    key = (kind, lane)
    if key in context.lanes.busy:
        context.lanes.busy[key].set()
        return
    rung = context.lanes.busy[key] = asyncio.Event()
    rung.set()
    with structlog.contextvars.bound_contextvars(kind=kind, lane=lane):
        try:
            while rung.is_set() and not context.stopping.is_set():
                rung.clear()
                await drain(context, lane)
        except Unavailable as error:
            log.info("drain_put_off", error=error.detail)
        except Exception:
            # The last line of defence of a long-lived process: told, counted, tried again later.
            WORK_FAILURES.labels(kind).inc()
            log.exception("drain_failed")
        finally:
            del context.lanes.busy[key]
