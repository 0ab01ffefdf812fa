"""Tables of orders: the order, what it was placed with, its events, holds, attempts, evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.orders.states import AttemptState, OrderState

order_numbers = Sequence("order_numbers", metadata=Base.metadata)


def _one_of(column: str, states: type[OrderState] | type[AttemptState]) -> str:
    return f"{column} IN ({','.join(repr(state.value) for state in states)})"


class Order(Base):
    """One purchase, with its arithmetic: charge = earned + refunded + forfeited + held.

    `quantity` is what is charged for, `units` what delivery counts: the same number, or a package's
    units, or nothing where a package does not state them. `doubts` counts the polls in a row whose
    answer could not be used for `doubt_reason`, since `doubted_at`; `unusable_since` is when the
    first of the polls in a row was made that could not be used for any reason. `cancel_…` is where
    a request to the provider to cancel stands, since when, and why it was refused. A run of a
    schedule has that schedule's number for `parent_id`, and was due at `due_at`, perhaps before it
    was placed. `late_at` is when it was first seen to be late. A claim on it is decided by what was
    delivered at `cutoff_at`; `cutoff_remains` is what the first figure after that left undelivered.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint(_one_of("state", OrderState), name="state"),
        CheckConstraint("quantity BETWEEN 1 AND 100000000", name="quantity"),
        CheckConstraint("remains >= 0 AND (units IS NULL OR remains <= units)", name="remains"),
        CheckConstraint("units > 0", name="units"),
        CheckConstraint("charge > 0", name="charge"),
        CheckConstraint(
            "held >= 0 AND earned >= 0 AND refunded >= 0 AND forfeited >= 0", name="amounts"
        ),
        CheckConstraint("charge = held + earned + refunded + forfeited", name="arithmetic"),
        CheckConstraint(
            "(state IN ('completed','partial','canceled','failed')) = (ended_at IS NOT NULL)"
            " AND (ended_at IS NULL OR held = 0)",
            name="ended",
        ),
        CheckConstraint("cancel_state IN ('requested','asked','refused')", name="cancel_state"),
        CheckConstraint("(cancel_state IS NULL) = (cancel_at IS NULL)", name="cancel_at"),
        Index(
            "uq_orders_provider_order",
            "provider_id",
            "provider_order_id",
            unique=True,
            postgresql_where=text("provider_order_id IS NOT NULL"),
        ),
        CheckConstraint(
            "(parent_id IS NULL) = (run_number IS NULL) AND run_number >= 1", name="run"
        ),
        Index(
            "uq_orders_run",
            "parent_id",
            "run_number",
            unique=True,
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index("ix_orders_book_id_id", "book_id", "id"),
        Index("ix_orders_book_id_link_hash", "book_id", "link_hash"),
        Index(
            "ix_orders_book_id_reference",
            "book_id",
            "reference",
            postgresql_where=text("reference IS NOT NULL"),
        ),
        Index(
            "ix_orders_running", "state", "created_at", postgresql_where=text("ended_at IS NULL")
        ),
        Index("ix_orders_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("ix_orders_late_at", "late_at", postgresql_where=text("late_at IS NOT NULL")),
        Index(
            "ix_orders_waiting_for_link",
            "link_hash",
            postgresql_where=text("wait_reason = 'link_busy'"),
        ),
    )

    id: Mapped[int] = mapped_column(
        BigInteger, order_numbers, server_default=order_numbers.next_value(), primary_key=True
    )
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    state: Mapped[str]
    wait_reason: Mapped[str | None]
    reason: Mapped[str | None]
    quantity: Mapped[int]
    units: Mapped[int | None]
    start_count: Mapped[int | None]
    remains: Mapped[int | None]
    doubts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    doubted_at: Mapped[datetime | None]
    doubt_reason: Mapped[str | None]
    unusable_since: Mapped[datetime | None]
    charge: Mapped[int]
    held: Mapped[int]
    earned: Mapped[int]
    refunded: Mapped[int]
    forfeited: Mapped[int]
    rate_micros: Mapped[int]
    price_unit: Mapped[int] = mapped_column(Integer)
    markup_basis_points: Mapped[int] = mapped_column(Integer)
    cost_micros: Mapped[int]
    link_hash: Mapped[bytes] = mapped_column(LargeBinary)
    reference: Mapped[str | None]
    provider_id: Mapped[UUID | None] = mapped_column(ForeignKey("providers.id"))
    provider_order_id: Mapped[str | None]
    parent_id: Mapped[int | None]
    run_number: Mapped[int | None] = mapped_column(Integer)
    cancel_state: Mapped[str | None]
    cancel_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    deliver_from: Mapped[datetime | None]
    deliver_by: Mapped[datetime]
    late_at: Mapped[datetime | None]
    cutoff_at: Mapped[datetime | None]
    cutoff_remains: Mapped[int | None] = mapped_column(Integer)
    ended_at: Mapped[datetime | None]


class OrderMove(Base):
    """The pairs that the trigger on orders lets pass; seeded by migration from `states.py`."""

    __tablename__ = "order_moves"

    source: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)


class OrderInput(Base):
    """What identifies people, encrypted: the link and the form's texts."""

    __tablename__ = "order_inputs"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class OrderEvent(Base):
    """What happened to an order, numbered per order: the timeline people read."""

    __tablename__ = "order_events"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str]
    actor: Mapped[str]
    public: Mapped[bool] = mapped_column(Boolean)
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class OrderHold(Base):
    """A reason not to dispatch an order; it goes on once none is open."""

    __tablename__ = "order_holds"
    __table_args__ = (
        Index(
            "uq_order_holds_open",
            "order_id",
            "source",
            "source_id",
            unique=True,
            postgresql_where=text("released_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    source: Mapped[str]
    source_id: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    released_at: Mapped[datetime | None]


class Attempt(Base):
    """One try to hand an order to a provider, with the route's facts as they stood then."""

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(_one_of("state", AttemptState), name="state"),
        UniqueConstraint("order_id", "number"),
        Index(
            "uq_attempts_possibly_live",
            "order_id",
            unique=True,
            postgresql_where=text("state IN ('leased','sending','accepted','unknown')"),
        ),
        Index("ix_attempts_started_at", "started_at", postgresql_using="brin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    number: Mapped[int] = mapped_column(Integer)
    route_id: Mapped[UUID] = mapped_column(ForeignKey("service_routes.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_service: Mapped[str]
    link_exclusive: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    state: Mapped[str]
    lease_token: Mapped[UUID]
    cost_micros: Mapped[int]
    cost_currency: Mapped[str]
    rate_to_ours_micros: Mapped[int]
    outcome: Mapped[str | None]
    started_at: Mapped[datetime]
    sending_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    provider_order_id: Mapped[str | None]
    provider_charge_micros: Mapped[int | None]


class ProviderEvidence(Base):
    """What a provider said to an attempt. Appended without a fence; never thrown away."""

    __tablename__ = "provider_evidence"
    __table_args__ = (
        Index("ix_provider_evidence_attempt_id", "attempt_id"),
        Index("ix_provider_evidence_provider_order_id", "provider_order_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("attempts.id"))
    provider_order_id: Mapped[str | None]
    answer: Mapped[str]
    at: Mapped[datetime]
