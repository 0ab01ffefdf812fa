"""Delivery windows: what a tier promises, how size stretches it, what date may be agreed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self


class Tier(StrEnum):
    """How soon a service promises to deliver."""

    STANDARD = "standard"
    PREMIUM = "premium"
    CUSTOM = "custom"
    """By the date that an order names, where it names one."""

    BULK = "bulk"
    """Longer the more is ordered."""


HOURS: Final[dict[Tier, tuple[int, int]]] = {
    Tier.STANDARD: (24, 72),
    Tier.PREMIUM: (12, 48),
    Tier.CUSTOM: (24, 72),
    Tier.BULK: (24, 72),
}
"""The window of a service that states none of its own."""

HOURS_MAX: Final = {Tier.STANDARD: 72, Tier.PREMIUM: 48}
"""A service of these tiers may promise less, and not more."""

AGREED_DAYS_MAX: Final = 90
PROMISED_HOURS_MAX: Final = 365 * 24
"""No window of a service ends later than this, however much is ordered."""


class DateNotAgreed(ValueError):
    """The date that an order asks for cannot be promised; the text is the rule it breaks."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a service says of its delivery; with `bulk_units`, later for each portion of them."""

    tier: Tier
    hours_min: int
    hours_max: int
    bulk_units: int | None = None
    bulk_hours: int | None = None

    @classmethod
    def of(cls, sold: Any) -> Self:
        """Of a service, or of a row with its columns."""
        return cls(
            Tier(sold.tier),
            sold.deliver_hours_min,
            sold.deliver_hours_max,
            sold.bulk_units,
            sold.bulk_hours,
        )

    def hours_for(self, quantity: int) -> int:
        """The longest that this quantity takes: hours more for each whole portion ordered."""
        if self.bulk_units is None or self.bulk_hours is None:
            return self.hours_max
        return self.hours_max + quantity // self.bulk_units * self.bulk_hours


@dataclass(frozen=True, slots=True)
class Window:
    """Between which times an order is to be delivered; it stands on the order from its purchase."""

    deliver_from: datetime
    deliver_by: datetime


def promised(
    promise: Promise, *, quantity: int, now: datetime, agreed: datetime | None = None
) -> Window:
    """The window of an order that is bought now. Raises DateNotAgreed."""
    earliest = now + timedelta(hours=promise.hours_min)
    if agreed is None:
        return Window(earliest, now + timedelta(hours=promise.hours_for(quantity)))
    if promise.tier is not Tier.CUSTOM:
        raise DateNotAgreed("is not taken by this service")
    if not earliest <= agreed <= now + timedelta(days=AGREED_DAYS_MAX):
        raise DateNotAgreed(
            f"must be {promise.hours_min} hours to {AGREED_DAYS_MAX} days after the purchase"
        )
    return Window(earliest, agreed)
