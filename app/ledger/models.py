"""Tables of the ledger: accounts, the append-only journal, and its postings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class AccountKind(StrEnum):
    """The chart of accounts. Only a wallet keeps a running balance; house accounts are sums."""

    WALLET = "wallet"
    RECEIVABLE = "receivable"
    HELD = "held"
    REVENUE = "revenue"
    OVERAGE = "overage"
    CLEARING = "clearing"
    CREDITS_EXPENSE = "credits_expense"
    WRITEOFF = "writeoff"
    FORFEITED = "forfeited"
    ADJUSTMENT = "adjustment"


HOUSE: Final[dict[AccountKind, UUID]] = {
    kind: UUID(int=number)
    for number, kind in enumerate((k for k in AccountKind if k is not AccountKind.WALLET), start=1)
}
"""The house accounts have fixed ids, so that a posting needs no look-up."""


class JournalKind(StrEnum):
    """Why money moved. With the cause's id it makes each effect happen once."""

    CREDIT = "credit"
    ORDER_HOLD = "order_hold"
    ORDER_END = "order_end"
    REFUND_CLAIM = "refund_claim"
    SCHEDULE_HOLD = "schedule_hold"
    SCHEDULE_RUN = "schedule_run"
    SCHEDULE_END = "schedule_end"


class Installation(Base):
    """One row: the selling currency, fixed when the database was first set up."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    currency: Mapped[str]
    created_at: Mapped[datetime]


class Account(Base):
    """A wallet, with its balance and what its orders hold, or a house account, without."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint(
            "(kind = 'wallet') = "
            "(book_id IS NOT NULL AND balance IS NOT NULL AND held IS NOT NULL)",
            name="wallet",
        ),
        CheckConstraint("balance >= 0 AND held >= 0", name="balance"),
        Index(
            "uq_accounts_wallet",
            "book_id",
            unique=True,
            postgresql_where=text("kind = 'wallet'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    book_id: Mapped[UUID | None] = mapped_column(ForeignKey("books.id"))
    balance: Mapped[int | None]
    held: Mapped[int | None]
    spendable: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))


class Journal(Base):
    """One movement of money, named by its cause. Never changed, never deleted."""

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint("kind", "ref_type", "ref_id"),
        Index("ix_journal_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    ref_type: Mapped[str]
    ref_id: Mapped[str]
    note: Mapped[str | None]
    created_at: Mapped[datetime]


class Posting(Base):
    """One line of a movement; the lines of a journal sum to zero."""

    __tablename__ = "postings"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount"),
        Index("ix_postings_account_id_journal_id", "account_id", "journal_id"),
        Index("ix_postings_order_id", "order_id"),
    )

    journal_id: Mapped[UUID] = mapped_column(ForeignKey("journal.id"), primary_key=True)
    line: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[int]
    balance_after: Mapped[int | None]
    order_id: Mapped[int | None]
