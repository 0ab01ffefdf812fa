"""Waits until a stack answers, and gives up with the log's last words when it will not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.cli.refusals import CommandFailed
from app.core.http import Bounds, HTTPError, bounded_client
from app.embedded import Supervisor

READY_SECONDS_MAX: Final = 60.0
_LOOK_EVERY_SECONDS: Final = 0.05
_DEATHS_MAX: Final = 3
_LOG_LINES: Final = 15
_BOUNDS: Final = Bounds(connect_seconds=1.0, read_seconds=2.0, connections_max=10, keep_alive=False)


def await_ready(supervisor: Supervisor, base_urls: Sequence[str], *, log_dir: Path) -> None:
    """Return once every `/readyz` is 200. Raises CommandFailed, early when processes keep dying."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    deaths = 0
    while not are_ready(base_urls):
        deaths += len(supervisor.poll())
        if deaths >= _DEATHS_MAX:
            raise CommandFailed(f"The processes do not stay up.\n{_last_words(log_dir)}")
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"Not ready after {READY_SECONDS_MAX:.0f} s.\n{_last_words(log_dir)}"
            )
        time.sleep(_LOOK_EVERY_SECONDS)


def are_ready(base_urls: Sequence[str]) -> bool:
    """Whether every API process says now that it can serve."""
    return asyncio.run(_all_answer([f"{base}/readyz" for base in base_urls]))


async def _all_answer(urls: Sequence[str]) -> bool:
    async with bounded_client(_BOUNDS) as client:
        try:
            answers = [await client.get(url) for url in urls]
        except HTTPError:
            return False
    return all(answer.is_success for answer in answers)


def _last_words(log_dir: Path) -> str:
    parts = []
    for name in ("api", "worker", "simulator"):
        log = log_dir / f"{name}.log"
        if log.exists():
            lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            parts.append("\n".join([f"The end of {log}:", *lines]))
    return "\n".join(parts)
