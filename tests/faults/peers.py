"""Processes of a test's own beside those of a stack: ordinary ones, and some that are to die."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.faults.rows import REPOSITORY
from tests.faults.waiting import until

if TYPE_CHECKING:
    from tests.faults.stacks import RunningStack

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0


def environment_of(data_dir: Path, **settings: str) -> dict[str, str]:
    """What joins a process to a stack, and what it is told besides."""
    # Without compiled modules each of the processes would spend seconds on compiling its own.
    unwanted = ("SMMOS_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    # A reseller's pace is not what these tests are about.
    settings = {"rate_limit_default_per_minute": "100000"} | settings
    told = {f"SMMOS_{name.upper()}": text for name, text in settings.items()}
    return inherited | {"SMMOS_DATA_DIR": str(data_dir)} | told


@contextmanager
def peer(
    stack: "RunningStack", *command: str, spoilt: str | None = None, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours joined to the stack; see `crashing.py` for how it may be spoilt."""
    program = ["app.cli"] if spoilt is None else ["tests.faults.crashing", spoilt]
    with (stack.folder / "data" / "peers.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", *program, *command],
            cwd=REPOSITORY,
            env=environment_of(stack.folder / "data", **settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def worker(
    stack: "RunningStack", *, spoilt: str | None = None, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """One more worker."""
    with peer(stack, "worker", spoilt=spoilt, **settings) as process:
        yield process


@contextmanager
def api(
    stack: "RunningStack", *, spoilt: str | None = None, **settings: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """One more API process that answers, and where."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    with peer(stack, "api", "--port", str(port), spoilt=spoilt, **settings) as process:
        until_answers(base_url, process)
        yield base_url, process


def until_answers(base_url: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "the process ended before it answered"
        try:
            return httpx.get(f"{base_url}/livez", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    until(answers, START_SECONDS_MAX, "one more API process answers")


def wait_for_death(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Until a process that is to kill itself has done so."""
    assert process.wait(seconds) == -9, "it was to die by kill -9"
