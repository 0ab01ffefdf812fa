"""The processes of a stack as children: what each is started with, and where it answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.cli.refusals import variable
from app.embedded import Supervisor
from app.embedded.ports import choose_port
from app.simulator.server import API_PATH

HOST: Final = "127.0.0.1"
# A worker sees calls to providers through; a simulator that hangs is given up after two seconds.
_WORKER_GRACE_SECONDS: Final = 12.0


class Processes:
    """Starts the children of a stack under one supervisor, all with the same variables."""

    def __init__(self, supervisor: Supervisor, variables: Mapping[str, str]) -> None:
        self._supervisor = supervisor
        self._env = {**os.environ, **variables}

    def start_simulator(self, port: int, *, key: str, state_file: Path, seed: int) -> None:
        """A pretend provider that delivers five hundred units a second, to let nobody wait."""
        self._start(
            "simulator",
            ["--port", str(port), "--state-file", str(state_file), "--seed", str(seed)],
            ["--units-per-second", "500", "--start-delay", "0.5"],
            # Not among the arguments, which all users of the machine can read.
            env={"SIMULATOR_KEY": key},
        )

    def start_worker(self, metrics_port: int) -> None:
        """One worker, with its figures on a port of its own."""
        self._start(
            "worker",
            env={variable("worker_metrics_port"): str(metrics_port)},
            grace_seconds=_WORKER_GRACE_SECONDS,
        )

    def start_api(self, port: int) -> None:
        """One API process on one port."""
        self._start("api", ["--host", HOST, "--port", str(port)])

    def _start(
        self,
        name: str,
        *arguments: list[str],
        env: Mapping[str, str] | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        flat = [argument for some in arguments for argument in some]
        self._supervisor.spawn(
            name,
            [sys.executable, "-m", "app.cli", name, *flat],
            env={**self._env, **(env or {})},
            cwd=Path.cwd(),
            grace_seconds=grace_seconds,
        )


def free_ports(count: int) -> list[int]:
    """So many different ports on which nobody listens."""
    ports: list[int] = []
    while len(ports) < count:
        port = choose_port(None, None)
        if port not in ports:
            ports.append(port)
    return ports


def base_url(port: int) -> str:
    return f"http://{HOST}:{port}"


def provider_url(port: int) -> str:
    """Where a simulator takes calls as a provider."""
    return base_url(port) + API_PATH


def control_url(port: int) -> str:
    """Where a simulator is told to misbehave and says what it accepted."""
    return base_url(port) + "/control"
