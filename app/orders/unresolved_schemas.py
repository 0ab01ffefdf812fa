"""Answers of the operators' route on orders that hang."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from app.core.money import Money
from app.orders.states import OrderState
from app.orders.unresolved import Next, Unresolved
from app.supply.service import public_provider_id
from app.web.schemas import AnswerModel, MoneyRead


class EvidenceLines(AnswerModel):
    """What is known, a line for each kind of evidence; null where there is none."""

    answer: str | None = Field(description="What became of the call that handed the order over.")
    own: str | None = Field(description="An answer to it carried an id that another order has.")
    lookup: str | None = Field(description="What its provider has under our reference.")
    balance: str | None = Field(description="What the provider's balance says of it, and why.")
    ids: str | None = Field(description="What the provider's ids around it say.")


class UnresolvedRead(AnswerModel):
    """An order that hangs between us and a provider."""

    id: int
    state: OrderState
    service_id: int
    charge: MoneyRead
    provider_id: str | None
    provider: str | None
    since: datetime = Field(description="When it was sent, or placed if it never was.")
    evidence: EvidenceLines
    look_at: datetime | None = Field(description="When it is looked for next.")
    then: Next = Field(description="What happens by itself if nothing is found before.")
    then_at: datetime | None

    @classmethod
    def of(cls, one: Unresolved, currency: str) -> Self:
        return cls(
            id=one.order.id,
            state=OrderState(one.order.state),
            service_id=one.order.service_id,
            charge=MoneyRead.of(Money(one.order.charge), currency),
            provider_id=public_provider_id(one.attempt.provider_id) if one.attempt else None,
            provider=one.provider,
            since=one.since,
            evidence=EvidenceLines(
                **{name: one.evidence.get(name) for name in EvidenceLines.model_fields}
            ),
            look_at=one.look_at,
            then=one.then,
            then_at=one.then_at,
        )


class UnresolvedPage(AnswerModel):
    data: list[UnresolvedRead]
    next_cursor: str | None
