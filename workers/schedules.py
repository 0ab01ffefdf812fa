"""Starting the runs of drip-feeds as they fall due, each in a transaction of its own."""

from __future__ import annotations

from typing import Final

from app.core import work
from app.core.db import Session
from app.core.logging import get_logger
from app.core.work import Lease
from app.schedules import starting
from app.schedules.starting import SCHEDULE
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)

BATCH_MAX: Final = 20
LEASE_SECONDS: Final = 30.0
"""Each run is a transaction of its own, and one that comes after its lease starts none."""


async def drain_schedule(context: WorkerContext, lane: str) -> None:
    """Start what is due, until nothing is; one schedule that fails keeps no other from its turn."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set():
            return
        leased = await context.runtime.uow.run(lambda session: _lease(session, lane))
        if not leased.refs:
            return
        failure: Exception | None = None
        for ref in leased.refs:
            try:
                await _start(context, leased, ref)
            except Exception as error:
                log.exception("run_failed", schedule=ref)
                failure = error
        if failure is not None:
            raise failure


async def _lease(session: Session, lane: str) -> Lease:
    return await work.lease(
        session, SCHEDULE, lane, limit=BATCH_MAX, in_flight_max=BATCH_MAX, seconds=LEASE_SECONDS
    )


async def _start(context: WorkerContext, leased: Lease, ref: str) -> None:
    runtime = context.runtime

    async def transaction(session: Session) -> None:
        await starting.start_due(
            session, runtime.keys, leased, ref, time_scale=context.settings.time_scale
        )

    await context.persist(transaction)
