"""Starting runs: what is due is placed as an order of its own, each run once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from app.catalog import offering
from app.core import lineage, work
from app.core.audit import Actor
from app.core.crypto import KeyRing, Place, Undecryptable
from app.core.db import Session
from app.core.logging import get_logger
from app.core.money import Money
from app.core.uow import now_of
from app.core.work import Lease
from app.ledger import service as ledger
from app.orders import runs
from app.orders.inputs import open_form_at
from app.orders.runs import Run
from app.providers.forms import OrderForm
from app.schedules import repository
from app.schedules.models import Schedule
from app.schedules.pricing import share_of
from app.schedules.states import Move, ScheduleKind, ScheduleState

log = get_logger(__name__)

SCHEDULE: Final = "schedule"
ACTOR: Final = Actor("system", "schedules")
SPENDING_STOPPED: Final = "spending_stopped"
FORM_UNREADABLE: Final = "form_unreadable"
"""The wait reason of a schedule whose form cannot be opened: it is canceled, or resumed once the
master key that sealed it is back.
"""

LOOK_AGAIN: Final = timedelta(hours=1)
"""How long a due run of an account that may not spend waits before it looks again."""

LOOK_SOON: Final = timedelta(minutes=1)
MISSED_AT_ONCE_MAX: Final = 10_000


def form_place(number: int) -> Place:
    """Where a schedule's form is sealed."""
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
    if await lineage.is_restored(session):
        # The run may have started already; whoever vouches for the database sees to it.
        await work.put_back(session, SCHEDULE, [ref], due_at=now_of(session) + LOOK_SOON)
        return
    if not await ledger.may_spend(session, schedule.book_id):
        await repository.set_wait_reason(session, schedule.id, SPENDING_STOPPED)
        await work.put_back(session, SCHEDULE, [ref], due_at=now_of(session) + LOOK_AGAIN)
        return
    try:
        form = open_form_at(keys, form_place(schedule.id), schedule.sealed)
    except Undecryptable as error:
        await _leave_to_a_person(session, schedule, str(error))
        return
    scale = await _scale(session, schedule, time_scale)
    schedule = await start(session, keys, schedule, form, ACTOR, scale=scale)
    if schedule.next_at is None:
        await work.finish(session, SCHEDULE, [ref])
    else:
        await work.put_back(session, SCHEDULE, [ref], due_at=schedule.next_at)


async def _leave_to_a_person(session: Session, schedule: Schedule, why: str) -> None:
    """Pause what can never be started as it stands; trying it again would end no differently."""
    log.error("form_cannot_be_opened", schedule=schedule.id, why=why)
    await work.finish(session, SCHEDULE, [str(schedule.id)])
    await repository.change(
        session,
        schedule,
        Move.PAUSE,
        ACTOR,
        target=ScheduleState.PAUSED,
        data={"why": why},
        values={"wait_reason": FORM_UNREADABLE},
    )


async def start_missed(session: Session, keys: KeyRing, *, time_scale: float) -> int:
    """In a restored database, before it is vouched for: start every run whose time has passed, for
    each may have started after the backup. They are doubted with all that waits. How many.
    """
    started = 0
    # Each of them is not due any more then, or left to a person.
    while numbers := await repository.due(session, limit=MISSED_AT_ONCE_MAX):
        for number in numbers:
            await work.lock_ref(session, str(number))
            schedule = await repository.lock(session, number)
            if schedule is not None and schedule.next_at is not None:
                started += await _start_all_missed(session, keys, schedule, time_scale)
    return started


async def _start_all_missed(
    session: Session, keys: KeyRing, schedule: Schedule, time_scale: float
) -> int:
    try:
        form = open_form_at(keys, form_place(schedule.id), schedule.sealed)
    except Undecryptable as error:
        await _leave_to_a_person(session, schedule, str(error))
        return 0
    now, due_at = now_of(session), schedule.next_at or now_of(session)
    scale = await _scale(session, schedule, time_scale)
    passed = (now - due_at) / (_interval(schedule) / scale)
    missed = min(int(passed) + 1, schedule.runs - schedule.started)
    for _ in range(missed):
        schedule = await start(session, keys, schedule, form, ACTOR, scale=scale)
    if schedule.next_at is None:
        await work.finish(session, SCHEDULE, [str(schedule.id)])
    else:
        await work.put(session, SCHEDULE, str(schedule.id), due_at=schedule.next_at)
    return missed


async def _scale(session: Session, schedule: Schedule, time_scale: float) -> float:
    offer = await offering.offer_of(session, schedule.service_id)
    return time_scale if offer is not None and offer.is_simulated else 1.0


async def start(
    session: Session,
    keys: KeyRing,
    schedule: Schedule,
    form: OrderForm,
    actor: Actor,
    *,
    scale: float = 1.0,
) -> Schedule:
    """Place the next run of a schedule that is locked or new, and say when the next one comes."""
    number, now = schedule.started + 1, now_of(session)
    charge = share_of(Money(schedule.charge), number=number, runs=schedule.runs)
    is_drip_feed = schedule.kind == ScheduleKind.DRIP_FEED
    run = Run(
        schedule_id=schedule.id,
        number=number,
        book_id=schedule.book_id,
        service_id=schedule.service_id,
        form=form,
        quantity=schedule.quantity,
        units=schedule.quantity if is_drip_feed else None,
        charge=charge,
        rate=Money(schedule.rate_micros),
        price_unit=schedule.price_unit,
        markup_basis_points=schedule.markup_basis_points,
        cost=Money(schedule.cost_micros),
        reference=schedule.reference,
        # Of runs that are all started after a restore none was due later than now.
        due_at=now if schedule.next_at is None else min(schedule.next_at, now),
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
