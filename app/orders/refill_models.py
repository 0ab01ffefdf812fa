"""The table of refills: what was lost of a delivered order, delivered again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base
from app.orders.models import order_numbers
from app.orders.refill_states import ENDED, RefillState


def _one_of(states: frozenset[RefillState]) -> str:
    return f"state IN ({','.join(repr(state.value) for state in RefillState if state in states)})"


class Refill(Base):
    """One request for a refill; an order has at most one that is open.

    `reason` is what may be told to its reseller. `lease_token` is that of the worker that asked
    the provider: an answer to that question is an answer whenever it comes. `doubts` counts the
    polls in a row in which the provider did not know its own id. `group_id` is the number under
    which the refills of a schedule's runs were asked for together.
    """

    __tablename__ = "refills"
    __table_args__ = (
        CheckConstraint(_one_of(frozenset(RefillState)), name="state"),
        CheckConstraint(f"({_one_of(ENDED)}) = (ended_at IS NOT NULL)", name="ended"),
        Index(
            "uq_refills_open",
            "order_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "uq_refills_provider_refill",
            "provider_id",
            "provider_refill_id",
            unique=True,
            postgresql_where=text("provider_refill_id IS NOT NULL"),
        ),
        Index("ix_refills_order_id_id", "order_id", "id"),
        Index("ix_refills_book_id_id", "book_id", "id"),
        Index(
            "ix_refills_group_id", "group_id", "id", postgresql_where=text("group_id IS NOT NULL")
        ),
        Index("ix_refills_unended", "state", "id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(
        BigInteger, order_numbers, server_default=order_numbers.next_value(), primary_key=True
    )
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    state: Mapped[str]
    provider_refill_id: Mapped[str | None]
    reason: Mapped[str | None]
    group_id: Mapped[int | None] = mapped_column(BigInteger)
    requested_by: Mapped[str]
    lease_token: Mapped[UUID | None]
    doubts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    created_at: Mapped[datetime]
    sending_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
