"""Whole stacks as real processes: started by the command that people use, ended by real signals."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
import pytest
import uvloop

from tests.faults.clients import Heard, Load, order_body
from tests.faults.peers import environment_of
from tests.faults.rows import REPOSITORY
from tests.faults.waiting import LOOK_EVERY_SECONDS, until
from tests.fixtures.sockets import PLAIN_HTTP

_READY_SECONDS_MAX: Final = 90.0
_STOPS_MAX: Final = 200
_IDLE: Final = (
    "NOT EXISTS (SELECT 1 FROM pg_stat_activity"
    " WHERE application_name = 'smmos-worker' AND state <> 'idle')"
)
OVER_SECONDS_MAX: Final = 90.0
WALLET_LOCK: Final = "SELECT 1 FROM accounts WHERE kind = 'wallet' FOR UPDATE"
ENDED: Final = ("completed", "partial", "canceled", "failed")


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that `smmos up` keeps running, and the means to use it and to hurt it."""

    process: subprocess.Popen[bytes]
    folder: Path
    heard: Heard = field(default_factory=Heard)

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
            event_hooks={"response": [self.heard.note]},
            trust_env=False,
            verify=PLAIN_HTTP,
            timeout=30,
        )

    def load(self, *base_urls: str) -> Load:
        """Clients that order from all API processes, or from those named."""
        ready = self.ready()
        return Load(base_urls or ready["base_urls"], ready["reseller_key"], self.heard)

    def place(self, client: httpx.Client, **body: Any) -> httpx.Response:
        return client.post(
            "/v1/orders", json=order_body(**body), headers={"Idempotency-Key": uuid4().hex}
        )

    def place_many(self, count: int) -> list[int]:
        with self.api() as client:
            answers = [self.place(client) for _ in range(count)]
        assert {answer.status_code for answer in answers} == {201}
        return [answer.json()["id"] for answer in answers]

    def place_backlog(self, count: int) -> list[int]:
        """Orders for which the worker has its hands full from the moment when this returns."""
        with self.worker_away():
            return self.place_many(count)

    def control(self, method: str, path: str, body: object = None) -> Any:
        with httpx.Client(trust_env=False, verify=PLAIN_HTTP, timeout=10) as client:
            url = self.ready()["provider_control_url"] + path
            answer = client.request(method, url, json=body)
        answer.raise_for_status()
        return answer.json()

    def make_submits_slow(self) -> None:
        """Answers trickle for some 0.3 seconds, so that many calls are under way."""
        self.control("PUT", "/speed", {"slow_byte_seconds": 0.02})
        self.control("PUT", "/faults", {"seed": 7, "slow_bytes": 1.0})

    def accepted(self) -> list[dict[str, Any]]:
        """The oracle: all that the provider ever took."""
        taken: list[dict[str, Any]] = self.control("GET", "/accepted")
        return taken

    @property
    def database_url(self) -> str:
        """As asyncpg takes it."""
        url: str = self.ready()["database_url"]
        return url.replace("+asyncpg", "")

    async def connect(self) -> asyncpg.Connection:
        """A stranger's connection to the database."""
        return await asyncpg.connect(self.database_url)

    def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async def ask() -> list[asyncpg.Record]:
            connection = await self.connect()
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

    def until_over(self, order_ids: Sequence[int], *, besides: Sequence[str] = ()) -> None:
        """Wait until every order has ended, or is in one of the states named besides."""
        until(
            lambda: self.are_over(order_ids, besides=besides),
            OVER_SECONDS_MAX,
            lambda: f"all are over; they are {self.states(order_ids)}",
        )

    def violations(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql("SELECT * FROM violations()")]

    def lane_of(self, order_ids: Sequence[int]) -> str:
        """The one lane in which these orders wait to be handed over."""
        [lane] = {
            row["lane"]
            for row in self.sql(
                "SELECT lane FROM work WHERE kind = 'dispatch' AND ref = ANY($1)",
                [str(order_id) for order_id in order_ids],
            )
        }
        return str(lane)

    @contextmanager
    def worker_away(self) -> Iterator[None]:
        """The stack's worker is stopped inside the block, with no transaction open."""
        self._stop_worker(idle=_IDLE)
        try:
            yield
        finally:
            self.kill("worker", signal.SIGCONT)

    def stop_worker_while_sending(self) -> int:
        """Stop the worker with calls under way and no transaction open, which would hold others."""
        sending = "SELECT 1 FROM attempts WHERE state = 'sending'"
        return self._stop_worker(idle=f"{_IDLE} AND EXISTS ({sending})")

    def _stop_worker(self, *, idle: str) -> int:
        for _ in range(_STOPS_MAX):
            pid = self.kill("worker", signal.SIGSTOP)
            if self.sql(f"SELECT {idle} AS right_now")[0]["right_now"]:
                return pid
            self.kill("worker", signal.SIGCONT)
            time.sleep(LOOK_EVERY_SECONDS)
        pytest.fail("the worker was never caught at that")

    def expire_leases(self) -> None:
        """As if the leases of the dead had run out: tests do not wait for them."""
        # What is locked is being recorded: by the living.
        self.sql(
            "UPDATE work SET lease_until = clock_timestamp() - interval '1 s' WHERE id IN"
            " (SELECT id FROM work WHERE lease_token IS NOT NULL FOR UPDATE SKIP LOCKED)"
        )

    @contextmanager
    def supervisor_away(self) -> Iterator[None]:
        """Nothing that dies inside the block is started again before its end."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def holding(self, *statements: str) -> Iterator[asyncpg.Connection]:
        """A transaction of a stranger that has done this and stays open until the block ends."""
        with asyncio.Runner() as runner:
            connection = runner.run(self.connect())
            try:
                for statement in ("BEGIN", *statements):
                    runner.run(connection.execute(statement))
                yield connection
            finally:
                runner.run(connection.close())

    def until_replaced(self, name: str, pid: int) -> None:
        until(lambda: self.pid(name) != pid, 30, f"another {name} runs")

    def metric(self, name: str, *, of: str = "worker", label: str = "") -> float:
        """The sum of a metric's samples, or of those with a label, as the worker or the first API
        process tells them.
        """
        ready = self.ready()
        url = ready["worker_metrics_url"] if of == "worker" else f"{ready['base_url']}/metrics"
        headers = {"Authorization": f"Bearer {self.secret('metrics_token')}"}
        told = httpx.get(url, headers=headers, trust_env=False, timeout=10).text
        samples = re.findall(rf"^{name}({{.*}})? (\S+)$", told, re.MULTILINE)
        return sum(float(value) for labels, value in samples if label in labels)

    def secret(self, name: str) -> str:
        """What the stack made for itself at its first start."""
        told: dict[str, str] = json.loads((self.folder / "data" / "secrets.json").read_text())
        return told[name]

    def log(self, name: str) -> str:
        return (self.folder / "data" / f"{name}.log").read_text(errors="replace")


@contextmanager
def running_stack(*options: str, program: str = "app.cli") -> Iterator[RunningStack]:
    """What `python -m program up` keeps running: ours, or one that is worse on purpose."""
    # Not pytest's own folder: as root the servers run as another user, who could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="smmos-faults-"))
    ready_file = folder / "ready.json"
    environment = environment_of(folder / "data")
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable,
                *("-m", program, "up", "--port", "0"),
                *("--data-dir", str(folder / "data"), "--ready-file", str(ready_file)),
                *options,
            ],
            cwd=REPOSITORY,
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
