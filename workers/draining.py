"""Draining a lane in batches, one piece of work at a time or a batch together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from app.core import work
from app.core.db import Session
from app.core.logging import get_logger
from app.core.work import Lease
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)

LEASE_SECONDS: Final = 60.0
"""More than a provider's balance may take to come: a probe is not made twice."""
BATCH_MAX: Final = 20

Leasing = Callable[[Session], Awaitable[Lease]]
One = Callable[[Lease, str], Awaitable[None]]


async def drain_each(
    context: WorkerContext,
    kind: str,
    lane: str,
    one: One,
    *,
    lease_seconds: float = LEASE_SECONDS,
    together: bool = False,
) -> None:
    """Do what is due in a lane, as `drain_leased` does what it is given."""

    async def lease(session: Session) -> Lease:
        return await work.lease(
            session, kind, lane, limit=BATCH_MAX, in_flight_max=BATCH_MAX, seconds=lease_seconds
        )

    await drain_leased(context, lease, one, together=together)


async def drain_leased(
    context: WorkerContext, lease: Leasing, one: One, *, together: bool = False
) -> None:
    """Lease batch after batch until nothing is due; what fails is tried again once swept."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set():
            return
        leased = await context.runtime.uow.run(lease)
        if not leased.refs:
            return
        await _do_each(leased, one, at_once=len(leased.refs) if together else 1)


async def _do_each(leased: Lease, one: One, *, at_once: int) -> None:
    """Do all of a batch: one that fails keeps no other from its turn. Raises the last failure."""
    failure: BaseException | None = None
    for start in range(0, len(leased.refs), at_once):
        refs = leased.refs[start : start + at_once]
        ended = await asyncio.gather(*(one(leased, ref) for ref in refs), return_exceptions=True)
        for ref, error in zip(refs, ended, strict=True):
            if error is not None:
                log.error("work_failed", kind=leased.kind, ref=ref, exc_info=error)
                failure = error
    if failure is not None:
        raise failure
