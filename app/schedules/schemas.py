"""Schedules in the shape of orders: clients need no case of their own for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from app.core.money import Money
from app.orders.schemas import (
    CancelRead,
    OrderEventRead,
    OrderRead,
    RunsRead,
    Status,
)
from app.orders.states import ENDED
from app.schedules.models import Schedule, ScheduleEvent
from app.schedules.overviews import Overview
from app.schedules.states import ScheduleState, public_status
from app.web.schemas import MoneyRead

_STATUSES: dict[str, Status] = {status: status for status in get_args(Status)}


def order_read(seen: Overview, currency: str) -> OrderRead:
    """A schedule and all of its runs as one order."""
    one, tally = seen.schedule, seen.tally
    is_over = one.ended_at is not None and not tally.states.keys() - ENDED
    moments = [moment for moment in (one.ended_at, tally.ended_at) if moment is not None]
    status = public_status(ScheduleState(one.state), tally.states)
    run = seen.order
    return OrderRead(
        id=one.id,
        status=_STATUSES[status],
        service_id=one.service_id,
        link=seen.link,
        quantity=one.quantity * one.runs,
        charge=MoneyRead.of(Money(one.charge), currency),
        refunded=MoneyRead.of(seen.refunded, currency),
        start_count=None,
        remains=seen.remains,
        reference=one.reference,
        created_at=one.created_at,
        deliver_from=_deliver_from(one),
        deliver_by=one.deliver_by,
        late_at=run.late_at if run else None,  # of many runs each tells its own
        ended_at=max(moments) if is_over else None,
        reason=(run.reason or run.wait_reason) if run else one.reason or one.wait_reason,
        cancel=CancelRead.of(run) if run else None,
        parent_id=None,
        runs=RunsRead(
            total=one.runs,
            started=one.started,
            quantity=one.quantity,
            interval_minutes=one.interval_minutes,
            next_at=one.next_at,
        ),
    )


def _deliver_from(schedule: Schedule) -> datetime | None:
    hours = schedule.deliver_hours_min
    return None if hours is None else schedule.created_at + timedelta(hours=hours)


def event_read(event: ScheduleEvent) -> OrderEventRead:
    return OrderEventRead.told(
        seq=event.seq, type_=event.type, actor=event.actor, data=event.data, at=event.at
    )
