"""What changed at a provider: what it lists against what we go by. Pure; nothing is read or stored.

Each side of a service (price, bounds, type, words, flags) is judged by itself. What nobody sells
over is mirrored as it comes; over what is sold a leap waits for an operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from app.providers.forms import FORMS, ServiceType, Unit, type_of_wire
from app.providers.protocol import CatalogEntry

PRICE_JUMP_BASIS_POINTS: Final = 2_000
"""How far a price may move from the one that a person last saw: a fifth, up or down."""

REPEATS_SHOWN_MAX: Final = 10

Facts = dict[str, Any]


class FindingKind(StrEnum):
    """Why what a provider says of a service is not believed without a person."""

    PRICE_JUMP = "price_jump"
    BOUNDS = "bounds"
    TYPE = "type"
    VANISHED = "vanished"
    DUPLICATED = "duplicated"


class What(StrEnum):
    """A kind of change in the history of a provider's service."""

    NEW = "new"
    PRICE = "price"
    BOUNDS = "bounds"
    TYPE = "type"
    FLAGS = "flags"
    TEXT = "text"
    VANISHED = "vanished"
    RETURNED = "returned"
    DUPLICATED = "duplicated"


@dataclass(frozen=True, slots=True)
class Known:
    """A service as the mirror has it."""

    entry: CatalogEntry
    approved_rate_micros: int
    missing_since: datetime | None
    gone: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A finding that is open or was rejected, and the facts that it is about."""

    id: UUID
    after: Facts


@dataclass(frozen=True, slots=True)
class Sold:
    """What a service of ours sells over a provider's, by a route that is open."""

    type: ServiceType
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class Use:
    """What hangs on a provider's service here: our cost, where we sell over it, and findings."""

    route_cost_micros: int | None = None
    """Where several routes over it say different costs, the one that is farthest from the mirror's.
    """

    standing: Mapping[FindingKind, Standing] = field(default_factory=dict)
    has_open_route: bool = False
    sold: tuple[Sold, ...] = ()

    @property
    def sold_over(self) -> bool:
        return self.route_cost_micros is not None


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history."""

    what: What
    before: Facts
    after: Facts


@dataclass(frozen=True, slots=True)
class Opening:
    """A finding to be opened."""

    kind: FindingKind
    before: Facts
    after: Facts


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of one service: the facts to go by, the history, the findings, the cost."""

    service: str
    known: Known | None = None
    is_new: bool = False
    changes: tuple[Change, ...] = ()
    opened: tuple[Opening, ...] = ()
    withdrawn: tuple[UUID, ...] = ()
    route_cost_micros: int | None = None
    """What the routes over it cost from now on, where that is news."""


@dataclass(frozen=True, slots=True)
class _Side:
    what: What
    kind: FindingKind | None
    fields: Mapping[str, str]
    """The names in stored facts, by the names in an entry."""

    def facts(self, entry: CatalogEntry) -> Facts:
        return {stored: getattr(entry, name) for name, stored in self.fields.items()}


_PRICE: Final = _Side(What.PRICE, FindingKind.PRICE_JUMP, {"rate_micros": "rate_micros"})
_TYPE: Final = _Side(What.TYPE, FindingKind.TYPE, {"service_type": "type"})
_SIDES: Final = (
    _PRICE,
    _Side(What.BOUNDS, FindingKind.BOUNDS, {"min": "min", "max": "max"}),
    _TYPE,
    _Side(What.TEXT, None, {"name": "name", "category": "category"}),
    _Side(What.FLAGS, None, {"refill": "refill", "cancel": "cancel", "dripfeed": "dripfeed"}),
)


def judge_listed(
    seen: CatalogEntry, known: Known | None, use: Use, *, jump_basis_points: int
) -> Verdict:
    """What to make of a service that is listed once.

    Where its route states another cost than the mirror has, if that has it at all, a person said
    so last: it is compared with that. So is what is listed for the first time with what we sell
    over it already.
    """
    before = _as_last_said(known or _as_sold(seen, use), use)
    changes = [Change(What.NEW, {}, _all_facts(before.entry))] if known is None else []
    changes += [Change(What.RETURNED, {}, {})] if before.gone else []
    opened: list[Opening] = []
    withdrawn = [
        use.standing[kind].id
        for kind in (FindingKind.VANISHED, FindingKind.DUPLICATED)
        if kind in use.standing
    ]
    entry = before.entry
    for side in _SIDES:
        old, new = side.facts(before.entry), side.facts(seen)
        standing = use.standing.get(side.kind) if side.kind else None
        waits = side.kind is not None and _needs_a_person(
            side, before, seen, use, jump_basis_points=jump_basis_points
        )
        if standing and not (waits and standing.after == new):
            withdrawn.append(standing.id)
        if waits and side.kind and not (standing and standing.after == new):
            opened.append(Opening(side.kind, old, new))
        if not waits and old != new:
            changes.append(Change(side.what, old, new))
            entry = replace(entry, **{name: getattr(seen, name) for name in side.fields})
    return Verdict(
        seen.service,
        known=Known(
            entry=entry,
            approved_rate_micros=(
                before.approved_rate_micros if use.sold_over else entry.rate_micros
            ),
            missing_since=None,
            gone=False,
        ),
        is_new=known is None,
        changes=tuple(changes),
        opened=tuple(opened),
        withdrawn=tuple(withdrawn),
        route_cost_micros=entry.rate_micros if _is_news_of_cost(entry, known, use) else None,
    )


