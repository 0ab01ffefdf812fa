"""The rules of claims as a table: facts in; outcome, clause, rule and amount out."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.windows import Tier
from app.core.money import ZERO, Money
from app.orders.states import ENDED, OrderState
from app.refunds.rules import (
    CLAUSES,
    Outcome,
    Rule,
    closes_at,
    decide,
    is_in_time,
    opens_at,
)
from app.refunds.shares import Facts
from app.refunds.states import WINDOW, Reason

BOUGHT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
DEADLINE = BOUGHT + timedelta(hours=168)
SECOND = timedelta(seconds=1)
DAY_2 = BOUGHT + timedelta(days=2)

S = OrderState
NOT_DELIVERED, AS_DESCRIBED = Reason.NOT_DELIVERED, Reason.NOT_AS_DESCRIBED
FAILURE, DROP, CHANGED_MIND = Reason.TECHNICAL_FAILURE, Reason.DROP, Reason.CHANGED_MIND


@dataclass(frozen=True)
class Case:
    """One situation, and what is to become of it."""

    name: str
    reason: Reason
    state: OrderState
    expected: tuple[Outcome, str, Rule, str]
    now: datetime = DEADLINE
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def approve(rule: Rule, clause: str, amount: str) -> tuple[Outcome, str, Rule, str]:
    return (Outcome.APPROVE, clause, rule, amount)


def refuse(rule: Rule, clause: str) -> tuple[Outcome, str, Rule, str]:
    return (Outcome.REFUSE, clause, rule, "0.00")


def hand_over(rule: Rule, clause: str) -> tuple[Outcome, str, Rule, str]:
    return (Outcome.HAND_OVER, clause, rule, "0.00")


WAITS = (Outcome.WAIT, "REF-6", Rule.AWAITS_ITS_DEADLINE, "0.00")
BEING_HANDED_OVER = (Outcome.WAIT, "REF-6", Rule.BEING_HANDED_OVER, "0.00")
A_PERSON = hand_over(Rule.NEEDS_A_PERSON, "REF-1")
UNKNOWN = hand_over(Rule.STANDING_UNKNOWN, "REF-6")
UNCOUNTED = hand_over(Rule.SHARE_UNKNOWN, "REF-3")
SILENT = hand_over(Rule.PROVIDER_SILENT, "REF-6")
DELIVERED = refuse(Rule.DELIVERED, "REF-6")
BEGAN = refuse(Rule.DELIVERY_BEGAN, "REF-1")
BACK_ALREADY = refuse(Rule.ALREADY_REFUNDED, "REF-3")
ALL = approve(Rule.NOT_DELIVERED, "REF-6", "0.90")
ALL_FAILED = approve(Rule.NOTHING_DELIVERED, "REF-1", "0.90")


def part(amount: str) -> tuple[Outcome, str, Rule, str]:
    return approve(Rule.PARTLY_DELIVERED, "REF-3", amount)


def said(remains: int) -> dict[str, int]:
    """What its provider says of a running order at the deadline."""
    return {"remains": remains, "missing_at_deadline": remains}


PACKAGE = {"ordered": None, "remains": None}
BY_CLAIM = {"by_claim": True, "remains": 1000}
MICRO = {"charge": Money(1_000_001), "ordered": 3}

CASES = [
    # Two reasons are refused by their clause, whatever the order does.
    *(
        Case(f"a drop on a {state} order", DROP, state, refuse(Rule.DROP_AFTER_DELIVERY, "REF-5"))
        for state in (S.COMPLETED, S.PARTIAL, S.IN_PROGRESS)
    ),
    *(
        Case(
            f"another mind on a {state} order",
            CHANGED_MIND,
            state,
            refuse(Rule.SALE_IS_FINAL, "REF-5"),
        )
        for state in (S.QUEUED, S.ON_HOLD, S.IN_PROGRESS, S.COMPLETED)
    ),
    # What it should be like is a person's to judge, whatever the order does.
    *(Case(f"not as described and {state}", AS_DESCRIBED, state, A_PERSON) for state in OrderState),
    # Before the deadline, a running order waits for it.
    *(
        Case(f"not delivered on day 2 and {state}", NOT_DELIVERED, state, WAITS, DAY_2)
        for state in (S.QUEUED, S.ON_HOLD, S.SUBMITTING, S.UNKNOWN, S.NEEDS_REVIEW, S.IN_PROGRESS)
    ),
    Case("a second before the deadline", NOT_DELIVERED, S.QUEUED, WAITS, DEADLINE - SECOND),
    Case("at the deadline to the second", NOT_DELIVERED, S.QUEUED, ALL, DEADLINE),
    Case("a second after the deadline", NOT_DELIVERED, S.QUEUED, ALL, DEADLINE + SECOND),
    Case("decided a month late", NOT_DELIVERED, S.QUEUED, ALL, DEADLINE + timedelta(days=30)),
    # At the deadline.
    Case("on hold", NOT_DELIVERED, S.ON_HOLD, ALL),
    Case("being handed over", NOT_DELIVERED, S.SUBMITTING, BEING_HANDED_OVER),
    Case("unknown", NOT_DELIVERED, S.UNKNOWN, UNKNOWN),
    Case("under review", NOT_DELIVERED, S.NEEDS_REVIEW, UNKNOWN),
    Case(
        "in progress with nothing delivered",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        ALL,
        facts=said(1000),
    ),
    Case(
        "in progress and partly delivered",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.36"),
        facts=said(400),
    ),
    Case(
        "one of a thousand missing",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.0009"),
        facts=said(1),
    ),
    Case(
        "one of a thousand delivered",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.8991"),
        facts=said(999),
    ),
    Case(
        "in progress with all delivered",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        DELIVERED,
        facts=said(0),
    ),
    Case("in progress and nothing told", NOT_DELIVERED, S.IN_PROGRESS, UNCOUNTED),
    *(
        Case(
            f"{reason}, in progress and nothing told since an earlier day",
            reason,
            S.IN_PROGRESS,
            UNCOUNTED,
            facts={"remains": 1000},
        )
        for reason in (NOT_DELIVERED, FAILURE)
    ),
    Case(
        "in progress at a silent provider",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        SILENT,
        facts={"remains": 400, "silent": True},
    ),
    Case(
        "a share that does not come out even",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.333333"),
        facts=MICRO | said(1),
    ),
    Case(
        "two shares that do not come out even",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.666667"),
        facts=MICRO | said(2),
    ),
    # What has ended is known at once.
    Case("completed on day 2", NOT_DELIVERED, S.COMPLETED, DELIVERED, DAY_2),
    Case("completed", NOT_DELIVERED, S.COMPLETED, DELIVERED),
    Case(
        "partial and settled",
        NOT_DELIVERED,
        S.PARTIAL,
        BACK_ALREADY,
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.36")},
    ),
    Case(
        "partial and settled too low",
        NOT_DELIVERED,
        S.PARTIAL,
        part("0.06"),
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.30")},
    ),
    Case(
        "canceled and paid back",
        NOT_DELIVERED,
        S.CANCELED,
        BACK_ALREADY,
        DAY_2,
        {"refunded": Money.parse("0.90")},
    ),
    Case(
        "failed and paid back",
        NOT_DELIVERED,
        S.FAILED,
        BACK_ALREADY,
        DAY_2,
        {"refunded": Money.parse("0.90")},
    ),
    Case(
        "canceled and forfeited",
        NOT_DELIVERED,
        S.CANCELED,
        BACK_ALREADY,
        DAY_2,
        {"forfeited": Money.parse("0.90")},
    ),
    # Earlier refunds: the same share never twice, another's credit leaves less.
    Case(
        "a credit for something else first",
        NOT_DELIVERED,
        S.PARTIAL,
        part("0.36"),
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.20"), "credited": Money.parse("0.20")},
    ),
    Case(
        "a credit that leaves too little",
        NOT_DELIVERED,
        S.PARTIAL,
        part("0.10"),
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.80"), "credited": Money.parse("0.80")},
    ),
    Case(
        "a credit that leaves nothing",
        NOT_DELIVERED,
        S.PARTIAL,
        BACK_ALREADY,
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.90"), "credited": Money.parse("0.90")},
    ),
    Case(
        "a credit and the settlement",
        NOT_DELIVERED,
        S.PARTIAL,
        BACK_ALREADY,
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.56"), "credited": Money.parse("0.20")},
    ),
    # What a claim has ended was never told of to its end: what is known bounds what may be missing.
    Case(
        "ended by a claim that gave back something else",
        NOT_DELIVERED,
        S.PARTIAL,
        UNCOUNTED,
        DAY_2,
        BY_CLAIM | {"refunded": Money.parse("0.10"), "credited": Money.parse("0.10")},
    ),
    Case(
        "a failure after a claim that gave back something else",
        FAILURE,
        S.PARTIAL,
        UNCOUNTED,
        DAY_2,
        BY_CLAIM | {"refunded": Money.parse("0.10"), "credited": Money.parse("0.10")},
    ),
    Case(
        "ended by a claim that gave all back that was missing",
        NOT_DELIVERED,
        S.PARTIAL,
        BACK_ALREADY,
        DAY_2,
        BY_CLAIM | {"remains": 400, "refunded": Money.parse("0.36")},
    ),
    Case(
        "ended by a claim that gave all back",
        NOT_DELIVERED,
        S.CANCELED,
        BACK_ALREADY,
        DAY_2,
        BY_CLAIM | {"refunded": Money.parse("0.90")},
    ),
    # Packages are not counted, unless they state their units.
    *(
        Case(
            f"decided late: {state}, 400 were missing",
            NOT_DELIVERED,
            state,
            part("0.36"),
            DEADLINE + timedelta(days=2),
            {"remains": 100, "missing_at_deadline": 400},
        )
        for state in (S.IN_PROGRESS, S.COMPLETED)
    ),
    Case(
        "decided late: its end gave back a part of what was missing",
        NOT_DELIVERED,
        S.PARTIAL,
        part("0.27"),
        DEADLINE + timedelta(days=2),
        {"remains": 100, "missing_at_deadline": 400, "refunded": Money.parse("0.09")},
    ),
    Case(
        "decided late: it was handed on after the deadline",
        NOT_DELIVERED,
        S.COMPLETED,
        ALL,
        DEADLINE + timedelta(days=2),
        {"remains": 0, "missing_at_deadline": 1000},
    ),
    Case(
        "decided late: all had been delivered",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        DELIVERED,
        DEADLINE + timedelta(days=2),
        {"remains": 0, "missing_at_deadline": 0},
    ),
    Case("a package that waits", NOT_DELIVERED, S.IN_PROGRESS, WAITS, DAY_2, PACKAGE),
    Case("a package in progress", NOT_DELIVERED, S.IN_PROGRESS, UNCOUNTED, facts=PACKAGE),
    Case("a package never handed on", NOT_DELIVERED, S.QUEUED, ALL, facts=PACKAGE),
    Case("a package that is delivered", NOT_DELIVERED, S.COMPLETED, DELIVERED, facts=PACKAGE),
    *(
        Case(
            f"a subscription that ended without a post, {reason}",
            reason,
            S.COMPLETED,
            BACK_ALREADY,
            DAY_2,
            PACKAGE | {"refunded": Money.parse("0.90")},
        )
        for reason in (NOT_DELIVERED, FAILURE)
    ),
    Case(
        "a package settled by charge",
        NOT_DELIVERED,
        S.PARTIAL,
        BACK_ALREADY,
        facts=PACKAGE | {"refunded": Money.parse("0.40")},
    ),
    Case(
        "a package with units",
        NOT_DELIVERED,
        S.IN_PROGRESS,
        part("0.45"),
        facts={"ordered": 50} | said(25),
    ),
    # A technical failure is for what nothing of was delivered.
    *(
        Case(f"a failure on day 2 and {state}", FAILURE, state, A_PERSON, DAY_2)
        for state in (S.QUEUED, S.ON_HOLD, S.SUBMITTING, S.UNKNOWN, S.NEEDS_REVIEW, S.IN_PROGRESS)
    ),
    Case(
        "a failure and nothing delivered",
        FAILURE,
        S.IN_PROGRESS,
        ALL_FAILED,
        facts=said(1000),
    ),
    Case("a failure and never handed on", FAILURE, S.QUEUED, ALL_FAILED),
    Case(
        "a failure on day 2 with something delivered",
        FAILURE,
        S.IN_PROGRESS,
        BEGAN,
        DAY_2,
        {"remains": 999},
    ),
    Case("a failure with something delivered", FAILURE, S.IN_PROGRESS, BEGAN, facts=said(1)),
    Case("a failure and completed", FAILURE, S.COMPLETED, BEGAN, DAY_2),
    Case(
        "a failure and partial",
        FAILURE,
        S.PARTIAL,
        BEGAN,
        DAY_2,
        {"remains": 400, "refunded": Money.parse("0.36")},
    ),
    Case(
        "a failure and failed",
        FAILURE,
        S.FAILED,
        BACK_ALREADY,
        DAY_2,
        {"refunded": Money.parse("0.90")},
    ),
    Case(
        "a failure and canceled with something left",
        FAILURE,
        S.CANCELED,
        approve(Rule.NOTHING_DELIVERED, "REF-1", "0.40"),
        DAY_2,
        {"refunded": Money.parse("0.50")},
    ),
    Case("a failure and being handed over", FAILURE, S.SUBMITTING, BEING_HANDED_OVER),
    Case("a failure and unknown", FAILURE, S.UNKNOWN, UNKNOWN),
    Case(
        "a failure, decided late",
        FAILURE,
        S.COMPLETED,
        ALL_FAILED,
        DEADLINE + timedelta(days=2),
        {"remains": 0, "missing_at_deadline": 1000},
    ),
    Case("a failure of a package", FAILURE, S.IN_PROGRESS, UNCOUNTED, facts=PACKAGE),
    Case("a failure at a silent provider", FAILURE, S.IN_PROGRESS, SILENT, facts={"silent": True}),
]


def facts_of(case: Case) -> Facts:
    usual: dict[str, Any] = {
        "reason": case.reason,
        "now": case.now,
        "opens_at": BOUGHT,
        "deadline": DEADLINE,
        "tier": Tier.STANDARD,
        "state": case.state,
        "charge": Money.parse("0.90"),
        "ordered": 1000,
        "remains": None,
    }
    return Facts(**(usual | case.facts))


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.policy("REF-1")
@pytest.mark.policy("REF-3")
@pytest.mark.policy("REF-5")
@pytest.mark.policy("REF-6")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_claim_is_decided_by_its_facts(case: Case) -> None:
    decision = decide(facts_of(case))

    told = (decision.outcome, decision.clause, decision.rule, str(decision.refund))
    assert told == case.expected
    assert decision.words.endswith(".")
    if decision.outcome is Outcome.APPROVE:
        assert str(decision.refund) in decision.words


@pytest.mark.parametrize("case", [c for c in CASES if c.expected == WAITS], ids=str)
def test_what_waits_is_looked_at_again_at_its_deadline(case: Case) -> None:
    assert decide(facts_of(case)).until == DEADLINE


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.expected in {UNKNOWN, UNCOUNTED, SILENT} and c.state not in ENDED],
    ids=str,
)
def test_what_is_not_known_of_a_running_order_is_looked_at_again_until_it_is(case: Case) -> None:
    assert decide(facts_of(case)).until == case.now + timedelta(hours=1)


def test_every_rule_stands_on_a_clause() -> None:
    assert set(CLAUSES) == set(Rule)
    assert set(CLAUSES.values()) <= {f"REF-{n}" for n in range(1, 7)}


@pytest.mark.policy("REF-2")
@pytest.mark.parametrize(
    ("after", "inside"),
    [
        (timedelta(0), True),
        (WINDOW - SECOND, True),
        (WINDOW, True),
        (WINDOW + timedelta(milliseconds=999), True),
        (WINDOW + SECOND, False),
        (timedelta(days=8), False),
    ],
)
def test_a_claim_is_in_time_for_168_hours_the_edge_included(after: timedelta, inside: bool) -> None:
    closes = closes_at(opens=BOUGHT, deliver_by=BOUGHT + timedelta(days=3), tier=Tier.STANDARD)

    assert closes == BOUGHT + timedelta(hours=168)
    assert is_in_time(filed_at=BOUGHT + after, closes=closes) is inside


@pytest.mark.policy("REF-6")
@pytest.mark.parametrize(
    ("tier", "promised_days", "closing_days"),
    [
        (Tier.STANDARD, 3, 7),
        (Tier.PREMIUM, 2, 7),
        (Tier.BULK, 12, 7),
        (Tier.CUSTOM, 3, 7),
        (Tier.CUSTOM, 7, 7),
        (Tier.CUSTOM, 12, 12),
    ],
)
def test_only_a_custom_orders_promise_moves_its_deadline(
    tier: Tier, promised_days: int, closing_days: int
) -> None:
    deliver_by = BOUGHT + timedelta(days=promised_days)

    closes = closes_at(opens=BOUGHT, deliver_by=deliver_by, tier=tier)

    assert closes == BOUGHT + timedelta(days=closing_days)


@pytest.mark.policy("REF-6")
def test_the_clock_of_a_run_starts_when_it_was_due_or_later_when_it_started() -> None:
    hours = timedelta(hours=5)

    assert opens_at(bought_at=BOUGHT, due_at=BOUGHT + hours) == BOUGHT + hours
    assert opens_at(bought_at=BOUGHT, due_at=BOUGHT - hours) == BOUGHT
    assert opens_at(bought_at=BOUGHT, due_at=None) == BOUGHT


@pytest.mark.policy("REF-3")
@given(
    charge=st.integers(1, 10**12),
    ordered=st.integers(1, 10**8),
    data=st.data(),
)
def test_a_refund_is_the_undelivered_share_and_never_above_what_is_left(
    charge: int, ordered: int, data: st.DataObject
) -> None:
    remains = data.draw(st.integers(0, ordered))
    credited = data.draw(st.integers(0, charge))
    settled = data.draw(st.integers(0, charge - credited))
    facts = Facts(
        reason=NOT_DELIVERED,
        now=DEADLINE,
        opens_at=BOUGHT,
        deadline=DEADLINE,
        tier=Tier.STANDARD,
        state=S.PARTIAL,
        charge=Money(charge),
        ordered=ordered,
        remains=remains,
        refunded=Money(credited + settled),
        credited=Money(credited),
    )

    refund = decide(facts).refund

    assert ZERO <= refund <= facts.left
    assert settled + refund.micros <= max(settled, charge * remains // ordered)
    if refund < facts.left:
        assert settled + refund.micros >= charge * remains // ordered
