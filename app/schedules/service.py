"""The verbs of a schedule that people call: place, pause, resume, cancel, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.catalog import offering
from app.core import lineage, work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import AppError, NotFound
from app.core.money import Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.orders import link_locks, runs
from app.orders import service as orders
from app.orders.errors import OrderNotCancelable
from app.orders.inputs import open_form_at, seal_form_at
from app.orders.pricing import NewOrder, Priced
from app.schedules import repository
from app.schedules.errors import OrderNotPausable, OrderNotResumable
from app.schedules.models import Schedule, ScheduleEvent
from app.schedules.pricing import price_drip_feed, price_subscription
from app.schedules.starting import SCHEDULE, form_place, start
from app.schedules.states import UNENDED, Move, ScheduleKind, ScheduleState


async def place(
    session: Session, keys: KeyRing, book_id: UUID, item: NewOrder, *, actor: Actor
) -> Schedule:
    """Hold the whole charge and promise the first run at once; a subscription is placed with it.

    Raises what `orders.pricing.price` raises, LinkBusy, InsufficientFunds, SpendingStopped.
    """
    now = now_of(session)
    offer = await offering.offer_of(session, item.service_id)
    if item.repeat is not None:
        priced = price_drip_feed(offer, item, item.repeat, now=now)
    elif item.spend_cap is not None:
        priced = price_subscription(offer, item, item.spend_cap, now=now)
    else:
        raise ValueError("an order without runs or a spend cap is no schedule")
    [refusal] = await link_locks.refuse_busy(session, keys, [priced])
    if isinstance(refusal, AppError):
        raise refusal
    schedule = _row(await orders.next_number(session), book_id, priced)
    schedule.sealed = seal_form_at(keys, form_place(schedule.id), priced.item.form)
    schedule.created_at = schedule.next_at = now
    schedule.deliver_by = now + timedelta(
        hours=schedule.deliver_hours,
        minutes=(schedule.runs - 1) * (schedule.interval_minutes or 0),
    )
    await repository.insert(session, schedule, actor)
    await ledger.hold_schedule(session, book_id, schedule.id, priced.charge)
    if schedule.kind == ScheduleKind.SUBSCRIPTION:
        return await start(session, keys, schedule, priced.item.form, actor)
    await work.put(session, SCHEDULE, str(schedule.id))
    return schedule


def _row(number: int, book_id: UUID, priced: Priced) -> Schedule:
    offer, repeat = priced.offer, priced.item.repeat
    return Schedule(
        id=number,
        book_id=book_id,
        service_id=offer.service_id,
        kind=ScheduleKind.DRIP_FEED if repeat else ScheduleKind.SUBSCRIPTION,
        state=ScheduleState.ACTIVE,
        quantity=priced.quantity,
        runs=repeat.runs if repeat else 1,
        started=0,
        interval_minutes=repeat.interval_minutes if repeat else None,
        charge=priced.charge.micros,
        held=priced.charge.micros,
        allocated=0,
        refunded=0,
        rate_micros=offer.rate.micros,
        price_unit=offer.price_unit,
        markup_basis_points=offer.markup_basis_points,
        cost_micros=priced.cost.micros,
        deliver_hours_min=offer.promise.hours_min,
        deliver_hours=offer.promise.hours_for(priced.quantity),
        reference=priced.item.reference,
        version=1,
    )


async def pause(session: Session, book_id: UUID, number: int, *, actor: Actor) -> Schedule:
    """Start no further run until it is resumed; those that have started go on. May be repeated.

    Raises NotFound, and OrderNotPausable where no run is to come.
    """
    schedule = await _lock(session, book_id, number)
    if schedule.state == ScheduleState.PAUSED:
        return schedule
    if schedule.kind == ScheduleKind.SUBSCRIPTION:
        raise OrderNotPausable("A subscription cannot be paused; it can be canceled")
    if schedule.state != ScheduleState.ACTIVE:
        raise OrderNotPausable
    await work.finish(session, SCHEDULE, [str(number)])
    return await repository.change(
        session, schedule, Move.PAUSE, actor, target=ScheduleState.PAUSED
    )


async def resume(session: Session, book_id: UUID, number: int, *, actor: Actor) -> Schedule:
    """Go on where it was paused: the next run is due when it was, or now. May be repeated.

    Raises NotFound, OrderNotResumable.
    """
    schedule = await _lock(session, book_id, number)
    if schedule.state == ScheduleState.ACTIVE:
        return schedule
    if schedule.state != ScheduleState.PAUSED:
        raise OrderNotResumable
    next_at = max(schedule.next_at or now_of(session), now_of(session))
    await work.put(session, SCHEDULE, str(number), due_at=next_at)
    return await repository.change(
        session,
        schedule,
        Move.RESUME,
        actor,
        target=ScheduleState.ACTIVE,
        values={"next_at": next_at, "wait_reason": None},
    )


async def cancel(
    session: Session,
    book_id: UUID,
    number: int,
    *,
    actor: Actor,
    reason: str = "canceled_by_reseller",
) -> Schedule:
    """Start no further run, give back their money at once, and cancel each run that can be.

    Raises NotFound, and OrderNotCancelable where nothing is left to cancel, and in a restored
    database, which does not know what has started.
    """
    if await lineage.is_restored(session):
        raise OrderNotCancelable
    schedule = await _lock(session, book_id, number)
    canceled = await runs.cancel_all(session, number, actor=actor, reason=reason)
    if schedule.state not in UNENDED:
        if not canceled:
            raise OrderNotCancelable
        return schedule
    unrun = Money(schedule.held)
    await work.finish(session, SCHEDULE, [str(number)])
    await ledger.end_schedule(session, book_id, number, refunded=unrun)
    return await repository.change(
        session,
        schedule,
        Move.CANCEL,
        actor,
        target=ScheduleState.CANCELED,
        data={"refunded": str(unrun)},
        values={
            "held": 0,
            "refunded": unrun.micros,
            "next_at": None,
            "ended_at": now_of(session),
            "reason": reason,
            "wait_reason": None,
        },
    )


async def _lock(session: Session, book_id: UUID, number: int) -> Schedule:
    await get_in_book(session, book_id, number)  # another's is never locked
    await work.lock_ref(session, str(number))
    schedule = await repository.lock(session, number)
    if schedule is None:
        raise NotFound
    return schedule


async def find_in_book(session: Session, book_id: UUID, number: int) -> Schedule | None:
    """A schedule of this book by its order number; None for a number that is something else's."""
    return await repository.find_in_book(session, book_id, number)


