"""The time that rules go by: one object, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

CLOCKS_APART_MAX: Final = timedelta(seconds=10)
"""So far may the clocks of two workers be apart: of what happened nearer to each other than that,
either may have come first."""

HEARD_WITHIN: Final = timedelta(milliseconds=100)
"""So near to what was heard our own reckoning is as good."""


class Clock:
    """UTC now, plus whatever the clock has been moved by."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def move(self, by: timedelta) -> None:
        """Let `by` pass at once."""
        self._ahead += by


class FollowingClock(Clock):
    """The database's time as it was last heard, plus what has elapsed since then.

    A machine whose own clock is wrong, or is set while we run, dates nothing by it: every process
    goes by the one clock of the database. Until that was heard, it goes by its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heard: tuple[datetime, float] | None = None

    @property
    def has_heard(self) -> bool:
        return self._heard is not None

    def now(self) -> datetime:
        if self._heard is None:
            return super().now()
        moment, at = self._heard
        return moment + timedelta(seconds=elapsed_seconds() - at)

    def hear(self, moment: datetime) -> None:
        """It is `moment` now. What is nearer than an answer takes to come moves nothing."""
        if not self.has_heard or abs(moment - self.now()) > HEARD_WITHIN:
            self._heard = (moment, elapsed_seconds())


def elapsed_seconds() -> float:
    """Seconds since some moment: never set back, and going on while the machine is suspended
    where the system can tell (Linux), so that a deadline also passes for one that sleeps.
    """
    return time.clock_gettime(_ELAPSED)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T08:15:30.123456Z`, always in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
