"""The runs of a schedule: orders that hold what their schedule allocates to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from app.core import work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import AppError
from app.core.money import Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.orders import canceling, run_repository, service
from app.orders.errors import OrderNotCancelable
from app.orders.inputs import link_hash, seal_form
from app.orders.models import Order
from app.orders.run_repository import Tally
from app.orders.states import OrderState
from app.providers.forms import OrderForm

RunTally: TypeAlias = Tally


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its schedule was bought: what it delivers, for how much of the schedule's money.

    `units` is what delivery counts, none for a subscription. It may start later than it was due.
    """

    schedule_id: int
    number: int
    book_id: UUID
    service_id: int
    form: OrderForm
    quantity: int
    units: int | None
    charge: Money
    rate: Money
    price_unit: int
    markup_basis_points: int
    cost: Money
    reference: str | None
    due_at: datetime
    deliver_from: datetime | None
    deliver_by: datetime


async def start(session: Session, keys: KeyRing, run: Run, *, actor: Actor) -> Order:
    """Place a run: its order, its share of what the schedule holds, and its dispatch.

    A run is sold already: nothing is judged anew, and a number is used once.
    """
    order_id = await run_repository.next_order_id(session)
    order = Order(
        id=order_id,
        parent_id=run.schedule_id,
        run_number=run.number,
        book_id=run.book_id,
        service_id=run.service_id,
        state=OrderState.QUEUED,
        quantity=run.quantity,
        units=run.units,
        charge=run.charge.micros,
        held=run.charge.micros,
        earned=0,
        refunded=0,
        forfeited=0,
        rate_micros=run.rate.micros,
        price_unit=run.price_unit,
        markup_basis_points=run.markup_basis_points,
        cost_micros=run.cost.micros,
        link_hash=link_hash(keys, run.form),
        reference=run.reference,
        version=1,
        created_at=now_of(session),
        due_at=run.due_at,
        deliver_from=run.deliver_from,
        deliver_by=run.deliver_by,
    )
    await run_repository.insert(
        session, order, sealed=seal_form(keys, order_id, run.form), actor=actor
    )
    await ledger.allocate_run(
        session, run.book_id, run.schedule_id, run.number, order_id, run.charge
    )
    await service.promise_dispatch(session, order)
    return order


async def tallies(session: Session, schedule_ids: Sequence[int]) -> dict[int, Tally]:
    """What the runs of each of these schedules come to; all zero where none has started."""
    return await run_repository.tallies(session, schedule_ids)


async def firsts(session: Session, schedule_ids: Sequence[int]) -> dict[int, Order]:
    """The first run of each of these schedules, where it has started."""
    return await run_repository.firsts(session, schedule_ids)


async def page(session: Session, schedule_id: int, *, after: int, limit: int) -> Sequence[Order]:
    """The runs that have started, from the first on; `after` is a run's number."""
    return await run_repository.page(session, schedule_id, after=after, limit=limit)


async def cancel_all(session: Session, schedule_id: int, *, actor: Actor, reason: str) -> int:
    """Cancel each run that can be, as the order that it is; to how many that was done.

    A run that cannot be canceled goes on by itself.
    """
    ids = await run_repository.running(session, schedule_id)
    await work.lock_refs(session, [str(order_id) for order_id in ids])
    await run_repository.lock(session, ids)
    done = 0
    for order_id in ids:
        refusal = await _cancel(session, order_id, actor=actor, reason=reason)
        done += refusal is None
    return done


async def _cancel(session: Session, order_id: int, *, actor: Actor, reason: str) -> AppError | None:
    try:
        await canceling.request(session, order_id, actor=actor, reason=reason)
    except OrderNotCancelable as refusal:
        return refusal
    return None
