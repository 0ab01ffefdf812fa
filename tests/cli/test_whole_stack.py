"""The whole platform as a person starts it: real processes, real signals, one order to its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.settings import ENV_FILE_NAME

SECONDS_MAX = 60.0
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Up:
    """A running `smmos up`, and where it says that it is ready."""

    process: subprocess.Popen[str]
    data_dir: Path
    ready_file: Path

    def ready(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        return told


def eventually(holds: Callable[[], bool]) -> None:
    """Wait, within a bound, for what other processes have to do."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(LOOK_EVERY_SECONDS)


def start(*arguments: str) -> subprocess.Popen[str]:
    # Without compiled modules each of the processes would spend seconds on compiling its own.
    unwanted = ("SMMOS_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    return subprocess.Popen(  # noqa: S603 - argv is ours, no shell
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    data_dir, ready_file = tmp_path / "data", tmp_path / "ready.json"
    process = start(
        *("up", "--port", "0", "--data-dir", str(data_dir), "--ready-file", str(ready_file))
    )
    try:
        eventually(lambda: ready_file.exists() or process.poll() is not None)
        yield Up(process, data_dir, ready_file)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS_MAX)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def processes(ready: dict[str, Any]) -> set[int]:
    """The processes of ours, without the servers."""
    return {pid for name in ("api", "worker", "simulator") for pid in ready["pids"][name]}


def order_status(ready: dict[str, Any], key: str) -> str:
    """Place the order of this key, or the same order again; what it says of itself by now."""
    headers = {"Authorization": f"Bearer {ready['reseller_key']}"}
    body = {"service_id": 1, "link": "https://www.instagram.com/me", "quantity": 100}
    with httpx.Client(base_url=ready["base_url"], headers=headers) as client:
        placed = client.post("/v1/orders", json=body, headers={"Idempotency-Key": key})
        assert placed.status_code == 201, placed.text
        status: str = client.get(f"/v1/orders/{placed.json()['id']}").json()["status"]
    return status


def test_a_stack_delivers_survives_its_killed_processes_and_leaves_nothing_behind(up: Up) -> None:
    ready = up.ready()
    secret_files = [up.ready_file, up.data_dir / ENV_FILE_NAME, up.data_dir / "secrets.json"]
    assert {oct(file.stat().st_mode & 0o777) for file in secret_files} == {"0o600"}
    eventually(lambda: order_status(ready, "first") == "completed")

    for pid in processes(ready):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not processes(ready) & processes(up.ready()))

    again = up.ready()
    assert again["base_url"] == ready["base_url"]
    assert again["provider_url"] == ready["provider_url"]
    eventually(lambda: order_status(again, "second") == "completed")

    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(SECONDS_MAX) == 0
    assert not up.ready_file.exists()
    assert not (up.data_dir / ENV_FILE_NAME).exists()
    servers = {again["pids"]["postgres"], again["pids"]["redis"]}
    assert not any(alive(pid) for pid in processes(again) | servers)


@pytest.mark.timeout(300)
def test_the_demo_passes_while_both_servers_are_killed() -> None:
    demo = start("demo", "--orders", "60", "--restart-servers")
    told, _ = demo.communicate(timeout=280)

    assert demo.returncode == 0, told
    assert "started again meanwhile: postgres, redis" in told
    assert "ledger check: clean" in told
    assert "the demo passed" in told
