"""Bodies and answers of the routes on mark-up rules and price history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt
from pydantic.config import JsonDict

from app.catalog.markup import MARKUP_BASIS_POINTS_MAX, ONE_MICRO, MarkupRule
from app.catalog.operator_schemas import Cost
from app.catalog.price_models import MarkupRuleRow, PriceReason, ServicePrice
from app.catalog.repricing import public_subject
from app.core.money import ZERO, Money
from app.web.fields import MoneyText
from app.web.schemas import AnswerModel, InputModel, MoneyRead


def _check_step(step: Money) -> Money:
    if step.micros < 1:
        raise ValueError("must be above zero")
    return step


def _default(amount: Money) -> JsonDict:
    """What stands in the document: left to itself, the default would be our object and no text."""
    return {"type": "string", "default": str(amount)}


Step = Annotated[MoneyText, AfterValidator(_check_step)]


class MarkupRuleFields(InputModel):
    """How a price follows its cost: percent, then a fixed amount, rounded up, at least the floor.

    Amounts are of a price unit (1000, or one package) in the selling currency.
    """

    percent_basis_points: StrictInt = Field(ge=-10_000, le=MARKUP_BASIS_POINTS_MAX)
    fixed: Cost = Field(ZERO, json_schema_extra=_default(ZERO))
    step: Step = Field(
        ONE_MICRO,
        description="Prices are rounded up to a multiple of it.",
        json_schema_extra=_default(ONE_MICRO),
    )
    floor: Cost = Field(ZERO, json_schema_extra=_default(ZERO))

    def rule(self) -> MarkupRule:
        return MarkupRule(
            percent_basis_points=self.percent_basis_points,
            fixed=self.fixed,
            step=self.step,
            floor=self.floor,
        )


class MarkupRulePut(MarkupRuleFields):
    automatic: StrictBool = Field(
        default=True,
        description="False keeps the prices that there are, whatever wider rules say.",
    )


class MarkupRuleRead(AnswerModel):
    """A rule and what it is for: `default`, a provider's id, or a service's number."""

    subject: str
    percent_basis_points: int
    fixed: str
    step: str
    floor: str
    automatic: bool
    changed_at: datetime

    @classmethod
    def of(cls, row: MarkupRuleRow) -> Self:
        return cls(
            subject=public_subject(row),
            percent_basis_points=row.percent_basis_points,
            fixed=str(Money(row.fixed_micros)),
            step=str(Money(row.step_micros)),
            floor=str(Money(row.floor_micros)),
            automatic=row.automatic,
            changed_at=row.changed_at,
        )


class MarkupRulePage(AnswerModel):
    data: list[MarkupRuleRead]
    next_cursor: str | None


class ServicePriceRead(AnswerModel):
    """A price from a moment on; `cost` is what a rule made it of."""

    at: datetime
    rate: MoneyRead
    cost: MoneyRead | None
    reason: PriceReason
    actor: str

    @classmethod
    def of(cls, row: ServicePrice, currency: str) -> Self:
        cost = None if row.cost_micros is None else Money(row.cost_micros)
        return cls(
            at=row.at,
            rate=MoneyRead.of(Money(row.rate_micros), currency),
            cost=None if cost is None else MoneyRead.of(cost, currency),
            reason=PriceReason(row.reason),
            actor=row.actor,
        )


class ServicePricePage(AnswerModel):
    data: list[ServicePriceRead]
    next_cursor: str | None
