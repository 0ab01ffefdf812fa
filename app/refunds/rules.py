"""The rules that decide a claim: facts in, a decision with its clause and arithmetic out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.catalog.windows import Tier
from app.core.clock import rfc3339
from app.core.money import ZERO, Money
from app.orders.states import ENDED, NOT_HANDED_ON, OrderState
from app.refunds import shares
from app.refunds.shares import Facts, Share, share_of
from app.refunds.states import WINDOW, Reason

HANDED_OVER_WITHIN: Final = timedelta(minutes=1)
LOOK_AGAIN: Final = timedelta(hours=1)
"""What a person has to find out may show by itself: so often the facts are looked at again."""

BY_DELIVERY: Final = frozenset({Reason.NOT_DELIVERED, Reason.TECHNICAL_FAILURE})
"""The reasons of which the facts decide at the deadline."""

_ONE_SECOND: Final = timedelta(seconds=1)
_NOT_KNOWN: Final = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_REVIEW})


class Outcome(StrEnum):
    APPROVE = "approve"
    REFUSE = "refuse"
    WAIT = "wait"
    HAND_OVER = "hand_over"
    """A person decides, until the facts do."""


DECIDED: Final = frozenset({Outcome.APPROVE, Outcome.REFUSE})


class Rule(StrEnum):
    """The rules by name; each stands on one clause."""

    DROP_AFTER_DELIVERY = "drop-after-delivery"
    SALE_IS_FINAL = "sale-is-final"
    NEEDS_A_PERSON = "needs-a-person"
    AWAITS_ITS_DEADLINE = "awaits-its-deadline"
    BEING_HANDED_OVER = "being-handed-over"
    STANDING_UNKNOWN = "standing-unknown"
    SHARE_UNKNOWN = "share-unknown"
    PROVIDER_SILENT = "provider-silent"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not-delivered"
    PARTLY_DELIVERED = "partly-delivered"
    ALREADY_REFUNDED = "already-refunded"
    NOTHING_DELIVERED = "nothing-delivered"
    DELIVERY_BEGAN = "delivery-began"
    BY_AN_OPERATOR = "by-an-operator"


CLAUSES: Final[dict[Rule, str]] = {
    Rule.DROP_AFTER_DELIVERY: "REF-5",
    Rule.SALE_IS_FINAL: "REF-5",
    Rule.NEEDS_A_PERSON: "REF-1",
    Rule.AWAITS_ITS_DEADLINE: "REF-6",
    Rule.BEING_HANDED_OVER: "REF-6",
    Rule.STANDING_UNKNOWN: "REF-6",
    Rule.SHARE_UNKNOWN: "REF-3",
    Rule.PROVIDER_SILENT: "REF-6",
    Rule.DELIVERED: "REF-6",
    Rule.NOT_DELIVERED: "REF-6",
    Rule.PARTLY_DELIVERED: "REF-3",
    Rule.ALREADY_REFUNDED: "REF-3",
    Rule.NOTHING_DELIVERED: "REF-1",
    Rule.DELIVERY_BEGAN: "REF-1",
    Rule.BY_AN_OPERATOR: "REF-1",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say; `words` are told to whoever claimed, `until` is when to look again."""

    outcome: Outcome
    rule: Rule
    words: str
    refund: Money = ZERO
    share: Share | None = None
    until: datetime | None = None

    @property
    def clause(self) -> str:
        return CLAUSES[self.rule]


def opens_at(*, bought_at: datetime, due_at: datetime | None) -> datetime:
    """When the clock of a claim starts: at the purchase; of a run, when it was due, or when it
    started if that was later: what the house begins late takes nothing from its window.
    """
    return bought_at if due_at is None else max(bought_at, due_at)


def closes_at(*, opens: datetime, deliver_by: datetime, tier: Tier) -> datetime:
    """The last moment to claim, which is also when non-delivery is decided."""
    week = opens + WINDOW
    return max(week, deliver_by) if tier is Tier.CUSTOM else week


def is_in_time(*, filed_at: datetime, closes: datetime) -> bool:
    """The edge is inside, to the whole second."""
    return filed_at - closes < _ONE_SECOND


def is_to_ask_first(reason: str, state: str, *, is_due: bool) -> bool:
    """Whether a claim is decided by what its provider delivers to this moment."""
    return is_due and state == OrderState.IN_PROGRESS and reason in BY_DELIVERY


def decide(facts: Facts) -> Decision:
    """What becomes of a claim, as things stand."""
    match facts.reason:
        case Reason.DROP:
            return Decision(
                Outcome.REFUSE,
                Rule.DROP_AFTER_DELIVERY,
                "A count that falls after delivery is no ground for a refund. Where the service"
                " has a refill, ask for that.",
            )
        case Reason.CHANGED_MIND:
            return _changed_mind(facts)
        case Reason.NOT_AS_DESCRIBED:
            return Decision(
                Outcome.HAND_OVER,
                Rule.NEEDS_A_PERSON,
                "Whether it is as described is judged by a person, by the evidence.",
            )
        case Reason.TECHNICAL_FAILURE:
            return _technical_failure(facts)
        case Reason.NOT_DELIVERED:
            return _not_delivered(facts)


