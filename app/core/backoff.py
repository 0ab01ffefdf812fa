"""How a wait grows from one try to the next."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_DOUBLINGS_MAX: Final = 20
"""Far beyond the bound of every wait, and far from what a time span cannot hold."""


def backed_off(first: timedelta, times: int, *, at_most: timedelta) -> timedelta:
    """A wait that has doubled so many times since the first one, within its bound."""
    doublings = min(max(times, 0), _DOUBLINGS_MAX)
    return min(first * (1 << doublings), at_most)
