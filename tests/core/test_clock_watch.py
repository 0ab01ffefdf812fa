"""Every process goes by the database's clock, whatever its machine's own says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app.core import clock, clock_watch
from app.core.clock import HEARD_WITHIN, Clock, FollowingClock
from app.core.metrics import CLOCK_SKEW
from app.core.runtime import Runtime, open_runtime
from app.core.tasks import end_tasks
from tests.fixtures.pace import GIVE_UP_SECONDS

ABOUT = timedelta(seconds=GIVE_UP_SECONDS)


@pytest.fixture
async def following(runtime: Runtime) -> AsyncIterator[Runtime]:
    """As a process opens it: with no clock of a test's."""
    async with open_runtime(runtime.settings, name="following", with_doorbell=False) as opened:
        yield opened


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=16), timedelta(minutes=-16)])
async def test_a_machine_whose_clock_is_wrong_says_so_and_dates_nothing_by_it(
    following: Runtime, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    monkeypatch.setattr(clock_watch, "TOOK_MAX", ABOUT)
    monkeypatch.setattr(clock_watch, "SKEW_MAX", ABOUT)
    monkeypatch.setattr(Clock, "now", lambda _: datetime.now(UTC) + ahead)
    assert abs(following.clock.now() - ahead - datetime.now(UTC)) < ABOUT

    with capture_logs() as logs:
        assert await clock_watch.hear_the_time(following)

    assert abs(following.clock.now() - datetime.now(UTC)) < ABOUT
    assert abs(CLOCK_SKEW._value.get() + ahead.total_seconds()) < GIVE_UP_SECONDS
    told = [entry for entry in logs if entry["event"] == "clocks_disagree"]
    assert bool(told) == bool(ahead)


async def test_the_clock_is_heard_again_soon_where_the_database_did_not_tell_it(
    following: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_watch, "LOOK_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(clock_watch, "TOOK_MAX", timedelta())  # every answer takes too long
    watching = asyncio.create_task(clock_watch.watch_clock(following))
    await asyncio.sleep(0.1)
    assert isinstance(following.clock, FollowingClock)
    assert not following.clock.has_heard
    monkeypatch.setattr(clock_watch, "TOOK_MAX", ABOUT)
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while not following.clock.has_heard:  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0.01)
    await end_tasks([watching])


def test_a_clock_goes_on_by_what_has_elapsed_and_is_not_moved_by_a_trifle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elapsed = 100.0
    monkeypatch.setattr(clock, "elapsed_seconds", lambda: elapsed)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    followed = FollowingClock()
    followed.hear(noon)
    elapsed += 5
    assert followed.now() == noon + timedelta(seconds=5)
    followed.hear(followed.now() + HEARD_WITHIN)
    assert followed.now() == noon + timedelta(seconds=5)
    followed.hear(noon)
    assert followed.now() == noon