def _changed_mind(facts: Facts) -> Decision:
    words = "A sale is final: a change of mind is no ground for a refund."
    if facts.state in NOT_HANDED_ON:
        words += " This order has not been handed on yet: canceling it is free."
    return Decision(Outcome.REFUSE, Rule.SALE_IS_FINAL, words)


def _not_delivered(facts: Facts) -> Decision:
    """A running order waits for its deadline; what has ended is known at once."""
    if facts.state not in ENDED and facts.now < facts.deadline:
        return Decision(
            Outcome.WAIT,
            Rule.AWAITS_ITS_DEADLINE,
            f"The order is still running. It is decided at {rfc3339(facts.deadline)}, by what has"
            " been delivered then.",
            until=facts.deadline,
        )
    open_question = _open_question(facts)
    if open_question is not None:
        return open_question
    share = share_of(facts)
    if share is None:
        return _share_unknown(facts)
    if share.undelivered == 0:
        return Decision(
            Outcome.REFUSE, Rule.DELIVERED, "The order was delivered in full.", share=share
        )
    is_whole = share.undelivered == share.ordered
    return _refund(facts, share, Rule.NOT_DELIVERED if is_whole else Rule.PARTLY_DELIVERED)


def _technical_failure(facts: Facts) -> Decision:
    """Only for what nothing of was delivered; of a running order a person judges the cause, and at
    the deadline it has not been delivered, whatever the cause.
    """
    share = share_of(facts)
    if share is not None and share.undelivered < share.ordered:
        words = "Something of this order was delivered, so that no failure prevented all of it."
        if facts.state not in ENDED:
            words += " What will be missing can be claimed as not delivered."
        return Decision(Outcome.REFUSE, Rule.DELIVERY_BEGAN, words, share=share)
    if facts.state not in ENDED and facts.now < facts.deadline:
        return Decision(
            Outcome.HAND_OVER,
            Rule.NEEDS_A_PERSON,
            "A person looks at what went wrong. If nothing is delivered by"
            f" {rfc3339(facts.deadline)}, all goes back then.",
            until=facts.deadline,
        )
    open_question = _open_question(facts)
    if open_question is not None:
        return open_question
    if share is None:
        return _share_unknown(facts)
    return _refund(facts, share, Rule.NOTHING_DELIVERED)


def _open_question(facts: Facts) -> Decision | None:
    """Why the facts decide nothing yet, although it is time."""
    if facts.state is OrderState.SUBMITTING:
        return Decision(
            Outcome.WAIT,
            Rule.BEING_HANDED_OVER,
            "The order is being handed over at this moment; it is decided in a minute.",
            until=facts.now + HANDED_OVER_WITHIN / facts.time_scale,
        )
    look_again = facts.now + LOOK_AGAIN / facts.time_scale
    if facts.state in _NOT_KNOWN:
        return Decision(
            Outcome.HAND_OVER,
            Rule.STANDING_UNKNOWN,
            "How the order stands is being found out; it is decided once that is known.",
            until=look_again,
        )
    if facts.silent and facts.state is OrderState.IN_PROGRESS:
        return Decision(
            Outcome.HAND_OVER,
            Rule.PROVIDER_SILENT,
            "How much was delivered could not be learned in time; a person finds out.",
            until=look_again,
        )
    return None


def _share_unknown(facts: Facts) -> Decision:
    if facts.state not in ENDED:
        return Decision(
            Outcome.HAND_OVER,
            Rule.SHARE_UNKNOWN,
            "How much of it was delivered is not counted by itself; a person finds out.",
            until=facts.now + LOOK_AGAIN / facts.time_scale,
        )
    if facts.by_claim and _at_most(facts):
        return Decision(
            Outcome.HAND_OVER,
            Rule.SHARE_UNKNOWN,
            f"An earlier claim ended the order and gave {facts.refunded} back. How much of the rest"
            " was delivered is not counted by itself; a person finds out.",
        )
    return Decision(
        Outcome.REFUSE,
        Rule.ALREADY_REFUNDED,
        f"What was not delivered has gone back already: {facts.refunded} of {facts.charge}.",
    )


def _at_most(facts: Facts) -> Money:
    """What could still go back if nothing was delivered after the last word of the provider."""
    if facts.ordered is None or facts.remains is None:
        return facts.left
    return Share(facts.remains, facts.ordered).of(facts)


def _refund(facts: Facts, share: Share, rule: Rule) -> Decision:
    refund = share.of(facts)
    if not refund:
        words = (
            f"{shares.missing(facts, share)} That has gone back already: of {facts.charge} paid,"
        )
        words += f" {facts.refunded}."
        if facts.forfeited:
            words = f"Nothing is left to give back: {facts.forfeited} of it was forfeited."
        return Decision(Outcome.REFUSE, Rule.ALREADY_REFUNDED, words, share=share)
    words = f"{shares.missing(facts, share)} {refund} goes back: {shares.arithmetic(facts, share)}."
    return Decision(Outcome.APPROVE, rule, words, refund, share)