async def get_in_book(session: Session, book_id: UUID, number: int) -> Schedule:
    """Raises NotFound for one that is absent and for another's alike."""
    schedule = await find_in_book(session, book_id, number)
    if schedule is None:
        raise NotFound
    return schedule


async def page(
    session: Session, book_id: UUID, *, after: int | None, limit: int
) -> Sequence[Schedule]:
    """Newest first."""
    return await repository.page(session, book_id=book_id, after=after, limit=limit)


async def every_page(
    session: Session, *, state: ScheduleState | None, after: int | None, limit: int
) -> Sequence[Schedule]:
    """Those of all resellers, newest first."""
    return await repository.page(session, state=state, after=after, limit=limit)


async def get(session: Session, number: int) -> Schedule:
    """Whosever it is. Raises NotFound."""
    schedule = await repository.find(session, number)
    if schedule is None:
        raise NotFound
    return schedule


async def events(
    session: Session, number: int, *, after: int, limit: int
) -> Sequence[ScheduleEvent]:
    """The timeline, from the first event on."""
    return await repository.events_of(session, number, after=after, limit=limit)


async def reseal(session: Session, keys: KeyRing, *, after: int, limit: int) -> tuple[int, int]:
    """Seal the next forms above schedule `after` under the current master key: how many, and up
    to which schedule. Raises Undecryptable where the key that sealed one is not configured.
    """
    found = await repository.sealed_otherwise(
        session, bytes.fromhex(keys.current_id), after=after, limit=limit
    )
    for one in found:
        form = open_form_at(keys, form_place(one.id), one.sealed)
        one.sealed = seal_form_at(keys, form_place(one.id), form)
    await session.flush()  # nothing else writes these rows out
    return len(found), found[-1].id if found else after
