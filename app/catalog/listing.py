"""A provider's list as it came: ids given once or more often, whether to believe it, its parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.providers.protocol import CatalogEntry

ENTRIES_MAX: Final = 50_000

PART_MAX: Final = 500
"""How many services are judged and stored in one transaction."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A provider's list, with the ids apart that it gives more than once."""

    single: tuple[CatalogEntry, ...]
    repeated: Mapping[str, tuple[CatalogEntry, ...]]

    @property
    def services(self) -> frozenset[str]:
        return frozenset(entry.service for entry in self.single) | self.repeated.keys()


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction deals with: a slice of the list, and of what the list lacks."""

    single: tuple[CatalogEntry, ...] = ()
    repeated: tuple[tuple[CatalogEntry, ...], ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def listed(self) -> list[str]:
        return [*(one.service for one in self.single), *(some[0].service for some in self.repeated)]

    @property
    def services(self) -> list[str]:
        return [*self.listed, *self.absent]


def read_list(entries: Sequence[CatalogEntry]) -> Listing:
    """Tell ids that are given once from those that are given more often."""
    by_id: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        by_id.setdefault(entry.service, []).append(entry)
    return Listing(
        single=tuple(found[0] for found in by_id.values() if len(found) == 1),
        repeated={name: tuple(found) for name, found in by_id.items() if len(found) > 1},
    )


def objection(listing: Listing, *, known: int, may_shrink: bool) -> str | None:
    """Why a list is not to be believed as a whole: a hiccup must not empty the shop."""
    listed = len(listing.services)
    if listed > ENTRIES_MAX:
        return f"the list is too long: {listed} services, at most {ENTRIES_MAX}"
    if not may_shrink and listed * 2 < known:
        return f"the list shrank: {listed} services, {known} were known"
    return None


def parts(listing: Listing, listed_before: Collection[str]) -> Iterator[Part]:
    """The whole list, and what it lacks of before, in parts of a bounded size."""
    single = sorted(listing.single, key=lambda entry: entry.service)
    for start in range(0, len(single), PART_MAX):
        yield Part(single=tuple(single[start : start + PART_MAX]))
    repeated = [listing.repeated[service] for service in sorted(listing.repeated)]
    for start in range(0, len(repeated), PART_MAX):
        yield Part(repeated=tuple(repeated[start : start + PART_MAX]))
    absent = sorted(set(listed_before) - listing.services)
    for start in range(0, len(absent), PART_MAX):
        yield Part(absent=tuple(absent[start : start + PART_MAX]))
