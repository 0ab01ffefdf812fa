"""Tables of claims: the claim, what happened to it, what was said about it, and its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.refunds.states import CLOSED, ClaimState, PaidBy, Reason


def _one_of(column: str, words: Iterable[StrEnum]) -> str:
    return f"{column} IN ({','.join(repr(word.value) for word in words)})"


class Claim(Base):
    """One request for a refund; an order, which a run is too, has at most one that is open.

    `opens_at` is when its clock started and `closes_at` the last moment to claim; `deadline` is
    when it is decided that an order was not delivered, which is sooner where time is scaled.
    `due_at` is when somebody is to look at it, a worker or a person. `rule`, `clause` and `words`
    are of the last decision. `first_approver` has approved an amount that takes two. `description`
    is sealed.
    """

    __tablename__ = "refund_claims"
    __table_args__ = (
        CheckConstraint(_one_of("reason", Reason), name="reason"),
        CheckConstraint(_one_of("state", ClaimState), name="state"),
        CheckConstraint(_one_of("paid_by", PaidBy), name="paid_by"),
        CheckConstraint(
            f"({_one_of('state', [s for s in ClaimState if s in CLOSED])})"
            " = (closed_at IS NOT NULL)",
            name="closed",
        ),
        CheckConstraint(
            "(state = 'approved') = (paid_by IS NOT NULL)"
            " AND (state = 'approved') = (refund IS NOT NULL) AND refund > 0",
            name="paid",
        ),
        CheckConstraint(
            "(state = 'awaiting_second') = (first_approver IS NOT NULL)"
            " AND (first_approver IS NULL) = (first_amount IS NULL) AND first_amount > 0",
            name="second",
        ),
        Index(
            "uq_refund_claims_open",
            "order_id",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_refund_claims_order_id", "order_id"),
        Index("ix_refund_claims_book_id_id", "book_id", "id"),
        Index("ix_refund_claims_state_due_at_id", "state", "due_at", "id"),
        Index("ix_refund_claims_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"))
    reason: Mapped[str]
    description: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str]
    filed_by: Mapped[str]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    deadline: Mapped[datetime]
    due_at: Mapped[datetime]
    rule: Mapped[str]
    clause: Mapped[str]
    words: Mapped[str]
    refund: Mapped[int | None]
    paid_by: Mapped[str | None]
    first_approver: Mapped[str | None]
    first_amount: Mapped[int | None]
    asked_since: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class ClaimEvent(Base):
    """What happened to a claim, with the figures that decided it; numbered per claim."""

    __tablename__ = "refund_claim_events"

    claim_id: Mapped[UUID] = mapped_column(ForeignKey("refund_claims.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str]
    actor: Mapped[str]
    rule: Mapped[str | None]
    clause: Mapped[str | None]
    refund: Mapped[int | None]
    words: Mapped[str]
    figures: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class ClaimMessage(Base):
    """What a reseller or an operator wrote about a claim, for the other to read; sealed."""

    __tablename__ = "refund_claim_messages"
    __table_args__ = (Index("ix_refund_claim_messages_claim_id_id", "claim_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    claim_id: Mapped[UUID] = mapped_column(ForeignKey("refund_claims.id"))
    by_operator: Mapped[bool] = mapped_column(Boolean)
    actor: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
