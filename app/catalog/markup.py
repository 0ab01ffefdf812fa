"""What a service sells for, from what it costs: percent, fixed amount, rounding step, floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.core.money import ZERO, Money

BASIS_POINTS: Final = 10_000
MARKUP_BASIS_POINTS_MAX: Final = 1_000_000
ONE_MICRO: Final = Money(1)


@dataclass(frozen=True, slots=True)
class MarkupRule:
    """How the price of a price unit follows its cost; `step` is what prices are rounded up to."""

    percent_basis_points: int
    fixed: Money = ZERO
    step: Money = ONE_MICRO
    floor: Money = ZERO


def selling_rate(cost: Money, rule: MarkupRule) -> Money:
    """The price of a price unit that costs us `cost` in the selling currency.

    Every rounding is up: a whole number of steps, at least the floor, and above zero.
    """
    marked_up = -(-cost.micros * (BASIS_POINTS + rule.percent_basis_points) // BASIS_POINTS)
    least = max(marked_up + rule.fixed.micros, rule.floor.micros, 1)
    return Money(-(-least // rule.step.micros) * rule.step.micros)


def markup_basis_points(*, rate: Money, cost: Money) -> int:
    """What a price makes of its cost, rounded down; 0 where there is no cost to compare it with."""
    if cost.micros <= 0:
        return 0
    over = (rate.micros - cost.micros) * BASIS_POINTS // cost.micros
    return min(over, MARKUP_BASIS_POINTS_MAX)
