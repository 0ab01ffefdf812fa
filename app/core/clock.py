"""The time that rules go by: one object, so that tests can move it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """UTC now, plus whatever the clock has been moved by."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def move(self, by: timedelta) -> None:
        """Let `by` pass at once."""
        self._ahead += by


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T08:15:30.123456Z`, always in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
