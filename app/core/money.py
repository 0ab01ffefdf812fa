"""Money as integer micro-units, with every rounding named after the side it favours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

MICROS_PER_UNIT: Final = 1_000_000
AMOUNT_MICROS_MAX: Final = 2**53 - 1
"""The largest amount that any column, posting or answer may carry."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in micro-units (10^-6) of the installation's one selling currency."""

    micros: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plain decimal string of at most six decimals; ValueError for anything else."""
        if not _DECIMAL.fullmatch(text):
            raise ValueError("must be a decimal number with at most 6 decimals")
        micros = int(Decimal(text) * MICROS_PER_UNIT)
        if abs(micros) > AMOUNT_MICROS_MAX:
            raise ValueError("is too large")
        return cls(micros)

    def __str__(self) -> str:
        """The shortest exact decimal with at least two decimals: `0.90`, `0.27819`."""
        sign = "-" if self.micros < 0 else ""
        whole, fraction = divmod(abs(self.micros), MICROS_PER_UNIT)
        decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
        return f"{sign}{whole}.{decimals}"

    def __add__(self, other: Money) -> Money:
        return Money(self.micros + other.micros)

    def __sub__(self, other: Money) -> Money:
        return Money(self.micros - other.micros)

    def __neg__(self) -> Money:
        return Money(-self.micros)

    def __bool__(self) -> bool:
        return self.micros != 0


ZERO: Final = Money(0)


def charge_rounded_up(*, rate: Money, price_unit: int, quantity: int) -> Money:
    """What `quantity` costs at `rate` per `price_unit`: the house never sells below its price."""
    return Money(-(-rate.micros * quantity // price_unit))


def refund_rounded_down(*, charge: Money, undelivered: int, ordered: int) -> Money:
    """The undelivered share of a charge: the house never refunds more than was paid for it."""
    if not 0 <= undelivered <= ordered:
        raise ValueError("the undelivered part must lie within what was ordered")
    return Money(charge.micros * undelivered // ordered)


def sold_for_rounded_up(price: Money, *, taken: int, cost: int) -> Money:
    """What is sold of something that costs `cost` at `price` once `taken` of its cost has come: the
    house never sells below its price.
    """
    return Money(-(-price.micros * taken // cost))


def paid_for_rounded_down(cost: Money, *, earned: int, price: int) -> Money:
    """What of a cost is paid for by `earned` of the price: a loss is never understated."""
    return Money(cost.micros * earned // price)


def converted_rounded_up(amount: Money, *, rate_micros: int) -> Money:
    """A cost in another currency, in ours, at `rate_micros` of ours per unit: never understated."""
    return Money(-(-amount.micros * rate_micros // MICROS_PER_UNIT))
