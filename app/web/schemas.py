"""Shapes that every answer shares: strict input, plain output, money, problems."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.core.money import Money


class InputModel(BaseModel):
    """A body. Fields it does not know are refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid")


class AnswerModel(BaseModel):
    """An answer. It has no defaults: a field that is there is always there."""

    model_config = ConfigDict(frozen=True)


class MoneyRead(AnswerModel):
    """An exact amount."""

    amount: str = Field(description="Decimal string, up to six decimals.", examples=["0.90"])
    currency: str = Field(description="ISO 4217 code.", examples=["USD"])

    @classmethod
    def of(cls, money: Money, currency: str) -> Self:
        return cls(amount=str(money), currency=currency)


class ProblemField(AnswerModel):
    """One field that broke a rule."""

    pointer: str = Field(description="JSON pointer into the body, or the parameter's name.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable and meant for programs."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    errors: list[ProblemField] | None = None
