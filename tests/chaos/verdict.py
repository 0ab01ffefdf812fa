"""What must hold whatever was broken: each finding is a promise that was not kept. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.orders.states import ENDED, OrderState

HANGS = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_REVIEW})
"""An order may be left so, its money held: nobody knows, and nobody guesses."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the database has it at the end."""

    number: int
    purchase: int
    """The number that its reseller knows: its own, or that of the schedule whose run it is."""

    state: OrderState
    charge: int
    held: int
    refunded: int
    provider_order_id: str | None


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a reseller bought and was acknowledged: under this number, on this link, so often."""

    number: int
    link: str
    runs: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One order that the provider took, as its own log says."""

    link: str
    provider_order_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known at the end, each part from its own source."""

    purchases: Sequence[Purchase]
    rows: Sequence[OrderRow]
    schedules: frozenset[int]
    """The numbers of the purchases that are schedules: canceled in time, one has no runs."""
    accepted: Sequence[Acceptance]
    links_asked_for: frozenset[str]
    violations: Sequence[str]


def findings(facts: Facts) -> list[str]:
    """Everything that is wrong; empty when every promise was kept."""
    rows: dict[int, list[OrderRow]] = {}
    for row in facts.rows:
        rows.setdefault(row.purchase, []).append(row)
    taken = Counter(one.link for one in facts.accepted)
    ids: dict[str, set[str]] = {}
    for one in facts.accepted:
        ids.setdefault(one.link, set()).add(one.provider_order_id)
    return [
        *_duplicates(facts, taken),
        *_strangers(facts, taken),
        *(
            found
            for purchase in facts.purchases
            for found in _of_purchase(
                purchase,
                rows.get(purchase.number, []),
                taken[purchase.link],
                ids.get(purchase.link, set()),
            )
        ),
        *(
            f"lost: {purchase.number} was acknowledged and is not there"
            for purchase in facts.purchases
            if purchase.number not in rows.keys() | facts.schedules
        ),
        *(f"ledger check: {violation}" for violation in facts.violations),
    ]


def duplicates(facts: Facts) -> int:
    """How many orders the provider took beyond those that were bought."""
    taken = Counter(one.link for one in facts.accepted)
    bought = {purchase.link: purchase.runs for purchase in facts.purchases}
    return sum(max(0, times - bought.get(link, 1)) for link, times in taken.items())


def _duplicates(facts: Facts, taken: Mapping[str, int]) -> list[str]:
    runs = {purchase.link: purchase.runs for purchase in facts.purchases}
    return [
        f"sent twice: {link} was taken {times} times and bought {runs.get(link, 1)}"
        for link, times in taken.items()
        if times > runs.get(link, 1)
    ]


def _strangers(facts: Facts, taken: Mapping[str, int]) -> list[str]:
    return [
        f"invented: the provider took {link}, which nobody asked for"
        for link in taken
        if link not in facts.links_asked_for
    ]


def _of_purchase(
    purchase: Purchase, rows: Sequence[OrderRow], taken: int, ids: set[str]
) -> list[str]:
    """What is wrong with one purchase: its rows against what its provider took."""
    if len(rows) > purchase.runs:
        return [f"made twice: {purchase.number} has {len(rows)} runs of {purchase.runs}"]
    found = [
        f"forgotten: {row.number} is still {row.state}"
        for row in rows
        if row.state not in ENDED | HANGS
    ]
    found += [
        f"guessed: {row.number} is {row.state} and holds {row.held} of {row.charge}"
        for row in rows
        if row.state in HANGS and row.held != row.charge
    ]
    known = {row.provider_order_id for row in rows if row.provider_order_id is not None}
    hanging = sum(row.state in HANGS for row in rows)
    if known - ids:
        found.append(f"guessed: {purchase.number} has an id that its provider did not give")
    if taken > len(known) + hanging:
        found.append(
            f"taken and given up: the provider took {purchase.link} {taken} times, we know of"
            f" {len(known)} and {hanging} hang"
        )
    return found
