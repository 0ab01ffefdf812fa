"""Goes by the database's clock, and tells how far this machine's own is from it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from app.core.clock import Clock, FollowingClock
from app.core.inspection import SKEW_MAX, Unreachable, look_at_database
from app.core.logging import get_logger
from app.core.metrics import CLOCK_SKEW
from app.core.runtime import Runtime

LOOK_EVERY_SECONDS: Final = 30.0
LOOK_AGAIN_SECONDS: Final = 1.0
TOOK_MAX: Final = timedelta(seconds=1)
"""An answer that took longer tells the time too vaguely; the next one is waited for."""

log = get_logger(__name__)


async def hear_the_time(runtime: Runtime) -> bool:
    """Compare the clocks once; whether the database told its time. Without it there is nothing that
    could be dated wrongly.
    """
    try:
        facts = await look_at_database(runtime)
    except Unreachable as trouble:
        log.info("clocks_not_compared", why=str(trouble))
        return False
    if facts.took > TOOK_MAX:
        return False
    seconds = facts.skew.total_seconds()
    CLOCK_SKEW.set(seconds)
    if abs(facts.skew) >= SKEW_MAX:
        log.warning("clocks_disagree", database_ahead_seconds=round(seconds, 1))
    if isinstance(runtime.clock, FollowingClock):
        runtime.clock.hear(Clock().now() + facts.skew)
    return True


async def watch_clock(runtime: Runtime) -> None:
    """Compare the clocks now and then, until cancelled; soon again as long as none was heard."""
    heard = False
    while True:
        heard = await hear_the_time(runtime) or heard
        await asyncio.sleep(LOOK_EVERY_SECONDS if heard else LOOK_AGAIN_SECONDS)
