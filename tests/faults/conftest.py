"""Whole stacks as real processes: started by the command that people use, ended by real signals."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
import pytest
import uvloop

_READY_SECONDS_MAX: Final = 90.0
_LOOK_EVERY_SECONDS: Final = 0.02
_REPOSITORY: Final = Path(__file__).resolve().parents[2]
ENDED: Final = ("completed", "partial", "canceled", "failed")


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that `smmos up` keeps running, and the means to use it and to hurt it."""

    process: subprocess.Popen[bytes]
    folder: Path

    def ready(self) -> dict[str, Any]:
        """The ready file as it stands: pids change when processes are started again."""
        told: dict[str, Any] = json.loads((self.folder / "ready.json").read_text())
        return told

    def pid(self, name: str) -> int:
        pids = self.ready()["pids"][name]
        return int(pids[0] if isinstance(pids, list) else pids)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process of the stack; the pid it had."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def api(self, base_url: str | None = None) -> httpx.Client:
        ready = self.ready()
        return httpx.Client(
            base_url=base_url or ready["base_url"],
            headers={"Authorization": f"Bearer {ready['reseller_key']}"},
            trust_env=False,
            timeout=30,
        )

    def place(self, client: httpx.Client, **body: Any) -> httpx.Response:
        link = f"https://www.instagram.com/p/{uuid4().hex}"
        wanted = {"service_id": 2, "link": link, "quantity": 100}
        return client.post(
            "/v1/orders", json=wanted | body, headers={"Idempotency-Key": uuid4().hex}
        )

    def place_many(self, count: int) -> list[int]:
        with self.api() as client:
            answers = [self.place(client) for _ in range(count)]
        assert {answer.status_code for answer in answers} == {201}
        return [answer.json()["id"] for answer in answers]

    def control(self, method: str, path: str, body: object = None) -> Any:
        with httpx.Client(trust_env=False, timeout=10) as client:
            url = self.ready()["provider_control_url"] + path
            answer = client.request(method, url, json=body)
        answer.raise_for_status()
        return answer.json()

    def accepted(self) -> list[dict[str, Any]]:
        """The oracle: all that the provider ever took."""
        taken: list[dict[str, Any]] = self.control("GET", "/accepted")
        return taken

    def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        url = self.ready()["database_url"].replace("+asyncpg", "")

        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(url)
            try:
                rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
                return rows
            finally:
                await connection.close()

        return uvloop.run(ask())

    def states(self, order_ids: Sequence[int]) -> dict[str, int]:
        rows = self.sql(
            "SELECT state, count(*) FROM orders WHERE id = ANY($1) GROUP BY state", list(order_ids)
        )
        return {row[0]: row[1] for row in rows}

    def are_over(self, order_ids: Sequence[int], *, besides: Sequence[str] = ()) -> bool:
        """Whether every order has ended, or is in one of the states named besides."""
        return set(self.states(order_ids)) <= {*ENDED, *besides}

    def violations(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql("SELECT * FROM violations()")]

    def log(self, name: str) -> str:
        return (self.folder / "data" / f"{name}.log").read_text(errors="replace")


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for another process's doing."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s still not: {what}")
        time.sleep(_LOOK_EVERY_SECONDS)


@contextmanager
def running_stack(*options: str, program: str = "app.cli") -> Iterator[RunningStack]:
    """What `python -m program up` keeps running; `program` is ours, or one that makes it worse."""
    # Not pytest's own folder: as root the servers run as another user, who could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="smmos-faults-"))
    ready_file = folder / "ready.json"
    # Without compiled modules each of the processes would spend seconds on compiling its own.
    unwanted = ("SMMOS_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable,
                *("-m", program, "up", "--port", "0"),
                *("--data-dir", str(folder / "data"), "--ready-file", str(ready_file)),
                *options,
            ],
            cwd=_REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(
            lambda: ready_file.exists() or process.poll() is not None, _READY_SECONDS_MAX, "ready"
        )
        assert process.poll() is None, (folder / "up.log").read_text()
        yield RunningStack(process, folder)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """One stack with two API processes for the tests of a module."""
    with running_stack("--api-processes", "2") as running:
        yield running


@pytest.fixture(autouse=True)
def all_is_well_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """A stack that a test has used is left without faults, and its ledger check finds nothing."""
    yield
    if "stack" in request.fixturenames:
        running: RunningStack = request.getfixturevalue("stack")
        running.control("DELETE", "/faults")
        assert running.violations() == []
