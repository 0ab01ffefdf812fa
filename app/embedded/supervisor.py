"""Keeps named child processes running: starts again what dies, stops all in a given order."""

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from app.embedded.echo import LogEcho
from app.embedded.process import ended_within, spawn

_LOGGER: Final = logging.getLogger(__name__)
_FIRST_DELAY_SECONDS = 0.2
_DELAY_SECONDS_MAX = 5.0
# Doublings beyond this one change nothing.
_DOUBLINGS_MAX = 10
_HEALTHY_AFTER_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.05
_LOG_BYTES_MAX = 20_000_000


def delay_seconds(deaths_in_a_row: int) -> float:
    """How long to wait before the next start, after so many short lives: 0.2, 0.4 … 5."""
    doublings = min(deaths_in_a_row - 1, _DOUBLINGS_MAX)
    return min(_FIRST_DELAY_SECONDS * float(2**doublings), _DELAY_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class _Command:
    """What is started anew at each life of a child."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    grace_seconds: float


@dataclass(slots=True)
class _Child:
    """One child over all its lives."""

    command: _Command
    process: subprocess.Popen[bytes]
    started_at: float
    deaths_in_a_row: int = 0
    start_again_at: float | None = None


class Supervisor:
    """Children are spawned, watched and stopped from the main thread, and die with this process.

    Either call `run_until_signal`, or call `poll` often from a loop of your own; then `stop`. As a
    context manager it stops at the exit.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        on_change: Callable[[], None],
        revive: Callable[[], Sequence[str]] | None = None,
        echo: bool = False,
    ) -> None:
        """`on_change` is called after a restart, once the new pids are known.

        `revive` is asked at each look to start again what others own, such as the servers of a
        stack, and answers what it started. With `echo`, what children print comes to our stderr.
        """
        self._log_dir = log_dir
        self._on_change = on_change
        self._revive = revive
        self._echo = LogEcho() if echo else None
        self._children: list[_Child] = []

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        grace_seconds: float = 10.0,
    ) -> int:
        """Start a child and keep it running; its output goes to `<name>.log`.

        A name may be used several times. `grace_seconds` lie between SIGTERM and SIGKILL when it
        is stopped. Returns its first pid.
        """
        log = self._log_dir / f"{name}.log"
        command = _Command(name, tuple(argv), dict(env), cwd, log, grace_seconds)
        child = _Child(command, self._begin(command), time.monotonic())
        self._children.append(child)
        return child.process.pid

    def pids(self) -> dict[str, list[int]]:
        """The living children by name; a name whose children are down has an empty list."""
        found: dict[str, list[int]] = {}
        for child in self._children:
            alive = [child.process.pid] if child.process.poll() is None else []
            found.setdefault(child.command.name, []).extend(alive)
        return found

    def poll(self) -> list[str]:
        """Look once, without waiting; return the names of what was started again."""
        now = time.monotonic()
        started = [child.command.name for child in self._children if self._look_at(child, now)]
        if self._revive is not None:
            started.extend(self._revive())
        if self._echo is not None:
            self._echo.look()
        if started:
            self._on_change()
        return started

    def run_until_signal(self) -> signal.Signals:
        """Keep all running until SIGINT or SIGTERM comes, and return which; stop nothing."""
        asked: list[signal.Signals] = []
        with _noting_signals(asked):
            while not asked:
                self.poll()
                time.sleep(_LOOK_EVERY_SECONDS)
        return asked[0]

    def stop(self, order: Sequence[str] = ()) -> None:
        """Stop the named ones in that order, then the rest, last started first.

        Each name gets SIGTERM, its grace, then SIGKILL, before the next name is touched.
        """
        rest = reversed([child.command.name for child in self._children])
        # A dict, because it keeps the first place of each name.
        for name in dict.fromkeys([*order, *rest]):
            _stop_all([child for child in self._children if child.command.name == name])
        self._children.clear()
        if self._echo is not None:
            self._echo.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self, command: _Command) -> subprocess.Popen[bytes]:
        if command.log.exists() and command.log.stat().st_size > _LOG_BYTES_MAX:
            command.log.replace(command.log.with_suffix(".log.1"))
        if self._echo is not None:
            self._echo.follow(command.log)
        return spawn(
            command.argv,
            env=command.env,
            cwd=command.cwd,
            log=command.log,
            dies_by=signal.SIGTERM,
        )

    def _look_at(self, child: _Child, now: float) -> bool:
        """Note a death, or start again what is due; whether it was started."""
        if child.start_again_at is None:
            if child.process.poll() is not None:
                self._note_death(child, now)
            return False
        if now < child.start_again_at:
            return False
        child.process = self._begin(child.command)
        child.started_at, child.start_again_at = now, None
        _LOGGER.info("%s runs again as process %d", child.command.name, child.process.pid)
        return True

    def _note_death(self, child: _Child, now: float) -> None:
        was_healthy = now - child.started_at >= _HEALTHY_AFTER_SECONDS
        child.deaths_in_a_row = 1 if was_healthy else child.deaths_in_a_row + 1
        delay = delay_seconds(child.deaths_in_a_row)
        child.start_again_at = now + delay
        _LOGGER.warning(
            "%s, process %d, ended with %d and is started again in %.1f s; see %s",
            child.command.name,
            child.process.pid,
            child.process.returncode,
            delay,
            child.command.log,
        )


def _stop_all(children: Sequence[_Child]) -> None:
    for child in children:
        child.process.terminate()
    began = time.monotonic()
    for child in children:
        left = began + child.command.grace_seconds - time.monotonic()
        if not ended_within(child.process, max(left, 0.0)):
            child.process.kill()
            child.process.wait()


@contextmanager
def _noting_signals(asked: list[signal.Signals]) -> Iterator[None]:
    def note(signum: int, _frame: FrameType | None) -> None:
        asked.append(signal.Signals(signum))

    before = {which: signal.signal(which, note) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
