"""What a claim is decided by, and what of its order was not delivered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.catalog.windows import Tier
from app.core.money import ZERO, Money, refund_rounded_down
from app.orders.states import OrderState
from app.refunds.states import Reason


@dataclass(frozen=True, slots=True)
class Facts:
    """What a claim is decided by.

    `ordered` is what delivery counts, none where nobody can; `remains` is what of it was last told
    to be undelivered. `refunded` is all that has gone back of the charge, `credited` the part of it
    that was for something else than missing delivery. `missing_at_deadline` is what was undelivered
    at the deadline, where the claim is decided after it and that is known: of a running order no
    figure from before it stands for that. A provider is `silent` that was asked how the order
    stands and has long not answered. Of an order that was ended `by_claim` the last word of its
    provider is not known: `remains` is the most that may be undelivered. `time_scale` shortens
    waits where simulators deliver.
    """

    reason: Reason
    now: datetime
    opens_at: datetime
    deadline: datetime
    tier: Tier
    state: OrderState
    charge: Money
    ordered: int | None
    remains: int | None
    refunded: Money = ZERO
    credited: Money = ZERO
    forfeited: Money = ZERO
    missing_at_deadline: int | None = None
    silent: bool = False
    by_claim: bool = False
    time_scale: float = 1.0

    @property
    def left(self) -> Money:
        """What of the charge has neither gone back nor been forfeited."""
        return self.charge - self.refunded - self.forfeited


@dataclass(frozen=True, slots=True)
class Share:
    """What of an order was not delivered: so many of so many."""

    undelivered: int
    ordered: int

    def of(self, facts: Facts) -> Money:
        """What is still to go back for it: never twice, never above what is left."""
        whole = refund_rounded_down(
            charge=facts.charge, undelivered=self.undelivered, ordered=self.ordered
        )
        missing = whole - (facts.refunded - facts.credited)
        return max(ZERO, min(facts.left, missing))


def share_of(facts: Facts) -> Share | None:
    """What of the order was not delivered; None where nobody can say."""
    missing = None if facts.by_claim else _undelivered(facts)
    return None if missing is None else Share(missing, facts.ordered or 1)


def _undelivered(facts: Facts) -> int | None:
    # A subscription that ends without a post is completed, and all of it goes back.
    nothing_is_told = facts.ordered is None and not facts.left
    match facts.state:
        case OrderState.QUEUED | OrderState.ON_HOLD | OrderState.FAILED | OrderState.CANCELED:
            return facts.ordered or 1
        case OrderState.SUBMITTING | OrderState.UNKNOWN | OrderState.NEEDS_REVIEW:
            return None
        case OrderState.COMPLETED if nothing_is_told:
            return None
        case _ if facts.missing_at_deadline is not None:
            return facts.missing_at_deadline
        case OrderState.COMPLETED:
            return 0
        case OrderState.IN_PROGRESS | OrderState.PARTIAL:
            is_old = facts.state is OrderState.IN_PROGRESS and facts.now >= facts.deadline
            return None if facts.ordered is None or is_old else facts.remains


def missing(facts: Facts, share: Share) -> str:
    """What was not delivered, in words."""
    then = "" if facts.missing_at_deadline is None else " by the deadline"
    if share.undelivered == share.ordered:
        return f"Nothing was delivered{then}."
    return f"Of {share.ordered} ordered, {share.undelivered} were not delivered{then}."


def arithmetic(facts: Facts, share: Share) -> str:
    """`0.90 × 400 ÷ 1000`, less what went back before; rounded down to a millionth."""
    words = f"{facts.charge} × {share.undelivered} ÷ {share.ordered}"
    before = facts.refunded - facts.credited
    if before:
        words += f" − {before} that went back before"
    whole = refund_rounded_down(
        charge=facts.charge, undelivered=share.undelivered, ordered=share.ordered
    )
    if facts.left < whole - before:
        words += f", at most the {facts.left} that is left"
    return words
