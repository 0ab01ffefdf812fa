"""Orders that people fulfil: the list to work through, and what an operator tells of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.catalog import service as catalog
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput
from app.core.money import Money
from app.orders import attempt_repository, count_repository, repository
from app.orders.endings import AskAgain, Bought, End, Review, settle, usable_remains
from app.orders.errors import OrderIsPolled, OrderStateConflict
from app.orders.inputs import shown_form
from app.orders.models import Order
from app.orders.observing import note_progress
from app.orders.routing import price_of_post
from app.orders.service import get, lock
from app.orders.settlement import end_order
from app.orders.states import OrderState
from app.providers.forms import OrderForm
from app.providers.protocol import Capability, Progress, ProviderState
from app.supply import service as supply

BY_HAND: Final = "told by an operator"


@dataclass(frozen=True, slots=True)
class ToFulfil:
    """An order on the list; its form is None for who may not see it, or where it is unreadable."""

    order: Order
    service: str
    form: OrderForm | None


async def work_list(
    session: Session, keys: KeyRing, *, opened: bool, after: int | None, limit: int
) -> Sequence[ToFulfil]:
    """What is in progress at providers that cannot be polled, oldest first."""
    providers = await supply.every(session)
    unpolled = [one.id for one in providers if not supply.can(one, Capability.POLLS)]
    orders = await count_repository.running_at(session, unpolled, after=after, limit=limit)
    forms: dict[int, OrderForm | None] = {}
    if opened:
        sealed = await repository.sealed_inputs(session, [order.id for order in orders])
        forms = {order_id: shown_form(keys, order_id, text) for order_id, text in sealed.items()}
    names = {
        service_id: (await catalog.get(session, service_id)).name
        for service_id in sorted({order.service_id for order in orders})
    }
    return [ToFulfil(one, names[one.service_id], forms.get(one.id)) for one in orders]


async def tell_progress(
    session: Session,
    order_id: int,
    state: ProviderState,
    *,
    start_count: int | None,
    remains: int | None,
    actor: Actor,
) -> Order:
    """Move an order by an operator's word as a poll would, through the same settlement.

    Raises NotFound, OrderStateConflict, OrderIsPolled, and InvalidInput for figures that tell no
    fact: a person is asked again at once, where a provider is polled again.
    """
    order = await lock(session, order_id)
    if order.state != OrderState.IN_PROGRESS or order.provider_id is None:
        rule = "Only an order in progress makes progress"
        raise OrderStateConflict(f"{rule}; this one is {order.state}")
    if supply.can(await supply.get(session, order.provider_id), Capability.POLLS):
        raise OrderIsPolled
    progress = Progress(
        state=state,
        remains=remains,
        start_count=start_count,
        charge_micros=None,
        currency=None,
        raw_status=BY_HAND,
    )
    if state is ProviderState.IN_PROGRESS:
        _refuse_unusable_remains(order, remains)
        await note_progress(session, order, progress, actor=actor)
    else:
        await note_progress(session, order, replace(progress, remains=None), actor=actor)
        await _end(session, order, progress, actor)
    return await get(session, order_id)


def _refuse_unusable_remains(order: Order, remains: int | None) -> None:
    """What a provider says against the rule is kept as an observation; a person can be told."""
    if remains is None:
        return
    if order.units is None:
        raise _invalid("/remains", "cannot be given: this package does not state its units")
    known = order.units if order.remains is None else order.remains
    usable = usable_remains(order.units, remains)
    if usable is None or usable > known:
        raise _invalid("/remains", f"must be 0 to {known}: it only falls")


async def _end(session: Session, order: Order, progress: Progress, actor: Actor) -> None:
    attempt = await attempt_repository.live_of(session, order.id)
    bought = Bought(
        charge=Money(order.charge),
        units=order.units,
        cost_micros=attempt.cost_micros if attempt else 0,
        doubts=0,
        cost_currency=attempt.cost_currency if attempt else None,
        post=price_of_post(order),
    )
    match settle(bought, progress):
        case End() as end:
            await end_order(session, order, end, actor, data={"provider": {"status": BY_HAND}})
        case Review():
            raise _invalid("/status", "cannot be: this package does not state its units")
        case AskAgain():
            raise _invalid("/remains", f"must be 0 to {order.units}, what was left undelivered")


def _invalid(pointer: str, rule: str) -> InvalidInput:
    return InvalidInput(errors=(FieldProblem(pointer, rule),))
