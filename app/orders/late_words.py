"""What a provider still says of an order that we have ended: observed, and the house's loss."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.metrics import CLAIM_LOSSES
from app.core.money import (
    MICROS_PER_UNIT,
    ZERO,
    Money,
    converted_rounded_up,
    paid_for_rounded_down,
)
from app.core.uow import count_after_commit, now_of
from app.orders import attempt_repository, repository
from app.orders.endings import FINAL, charge_in
from app.orders.models import Attempt, Order
from app.orders.routing import price_of_post
from app.orders.service import FOLLOW
from app.orders.states import LISTENED_FOR_MAX, OrderState
from app.providers.protocol import Capability, Progress, ProviderState, StatusAnswer
from app.supply import service as supply

ACTOR: Final = Actor("system", "follow")
LISTEN_AFTER: Final = timedelta(minutes=1)

_OVER: Final = FINAL | {ProviderState.EXPIRED}


async def listen(session: Session, order: Order, provider_id: UUID) -> None:
    """Go on asking how an order stands that we have ended, where anybody can be asked."""
    if supply.can(await supply.get(session, provider_id), Capability.POLLS):
        due_at = now_of(session) + LISTEN_AFTER
        await work.put(session, FOLLOW, str(order.id), lane=str(provider_id), due_at=due_at)


async def stop_listening(session: Session, refs: Collection[str], *, time_scale: float) -> None:
    """Ask no more about those of these orders that ended too long ago, whose provider is silent.
    Their work is held.
    """
    before = now_of(session) - LISTENED_FOR_MAX / time_scale
    over = await repository.ended_before(session, [int(ref) for ref in refs], before)
    await work.finish(session, FOLLOW, [str(order_id) for order_id in over])


async def hear_late(
    session: Session,
    order: Order,
    attempt: Attempt | None,
    answer: StatusAnswer,
    *,
    provider_name: str,
    time_scale: float,
) -> bool:
    """Keep what was said, once it is final or changes; no money moves. Whether to ask again."""
    ended_at = order.ended_at or now_of(session)
    given_up = now_of(session) - ended_at >= LISTENED_FOR_MAX / time_scale
    if not isinstance(answer, Progress):
        return not given_up
    is_final = answer.state in _OVER
    said = {
        "status": answer.raw_status,
        "remains": answer.remains,
        "charge_micros": answer.charge_micros,
        "currency": answer.currency,
    }
    if is_final and attempt is not None:
        charged = charge_in(attempt.cost_currency, answer)
        await attempt_repository.keep_charge(session, attempt.id, charged)
        said["loss"] = _count_loss(session, order, attempt, answer, provider_name)
    await _observe(session, order, {"after_end": True, "provider": said})
    return not (is_final or given_up)


def _count_loss(
    session: Session, order: Order, attempt: Attempt, answer: Progress, provider_name: str
) -> str | None:
    """What the provider charged beyond the cost of what was earned, in ours; None if untold."""
    charged = charge_in(attempt.cost_currency, answer)
    if charged is None:
        return None
    unpaid = max(ZERO, Money(charged) - _paid_for(order, attempt))
    loss = converted_rounded_up(unpaid, rate_micros=attempt.rate_to_ours_micros)
    lost = CLAIM_LOSSES.labels(provider_name)
    count_after_commit(session, lambda: lost.inc(loss.micros / MICROS_PER_UNIT))
    return str(loss)


def _paid_for(order: Order, attempt: Attempt) -> Money:
    """What of the provider's cost the earned part of the charge stands for. The cost of a
    subscription is that of its largest post.
    """
    price = price_of_post(order) or Money(order.charge)
    if not price:
        return ZERO
    cost = Money(attempt.cost_micros)
    return paid_for_rounded_down(cost, earned=order.earned, price=price.micros)


async def _observe(session: Session, order: Order, data: dict[str, Any]) -> None:
    last = await repository.last_event(session, order.id)
    if last is not None and last.type == "observation" and last.data == data:
        return
    await repository.note(
        session, order.id, "observation", source=OrderState(order.state), actor=ACTOR, data=data
    )
