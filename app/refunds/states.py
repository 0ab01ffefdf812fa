"""The life of a claim: its reasons, its states, and what resellers are told of them. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why money is asked back. Three are grounds for it; two are refused by clause."""

    NOT_DELIVERED = "not-delivered"
    NOT_AS_DESCRIBED = "not-as-described"
    TECHNICAL_FAILURE = "technical-failure"
    DROP = "drop"
    CHANGED_MIND = "changed-mind"


class ClaimState(StrEnum):
    AWAITING_DEADLINE = "awaiting_deadline"
    """Whether it was delivered shows at the deadline; a work row decides it then."""

    WITH_OPERATOR = "with_operator"
    """The facts do not decide it: a person does."""

    AWAITING_SECOND = "awaiting_second"
    """One operator has approved an amount that takes two."""

    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class PaidBy(StrEnum):
    """Which entry of the ledger gave the money of an approved claim back."""

    ORDER_END = "order_end"
    REFUND_CLAIM = "refund_claim"


_S = ClaimState
CLOSED: Final = frozenset({_S.APPROVED, _S.REFUSED, _S.WITHDRAWN})
OPEN: Final = frozenset(ClaimState) - CLOSED
WITH_PEOPLE: Final = frozenset({_S.WITH_OPERATOR, _S.AWAITING_SECOND})

WINDOW: Final = timedelta(hours=168)
"""So long after its purchase an order may be claimed on, and must it be delivered."""

V1_STATUS: Final[dict[ClaimState, str]] = {
    _S.AWAITING_DEADLINE: "awaiting_deadline",
    _S.WITH_OPERATOR: "under_review",
    _S.AWAITING_SECOND: "under_review",
    _S.APPROVED: "approved",
    _S.REFUSED: "refused",
    _S.WITHDRAWN: "withdrawn",
}
"""What resellers are shown: how many of us look at a claim is not their concern."""
