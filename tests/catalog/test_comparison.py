"""What is made of each service of a list: what is mirrored, what waits, what is withdrawn."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.comparison import (
    REPEATS_SHOWN_MAX,
    FindingKind,
    Known,
    Sold,
    Standing,
    Use,
    Verdict,
    What,
    judge_absent,
    judge_listed,
    judge_repeated,
)
from app.providers.protocol import CatalogEntry, ServiceType

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ENTRY = CatalogEntry(
    service="101",
    name="Followers",
    service_type="Default",
    category="Growth",
    rate_micros=1_000_000,
    min=10,
    max=1000,
    refill=True,
    cancel=False,
    dripfeed=False,
)
KNOWN = Known(ENTRY, approved_rate_micros=1_000_000, missing_since=None, gone=False)
SOLD = Use(route_cost_micros=1_000_000)


def judge(known: Known | None = KNOWN, use: Use = SOLD, **seen: Any) -> Verdict:
    return judge_listed(replace(ENTRY, **seen), known, use, jump_basis_points=2000)


def standing(kind: FindingKind, after: dict[str, Any]) -> tuple[UUID, Use]:
    finding = uuid4()
    return finding, Use(1_000_000, {kind: Standing(finding, after)})


def test_what_did_not_change_leaves_no_trace() -> None:
    assert judge() == Verdict("101", known=KNOWN)


@pytest.mark.parametrize("use", [Use(), SOLD])
def test_what_is_new_is_mirrored(use: Use) -> None:
    verdict = judge(None, use)
    assert verdict.is_new
    assert [change.what for change in verdict.changes] == [What.NEW]
    assert not verdict.opened


DEFAULT, PACKAGE = ServiceType.DEFAULT, ServiceType.PACKAGE


@pytest.mark.parametrize(
    ("sold", "seen", "kind", "before"),
    [
        ((DEFAULT, 10, 1000), {}, None, {}),
        ((DEFAULT, 50, 500), {}, None, {}),
        ((DEFAULT, 10, 1000), {"service_type": "Zauberei"}, None, {}),
        ((DEFAULT, 5, 500), {}, FindingKind.BOUNDS, {"min": 5, "max": 1000}),
        ((DEFAULT, 50, 5000), {}, FindingKind.BOUNDS, {"min": 10, "max": 5000}),
        ((PACKAGE, 1, 1), {"service_type": "Package"}, None, {}),
        ((PACKAGE, 1, 1), {}, FindingKind.TYPE, {"type": "package"}),
    ],
)
def test_what_is_listed_first_after_it_was_sold_must_be_what_was_sold(
    sold: tuple[ServiceType, int, int],
    seen: dict[str, Any],
    kind: FindingKind | None,
    before: dict[str, Any],
) -> None:
    verdict = judge(None, replace(SOLD, has_open_route=True, sold=(Sold(*sold),)), **seen)

    assert [(one.kind, one.before) for one in verdict.opened] == ([(kind, before)] if kind else [])


@pytest.mark.parametrize("rate", [800_000, 999_999, 1_000_001, 1_200_000])
def test_a_price_moves_by_itself_up_to_the_threshold(rate: int) -> None:
    verdict = judge(rate_micros=rate)
    assert not verdict.opened
    assert verdict.route_cost_micros == rate
    [change] = verdict.changes
    assert (change.what, change.before, change.after) == (
        What.PRICE,
        {"rate_micros": 1_000_000},
        {"rate_micros": rate},
    )


@pytest.mark.parametrize("rate", [0, 799_999, 1_200_001, 10**18])
def test_a_price_jump_waits_and_changes_nothing(rate: int) -> None:
    verdict = judge(rate_micros=rate)
    assert [(one.kind, one.after) for one in verdict.opened] == [
        (FindingKind.PRICE_JUMP, {"rate_micros": rate})
    ]
    assert verdict.known == KNOWN
    assert verdict.changes == ()
    assert verdict.route_cost_micros is None


@given(st.lists(st.integers(-2000, 2000), max_size=20))
def test_no_number_of_small_steps_carries_a_price_out_of_sight(steps: list[int]) -> None:
    known = KNOWN
    for step in steps:
        rate = known.entry.rate_micros * (10_000 + step) // 10_000
        verdict = judge(known, rate_micros=rate)
        assert verdict.known is not None
        known = verdict.known
    assert 800_000 <= known.entry.rate_micros <= 1_200_000


def test_a_free_service_that_gets_a_price_is_a_jump() -> None:
    free = Known(replace(ENTRY, rate_micros=0), 0, None, gone=False)
    assert judge(free, Use(0), rate_micros=1).opened
    assert not judge(free, Use(0), rate_micros=0).opened


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        ({"min": 11}, FindingKind.BOUNDS),
        ({"max": 999}, FindingKind.BOUNDS),
        ({"service_type": "Package"}, FindingKind.TYPE),
        ({"service_type": "Something new"}, FindingKind.TYPE),
    ],
)
def test_changed_bounds_and_types_wait(seen: dict[str, Any], kind: FindingKind) -> None:
    verdict = judge(**seen)
    assert [one.kind for one in verdict.opened] == [kind]
    assert verdict.known == KNOWN


def test_a_type_in_another_spelling_is_the_same_type() -> None:
    verdict = judge(service_type=" DEFAULT ")
    assert not verdict.opened


@pytest.mark.parametrize("seen", [{"name": "New name"}, {"category": "New"}, {"refill": False}])
def test_words_and_flags_are_taken_over(seen: dict[str, Any]) -> None:
    verdict = judge(**seen)
    assert verdict.known == replace(KNOWN, entry=replace(ENTRY, **seen))
    assert len(verdict.changes) == 1
    assert not verdict.opened


def test_what_nobody_sells_over_is_mirrored_as_it_comes() -> None:
    verdict = judge(use=Use(), rate_micros=9_000_000, min=5, service_type="Package")
    assert not verdict.opened
    assert verdict.known is not None
    assert verdict.known.entry.rate_micros == verdict.known.approved_rate_micros == 9_000_000
    assert verdict.route_cost_micros is None


def test_a_service_that_is_sold_before_its_first_sync_is_compared_with_its_route() -> None:
    near, far = judge(None, rate_micros=1_100_000), judge(None, rate_micros=3_000_000)
    assert near.route_cost_micros == 1_100_000
    assert not near.opened
    assert [one.kind for one in far.opened] == [FindingKind.PRICE_JUMP]
    assert far.known is not None
    assert far.known.entry.rate_micros == 1_000_000


def test_the_same_jump_is_found_once() -> None:
    _, use = standing(FindingKind.PRICE_JUMP, {"rate_micros": 2_000_000})
    assert judge(use=use, rate_micros=2_000_000) == Verdict("101", known=KNOWN)


def test_another_jump_takes_the_place_of_the_first() -> None:
    finding, use = standing(FindingKind.PRICE_JUMP, {"rate_micros": 2_000_000})
    verdict = judge(use=use, rate_micros=3_000_000)
    assert verdict.withdrawn == (finding,)
    assert [one.after for one in verdict.opened] == [{"rate_micros": 3_000_000}]


def test_a_jump_that_came_back_is_withdrawn_and_the_rest_of_it_taken() -> None:
    finding, use = standing(FindingKind.PRICE_JUMP, {"rate_micros": 2_000_000})
    verdict = judge(use=use, rate_micros=1_100_000)
    assert verdict.withdrawn == (finding,)
    assert verdict.route_cost_micros == 1_100_000


def test_one_side_waits_while_another_goes_on() -> None:
    verdict = judge(rate_micros=1_100_000, min=20)
    assert verdict.route_cost_micros == 1_100_000
    assert [one.kind for one in verdict.opened] == [FindingKind.BOUNDS]
    assert verdict.known is not None
    assert (verdict.known.entry.rate_micros, verdict.known.entry.min) == (1_100_000, 10)


def test_a_service_is_gone_only_when_it_is_missing_for_the_second_time() -> None:
    first = judge_absent(KNOWN, SOLD, sync_started_at=NOW)
    assert first is not None
    assert first.known is not None
    assert (first.known.gone, first.opened) == (False, ())
    repeated = judge_absent(first.known, SOLD, sync_started_at=NOW)
    second = judge_absent(first.known, SOLD, sync_started_at=NOW + timedelta(hours=6))
    assert repeated is None
    assert second is not None
    assert second.known is not None
    assert second.known.gone
    assert [one.kind for one in second.opened] == [FindingKind.VANISHED]
    assert judge_absent(second.known, SOLD, sync_started_at=NOW + timedelta(hours=12)) is None


def test_what_nobody_sells_over_vanishes_without_a_finding() -> None:
    missing = replace(KNOWN, missing_since=NOW)
    verdict = judge_absent(missing, Use(), sync_started_at=NOW + timedelta(hours=6))
    assert verdict is not None
    assert [change.what for change in verdict.changes] == [What.VANISHED]
    assert not verdict.opened


def test_what_returns_withdraws_its_finding() -> None:
    finding, use = standing(FindingKind.VANISHED, {})
    verdict = judge(replace(KNOWN, gone=True, missing_since=NOW), use)
    assert verdict.withdrawn == (finding,)
    assert [change.what for change in verdict.changes] == [What.RETURNED]
    assert verdict.known == KNOWN


def test_an_id_that_is_listed_twice_is_found_once_and_never_believed() -> None:
    entries = [replace(ENTRY, rate_micros=n) for n in range(REPEATS_SHOWN_MAX + 5)]
    verdict = judge_repeated(entries, SOLD)
    [opening] = verdict.opened
    assert opening.kind is FindingKind.DUPLICATED
    assert opening.after["times"] == REPEATS_SHOWN_MAX + 5
    assert len(opening.after["entries"]) == REPEATS_SHOWN_MAX
    assert verdict.known is None
    finding, use = standing(FindingKind.DUPLICATED, opening.after)
    assert judge_repeated(entries, use) == Verdict("101")
    other = judge_repeated(entries[:2], use)
    assert other.withdrawn == (finding,)
    assert judge(use=use).withdrawn == (finding,)
