"""Tables of schedules: the schedule, and its events. Its runs are orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.orders.models import order_numbers


class Schedule(Base):
    """A purchase of several runs, with its arithmetic: charge = held + allocated + refunded.

    `quantity` is that of one run (of a subscription, the most that one post gets), `cost_micros`
    what one run was to cost when it was sold. `next_at` is when the next run is due.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("kind IN ('drip_feed','subscription')", name="kind"),
        CheckConstraint("state IN ('active','paused','placed','canceled')", name="state"),
        CheckConstraint(
            "runs >= 1 AND started BETWEEN 0 AND runs AND (state <> 'placed' OR started = runs)",
            name="runs",
        ),
        CheckConstraint(
            "(kind = 'drip_feed') = (interval_minutes IS NOT NULL) AND interval_minutes >= 1",
            name="interval",
        ),
        CheckConstraint("charge > 0 AND quantity >= 1", name="charge"),
        CheckConstraint("held >= 0 AND allocated >= 0 AND refunded >= 0", name="amounts"),
        CheckConstraint("charge = held + allocated + refunded", name="arithmetic"),
        CheckConstraint(
            "(state IN ('placed','canceled')) = (ended_at IS NOT NULL)"
            " AND (ended_at IS NULL OR held = 0)"
            " AND (state IN ('active','paused')) = (next_at IS NOT NULL)",
            name="ended",
        ),
        Index("ix_schedules_book_id_id", "book_id", "id"),
        Index("ix_schedules_unended", "state", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(
        BigInteger, server_default=order_numbers.next_value(), primary_key=True
    )
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    kind: Mapped[str]
    state: Mapped[str]
    wait_reason: Mapped[str | None]
    reason: Mapped[str | None]
    quantity: Mapped[int]
    runs: Mapped[int] = mapped_column(Integer)
    started: Mapped[int] = mapped_column(Integer)
    interval_minutes: Mapped[int | None] = mapped_column(Integer)
    next_at: Mapped[datetime | None]
    charge: Mapped[int]
    held: Mapped[int]
    allocated: Mapped[int]
    refunded: Mapped[int]
    rate_micros: Mapped[int]
    price_unit: Mapped[int] = mapped_column(Integer)
    markup_basis_points: Mapped[int] = mapped_column(Integer)
    cost_micros: Mapped[int]
    deliver_hours_min: Mapped[int | None] = mapped_column(Integer)
    deliver_hours: Mapped[int] = mapped_column(Integer)
    reference: Mapped[str | None]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    deliver_by: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ScheduleEvent(Base):
    """What happened to a schedule, numbered per schedule."""

    __tablename__ = "schedule_events"

    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
