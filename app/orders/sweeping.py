"""Orders of workers that are gone, and orders that waited too long."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import lineage, work
from app.core.audit import Actor
from app.core.db import Session
from app.core.uow import now_of
from app.orders import (
    attempt_repository,
    count_repository,
    repository,
)
from app.orders.dispatch import review_taken
from app.orders.outcomes import move_to_unknown
from app.orders.routing import histories
from app.orders.service import (
    DISPATCH,
    cancel,
)
from app.orders.states import AttemptState, OrderState
from app.supply import sampling

SWEEPER: Final = Actor("system", "sweeper")
SWEEP_MAX: Final = 200


async def sweep_dispatch(session: Session) -> int:
    """Judge orders whose worker lost its lease, by how far their attempt had come; how many.

    One that never reached `sending` was not sent, and goes back. One that did may have been taken:
    it becomes unknown.
    """
    refs = await work.lock_expired(session, DISPATCH, limit=SWEEP_MAX)
    ids = [int(ref) for ref in refs]
    orders = await repository.lock_many(session, ids, OrderState.SUBMITTING)
    live = await attempt_repository.live_of_many(session, [order.id for order in orders])
    unsent: list[int] = []
    lost_at: set[UUID] = set()
    for order in orders:
        attempt = live.get(order.id)
        if attempt is not None and attempt.state == AttemptState.SENDING:
            await attempt_repository.end(
                session, attempt.id, AttemptState.UNKNOWN, outcome="worker lost"
            )
            await move_to_unknown(
                session,
                order.id,
                attempt.id,
                attempt.provider_id,
                "worker lost while sending",
                time_scale=1.0,
            )
            lost_at.add(attempt.provider_id)
            continue
        if attempt is not None:
            await attempt_repository.end(
                session, attempt.id, AttemptState.ABSENT, outcome="worker lost"
            )
        unsent.append(order.id)
    await attempt_repository.put_back(session, unsent, actor=str(SWEEPER))
    lost = {str(order.id) for order in orders} - {str(order_id) for order_id in unsent}
    await work.put_back(session, DISPATCH, set(refs) - lost, due_at=now_of(session))
    for provider_id in sorted(lost_at):
        await sampling.after_unknown(session, provider_id, time_scale=1.0)
    return len(refs)


async def cancel_stale(session: Session, *, queued_days_max: int) -> int:
    """Cancel, with all money back, orders that were never handed on in time; how many.

    None in a restored database, which does not know what was handed on. One that a late answer
    says was taken is for a person.
    """
    if await lineage.is_restored(session):
        return 0
    moment = now_of(session) - timedelta(days=queued_days_max)
    ids = await count_repository.queued_since_before(session, moment, limit=SWEEP_MAX)
    # All of them before the first wallet.
    await work.lock_refs(session, [str(order_id) for order_id in ids])
    stale = await repository.lock_many(session, ids, OrderState.QUEUED)
    history = await histories(session, [order.id for order in stale])
    canceled = 0
    for order in stale:
        if history[order.id].was_taken:
            await review_taken(session, order.id, OrderState.QUEUED)
        else:
            await cancel(session, order.id, actor=SWEEPER, reason="not_started_in_time")
            canceled += 1
    return canceled
