"""Answers of the money routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from app.core.ids import public_id
from app.ledger.service import Balance, Transaction
from app.web.fields import Line, MoneyText
from app.web.schemas import AnswerModel, InputModel, MoneyRead


class BalanceRead(AnswerModel):
    balance: MoneyRead = Field(description="What can be spent.")
    held: MoneyRead = Field(description="What running orders hold.")

    @classmethod
    def of(cls, balance: Balance, currency: str) -> Self:
        return cls(
            balance=MoneyRead.of(balance.available, currency),
            held=MoneyRead.of(balance.held, currency),
        )


class TransactionRead(AnswerModel):
    """One movement of the balance."""

    id: str
    kind: str
    amount: MoneyRead = Field(description="Negative when it was taken.")
    balance_after: MoneyRead
    order_id: int | None
    note: str | None
    created_at: datetime

    @classmethod
    def of(cls, transaction: Transaction, currency: str) -> Self:
        return cls(
            id=public_id("txn", transaction.id),
            kind=transaction.kind,
            amount=MoneyRead.of(transaction.amount, currency),
            balance_after=MoneyRead.of(transaction.balance_after, currency),
            order_id=transaction.order_id,
            note=transaction.note,
            created_at=transaction.created_at,
        )


class TransactionPage(AnswerModel):
    data: list[TransactionRead]
    next_cursor: str | None


class CreditCreate(InputModel):
    """Money that an operator vouches for; a negative amount takes it out again."""

    amount: MoneyText
    note: Annotated[Line, Field(max_length=500)]


class CreditRead(AnswerModel):
    id: str
    amount: MoneyRead
    balance: MoneyRead
    note: str
