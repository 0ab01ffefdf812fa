"""The moves of a refill: its state, an event in its order's timeline, and the work that follows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.uow import now_of
from app.orders import refill_repository, repository
from app.orders.refill_models import Refill
from app.orders.refill_states import RefillState
from app.orders.states import OrderState

REFILL: Final = "refill"
"""The work of asking a provider for a refill; the ref is the refill's number."""

REFILL_FOLLOW: Final = "refill_follow"
"""The work of asking a provider how a refill stands."""

POLL_MIN: Final = timedelta(minutes=30)
POLL_MAX: Final = timedelta(hours=6)
POLL_AGE_SHARE: Final = 10


async def promise(session: Session, refill: Refill, *, due_at: datetime | None = None) -> None:
    """See that the provider is asked for it."""
    lane = str(refill.provider_id)
    await work.put(session, REFILL, str(refill.id), lane=lane, due_at=due_at)


async def put_back(
    session: Session, refill: Refill, why: str, *, due_at: datetime, actor: Actor
) -> None:
    """→ requested: the provider has certainly not taken it, and is asked again.

    Only what was unknown is told: a provider out of reach would fill the timeline.
    """
    values = {"state": RefillState.REQUESTED, "lease_token": None, "sending_at": None}
    if refill.state == RefillState.UNKNOWN:
        data = {"why": why}
        await _tell(session, refill, "refill_absent", values, actor=actor, data=data, public=False)
    else:
        await refill_repository.change(session, refill.id, values)
    await promise(session, refill, due_at=due_at)


async def lose(
    session: Session, refill: Refill, why: str, *, actor: Actor, answer: str = ""
) -> None:
    """→ unknown: it may have been taken. Never asked for again on that; an operator finds out."""
    data = {"why": why} | ({"answer": answer} if answer else {})
    values = {"state": RefillState.UNKNOWN}
    await _tell(session, refill, "refill_unknown", values, actor=actor, data=data, public=False)
    await _finish(session, refill)


async def take(
    session: Session,
    refill: Refill,
    provider_refill_id: str,
    *,
    actor: Actor,
    time_scale: float,
    data: dict[str, Any] | None = None,
) -> None:
    """→ pending: the provider has it under this id, which no other refill of it has."""
    values = {
        "state": RefillState.PENDING,
        "provider_refill_id": provider_refill_id,
        "taken_at": now_of(session),
        "doubts": 0,
    }
    await _tell(session, refill, "refill_taken", values, actor=actor, data=data)
    await _finish(session, refill)
    await work.put(
        session,
        REFILL_FOLLOW,
        str(refill.id),
        lane=str(refill.provider_id),
        due_at=now_of(session) + POLL_MIN / time_scale,
    )


async def begin(session: Session, refill: Refill, *, actor: Actor) -> None:
    """pending → in_progress."""
    values = {"state": RefillState.IN_PROGRESS, "doubts": 0}
    await _tell(session, refill, "refill_in_progress", values, actor=actor)


async def end(
    session: Session,
    refill: Refill,
    state: RefillState,
    *,
    actor: Actor,
    reason: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """→ completed, rejected or failed; `reason` is told to the reseller, `data` to operators."""
    values = {"state": state, "reason": reason, "ended_at": now_of(session)}
    await _tell(session, refill, f"refill_{state}", values, actor=actor, data=data)
    await _finish(session, refill)


def next_poll(refill: Refill, now: datetime, time_scale: float) -> datetime:
    """After a tenth of the time since it was taken: 30 min to 6 h, by simulators' scale."""
    age = (now - (refill.taken_at or refill.created_at)) * time_scale
    return now + min(max(age / POLL_AGE_SHARE, POLL_MIN), POLL_MAX) / time_scale


async def _finish(session: Session, refill: Refill) -> None:
    await work.finish_all(session, [str(refill.id)])


async def _tell(
    session: Session,
    refill: Refill,
    type_: str,
    values: dict[str, Any],
    *,
    actor: Actor,
    data: dict[str, Any] | None = None,
    public: bool = True,
) -> None:
    await refill_repository.change(session, refill.id, values)
    await note(session, refill, type_, actor=actor, data=data, public=public)


async def note(
    session: Session,
    refill: Refill,
    type_: str,
    *,
    actor: Actor,
    data: dict[str, Any] | None = None,
    public: bool = True,
) -> None:
    """Write an event of the refill into the timeline of its order, which has ended and stays so."""
    order = await repository.find(session, refill.order_id)
    if order is None:
        raise LookupError(f"refill {refill.id} is of an order that is not there")
    told = {"refill_id": refill.id} | (data or {})
    await repository.note(
        session,
        order.id,
        type_,
        source=OrderState(order.state),
        actor=actor,
        data=told,
        public=public,
    )