def _as_sold(seen: CatalogEntry, use: Use) -> Known:
    entry = seen
    for one in use.sold:
        theirs = type_of_wire(seen.service_type)
        if theirs is not None and theirs is not one.type:
            entry = replace(entry, service_type=one.type)
        elif FORMS[one.type].billable is not Unit.ONE:
            entry = replace(entry, min=min(entry.min, one.min), max=max(entry.max, one.max))
    return Known(entry, seen.rate_micros, None, gone=False)


def _as_last_said(known: Known, use: Use) -> Known:
    cost = use.route_cost_micros
    if cost is None or cost == known.entry.rate_micros:
        return known
    return replace(known, entry=replace(known.entry, rate_micros=cost), approved_rate_micros=cost)


def _needs_a_person(
    side: _Side, before: Known, seen: CatalogEntry, use: Use, *, jump_basis_points: int
) -> bool:
    if not use.sold_over:
        return False
    if side is _PRICE:
        approved = before.approved_rate_micros
        return abs(seen.rate_micros - approved) * 10_000 > approved * jump_basis_points
    if side is _TYPE:
        return not _same_type(before.entry.service_type, seen.service_type)
    return side.facts(before.entry) != side.facts(seen)


def _same_type(one: str, other: str) -> bool:
    """Type names come in any case and spacing, also those that we know nothing of."""
    known = type_of_wire(one)
    return known == type_of_wire(other) and (known is not None or one.lower() == other.lower())


def _is_news_of_cost(entry: CatalogEntry, known: Known | None, use: Use) -> bool:
    return use.sold_over and (known is None or use.route_cost_micros != entry.rate_micros)


def judge_absent(known: Known, use: Use, *, sync_started_at: datetime) -> Verdict | None:
    """What to make of a service that is not listed: gone once it is missing for the second time.

    Once may be an entry that could not be read. A route that is open over what is gone already is
    a finding again. None where nothing is to be done.
    """
    service = known.entry.service
    if known.missing_since == sync_started_at:
        return None
    if known.gone:
        if not use.has_open_route or FindingKind.VANISHED in use.standing:
            return None
        again = Opening(FindingKind.VANISHED, _all_facts(known.entry), {})
        return Verdict(service, known=known, opened=(again,))
    if known.missing_since is None:
        return Verdict(service, known=replace(known, missing_since=sync_started_at))
    opens = use.sold_over and FindingKind.VANISHED not in use.standing
    return Verdict(
        service,
        known=replace(known, gone=True),
        changes=(Change(What.VANISHED, _all_facts(known.entry), {}),),
        opened=(Opening(FindingKind.VANISHED, _all_facts(known.entry), {}),) if opens else (),
    )


def judge_repeated(entries: Sequence[CatalogEntry], use: Use) -> Verdict:
    """What to make of an id that is listed more than once: none of its entries is believed."""
    after: Facts = {
        "times": len(entries),
        "entries": [_all_facts(entry) for entry in entries[:REPEATS_SHOWN_MAX]],
    }
    service = entries[0].service
    standing = use.standing.get(FindingKind.DUPLICATED)
    if standing is not None and standing.after == after:
        return Verdict(service)
    return Verdict(
        service,
        changes=(Change(What.DUPLICATED, {}, after),),
        opened=(Opening(FindingKind.DUPLICATED, {}, after),),
        withdrawn=(standing.id,) if standing else (),
    )


def _all_facts(entry: CatalogEntry) -> Facts:
    facts: Facts = {}
    for side in _SIDES:
        facts |= side.facts(entry)
    return facts


def with_facts(entry: CatalogEntry, facts: Facts) -> CatalogEntry:
    """The entry with the facts of a finding in the place of its own."""
    names = {stored: name for side in _SIDES for name, stored in side.fields.items()}
    return replace(entry, **{names[stored]: value for stored, value in facts.items()})
