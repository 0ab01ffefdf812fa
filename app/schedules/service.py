"""The verbs of a schedule: place, pause, resume, cancel, start what is due, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.catalog import service as catalog
from app.core import work
from app.core.audit import Actor
from app.core.crypto import KeyRing, Place
from app.core.db import Session
from app.core.errors import NotFound
from app.core.money import Money
from app.core.uow import now_of
from app.core.work import Lease
from app.ledger import service as ledger
from app.orders import runs
from app.orders.errors import OrderNotCancelable
from app.orders.inputs import open_form_at, seal_form_at
from app.orders.models import Order
from app.orders.pricing import NewOrder, Priced
from app.orders.runs import Run, RunTally
from app.schedules import repository
from app.schedules.errors import OrderNotPausable, OrderNotResumable
from app.schedules.models import Schedule, ScheduleEvent
from app.schedules.pricing import price_drip_feed, price_subscription, share_of
from app.schedules.states import UNENDED, Move, ScheduleKind, ScheduleState

SCHEDULE: Final = "schedule"
ACTOR: Final = Actor("system", "schedules")
SPENDING_STOPPED: Final = "spending_stopped"
LOOK_AGAIN: Final = timedelta(hours=1)
"""How long a due run of an account that may not spend waits before it looks again."""


async def place(
    session: Session, keys: KeyRing, book_id: UUID, item: NewOrder, *, actor: Actor
) -> Schedule:
    """Hold the whole charge and promise the first run at once; a subscription is placed with it.

    Raises what `orders.pricing.price` raises, InsufficientFunds, SpendingStopped.
    """
    now = now_of(session)
    offer = (await catalog.offers(session, [item.service_id])).get(item.service_id)
    if item.repeat is not None:
        priced = price_drip_feed(offer, item, item.repeat, now=now)
    elif item.spend_cap is not None:
        priced = price_subscription(offer, item, item.spend_cap, now=now)
    else:
        raise ValueError("an order without runs or a spend cap is no schedule")
    schedule = _row(await repository.next_id(session), book_id, priced)
    schedule.sealed = seal_form_at(keys, _place(schedule.id), item.form)
    schedule.created_at = schedule.next_at = now
    schedule.deliver_by = now + timedelta(
        hours=schedule.deliver_hours,
        minutes=(schedule.runs - 1) * (schedule.interval_minutes or 0),
    )
    await repository.insert(session, schedule, actor)
    await ledger.hold_schedule(session, book_id, schedule.id, priced.charge)
    if schedule.kind == ScheduleKind.SUBSCRIPTION:
        return await _start(session, keys, schedule, actor)
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


def _place(number: int) -> Place:
    return Place("schedules", "sealed", str(number))


async def start_due(
    session: Session, keys: KeyRing, lease: Lease, ref: str, *, time_scale: float
) -> None:
    """Start the next run of one schedule, if its time has come; the work moves on to the next.

    May be run again: a run is counted in the transaction that places it, and whoever lost the
    lease starts none. However late it is, one run starts, and the next comes a whole interval
    after it: runs that were missed are not made up for all at once, and a clock that is set back
    starts nothing early. `time_scale` shortens the interval where simulators deliver.
    """
    if not await work.lock_held(session, lease, [ref]):
        return
    schedule = await repository.lock(session, int(ref))
    if schedule is None or schedule.next_at is None or schedule.state != ScheduleState.ACTIVE:
        await work.finish(session, SCHEDULE, [ref])
        return
    if schedule.next_at > now_of(session):
        await work.put_back(session, SCHEDULE, [ref], due_at=schedule.next_at)
        return
    if not await ledger.may_spend(session, schedule.book_id):
        await repository.set_wait_reason(session, schedule.id, SPENDING_STOPPED)
        await work.put_back(session, SCHEDULE, [ref], due_at=now_of(session) + LOOK_AGAIN)
        return
    offer = (await catalog.offers(session, [schedule.service_id])).get(schedule.service_id)
    scale = time_scale if offer is not None and offer.is_simulated else 1.0
    schedule = await _start(session, keys, schedule, ACTOR, scale=scale)
    if schedule.next_at is None:
        await work.finish(session, SCHEDULE, [ref])
    else:
        await work.put_back(session, SCHEDULE, [ref], due_at=schedule.next_at)


async def _start(
    session: Session, keys: KeyRing, schedule: Schedule, actor: Actor, *, scale: float = 1.0
) -> Schedule:
    number, now = schedule.started + 1, now_of(session)
    charge = share_of(Money(schedule.charge), number=number, runs=schedule.runs)
    is_drip_feed = schedule.kind == ScheduleKind.DRIP_FEED
    run = Run(
        schedule_id=schedule.id,
        number=number,
        book_id=schedule.book_id,
        service_id=schedule.service_id,
        form=open_form_at(keys, _place(schedule.id), schedule.sealed),
        quantity=schedule.quantity,
        units=schedule.quantity if is_drip_feed else None,
        charge=charge,
        rate=Money(schedule.rate_micros),
        price_unit=schedule.price_unit,
        markup_basis_points=schedule.markup_basis_points,
        cost=Money(schedule.cost_micros),
        reference=schedule.reference,
        due_at=now if schedule.next_at is None else schedule.next_at,
        deliver_from=_hours_after(now, schedule.deliver_hours_min),
        deliver_by=now + timedelta(hours=schedule.deliver_hours),
    )
    order = await runs.start(session, keys, run, actor=actor)
    is_last = number == schedule.runs
    return await repository.change(
        session,
        schedule,
        Move.RUN,
        actor,
        target=ScheduleState.PLACED if is_last else None,
        data={"run": number, "order_id": order.id},
        values={
            "started": number,
            "held": schedule.held - charge.micros,
            "allocated": schedule.allocated + charge.micros,
            "wait_reason": None,
            "next_at": None if is_last else now + _interval(schedule) / scale,
            "ended_at": now if is_last else None,
        },
    )


def _hours_after(moment: datetime, hours: int | None) -> datetime | None:
    return None if hours is None else moment + timedelta(hours=hours)


def _interval(schedule: Schedule) -> timedelta:
    return timedelta(minutes=schedule.interval_minutes or 0)


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
        values={"next_at": next_at},
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

    Raises NotFound, and OrderNotCancelable where nothing is left to cancel.
    """
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
    return await repository.page(session, book_id, after=after, limit=limit)


