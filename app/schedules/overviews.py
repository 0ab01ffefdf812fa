"""How schedules stand: with what their runs come to, and with all that an operator looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import NotFound
from app.core.money import Money
from app.orders import runs
from app.orders.inputs import shown_form_at
from app.orders.models import Order
from app.orders.pricing import RUNS_MAX
from app.orders.runs import RunTally
from app.schedules import repository
from app.schedules.models import Schedule, ScheduleEvent
from app.schedules.starting import form_place
from app.schedules.states import ScheduleKind

TIMELINE_MAX: Final = 500


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
    forms = {one.id: shown_form_at(keys, form_place(one.id), one.sealed) for one in schedules}
    return [
        Overview(
            one,
            tallies[one.id],
            form.link if (form := forms[one.id]) else None,
            orders.get(one.id),
        )
        for one in schedules
    ]


@dataclass(frozen=True, slots=True)
class ScheduleDetail:
    """A schedule with its timeline and its runs."""

    schedule: Schedule
    events: Sequence[ScheduleEvent]
    runs: Sequence[Order]


async def detail(session: Session, number: int) -> ScheduleDetail:
    """Everything that an operator needs to judge a schedule; each list is bounded.

    Raises NotFound.
    """
    schedule = await repository.find(session, number)
    if schedule is None:
        raise NotFound
    return ScheduleDetail(
        schedule,
        await repository.events_of(session, number, after=0, limit=TIMELINE_MAX),
        await runs.page(session, number, after=0, limit=RUNS_MAX),
    )
