"""The life of an order as a table: every state, every move, and who may make it. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final


class OrderState(StrEnum):
    QUEUED = "queued"
    ON_HOLD = "on_hold"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    NEEDS_REVIEW = "needs_review"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"
    FAILED = "failed"


class AttemptState(StrEnum):
    """One try to hand an order over. `sending` is committed right before the socket is written."""

    LEASED = "leased"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ABSENT = "absent"


class CancelState(StrEnum):
    """Where the request to cancel an order that its provider has stands; no move of the order."""

    REQUESTED = "requested"
    ASKED = "asked"
    """The provider will try; how the order ends tells whether it could."""

    REFUSED = "refused"


class Move(StrEnum):
    """The verbs of an order's life; an order event carries the verb as its type."""

    PLACE = "place"
    HOLD = "hold"
    RELEASE = "release"
    TAKE = "take"
    ACCEPT = "accept"
    PUT_BACK = "put_back"
    REFUSE = "refuse"
    LOSE = "lose"
    REVIEW = "review"
    FIND = "find"
    PROVE_ABSENT = "prove_absent"
    WRITE_OFF = "write_off"
    SETTLE = "settle"
    CANCEL = "cancel"
    FORFEIT = "forfeit"
    COMPLETE = "complete"
    END_SHORT = "end_short"
    DECIDE_CLAIM = "decide_claim"


_S = OrderState
NOT_HANDED_ON: Final = frozenset({_S.QUEUED, _S.ON_HOLD})
"""No provider was given it: it may be taken back whole."""

ENDED: Final = frozenset({_S.COMPLETED, _S.PARTIAL, _S.CANCELED, _S.FAILED})
RUNNING: Final = frozenset(OrderState) - ENDED
POSSIBLY_LIVE: Final = frozenset(
    {AttemptState.LEASED, AttemptState.SENDING, AttemptState.ACCEPTED, AttemptState.UNKNOWN}
)
"""Attempts after which the provider may have the order; an order has at most one such attempt."""

LISTENED_FOR_MAX: Final = timedelta(days=7)
"""So long after its end an order that a claim or a write-off has ended is still asked about."""

MOVES: Final[dict[Move, frozenset[tuple[OrderState, OrderState]]]] = {
    # An order is placed into queued, or straight into on_hold: that is no change of state.
    Move.PLACE: frozenset(),
    Move.HOLD: frozenset({(_S.QUEUED, _S.ON_HOLD)}),
    Move.RELEASE: frozenset({(_S.ON_HOLD, _S.QUEUED)}),
    Move.TAKE: frozenset({(_S.QUEUED, _S.SUBMITTING)}),
    Move.ACCEPT: frozenset({(_S.SUBMITTING, _S.IN_PROGRESS)}),
    Move.PUT_BACK: frozenset({(_S.SUBMITTING, _S.QUEUED)}),
    Move.REFUSE: frozenset({(_S.SUBMITTING, _S.FAILED)}),
    Move.LOSE: frozenset({(_S.SUBMITTING, _S.UNKNOWN)}),
    # From queued and on hold only in a database that was restored from an older copy, and where a
    # late answer says that the order was taken.
    Move.REVIEW: frozenset(
        (state, _S.NEEDS_REVIEW)
        for state in (_S.QUEUED, _S.ON_HOLD, _S.SUBMITTING, _S.IN_PROGRESS, _S.UNKNOWN)
    ),
    Move.FIND: frozenset((state, _S.IN_PROGRESS) for state in (_S.UNKNOWN, _S.NEEDS_REVIEW)),
    Move.PROVE_ABSENT: frozenset((state, _S.QUEUED) for state in (_S.UNKNOWN, _S.NEEDS_REVIEW)),
    Move.WRITE_OFF: frozenset((state, _S.CANCELED) for state in (_S.UNKNOWN, _S.NEEDS_REVIEW)),
    Move.SETTLE: frozenset((_S.NEEDS_REVIEW, state) for state in ENDED),
    Move.CANCEL: frozenset((state, _S.CANCELED) for state in (_S.QUEUED, _S.ON_HOLD)),
    Move.FORFEIT: frozenset((state, _S.CANCELED) for state in (_S.QUEUED, _S.ON_HOLD)),
    Move.COMPLETE: frozenset({(_S.IN_PROGRESS, _S.COMPLETED)}),
    Move.END_SHORT: frozenset((_S.IN_PROGRESS, state) for state in (_S.PARTIAL, _S.CANCELED)),
    Move.DECIDE_CLAIM: frozenset(
        (state, target)
        for state in (_S.QUEUED, _S.ON_HOLD, _S.IN_PROGRESS, _S.UNKNOWN, _S.NEEDS_REVIEW)
        for target in (_S.CANCELED, _S.PARTIAL)
    ),
}

PAIRS: Final = frozenset(pair for pairs in MOVES.values() for pair in pairs)
"""Every change of state that there is; the database refuses any other."""


def may_move(move: Move, source: OrderState, target: OrderState) -> bool:
    return (source, target) in MOVES[move]


V1_STATUS: Final[dict[OrderState, str]] = {
    _S.QUEUED: "queued",
    _S.ON_HOLD: "on_hold",
    _S.SUBMITTING: "processing",
    _S.UNKNOWN: "processing",
    _S.NEEDS_REVIEW: "processing",
    _S.IN_PROGRESS: "in_progress",
    _S.COMPLETED: "completed",
    _S.PARTIAL: "partial",
    _S.CANCELED: "canceled",
    _S.FAILED: "failed",
}
"""What resellers are shown: how an order hangs between us and a provider is not their concern."""
