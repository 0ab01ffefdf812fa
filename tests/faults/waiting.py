"""Waiting for what other processes do: a condition and a bound, never a pause and a hope."""

import time
from collections.abc import Callable
from typing import Final

import pytest

LOOK_EVERY_SECONDS: Final = 0.02


def until(condition: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> None:
    """Wait for another process's doing; `what` is told, or asked for, when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            pytest.fail(f"after {seconds} s still not: {told}")
        time.sleep(LOOK_EVERY_SECONDS)
