"""How an order ends: every final status of every service type, to the micro."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.money import ZERO, Money
from app.orders.endings import (
    AskAgain,
    Bought,
    Decision,
    End,
    Review,
    settle,
    usable_remains,
)
from app.orders.states import MOVES, Move, OrderState
from app.providers.protocol import Progress, ProviderState

S = ProviderState
CHARGE = Money(1_000)
BY_UNITS = Bought(CHARGE, units=100, cost_micros=500, doubts=0)
PACKAGE = replace(BY_UNITS, units=None)


def said(state: S, remains: int | None = None, charge: int | None = None) -> Progress:
    return Progress(
        state, remains, start_count=None, charge_micros=charge, currency="USD", raw_status=state
    )


def completed(remains: int | None) -> End:
    return End(Move.COMPLETE, OrderState.COMPLETED, ZERO, remains)


def short(target: OrderState, refunded: int, remains: int | None) -> End:
    return End(Move.END_SHORT, target, Money(refunded), remains)


ALL_BACK = short(OrderState.CANCELED, 1_000, 100)
PACKAGE_ALL_BACK = short(OrderState.CANCELED, 1_000, None)

BY_UNITS_TABLE: list[tuple[Progress, Decision]] = [
    # Completed is completed, whatever remains it tells.
    (said(S.COMPLETED), completed(0)),
    (said(S.COMPLETED, remains=7), completed(0)),
    (said(S.COMPLETED, remains=-7, charge=0), completed(0)),
    # Partial gives back what is missing, rounded down.
    (said(S.PARTIAL, remains=1), short(OrderState.PARTIAL, 10, 1)),
    (said(S.PARTIAL, remains=33), short(OrderState.PARTIAL, 330, 33)),
    (said(S.PARTIAL, remains=99, charge=500), short(OrderState.PARTIAL, 990, 99)),
    (said(S.PARTIAL, remains=0), completed(0)),
    (said(S.PARTIAL, remains=100), ALL_BACK),
    (said(S.PARTIAL), AskAgain("partial_without_remains")),
    (said(S.PARTIAL, remains=101), AskAgain("partial_without_remains")),
    (said(S.PARTIAL, remains=-1), AskAgain("partial_without_remains")),
    # Canceled gives all back, unless something was delivered and charged.
    (said(S.CANCELED), ALL_BACK),
    (said(S.CANCELED, charge=0), ALL_BACK),
    (said(S.CANCELED, remains=40), ALL_BACK),
    (said(S.CANCELED, remains=40, charge=0), ALL_BACK),
    (said(S.CANCELED, remains=0), ALL_BACK),
    (said(S.CANCELED, remains=40, charge=300), short(OrderState.PARTIAL, 400, 40)),
    (said(S.CANCELED, remains=100, charge=300), ALL_BACK),
    (said(S.CANCELED, remains=0, charge=300), Review("canceled_but_charged")),
    (said(S.CANCELED, charge=300), Review("canceled_but_charged")),
    (said(S.CANCELED, remains=101, charge=300), Review("canceled_but_charged")),
    (said(S.CANCELED, remains=-1, charge=300), Review("canceled_but_charged")),
    # A provider that gave up has proven nothing.
    (said(S.FAILED, remains=100, charge=0), Review("provider_failed")),
]

PACKAGE_TABLE: list[tuple[Progress, Decision]] = [
    (said(S.COMPLETED), completed(None)),
    (said(S.COMPLETED, remains=3), completed(None)),
    (said(S.PARTIAL, charge=200), short(OrderState.PARTIAL, 600, None)),
    (said(S.PARTIAL, charge=499), short(OrderState.PARTIAL, 2, None)),
    (said(S.PARTIAL, charge=1, remains=7), short(OrderState.PARTIAL, 998, None)),
    (said(S.PARTIAL, charge=0), PACKAGE_ALL_BACK),
    (said(S.PARTIAL), Review("package_share_unknown")),
    (said(S.PARTIAL, remains=50), Review("package_share_unknown")),
    (said(S.PARTIAL, charge=500), Review("package_share_unknown")),
    (said(S.PARTIAL, charge=501), Review("package_share_unknown")),
    (said(S.CANCELED), PACKAGE_ALL_BACK),
    (said(S.CANCELED, charge=0), PACKAGE_ALL_BACK),
    (said(S.CANCELED, charge=200), short(OrderState.PARTIAL, 600, None)),
    (said(S.CANCELED, charge=500), Review("package_share_unknown")),
    (said(S.FAILED), Review("provider_failed")),
]


def named(case: object) -> str | None:
    if isinstance(case, Progress):
        return f"{case.state}-remains-{case.remains}-charge-{case.charge_micros}"
    return None


@pytest.mark.parametrize(("progress", "decision"), BY_UNITS_TABLE, ids=named)
def test_what_counts_units_ends_by_its_remains(progress: Progress, decision: Decision) -> None:
    assert settle(BY_UNITS, progress) == decision


@pytest.mark.parametrize(("progress", "decision"), PACKAGE_TABLE, ids=named)
def test_a_package_without_stated_units_ends_by_the_providers_charge_over_its_cost(
    progress: Progress, decision: Decision
) -> None:
    assert settle(PACKAGE, progress) == decision


def test_a_package_with_stated_units_ends_by_them() -> None:
    package = Bought(Money(6_000_000), units=1000, cost_micros=4_500_000, doubts=0)
    assert settle(package, said(S.PARTIAL, remains=250)) == short(
        OrderState.PARTIAL, 1_500_000, 250
    )


def test_a_package_whose_cost_nobody_knows_is_looked_at_by_a_person() -> None:
    free = replace(PACKAGE, cost_micros=0)
    assert settle(free, said(S.PARTIAL, charge=0)) == Review("package_share_unknown")
    assert settle(free, said(S.PARTIAL, charge=1)) == Review("package_share_unknown")


def test_the_third_partial_without_remains_is_looked_at_by_a_person() -> None:
    decisions = [settle(replace(BY_UNITS, doubts=doubts), said(S.PARTIAL)) for doubts in range(4)]
    again, review = AskAgain("partial_without_remains"), Review("partial_without_remains")
    assert decisions == [again, again, review, review]


@pytest.mark.parametrize("state", [S.PENDING, S.IN_PROGRESS, S.UNKNOWN])
def test_a_status_that_is_not_final_settles_nothing(state: S) -> None:
    with pytest.raises(ValueError, match="not a final status"):
        settle(BY_UNITS, said(state))


def test_every_status_is_in_both_tables_or_not_final() -> None:
    for table in (BY_UNITS_TABLE, PACKAGE_TABLE):
        assert {progress.state for progress, _ in table} | {
            S.PENDING,
            S.IN_PROGRESS,
            S.PAUSED,
            S.EXPIRED,
            S.UNKNOWN,
        } == set(S)


figures = st.integers(-10, 10**9) | st.none()


@given(
    charge=st.integers(1, 2**53),
    units=st.integers(1, 10**8) | st.none(),
    cost=st.integers(0, 10**12),
    doubts=st.integers(0, 5),
    state=st.sampled_from([S.COMPLETED, S.PARTIAL, S.CANCELED, S.FAILED]),
    remains=figures,
    taken=st.integers(0, 10**12) | st.none(),
)
def test_whatever_a_provider_says_refunded_and_earned_are_the_charge(
    charge: int,
    units: int | None,
    cost: int,
    doubts: int,
    state: S,
    remains: int | None,
    taken: int | None,
) -> None:
    bought = Bought(Money(charge), units, cost, doubts)
    match settle(bought, said(state, remains, taken)):
        case End() as end:
            earned = bought.charge - end.refunded
            assert ZERO <= end.refunded <= bought.charge
            assert earned + end.refunded == bought.charge
            assert (OrderState.IN_PROGRESS, end.target) in MOVES[end.move]
            assert (end.target is OrderState.COMPLETED) <= (end.refunded == ZERO)
            assert (end.target is OrderState.CANCELED) <= (earned == ZERO)
            assert end.remains is None or usable_remains(units or 0, end.remains) is not None
            if end.target is OrderState.PARTIAL and units is not None:
                assert end.remains is not None
                assert 0 < end.remains < units
        case Review() | AskAgain():
            # Never for the plain cases: those must not need a person.
            assert state is not S.COMPLETED
