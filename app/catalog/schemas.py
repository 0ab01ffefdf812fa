"""What resellers are told of services."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from app.catalog.models import (
    Service,
)
from app.catalog.windows import Tier
from app.core.money import Money
from app.providers.protocol import ServiceType
from app.web.schemas import AnswerModel, MoneyRead


class EstimateRead(AnswerModel):
    """How long orders of the last 14 days took, from purchase to the end of delivery."""

    p50_seconds: int
    p90_seconds: int

    @classmethod
    def of(cls, service: Service) -> Self | None:
        p50, p90 = service.delivered_p50_seconds, service.delivered_p90_seconds
        return None if p50 is None or p90 is None else cls(p50_seconds=p50, p90_seconds=p90)


class ServiceRead(AnswerModel):
    """A service as resellers see it: nothing names who delivers it."""

    id: int
    name: str
    description: str
    category: str
    platform: str
    kind: str
    type: ServiceType
    tier: Tier
    rate: MoneyRead = Field(description="The price of `price_unit` units.")
    price_unit: int = Field(description="1000, or 1 for a package.")
    min_quantity: int
    max_quantity: int
    refill: bool
    refill_days: int = Field(
        description="How many days after its end an order can be refilled; 0 is for ever."
    )
    cancel: bool
    delivery_hours_min: int
    delivery_hours_max: int
    bulk_units: int | None = Field(
        description="Each whole portion of so many units is promised `bulk_hours` more."
    )
    bulk_hours: int | None
    estimate: EstimateRead | None = Field(
        description="What delivery took lately; none where too little was delivered to say."
    )
    risk_notice: str

    @classmethod
    def of(cls, service: Service, currency: str) -> Self:
        return cls.model_validate(shown(service, currency))


class ServicePage(AnswerModel):
    data: list[ServiceRead]
    next_cursor: str | None


def shown(service: Service, currency: str) -> dict[str, object]:
    """What everyone who may see a service is told of it."""
    return {
        "id": service.id,
        "name": service.name,
        "description": service.description,
        "category": service.category,
        "platform": service.platform,
        "kind": service.kind,
        "type": service.type,
        "tier": service.tier,
        "rate": MoneyRead.of(Money(service.rate_micros), currency),
        "price_unit": service.price_unit,
        "min_quantity": service.min_quantity,
        "max_quantity": service.max_quantity,
        "refill": service.refill,
        "refill_days": service.refill_days,
        "cancel": service.cancel,
        "delivery_hours_min": service.deliver_hours_min,
        "delivery_hours_max": service.deliver_hours_max,
        "bulk_units": service.bulk_units,
        "bulk_hours": service.bulk_hours,
        "estimate": EstimateRead.of(service),
        "risk_notice": service.risk_notice,
    }
