"""The life of a refill: its states, which of them are open, and what resellers are told. Pure."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class RefillState(StrEnum):
    REQUESTED = "requested"
    """Promised; the provider has not been asked."""

    SENDING = "sending"
    """Committed right before the call: from here on the provider may have taken it."""

    PENDING = "pending"
    """The provider has taken it, under an id of its own."""

    IN_PROGRESS = "in_progress"

    UNKNOWN = "unknown"
    """Nobody knows whether it was taken, or what became of it: an operator finds out."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"


ENDED: Final = frozenset({RefillState.COMPLETED, RefillState.REJECTED, RefillState.FAILED})
TO_FOLLOW: Final = frozenset({RefillState.PENDING, RefillState.IN_PROGRESS})
"""It is asked about while it is in one of these."""

V1_STATUS: Final[dict[RefillState, str]] = {
    RefillState.REQUESTED: "pending",
    RefillState.SENDING: "pending",
    RefillState.PENDING: "pending",
    RefillState.UNKNOWN: "pending",
    RefillState.IN_PROGRESS: "in_progress",
    RefillState.COMPLETED: "completed",
    RefillState.REJECTED: "rejected",
    RefillState.FAILED: "failed",
}
"""What resellers are shown: how a refill hangs between us and a provider is not their concern."""


def group_status(states: Collection[RefillState]) -> str:
    """What resellers are shown of several refills that are one to them.

    It is completed only when all of them are; where they ended differently, the worst is told.
    """
    words = {V1_STATUS[state] for state in states}
    if words == {"pending"}:
        return "pending"
    if words & {"pending", "in_progress"}:
        return "in_progress"
    return next(word for word in ("failed", "rejected", "completed") if word in words)
