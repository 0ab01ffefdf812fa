"""What the ids between two of our orders say: found when one fits, absent when none can."""

from typing import Final

import pytest

from app.orders.id_evidence import LOOKS_MAX, Gap, Search, learned, next_ids, verdict
from app.orders.inquiry_states import IdsVerdict
from app.providers.protocol import (
    IdUnknown,
    Progress,
    ProviderState,
    StatusAnswer,
    Unreadable,
)

COST: Final = 500_000
OURS: Final = Progress(ProviderState.PENDING, None, None, COST, "USD", "Pending")
THEIRS: Final = IdUnknown()


def searched(
    gap: Gap, owned: dict[int, StatusAnswer], claimed: frozenset[int] = frozenset()
) -> Search:
    """Look until there is nothing more to ask; ids that are not told of are another customer's."""
    search = Search(gap.low, gap.low)
    while ids := next_ids(gap, search, claimed):
        answers = {str(one): owned.get(one, THEIRS) for one in ids}
        search = learned(search, answers, expected=COST, currency="USD")
    return search


@pytest.mark.parametrize(
    ("gap", "owned", "claimed", "said", "looks"),
    [
        (Gap(10, 20, closed=True), {}, (), "absent", 1),
        (Gap(10, 20, closed=False), {}, (), "looking", 1),
        (Gap(10, 20, closed=True), {14: OURS}, (), "found", 1),
        (Gap(10, 20, closed=False), {14: OURS}, (), "found", 1),
        (Gap(10, 20, closed=True, rivals=1), {14: OURS}, (), "ambiguous", 1),
        (Gap(10, 20, closed=True, rivals=1), {}, (), "absent", 1),
        (Gap(10, 20, closed=True), {14: OURS, 15: OURS}, (), "ambiguous", 1),
        (Gap(10, 20, closed=True), {14: OURS, 15: OURS}, (15,), "found", 1),
        (Gap(10, 13, closed=True), {}, (11, 12), "absent", 0),
        (Gap(10, 11, closed=True), {}, (), "absent", 0),
        (Gap(10, 260, closed=True), {250: OURS}, (), "found", 3),
        (Gap(10, 5_000, closed=True), {}, (), "looking", LOOKS_MAX),
        (Gap(10, 5_000, closed=True), {4_000: OURS}, (), "looking", LOOKS_MAX),
    ],
)
def test_a_gap_speaks_once_all_of_it_was_asked(
    gap: Gap, owned: dict[int, StatusAnswer], claimed: tuple[int, ...], said: str, looks: int
) -> None:
    search = searched(gap, owned, frozenset(claimed))
    assert verdict(gap, search, claimed) == said
    assert search.looks == looks


@pytest.mark.parametrize(
    ("charge", "currency", "said"),
    [
        (COST, "USD", "found"),
        (COST, None, "found"),
        (None, None, "found"),
        (COST + 1, "USD", "ambiguous"),
        (COST, "EUR", "ambiguous"),
    ],
)
def test_an_id_of_ours_must_not_have_been_charged_otherwise(
    charge: int | None, currency: str | None, said: str
) -> None:
    gap = Gap(10, 20, closed=True)
    answer = Progress(ProviderState.PENDING, None, None, charge, currency, "Pending")
    assert verdict(gap, searched(gap, {14: answer}), ()) == said


def test_an_id_that_an_order_has_got_by_now_is_settled() -> None:
    gap = Gap(10, 20, closed=True)
    search = searched(gap, {14: OURS})
    assert verdict(gap, search, {14}) is IdsVerdict.ABSENT


@pytest.mark.parametrize("useless", [Unreadable("?"), IdUnknown(told=False)])
def test_what_was_left_out_or_unreadable_is_asked_again_and_proves_nothing_meanwhile(
    useless: StatusAnswer,
) -> None:
    gap = Gap(10, 14, closed=True)
    answers: dict[str, StatusAnswer] = {"11": THEIRS, "12": useless, "13": THEIRS}
    search = learned(Search(10, 10), answers, expected=COST, currency="USD")
    assert verdict(gap, search, ()) is IdsVerdict.LOOKING
    assert next_ids(gap, search, ()) == (12, 13)


def test_one_call_asks_a_hundred_ids_at_most_and_none_that_is_known() -> None:
    gap = Gap(10, 500, closed=True)
    ids = next_ids(gap, Search(10, 10), {11, 13})
    assert (len(ids), ids[:3]) == (100, (12, 14, 15))


def test_an_open_gap_that_grew_is_searched_on_where_the_search_had_come_to() -> None:
    search = searched(Gap(10, 14, closed=False), {})
    assert next_ids(Gap(10, 17, closed=True), search, ()) == (14, 15, 16)
