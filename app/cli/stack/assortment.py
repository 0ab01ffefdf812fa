"""What a development stack sells: few services of each type, under ids that never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.core.money import Money
from app.providers.forms import FORMS, ServiceType, Unit


@dataclass(frozen=True, slots=True)
class SeedService:
    """One service of ours, the simulator's service behind it, and what that costs us."""

    id: int
    name: str
    platform: str
    kind: str
    provider_service: str
    cost: Money
    rate: Money
    min_quantity: int
    max_quantity: int
    type: ServiceType = ServiceType.DEFAULT
    package_units: int | None = None
    refill: bool = False
    cancel: bool = False

    def fields(self) -> dict[str, Any]:
        """The row as the catalogue takes it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": "Delivered by the simulator, to nobody.",
            "category": f"{self.platform} {self.kind}",
            "platform": self.platform.lower(),
            "kind": self.kind.lower(),
            "type": self.type,
            "tier": "standard",
            "min_quantity": self.min_quantity,
            "max_quantity": self.max_quantity,
            "rate_micros": self.rate.micros,
            "price_unit": 1 if FORMS[self.type].billable is Unit.ONE else 1000,
            "markup_basis_points": (self.rate.micros - self.cost.micros)
            * 10_000
            // self.cost.micros,
            "package_units": self.package_units,
            "below_cost_allowed": False,
            "outreach_allowed": FORMS[self.type].reaches_others,
            "refill": self.refill,
            "cancel": self.cancel,
            "deliver_hours_min": 0,
            "deliver_hours_max": 24,
            "risk_notice": "A pretend service for development.",
        }


ASSORTMENT: Final = (
    SeedService(
        1,
        "Instagram Followers",
        "Instagram",
        "Followers",
        provider_service="101",
        cost=Money.parse("0.90"),
        rate=Money.parse("0.90"),
        min_quantity=50,
        max_quantity=100_000,
        refill=True,
        cancel=True,
    ),
    SeedService(
        2,
        "Instagram Likes",
        "Instagram",
        "Likes",
        provider_service="102",
        cost=Money.parse("0.30"),
        rate=Money.parse("0.40"),
        min_quantity=10,
        max_quantity=100_000,
        cancel=True,
    ),
    SeedService(
        3,
        "TikTok Views",
        "TikTok",
        "Views",
        provider_service="103",
        cost=Money.parse("0.02"),
        rate=Money.parse("0.03"),
        min_quantity=100,
        max_quantity=1_000_000,
    ),
    SeedService(
        4,
        "Instagram Starter Package",
        "Instagram",
        "Package",
        provider_service="201",
        cost=Money.parse("4.50"),
        rate=Money.parse("6.00"),
        min_quantity=1,
        max_quantity=1,
        type=ServiceType.PACKAGE,
        package_units=1000,
    ),
    SeedService(
        5,
        "Instagram Custom Comments",
        "Instagram",
        "Comments",
        provider_service="301",
        cost=Money.parse("8.00"),
        rate=Money.parse("10.00"),
        min_quantity=5,
        max_quantity=1_000,
        type=ServiceType.CUSTOM_COMMENTS,
        cancel=True,
    ),
)
