"""Watches the event loop of a process: what blocks it blocks every request and every call."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from app.core.logging import get_logger
from app.core.metrics import EVENT_LOOP_LAG

LAG_EVERY_SECONDS: Final = 0.25
LAG_WINDOW: Final = 20
STALL_SECONDS: Final = 1.0
"""The loop that wakes so late is told of in the log; leases and deadlines allow for far more."""

log = get_logger(__name__)


async def watch_event_loop() -> None:
    """Measure how late the loop wakes, until cancelled."""
    worst: list[float] = []
    while True:
        before = time.perf_counter()
        await asyncio.sleep(LAG_EVERY_SECONDS)
        lag = time.perf_counter() - before - LAG_EVERY_SECONDS
        if lag > STALL_SECONDS:
            log.warning("event_loop_stalled", seconds=round(lag, 2))
        worst = [*worst[1 - LAG_WINDOW :], lag]
        EVENT_LOOP_LAG.set(max(0.0, *worst))
