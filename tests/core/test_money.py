"""Money: each rounding favours the side it is named for, and nothing is lost on the wire."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.money import (
    AMOUNT_MICROS_MAX,
    MICROS_PER_UNIT,
    ZERO,
    Money,
    charge_rounded_up,
    converted_rounded_up,
    refund_rounded_down,
)

amounts = st.integers(0, AMOUNT_MICROS_MAX).map(Money)
signed = st.integers(-AMOUNT_MICROS_MAX, AMOUNT_MICROS_MAX).map(Money)
quantities = st.integers(1, 100_000_000)


@given(signed)
def test_an_amount_survives_being_written_and_read(amount: Money) -> None:
    assert Money.parse(str(amount)) == amount


@given(signed)
def test_an_amount_has_two_to_six_decimals_and_no_exponent(amount: Money) -> None:
    whole, point, decimals = str(amount).partition(".")
    assert point == "."
    assert 2 <= len(decimals) <= 6
    assert whole.removeprefix("-").isdigit()
    assert Fraction(str(amount)) == Fraction(amount.micros, MICROS_PER_UNIT)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0.90", 900_000), ("0.27819", 278_190), ("12", 12_000_000), ("-1.5", -1_500_000), ("0", 0)],
)
def test_plain_decimals_are_read_exactly(text: str, micros: int) -> None:
    assert Money.parse(text).micros == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "1.",
        ".5",
        "+1",
        "--1",
        "1e3",
        "1E-2",
        "NaN",
        "Infinity",
        "-Infinity",
        "1,50",
        "1_000",
        "0x10",
        "0.1234567",
        "١",
        "1" * 14,
        "9007199254.740992",
        "-9007199254.740992",
    ],
)
def test_anything_but_a_plain_decimal_in_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|too large"):
        Money.parse(text)


def test_the_largest_amount_is_readable() -> None:
    assert Money.parse("9007199254.740991").micros == AMOUNT_MICROS_MAX


@given(rate=amounts, price_unit=st.sampled_from([1, 1000]), quantity=quantities)
def test_a_charge_is_the_exact_price_or_less_than_a_micro_above_it(
    rate: Money, price_unit: int, quantity: int
) -> None:
    charge = charge_rounded_up(rate=rate, price_unit=price_unit, quantity=quantity)
    exact = Fraction(rate.micros * quantity, price_unit)
    assert exact <= charge.micros < exact + 1


@given(rate=amounts, quantity=quantities)
def test_an_order_split_in_two_is_never_cheaper(rate: Money, quantity: int) -> None:
    first = quantity // 2

    def charge(part: int) -> Money:
        return charge_rounded_up(rate=rate, price_unit=1000, quantity=part)

    assert charge(first) + charge(quantity - first) >= charge(quantity)


@given(charge=amounts, ordered=quantities, share=st.floats(0, 1))
def test_a_refund_is_the_exact_share_or_less_than_a_micro_below_it(
    charge: Money, ordered: int, share: float
) -> None:
    undelivered = int(ordered * share)
    refund = refund_rounded_down(charge=charge, undelivered=undelivered, ordered=ordered)
    exact = Fraction(charge.micros * undelivered, ordered)
    assert exact - 1 < refund.micros <= exact
    assert ZERO <= refund <= charge


@given(charge=amounts, ordered=quantities)
def test_nothing_delivered_gives_all_back_and_everything_delivered_nothing(
    charge: Money, ordered: int
) -> None:
    assert refund_rounded_down(charge=charge, undelivered=ordered, ordered=ordered) == charge
    assert refund_rounded_down(charge=charge, undelivered=0, ordered=ordered) == ZERO


@given(charge=amounts, ordered=st.integers(2, 1_000_000), cut=st.floats(0, 1))
def test_two_partial_refunds_never_exceed_one_for_both(
    charge: Money, ordered: int, cut: float
) -> None:
    first = int(ordered * cut)

    def refund(undelivered: int) -> Money:
        return refund_rounded_down(charge=charge, undelivered=undelivered, ordered=ordered)

    assert refund(first) + refund(ordered - first) <= charge


@pytest.mark.parametrize(("undelivered", "ordered"), [(-1, 10), (11, 10)])
def test_a_share_outside_the_order_is_refused(undelivered: int, ordered: int) -> None:
    with pytest.raises(ValueError, match="undelivered"):
        refund_rounded_down(charge=Money(1), undelivered=undelivered, ordered=ordered)


@given(amount=amounts, rate_micros=st.integers(1, 10**12))
def test_a_converted_cost_is_exact_or_less_than_a_micro_above(
    amount: Money, rate_micros: int
) -> None:
    converted = converted_rounded_up(amount, rate_micros=rate_micros)
    exact = Fraction(amount.micros * rate_micros, MICROS_PER_UNIT)
    assert exact <= converted.micros < exact + 1


@given(signed, signed)
def test_amounts_add_and_subtract_without_loss(left: Money, right: Money) -> None:
    assert (left + right) - right == left
    negated = -left
    assert -negated == left
    assert (left < right) == (left.micros < right.micros)
    assert bool(left) == (left.micros != 0)
