"""Every rounding of the product: to the side that it is named for, by less than one step, and in
step with what it rounds; parts together are the whole.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.markup import BASIS_POINTS, MARKUP_BASIS_POINTS_MAX, markup_basis_points
from app.core import money
from app.core.money import (
    AMOUNT_MICROS_MAX,
    MICROS_PER_UNIT,
    ZERO,
    Money,
    charge_rounded_up,
    converted_rounded_up,
    paid_for_rounded_down,
    refund_rounded_down,
    sold_for_rounded_up,
)
from app.orders.endings import Bought, End, settle
from app.providers.protocol import Progress, ProviderState
from app.providers.reading import micros_down, micros_up
from app.schedules.pricing import share_of

amounts = st.integers(0, AMOUNT_MICROS_MAX).map(Money)
quantities = st.integers(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Rounding:
    """One rounding of `share of whole`: what it answers, and what the exact answer is."""

    rounded: Callable[[Money, int, int], int]
    exact: Callable[[Money, int, int], Fraction]
    is_up: bool


ROUNDINGS = {
    "charge_rounded_up": Rounding(
        lambda rate, quantity, unit: (
            charge_rounded_up(rate=rate, price_unit=unit, quantity=quantity).micros
        ),
        lambda rate, quantity, unit: Fraction(rate.micros * quantity, unit),
        is_up=True,
    ),
    "refund_rounded_down": Rounding(
        lambda charge, undelivered, ordered: (
            refund_rounded_down(charge=charge, undelivered=undelivered, ordered=ordered).micros
        ),
        lambda charge, undelivered, ordered: Fraction(charge.micros * undelivered, ordered),
        is_up=False,
    ),
    "sold_for_rounded_up": Rounding(
        lambda price, taken, cost: sold_for_rounded_up(price, taken=taken, cost=cost).micros,
        lambda price, taken, cost: Fraction(price.micros * taken, cost),
        is_up=True,
    ),
    "paid_for_rounded_down": Rounding(
        lambda cost, earned, price: paid_for_rounded_down(cost, earned=earned, price=price).micros,
        lambda cost, earned, price: Fraction(cost.micros * earned, price),
        is_up=False,
    ),
    "converted_rounded_up": Rounding(
        lambda amount, rate, _: converted_rounded_up(amount, rate_micros=rate).micros,
        lambda amount, rate, _: Fraction(amount.micros * rate, MICROS_PER_UNIT),
        is_up=True,
    ),
}
each_rounding = pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS.keys())


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, int]:
    """A part and its whole."""
    whole = draw(quantities)
    return draw(st.integers(0, whole)), whole


def test_every_rounding_of_money_is_tried_here() -> None:
    named = {name for name, _ in inspect.getmembers(money, inspect.isfunction) if "rounded" in name}
    assert named == ROUNDINGS.keys()


@each_rounding
@given(amount=amounts, share=shares())
def test_it_is_less_than_a_micro_off_and_to_its_own_side(
    rounding: Rounding, amount: Money, share: tuple[int, int]
) -> None:
    off = rounding.rounded(amount, *share) - rounding.exact(amount, *share)
    assert 0 <= off < 1 if rounding.is_up else -1 < off <= 0


@each_rounding
@given(amount=amounts, more=amounts, share=shares())
def test_of_more_money_comes_no_less(
    rounding: Rounding, amount: Money, more: Money, share: tuple[int, int]
) -> None:
    low, high = sorted((amount, more))
    assert rounding.rounded(low, *share) <= rounding.rounded(high, *share)


@each_rounding
@given(amount=amounts, share=shares(), other=st.integers(0, 1_000_000))
def test_of_a_greater_share_comes_no_less(
    rounding: Rounding, amount: Money, share: tuple[int, int], other: int
) -> None:
    part, whole = share
    low, high = sorted((part, min(other, whole)))
    assert rounding.rounded(amount, low, whole) <= rounding.rounded(amount, high, whole)


@each_rounding
@given(amount=amounts, share=shares())
def test_parts_never_make_more_than_the_whole_for_who_is_given_less_than_that_for_who_pays(
    rounding: Rounding, amount: Money, share: tuple[int, int]
) -> None:
    part, whole = share
    parts = rounding.rounded(amount, part, whole) + rounding.rounded(amount, whole - part, whole)
    together = rounding.rounded(amount, whole, whole)
    assert parts >= together if rounding.is_up else parts <= together


@given(total=amounts, runs=st.integers(1, 100))
def test_the_shares_of_a_schedule_are_the_whole_and_all_but_the_last_are_equal(
    total: Money, runs: int
) -> None:
    parts = [share_of(total, number=number, runs=runs) for number in range(1, runs + 1)]
    assert sum(part.micros for part in parts) == total.micros
    assert len(set(parts[:-1])) <= 1
    assert ZERO <= parts[0] <= parts[-1] < parts[0] + Money(runs)


@given(total=amounts, more=amounts, runs=st.integers(1, 100))
def test_of_a_dearer_schedule_no_equal_share_is_smaller(
    total: Money, more: Money, runs: int
) -> None:
    low, high = sorted((total, more))
    assert share_of(low, number=1, runs=runs + 1) <= share_of(high, number=1, runs=runs + 1)


@given(charge=amounts, share=shares())
def test_what_an_order_ends_with_is_its_charge_and_more_delivered_earns_no_less(
    charge: Money, share: tuple[int, int]
) -> None:
    remains, units = share
    bought = Bought(charge, units=units, cost_micros=1, doubts=0)

    def earned(undelivered: int) -> int:
        said = Progress(ProviderState.PARTIAL, undelivered, None, None, None, raw_status="Partial")
        end = settle(bought, said)
        assert isinstance(end, End)
        assert ZERO <= end.refunded <= charge
        return charge.micros - end.refunded.micros

    assert earned(remains) >= earned(units)
    assert earned(remains // 2) >= earned(remains)


@given(rate=amounts, cost=st.integers(1, AMOUNT_MICROS_MAX).map(Money))
def test_a_markup_is_never_told_higher_than_it_is(rate: Money, cost: Money) -> None:
    told = markup_basis_points(rate=rate, cost=cost)
    exact = Fraction((rate.micros - cost.micros) * BASIS_POINTS, cost.micros)
    assert told <= exact
    assert told > exact - 1 or told == MARKUP_BASIS_POINTS_MAX


@given(st.decimals(0, 10**9, allow_nan=False, places=12))
def test_what_providers_ask_is_read_upwards_and_what_we_have_there_downwards(
    amount: Decimal,
) -> None:
    exact = Fraction(amount) * MICROS_PER_UNIT
    up, down = micros_up(f"{amount:f}"), micros_down(f"{amount:f}")
    assert down <= exact <= up
    assert up - down == (0 if exact.denominator == 1 else 1)
