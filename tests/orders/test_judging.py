"""What becomes of a lost order: the table of all evidence, and what time does without any."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest

from app.orders.inquiry_states import BalanceVerdict, IdsVerdict, LookupVerdict, ResolvedBy
from app.orders.judging import (
    ABSENCE_AFTER,
    LOOK_EVERY,
    Decision,
    Evidence,
    Find,
    HandOver,
    LookAgain,
    ProveAbsent,
    Rules,
    WriteOff,
    decide,
)
from app.orders.states import OrderState

SENT: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATE: Final = SENT + ABSENCE_AFTER
EARLY: Final = LATE - timedelta(seconds=1)
DAY: Final = timedelta(hours=24)
HOLD: Final = Rules(DAY)

NOT_THERE: Final = Evidence(lookup=LookupVerdict.NOT_THERE, lookup_asked_at=LATE)
NOT_THERE_YET: Final = Evidence(lookup=LookupVerdict.NOT_THERE, lookup_asked_at=EARLY)


def decided(
    evidence: Evidence,
    *,
    after: timedelta = ABSENCE_AFTER,
    rules: Rules = HOLD,
    state: OrderState = OrderState.UNKNOWN,
    time_scale: float = 1.0,
) -> Decision:
    return decide(
        evidence, state, sent_at=SENT, now=SENT + after, rules=rules, time_scale=time_scale
    )


@pytest.mark.parametrize(
    ("evidence", "decision"),
    [
        (Evidence(own_id="7"), Find("7", ResolvedBy.OWN_EVIDENCE)),
        (Evidence(own_id="7", lookup=LookupVerdict.FOUND), Find("7", ResolvedBy.LOOKUP)),
        (Evidence(ids=IdsVerdict.FOUND, ids_found="7"), Find("7", ResolvedBy.STATUS)),
        (NOT_THERE, ProveAbsent(ResolvedBy.LOOKUP)),
        (Evidence(balance=BalanceVerdict.ABSENT), ProveAbsent(ResolvedBy.BALANCE)),
        (Evidence(ids=IdsVerdict.ABSENT), ProveAbsent(ResolvedBy.STATUS)),
    ],
)
def test_each_kind_of_evidence_decides_by_itself(evidence: Evidence, decision: Decision) -> None:
    assert decided(evidence) == decision


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(),
        Evidence(id_in_use=True),
        Evidence(id_in_use=True, balance=BalanceVerdict.ABSENT),
        Evidence(balance=BalanceVerdict.TAKEN),
        Evidence(balance=BalanceVerdict.TAKEN, ids=IdsVerdict.ABSENT),
        Evidence(balance=BalanceVerdict.UNCLEAR),
        Evidence(ids=IdsVerdict.AMBIGUOUS, balance=BalanceVerdict.ABSENT),
        Evidence(ids=IdsVerdict.LOOKING),
        Evidence(ids=IdsVerdict.FOUND, ids_found=None),
        Evidence(ids=IdsVerdict.FOUND, ids_found="7", balance=BalanceVerdict.ABSENT),
        Evidence(
            ids=IdsVerdict.FOUND,
            ids_found="7",
            lookup=LookupVerdict.NOT_THERE,
            lookup_asked_at=LATE,
        ),
        Evidence(lookup=LookupVerdict.UNREADABLE, lookup_asked_at=LATE),
        NOT_THERE_YET,
    ],
)
def test_what_is_unclear_or_contradicts_itself_is_looked_at_again(evidence: Evidence) -> None:
    assert isinstance(decided(evidence), LookAgain)


@pytest.mark.parametrize(
    "evidence",
    [NOT_THERE, Evidence(balance=BalanceVerdict.ABSENT), Evidence(ids=IdsVerdict.ABSENT)],
)
def test_no_evidence_proves_absence_before_a_quarter_of_an_hour(evidence: Evidence) -> None:
    assert isinstance(decided(evidence, after=EARLY - SENT), LookAgain)


def test_nothing_that_says_it_was_taken_is_ever_followed_by_a_resend_or_a_write_off() -> None:
    """Every combination of what can be known, at every age."""
    rules = Rules(DAY, timedelta(hours=2))
    ages = (timedelta(), ABSENCE_AFTER, timedelta(hours=2), timedelta(days=9))
    combinations = product(
        (None, "7"), (False, True), (None, *LookupVerdict), (None, *BalanceVerdict),
        (None, *IdsVerdict), (None, "8"), (False, True),
        (OrderState.UNKNOWN, OrderState.NEEDS_REVIEW), ages,
    )  # fmt: skip
    judged = proven = 0
    for own_id, id_in_use, lookup, balance, ids, found, earlier, state, age in combinations:
        evidence = Evidence(own_id, id_in_use, lookup, LATE, balance, ids, found, earlier)
        decision = decided(evidence, after=age, rules=rules, state=state)
        judged += 1
        if evidence.says_taken:
            assert not isinstance(decision, ProveAbsent | WriteOff), evidence
        if isinstance(decision, ProveAbsent):
            assert age >= ABSENCE_AFTER
            proven += 1
    assert judged > 1000
    assert proven > 10


@pytest.mark.parametrize(
    ("rules", "hours", "state", "decision"),
    [
        (HOLD, 24, "unknown", HandOver()),
        (HOLD, 24 * 99, "needs_review", LookAgain(None)),
        (Rules(DAY, timedelta(hours=2)), 2, "unknown", WriteOff(timedelta(hours=2))),
        (Rules(DAY, timedelta(hours=72)), 24, "unknown", HandOver()),
        (
            Rules(DAY, timedelta(hours=72)),
            25,
            "needs_review",
            LookAgain(SENT + timedelta(hours=72)),
        ),
        (Rules(DAY, timedelta(hours=72)), 72, "needs_review", WriteOff(timedelta(hours=72))),
    ],
)
def test_time_hands_it_to_a_person_and_gives_the_money_back_only_by_a_services_policy(
    rules: Rules, hours: int, state: str, decision: Decision
) -> None:
    said = decided(Evidence(), after=timedelta(hours=hours), rules=rules, state=OrderState(state))
    assert said == decision


@pytest.mark.parametrize(
    ("after", "scale", "next_look"),
    [
        (timedelta(minutes=1), 1.0, timedelta(minutes=11)),
        (timedelta(minutes=11), 1.0, ABSENCE_AFTER + timedelta(seconds=1)),
        (timedelta(minutes=16), 1.0, timedelta(minutes=26)),
        (DAY - timedelta(minutes=1), 1.0, DAY),
        (timedelta(minutes=16), 10.0, timedelta(minutes=17)),
    ],
)
def test_it_is_looked_at_every_ten_minutes_and_when_something_becomes_possible(
    after: timedelta, scale: float, next_look: timedelta
) -> None:
    assert decided(Evidence(), after=after, time_scale=scale) == LookAgain(SENT + next_look)
    assert timedelta(minutes=10) == LOOK_EVERY
