"""Answers of the operators' schedule routes."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from app.core.money import Money
from app.orders.operator_schemas import OperatorEventRead, OperatorOrderRead
from app.resellers.service import public_book_id
from app.schedules.models import Schedule
from app.schedules.overviews import ScheduleDetail
from app.schedules.states import ScheduleKind, ScheduleState
from app.web.schemas import AnswerModel, MoneyRead


class OperatorScheduleRead(AnswerModel):
    """A drip-feed or a subscription as operators see it: its true state and its arithmetic."""

    id: int
    book_id: str
    service_id: int
    kind: ScheduleKind
    state: ScheduleState
    wait_reason: str | None = Field(description="Why no run starts though one is due.")
    reason: str | None
    quantity: int = Field(description="Of one run; of a subscription, the most that a post gets.")
    runs: int
    started: int
    interval_minutes: int | None
    next_at: datetime | None
    charge: MoneyRead
    held: MoneyRead = Field(description="For the runs that have not started.")
    allocated: MoneyRead = Field(description="To the runs that have; their orders tell the rest.")
    refunded: MoneyRead = Field(description="For runs that never started.")
    expected_cost: MoneyRead = Field(description="Of one run, as it was sold.")
    reference: str | None
    created_at: datetime
    deliver_by: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, schedule: Schedule, currency: str) -> Self:
        def money(micros: int) -> MoneyRead:
            return MoneyRead.of(Money(micros), currency)

        return cls(
            id=schedule.id,
            book_id=public_book_id(schedule.book_id),
            service_id=schedule.service_id,
            kind=ScheduleKind(schedule.kind),
            state=ScheduleState(schedule.state),
            wait_reason=schedule.wait_reason,
            reason=schedule.reason,
            quantity=schedule.quantity,
            runs=schedule.runs,
            started=schedule.started,
            interval_minutes=schedule.interval_minutes,
            next_at=schedule.next_at,
            charge=money(schedule.charge),
            held=money(schedule.held),
            allocated=money(schedule.allocated),
            refunded=money(schedule.refunded),
            expected_cost=money(schedule.cost_micros),
            reference=schedule.reference,
            created_at=schedule.created_at,
            deliver_by=schedule.deliver_by,
            ended_at=schedule.ended_at,
        )


class OperatorSchedulePage(AnswerModel):
    data: list[OperatorScheduleRead]
    next_cursor: str | None


class OperatorScheduleDetail(AnswerModel):
    """A schedule with its own timeline and the runs that have started, which have theirs."""

    schedule: OperatorScheduleRead
    events: list[OperatorEventRead]
    runs: list[OperatorOrderRead]

    @classmethod
    def of(cls, detail: ScheduleDetail, currency: str) -> Self:
        return cls(
            schedule=OperatorScheduleRead.of(detail.schedule, currency),
            events=[
                OperatorEventRead(
                    seq=event.seq, type=event.type, actor=event.actor, at=event.at, data=event.data
                )
                for event in detail.events
            ],
            runs=[OperatorOrderRead.of(run, currency) for run in detail.runs],
        )
