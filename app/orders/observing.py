"""What is told of an order that goes on: figures that are kept, and what we only observe."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.core.audit import Actor
from app.core.db import Session
from app.core.uow import now_of
from app.orders import canceling, repository
from app.orders.doubts import ACTOR, NO_DOUBT
from app.orders.endings import (
    PAUSED_BY_PROVIDER,
    Bought,
    cap_is_used_up,
    is_beyond_cap,
    usable_remains,
)
from app.orders.models import Order
from app.orders.routing import price_of_post
from app.orders.states import OrderState
from app.providers.protocol import Progress, ProviderState


async def note_progress(
    session: Session, order: Order, progress: Progress, *, actor: Actor
) -> None:
    """Remains only fall; a rise, or a value outside what was ordered, is kept as an observation."""
    values: dict[str, Any] = {}
    if order.start_count is None and progress.start_count is not None:
        values["start_count"] = progress.start_count
    if order.units is not None and progress.remains is not None:
        known = order.units if order.remains is None else order.remains
        usable = usable_remains(order.units, progress.remains)
        if usable is None or usable > known:
            await _observe(session, order, {"remains": progress.remains})
        elif usable != order.remains:
            values["remains"] = usable
        if usable is not None:
            values |= _at_cutoff(order, min(usable, known), now_of(session))
    waits_for = PAUSED_BY_PROVIDER if progress.state is ProviderState.PAUSED else None
    if price_of_post(order) is not None and order.wait_reason != waits_for:
        values["wait_reason"] = waits_for
    if order.unusable_since is not None:
        values |= NO_DOUBT
    if values:
        told: dict[str, Any] = {
            name: value for name, value in values.items() if name in {"start_count", "remains"}
        }
        await repository.note(
            session,
            order.id,
            "progress",
            source=OrderState.IN_PROGRESS,
            actor=actor,
            data=told,
            values=values,
            public=bool(told),
        )


def _at_cutoff(order: Order, remains: int, now: datetime) -> dict[str, int]:
    """What the first figure told after the moment that a claim is decided by leaves undelivered."""
    if order.cutoff_at is None or order.cutoff_remains is not None or now < order.cutoff_at:
        return {}
    return {"cutoff_remains": remains}


async def guard_cap(session: Session, order: Order, bought: Bought, progress: Progress) -> None:
    """A subscription that goes on with its cap used up is asked to end; that moves no money."""
    if cap_is_used_up(bought, progress):
        await canceling.ask_to_end(session, order, actor=ACTOR)
    if is_beyond_cap(bought, progress):
        await observe_beyond_cap(session, order, progress)


async def observe_beyond_cap(session: Session, order: Order, progress: Progress) -> None:
    """Keep that more was delivered than was paid for."""
    data = {"posts": progress.posts, "charge_micros": progress.charge_micros}
    await _observe(session, order, {"why": "delivered_beyond_spend_cap"} | data)


async def _observe(session: Session, order: Order, data: dict[str, Any]) -> None:
    """Keep what a provider said and we do not believe; the same twice in a row is kept once."""
    last = await repository.last_event(session, order.id)
    if last is not None and last.type == "observation" and last.data == data:
        return
    await repository.note(
        session,
        order.id,
        "observation",
        source=OrderState.IN_PROGRESS,
        actor=ACTOR,
        data=data,
    )
