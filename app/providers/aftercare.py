"""The words for what may follow an accepted order: a refill of what was lost, and a cancel."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class RefillTaken:
    """The provider will deliver again what was lost, under an id of its own for that."""

    provider_refill_id: str


@dataclass(frozen=True, slots=True)
class RefillRefused:
    """The provider answered and certainly took no refill of this order."""

    reason: str


class RefillState(StrEnum):
    """Where a provider says that a refill stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    REJECTED = "rejected"

    ERROR = "error"
    """The provider gave up; how much came back, the word does not say."""

    UNKNOWN = "unknown"
    """A word nobody has mapped: keep the last good state, count it, never end the refill."""


@dataclass(frozen=True, slots=True)
class RefillProgress:
    """What a provider said of one refill."""

    state: RefillState
    raw_status: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The provider will try; only the order's own status says whether, and what it delivered."""


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The provider answered no. Where it was asked before, it may say so of what it has begun."""

    reason: str
