"""Delivery windows by tier and size, to the hour; no service promises more than its tier."""

from datetime import UTC, datetime, timedelta

import pytest

from app.catalog.windows import AGREED_DAYS_MAX, HOURS, DateNotAgreed, Promise, Tier, promised

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.policy("SLA-2")
@pytest.mark.parametrize(
    ("tier", "hours"),
    [
        (Tier.STANDARD, (24, 72)),
        (Tier.PREMIUM, (12, 48)),
        (Tier.CUSTOM, (24, 72)),
        (Tier.BULK, (24, 72)),
    ],
)
def test_a_tier_promises_its_hours(tier: Tier, hours: tuple[int, int]) -> None:
    window = promised(Promise(tier, *HOURS[tier]), quantity=1000, now=NOW)

    assert window.deliver_from == NOW + timedelta(hours=hours[0])
    assert window.deliver_by == NOW + timedelta(hours=hours[1])


@pytest.mark.policy("SLA-2")
@pytest.mark.parametrize(
    ("quantity", "hours"), [(9_999, 72), (10_000, 84), (19_999, 84), (50_000, 132)]
)
def test_a_bulk_order_is_promised_later_for_each_whole_portion(quantity: int, hours: int) -> None:
    promise = Promise(Tier.BULK, 24, 72, bulk_units=10_000, bulk_hours=12)

    window = promised(promise, quantity=quantity, now=NOW)

    assert window.deliver_by == NOW + timedelta(hours=hours)
    assert window.deliver_from == NOW + timedelta(hours=24)


@pytest.mark.policy("SLA-2")
@pytest.mark.parametrize(
    "agreed", [timedelta(hours=24), timedelta(days=12), timedelta(days=AGREED_DAYS_MAX)]
)
def test_a_custom_order_is_promised_for_the_date_that_it_names(agreed: timedelta) -> None:
    promise = Promise(Tier.CUSTOM, 24, 72)

    assert promised(promise, quantity=1, now=NOW, agreed=NOW + agreed).deliver_by == NOW + agreed


@pytest.mark.parametrize(
    ("tier", "agreed"),
    [
        (Tier.STANDARD, timedelta(days=2)),
        (Tier.PREMIUM, timedelta(days=2)),
        (Tier.BULK, timedelta(days=2)),
        (Tier.CUSTOM, timedelta(hours=23, minutes=59)),
        (Tier.CUSTOM, timedelta(days=AGREED_DAYS_MAX, seconds=1)),
        (Tier.CUSTOM, timedelta(days=-1)),
    ],
)
def test_a_date_out_of_bounds_or_of_another_tier_is_not_agreed(
    tier: Tier, agreed: timedelta
) -> None:
    with pytest.raises(DateNotAgreed):
        promised(Promise(tier, 24, 72), quantity=1, now=NOW, agreed=NOW + agreed)
