"""What a provider's balance proves of a lost order: a sum that comes out, or nothing at all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.balance_evidence import (
    Charge,
    Judgement,
    Others,
    Sample,
    candidates,
    find_span,
    finest_digit,
    judge,
)
from app.orders.judging import ABSENCE_AFTER

SENT: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
CENT: Final = 10_000


def at(minutes: float) -> datetime:
    return SENT + timedelta(minutes=minutes)


def sample(minutes: float, cents: int, *, in_flight: int = 0, currency: str = "USD") -> Sample:
    return Sample(at(minutes), at(minutes + 0.01), cents * CENT, currency, in_flight)


def lost(minutes: float = 0, cents: int = 50) -> Charge:
    return Charge(at(minutes), at(minutes + 0.5), cents * CENT, "USD", in_doubt=True)


def known(minutes: float, cents: int | None, *, over: float | None = None) -> Charge:
    charged = None if cents is None else cents * CENT
    ended = at(minutes + 0.05 if over is None else over)
    return Charge(at(minutes), ended, (cents or 50) * CENT, "USD", charged)


def judged(
    samples: Sequence[Sample], charges: Sequence[Charge], others: Others | None = None
) -> Judgement:
    digit = finest_digit(one.micros for one in samples)
    near = candidates(SENT, samples)
    span = find_span(SENT, near, charges, absence_after=ABSENCE_AFTER, digit=digit)
    return span if isinstance(span, Judgement) else judge(span, others or Others())


BEFORE: Final = sample(-5, 10_001)
UNCHANGED: Final = sample(16, 10_001)
FELL: Final = sample(16, 9_951)


@pytest.mark.parametrize(
    ("samples", "charges", "verdict", "why"),
    [
        ([BEFORE, UNCHANGED], [lost()], "absent", "no more"),
        ([BEFORE, FELL], [lost()], "taken", "all that hangs"),
        ([BEFORE, sample(2, 9_951)], [lost()], "taken", "all that hangs"),
        ([BEFORE, sample(2, 10_001)], [lost()], "unclear", "too early"),
        ([BEFORE, sample(14.9, 10_001)], [lost()], "unclear", "too early"),
        ([BEFORE, sample(2, 9_951), UNCHANGED], [lost()], "unclear", "rose"),
        ([BEFORE, sample(16, 9_931)], [lost(), known(4, 70)], "absent", "no more"),
        ([BEFORE, sample(16, 9_881)], [lost(), known(4, 70)], "taken", "all that hangs"),
        ([BEFORE, sample(16, 9_931)], [lost(), known(4, None)], "unclear", "not known"),
        ([BEFORE, sample(16, 9_901)], [lost(), lost(3)], "taken", "all that hangs"),
        ([BEFORE, UNCHANGED], [lost(), lost(3)], "absent", "no more"),
        ([BEFORE, sample(16, 9_951)], [lost(), lost(3)], "unclear", "neither"),
        ([BEFORE, sample(16, 9_950)], [lost()], "unclear", "neither"),
        ([BEFORE, sample(16, 11_001)], [lost()], "unclear", "rose"),
        ([BEFORE, sample(16, 10_001, currency="EUR")], [lost()], "unclear", "currency"),
        ([BEFORE, sample(16, 10_001, in_flight=1)], [lost()], "unclear", "from after"),
        ([sample(-5, 10_001, in_flight=2), UNCHANGED], [lost()], "unclear", "from before"),
        ([UNCHANGED], [lost()], "unclear", "from before"),
        ([BEFORE], [lost()], "unclear", "from after"),
        # On the wire when one of the samples was taken, although nobody had counted it.
        ([BEFORE, UNCHANGED], [lost(), known(-6, 70, over=-4)], "unclear", "from before"),
        ([BEFORE, UNCHANGED], [lost(), known(15.9, 70, over=18)], "unclear", "from after"),
        # Lost before the earlier sample, it may have been taken after it.
        ([BEFORE, UNCHANGED], [lost(), lost(-10)], "unclear", "from before"),
        ([BEFORE, UNCHANGED], [lost(), lost(-30)], "absent", "no more"),
        # Known to be over before, or begun after: no matter of this span.
        ([BEFORE, UNCHANGED], [lost(), known(-9, 70), known(17, 70)], "absent", "no more"),
        # Another clock may be ten seconds off.
        ([BEFORE, UNCHANGED], [lost(), known(-5.1, 70, over=-5.08)], "unclear", "from before"),
        # Finer than what is told: a tenth of a cent would not show.
        ([BEFORE, UNCHANGED], [replace(lost(), expected=1_000)], "unclear", "finer"),
        ([BEFORE, UNCHANGED], [replace(lost(), expected=0)], "unclear", "finer"),
        ([sample(-5, 10_000), sample(16, 10_000)], [lost()], "unclear", "finer"),
        (
            [BEFORE, UNCHANGED],
            [lost(), replace(known(4, 70), charged=1)],
            "unclear",
            "finer",
        ),
        # A first pair that cannot be used is passed over for one that can.
        (
            [sample(-20, 10_001), sample(-5, 9_000, in_flight=1), sample(16, 1, in_flight=1),
             sample(26, 9_951)],
            [lost()],
            "unclear",
            "rose",
        ),
        (
            [sample(-20, 10_001), sample(-5, 10_001, in_flight=1), sample(26, 10_001)],
            [lost()],
            "absent",
            "no more",
        ),
    ],
)  # fmt: skip
def test_a_balance_is_a_proof_only_where_every_charge_is_known(
    samples: list[Sample], charges: list[Charge], verdict: str, why: str
) -> None:
    said = judged(samples, charges)
    assert said.verdict == verdict, said.why
    assert why in said.why


@pytest.mark.parametrize(
    ("others", "why"),
    [(Others(still_open=True), "still open"), (Others(ended_short=True), "ended short")],
)
def test_where_money_may_have_come_back_a_balance_proves_nothing(others: Others, why: str) -> None:
    for after in (UNCHANGED, FELL):
        said = judged([BEFORE, after], [lost()], others)
        assert (said.verdict, why in said.why) == ("unclear", True)


def test_the_finest_digit_is_the_one_that_was_seen() -> None:
    assert finest_digit([12_500_000, 3_000_000]) == 100_000
    assert finest_digit([12_510_000]) == CENT
    assert finest_digit([1]) == 1
    assert finest_digit([]) == finest_digit([0]) == 10**12


@given(
    taken=st.booleans(),
    cost=st.integers(1, 500),
    others=st.lists(st.integers(1, 500), max_size=4),
    shown=st.sampled_from([1, 10, 100]),
    start=st.integers(10_000, 20_000),
)
def test_a_proof_is_never_false_however_coarsely_the_balance_is_told(
    *, taken: bool, cost: int, others: list[int], shown: int, start: int
) -> None:
    """The provider tells its balance cut off to whole units of `shown` cents."""
    charged = sum(others) + (cost if taken else 0)
    samples = [
        sample(-5, start // shown * shown),
        sample(16, (start - charged) // shown * shown),
    ]
    charges = [lost(0, cost), *(known(3 + n, one) for n, one in enumerate(others))]
    said = judged(samples, charges)
    assert said.verdict in {"unclear", "taken" if taken else "absent"}, said.why
