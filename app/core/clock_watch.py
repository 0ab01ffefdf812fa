"""Watches how far the database's clock is from ours: leases go by the one, rules by the other."""

from __future__ import annotations

import asyncio
from typing import Final

from app.core.inspection import SKEW_MAX, Unreachable, look_at_database
from app.core.logging import get_logger
from app.core.metrics import CLOCK_SKEW
from app.core.runtime import Runtime

LOOK_EVERY_SECONDS: Final = 30.0

log = get_logger(__name__)


async def watch_clock(runtime: Runtime) -> None:
    """Compare the two now and then, until cancelled; without a database there is nothing to say."""
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        try:
            facts = await look_at_database(runtime)
        except Unreachable as trouble:
            log.info("clocks_not_compared", why=str(trouble))
            continue
        seconds = facts.skew.total_seconds()
        CLOCK_SKEW.set(seconds)
        if abs(facts.skew) >= SKEW_MAX:
            log.warning("clocks_disagree", database_ahead_seconds=round(seconds, 1))
