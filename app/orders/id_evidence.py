"""What the ids say that a provider gave out between two orders of ours: pure.

A provider that numbers its orders one after the other gave a lost order, if it took it, an id
between the order that it took before and one that it took after. Of the ids in that gap some are
other customers', which it does not know for us, and some are known to be our other orders'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.orders.inquiry_states import IdsVerdict
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    IdUnknown,
    Progress,
    StatusAnswer,
)

LOOKS_MAX: Final = 10
"""After so many calls a gap is too wide to be searched."""
OURS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """The ids above `low` and below `high`, the nearest known orders before and after.

    It is `closed` when the upper one was sent so late that the lost order must lie below it.
    `rivals` are further lost orders that may lie in it.
    """

    low: int
    high: int
    closed: bool
    rivals: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """How far a gap has been searched: up to `asked_to`, in so many looks, with these ids of ours
    that no order has.
    """

    low: int
    asked_to: int
    looks: int = 0
    ours: tuple[str, ...] = ()
    odd: bool = False
    """One of them was charged otherwise than the lost order would have been."""


def next_ids(gap: Gap, search: Search, claimed: Collection[int]) -> tuple[int, ...]:
    """The next ids to ask about, one call's worth; none when nothing is left or may be asked."""
    if search.looks >= LOOKS_MAX or gap.low != search.low:
        return ()
    wanted: list[int] = []
    for one in range(search.asked_to + 1, gap.high):
        if len(wanted) == STATUS_BATCH_MAX or one - search.asked_to > STATUS_BATCH_MAX * LOOKS_MAX:
            break
        if one not in claimed:
            wanted.append(one)
    return tuple(wanted)


def learned(
    search: Search, answers: Mapping[str, StatusAnswer], *, expected: int, currency: str
) -> Search:
    """The search after one more call; what was left out or could not be read is asked again next
    time.

    `expected` is what the lost order was to cost there.
    """
    search = replace(search, looks=search.looks + 1)
    for one in sorted(answers, key=int):
        match answers[one]:
            case IdUnknown(told=True):
                pass
            case Progress(charge_micros=charge, currency=told):
                odd = charge is not None and (charge != expected or told not in {None, currency})
                ours = (*search.ours, one)[:OURS_MAX]
                search = replace(search, ours=ours, odd=search.odd or odd)
            case _:
                return search
        search = replace(search, asked_to=int(one))
    return search


def verdict(gap: Gap, search: Search, claimed: Collection[int]) -> IdsVerdict:
    """What the search has shown so far; an id of ours that an order has by now is settled."""
    ours = [one for one in search.ours if int(one) not in claimed]
    if search.odd or len(search.ours) > 1:
        return IdsVerdict.AMBIGUOUS
    if any(one not in claimed for one in range(search.asked_to + 1, gap.high)):
        return IdsVerdict.LOOKING
    if ours:
        return IdsVerdict.AMBIGUOUS if gap.rivals else IdsVerdict.FOUND
    return IdsVerdict.ABSENT if gap.closed else IdsVerdict.LOOKING
