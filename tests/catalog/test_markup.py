"""The price rule: every rounding is up, and no rule sells below cost unless it says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.markup import (
    MARKUP_BASIS_POINTS_MAX,
    MarkupRule,
    markup_basis_points,
    selling_rate,
)
from app.core.money import Money

amounts = st.integers(0, 10**12).map(Money)
rules = st.builds(
    MarkupRule,
    percent_basis_points=st.integers(0, MARKUP_BASIS_POINTS_MAX),
    fixed=amounts,
    step=st.integers(1, 10**9).map(Money),
    floor=amounts,
)


@given(amounts, rules)
def test_a_price_is_never_below_its_cost(cost: Money, rule: MarkupRule) -> None:
    assert selling_rate(cost, rule) >= cost


@given(amounts, amounts, rules)
def test_what_costs_more_never_sells_for_less(one: Money, other: Money, rule: MarkupRule) -> None:
    low, high = sorted((one, other))
    assert selling_rate(low, rule) <= selling_rate(high, rule)


@given(amounts, rules)
def test_a_price_is_a_whole_number_of_steps_at_least_the_floor_and_above_zero(
    cost: Money, rule: MarkupRule
) -> None:
    price = selling_rate(cost, rule)
    assert price.micros % rule.step.micros == 0
    assert price >= rule.floor
    assert price.micros > 0


@given(amounts, rules)
def test_a_price_is_the_least_that_obeys_its_rule(cost: Money, rule: MarkupRule) -> None:
    """A step less would be below what percent and fixed amount ask, or below the floor."""
    less = selling_rate(cost, rule) - rule.step
    asked = cost.micros * (10_000 + rule.percent_basis_points) + rule.fixed.micros * 10_000
    assert less.micros * 10_000 < asked or less < rule.floor or less.micros <= 0


@pytest.mark.parametrize(
    ("cost", "percent", "fixed", "step", "floor", "price"),
    [
        ("0.90", 0, "0", "0.000001", "0", "0.90"),
        ("0.90", 3000, "0", "0.000001", "0", "1.17"),
        ("0.333333", 5000, "0", "0.000001", "0", "0.50"),
        ("0.90", 3000, "0.05", "0.01", "0", "1.22"),
        ("0.90", 3000, "0", "0.05", "0", "1.20"),
        ("0.01", 3000, "0", "0.05", "0.12", "0.15"),
        ("0.90", -5000, "0", "0.000001", "0", "0.45"),
        ("0", 3000, "0", "0.01", "0", "0.01"),
    ],
)
def test_a_price_follows_its_cost(
    cost: str, percent: int, fixed: str, step: str, floor: str, price: str
) -> None:
    rule = MarkupRule(percent, Money.parse(fixed), Money.parse(step), Money.parse(floor))
    assert selling_rate(Money.parse(cost), rule) == Money.parse(price)


@pytest.mark.parametrize(
    ("rate", "cost", "basis_points"),
    [
        ("1.30", "1.00", 3000),
        ("1.00", "3.00", -6667),
        ("1.00", "0", 0),
        ("1000000", "0.01", MARKUP_BASIS_POINTS_MAX),
    ],
)
def test_the_markup_of_a_price_is_told_rounded_down(
    rate: str, cost: str, basis_points: int
) -> None:
    told = markup_basis_points(rate=Money.parse(rate), cost=Money.parse(cost))
    assert told == basis_points
