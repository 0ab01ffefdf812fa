"""What the status words of providers mean; case, spaces and underscores vary."""

from collections.abc import Mapping
from typing import Final

from app.providers.aftercare import RefillState
from app.providers.protocol import ProviderState

_STATES: Final[Mapping[str, ProviderState]] = {
    "pending": ProviderState.PENDING,
    "awaiting": ProviderState.PENDING,
    "in progress": ProviderState.IN_PROGRESS,
    "inprogress": ProviderState.IN_PROGRESS,
    "processing": ProviderState.IN_PROGRESS,
    "completed": ProviderState.COMPLETED,
    "complete": ProviderState.COMPLETED,
    "partial": ProviderState.PARTIAL,
    "canceled": ProviderState.CANCELED,
    "cancelled": ProviderState.CANCELED,
    # The provider gave our money back, which is what its Canceled means too.
    "refunded": ProviderState.CANCELED,
    # The provider gave up; whether it delivered or charged something, the word does not say.
    "fail": ProviderState.FAILED,
    "failed": ProviderState.FAILED,
    "error": ProviderState.FAILED,
    # Of subscriptions.
    "active": ProviderState.IN_PROGRESS,
    "paused": ProviderState.PAUSED,
    "expired": ProviderState.EXPIRED,
}

_REFILL_STATES: Final[Mapping[str, RefillState]] = {
    "pending": RefillState.PENDING,
    "awaiting": RefillState.PENDING,
    "in progress": RefillState.IN_PROGRESS,
    "inprogress": RefillState.IN_PROGRESS,
    "processing": RefillState.IN_PROGRESS,
    "completed": RefillState.COMPLETED,
    "complete": RefillState.COMPLETED,
    "rejected": RefillState.REJECTED,
    # For a refill the two say the same: it was not, and will not be, delivered.
    "canceled": RefillState.REJECTED,
    "cancelled": RefillState.REJECTED,
    "error": RefillState.ERROR,
    "fail": RefillState.ERROR,
    "failed": RefillState.ERROR,
}


def state_of(word: str) -> ProviderState:
    """Where an order of this status stands; UNKNOWN for a word nobody has mapped."""
    return _STATES.get(plain(word), ProviderState.UNKNOWN)


def refill_state_of(word: str) -> RefillState:
    """Where a refill of this status stands; UNKNOWN for a word nobody has mapped."""
    return _REFILL_STATES.get(plain(word), RefillState.UNKNOWN)


def plain(word: str) -> str:
    """The word in lower case, with single spaces."""
    return " ".join(word.lower().replace("_", " ").replace("-", " ").split())
