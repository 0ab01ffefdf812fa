"""The time that rules go by, one object, so that tests can move it; and how waits grow."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

CLOCKS_APART_MAX: Final = timedelta(seconds=10)
"""So far may the clocks of two workers be apart: of what happened nearer to each other than that,
either may have come first."""

_DOUBLINGS_MAX: Final = 20
"""Far beyond the bound of every wait, and far from what a time span cannot hold."""


class Clock:
    """UTC now, plus whatever the clock has been moved by."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def move(self, by: timedelta) -> None:
        """Let `by` pass at once."""
        self._ahead += by


def elapsed_seconds() -> float:
    """Seconds since some moment: never set back, and going on while the machine is suspended
    where the system can tell (Linux), so that a deadline also passes for one that sleeps.
    """
    return time.clock_gettime(_ELAPSED)


def backed_off(first: timedelta, times: int, *, at_most: timedelta) -> timedelta:
    """A wait that has doubled so many times since the first one, within its bound."""
    doublings = min(max(times, 0), _DOUBLINGS_MAX)
    return min(first * (1 << doublings), at_most)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T08:15:30.123456Z`, always in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
