"""A provider's list as a whole: what is given twice, what is not believed, how it is cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.listing import ENTRIES_MAX, PART_MAX, objection, parts, read_list
from app.providers.protocol import CatalogEntry


def entries(*services: object) -> list[CatalogEntry]:
    return [
        CatalogEntry(str(service), "Name", "Default", "", 1, 1, 1, False, False, False)
        for service in services
    ]


def test_ids_given_once_are_told_from_those_given_again() -> None:
    listing = read_list(entries(1, 2, 1, 3))
    assert [one.service for one in listing.single] == ["2", "3"]
    assert {name: len(found) for name, found in listing.repeated.items()} == {"1": 2}


@pytest.mark.parametrize(
    ("listed", "known", "refused"),
    [(0, 0, False), (0, 1, True), (1, 2, False), (4, 9, True), (5, 10, False), (9, 4, False)],
)
def test_a_list_that_lost_most_of_what_it_had_is_not_believed(
    listed: int, known: int, refused: bool
) -> None:
    listing = read_list(entries(*range(listed)))
    said = objection(listing, known=known, may_shrink=False)
    assert (said is not None) is refused
    assert objection(listing, known=known, may_shrink=True) is None


def test_a_list_without_end_is_not_believed_at_all() -> None:
    listing = read_list(entries(*range(ENTRIES_MAX + 1)))
    assert objection(listing, known=0, may_shrink=True) is not None


@given(
    st.lists(st.integers(0, 3 * PART_MAX), max_size=4 * PART_MAX),
    st.sets(st.integers(0, 3 * PART_MAX)),
)
def test_the_parts_hold_everything_once_and_each_is_bounded(
    listed: list[int], before: set[int]
) -> None:
    listing = read_list(entries(*listed))
    known = {str(one) for one in before}
    found = list(parts(listing, known))
    services = [service for part in found for service in part.services]
    assert sorted(services) == sorted(listing.services | known)
    assert all(0 < len(part.services) <= PART_MAX for part in found)
