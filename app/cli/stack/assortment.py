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


_OTHERS: Final = tuple(
    SeedService(
        number,
        name,
        platform,
        kind,
        provider_service=provider_service,
        cost=Money.parse(cost),
        rate=Money.parse(rate),
        min_quantity=least,
        max_quantity=most,
        type=type_,
        package_units=20 if type_ is ServiceType.CUSTOM_COMMENTS_PACKAGE else None,
    )
    for number, name, platform, kind, provider_service, cost, rate, least, most, type_ in (
        (6, "Website SEO", "Website", "SEO", "701", "5.00", "6.50", 10, 10000, ServiceType.SEO),
        (
            7,
            "Website Traffic",
            "Website",
            "Visits",
            "702",
            "0.15",
            "0.20",
            100,
            1000000,
            ServiceType.WEB_TRAFFIC,
        ),
        (8, "X Poll Votes", "X", "Poll votes", "501", "0.80", "1.00", 10, 50000, ServiceType.POLL),
        (
            9,
            "YouTube Comment Likes",
            "YouTube",
            "Comment likes",
            "305",
            "0.70",
            "0.90",
            10,
            50000,
            ServiceType.COMMENT_LIKES,
        ),
        (
            10,
            "YouTube Comment Replies",
            "YouTube",
            "Comment replies",
            "304",
            "9.00",
            "12.00",
            1,
            500,
            ServiceType.COMMENT_REPLIES,
        ),
        (
            11,
            "Instagram Comment Pack",
            "Instagram",
            "Comments",
            "303",
            "3.00",
            "4.00",
            1,
            1,
            ServiceType.CUSTOM_COMMENTS_PACKAGE,
        ),
        (
            12,
            "Instagram Mentions",
            "Instagram",
            "Mentions",
            "401",
            "2.00",
            "2.60",
            10,
            20000,
            ServiceType.MENTIONS,
        ),
        (
            13,
            "Instagram Mentions with Hashtags",
            "Instagram",
            "Mentions",
            "402",
            "2.10",
            "2.80",
            10,
            20000,
            ServiceType.MENTIONS_WITH_HASHTAGS,
        ),
        (
            14,
            "Instagram Mentions of a List",
            "Instagram",
            "Mentions",
            "403",
            "2.20",
            "2.90",
            2,
            5000,
            ServiceType.MENTIONS_CUSTOM_LIST,
        ),
        (
            15,
            "Instagram Mentions of a Hashtag",
            "Instagram",
            "Mentions",
            "404",
            "2.30",
            "3.00",
            10,
            20000,
            ServiceType.MENTIONS_HASHTAG,
        ),
        (
            16,
            "Instagram Mentions of Followers",
            "Instagram",
            "Mentions",
            "405",
            "2.40",
            "3.20",
            10,
            20000,
            ServiceType.MENTIONS_USER_FOLLOWERS,
        ),
        (
            17,
            "Instagram Mentions of Likers",
            "Instagram",
            "Mentions",
            "406",
            "2.50",
            "3.30",
            10,
            20000,
            ServiceType.MENTIONS_MEDIA_LIKERS,
        ),
        (
            18,
            "Facebook Group Invites",
            "Facebook",
            "Invites",
            "407",
            "3.50",
            "4.60",
            10,
            5000,
            ServiceType.INVITES_FROM_GROUPS,
        ),
        (
            19,
            "Instagram Likes on New Posts",
            "Instagram",
            "Likes",
            "601",
            "0.40",
            "0.55",
            10,
            10_000,
            ServiceType.SUBSCRIPTIONS,
        ),
    )
)
"""One service of every other type."""

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
    *_OTHERS,
)