async def events(
    session: Session, number: int, *, after: int, limit: int
) -> Sequence[ScheduleEvent]:
    """The timeline, from the first event on."""
    return await repository.events_of(session, number, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Overview:
    """A schedule with what its runs come to; `order` is the one order of a subscription."""

    schedule: Schedule
    tally: RunTally
    link: str | None
    order: Order | None

    @property
    def refunded(self) -> Money:
        """Of the whole purchase: what no run was started for, and what runs gave back."""
        return Money(self.schedule.refunded) + Money(self.tally.refunded_micros)

    @property
    def remains(self) -> int | None:
        """What is undelivered of all runs, started or not; of a subscription nobody can say."""
        if self.order is not None:
            return None
        yet_to_start = self.schedule.runs - self.schedule.started
        return self.tally.remains + yet_to_start * self.schedule.quantity


async def overviews(
    session: Session, keys: KeyRing, schedules: Sequence[Schedule]
) -> list[Overview]:
    """How each of these schedules stands, in two look-ups for all."""
    tallies = await runs.tallies(session, [one.id for one in schedules])
    kept = [one.id for one in schedules if one.kind == ScheduleKind.SUBSCRIPTION]
    orders = await runs.firsts(session, kept) if kept else {}
    return [
        Overview(
            one,
            tallies[one.id],
            open_form_at(keys, _place(one.id), one.sealed).link,
            orders.get(one.id),
        )
        for one in schedules
    ]


async def reseal(session: Session, keys: KeyRing, *, after: int, limit: int) -> tuple[int, int]:
    """Seal the next forms above schedule `after` under the current master key: how many, and up
    to which schedule. Raises Undecryptable where the key that sealed one is not configured.
    """
    found = await repository.sealed_otherwise(
        session, bytes.fromhex(keys.current_id), after=after, limit=limit
    )
    for one in found:
        form = open_form_at(keys, _place(one.id), one.sealed)
        one.sealed = seal_form_at(keys, _place(one.id), form)
    await session.flush()  # nothing else writes these rows out
    return len(found), found[-1].id if found else after
