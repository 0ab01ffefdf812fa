"""The table of inquiries: what is learned of attempts of which nobody knows the outcome."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.orders.inquiry_states import BalanceVerdict, IdsVerdict, LookupVerdict, ResolvedBy


def _one_of(column: str, words: type[StrEnum]) -> str:
    return f"{column} IN ({','.join(repr(word.value) for word in words)})"


class Inquiry(Base):
    """The search for one attempt, one row from the moment it was lost; it keeps what was learned.

    `lookup_asked_at` is when the provider was asked by our reference. Of the provider's ids, those
    above `ids_after` have been asked up to `ids_asked_to`, in `ids_looks` calls; `ids_ours` are
    those it knows and no order has.
    """

    __tablename__ = "inquiries"
    __table_args__ = (
        CheckConstraint(_one_of("lookup", LookupVerdict), name="lookup"),
        CheckConstraint(_one_of("balance", BalanceVerdict), name="balance"),
        CheckConstraint(_one_of("ids", IdsVerdict), name="ids"),
        CheckConstraint(_one_of("resolved_by", ResolvedBy), name="resolved_by"),
        CheckConstraint("(resolved_by IS NULL) = (resolved_at IS NULL)", name="resolved"),
        Index(
            "ix_inquiries_open",
            "provider_id",
            "sent_at",
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index("ix_inquiries_order_id", "order_id"),
        Index("ix_inquiries_opened_at", "opened_at"),
        Index(
            "ix_inquiries_resolved_at",
            "resolved_at",
            postgresql_where=text("resolved_at IS NOT NULL"),
        ),
    )

    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("attempts.id"), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    sent_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    lookup: Mapped[str | None]
    lookup_asked_at: Mapped[datetime | None]
    balance: Mapped[str | None]
    balance_why: Mapped[str | None]
    balance_at: Mapped[datetime | None]
    ids: Mapped[str | None]
    ids_looks: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    ids_after: Mapped[int | None]
    ids_asked_to: Mapped[int | None]
    ids_ours: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    ids_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
