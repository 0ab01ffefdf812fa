"""A process whose clock is not the database's says so."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.core import clock_watch, inspection
from app.core.clock import Clock
from app.core.metrics import CLOCK_SKEW
from app.core.runtime import Runtime
from app.core.tasks import end_tasks
from tests.fixtures.pace import GIVE_UP_SECONDS


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=10)])
async def test_clocks_that_disagree_are_measured_and_told(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    monkeypatch.setattr(clock_watch, "LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(clock_watch, "SKEW_MAX", timedelta(minutes=5))
    monkeypatch.setattr(inspection, "Clock", lambda: Clock(ahead))
    CLOCK_SKEW.set(float("nan"))
    with capture_logs() as logs:
        watching = asyncio.create_task(clock_watch.watch_clock(runtime))
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while CLOCK_SKEW._value.get() != CLOCK_SKEW._value.get():  # noqa: ASYNC110 - till a figure
                await asyncio.sleep(0.01)
        await end_tasks([watching])
    assert CLOCK_SKEW._value.get() == pytest.approx(-ahead.total_seconds(), abs=60)
    told = [entry for entry in logs if entry["event"] == "clocks_disagree"]
    assert bool(told) == bool(ahead)
