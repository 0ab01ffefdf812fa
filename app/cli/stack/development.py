"""A development stack from its start to its end: servers, seed, processes, ready file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.cli.refusals import CommandFailed
from app.cli.stack import secrets
from app.cli.stack.environment import (
    remove_env_file,
    settings_from,
    stack_variables,
    write_env_file,
)
from app.cli.stack.files import write_private
from app.cli.stack.planting import RESELLER, prepare_database
from app.cli.stack.processes import Processes, base_url, control_url, free_ports, provider_url
from app.cli.stack.readiness import are_ready, await_ready
from app.cli.stack.ready_file import Ready, StackPids
from app.cli.stack.secrets import StackSecrets
from app.cli.stack.servers import Servers, choose_servers, started
from app.embedded import PortTaken, Supervisor
from app.embedded.ports import choose_port

_LOOK_EVERY_SECONDS: Final = 0.05
RESELLER_KEY_FILE: Final = "reseller-key"


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What the person who starts the stack may choose."""

    port: int
    data_dir: Path
    ready_file: Path | None
    simulator: bool
    api_processes: int
    workers: int
    time_scale: float


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the processes of one stack listen, for as long as it lives."""

    api: tuple[int, ...]
    worker_metrics: tuple[int, ...]
    simulator: int | None

    @property
    def base_urls(self) -> list[str]:
        return [base_url(port) for port in self.api]


@dataclass(frozen=True, slots=True)
class DevelopmentStack:
    """A stack that runs, and what tells others of it."""

    servers: Servers
    supervisor: Supervisor
    ports: Ports
    kept: StackSecrets
    variables: dict[str, str]
    ready_file: Path | None

    def keep_running(self) -> None:
        """Start again what dies until a KeyboardInterrupt; announce it once all answer again."""
        changed = False
        while True:
            changed = bool(self.supervisor.poll()) or changed
            if changed and are_ready(self.ports.base_urls):
                self.announce()
                changed = False
            time.sleep(_LOOK_EVERY_SECONDS)

    def announce(self) -> None:
        """Tell those who wait for the stack, and those who join it."""
        write_env_file(self.servers.data_dir, self.variables)
        # Beside it the key by itself, for the first steps with curl.
        write_private(self.servers.data_dir / RESELLER_KEY_FILE, f"{self.kept.reseller_key}\n")
        if self.ready_file is not None:
            self._ready().write(self.ready_file)

    def withdraw(self) -> None:
        """Soon nothing answers: neither a second shell nor a waiting test is to believe so."""
        remove_env_file(self.servers.data_dir)
        (self.servers.data_dir / RESELLER_KEY_FILE).unlink(missing_ok=True)
        if self.ready_file is not None:
            self.ready_file.unlink(missing_ok=True)

    def greeting(self) -> str:
        """What a person wants to know at the start."""
        base = self.ports.base_urls[0]
        more = [f"  also at        {other}" for other in self.ports.base_urls[1:]]
        lines = [
            f"SMMOS runs at {base}",
            *more,
            f"  documentation  {base}/docs",
            f"  reseller key   {self.kept.reseller_key}   ({RESELLER.name})",
            f"  operator key   {self.kept.operator_key}",
            f"  logs, secrets  {self.servers.data_dir}",
            "  second shell   ./run smmos COMMAND joins this stack",
            "Stop it with Ctrl-C.",
        ]
        return "\n".join(lines)

    def _ready(self) -> Ready:
        if self.kept.reseller_key is None or self.kept.operator_key is None:
            raise CommandFailed("The stack was announced before it was seeded.")
        simulator = self.ports.simulator
        pids = self.supervisor.pids()
        return Ready(
            base_url=self.ports.base_urls[0],
            base_urls=self.ports.base_urls,
            reseller_key=self.kept.reseller_key,
            operator_key=self.kept.operator_key,
            provider_url=None if simulator is None else provider_url(simulator),
            provider_control_url=None if simulator is None else control_url(simulator),
            database_url=self.servers.database_url,
            redis_url=self.servers.redis_url,
            worker_metrics_url=base_url(self.ports.worker_metrics[0]) + "/metrics",
            pids=StackPids(
                api=pids.get("api", []),
                worker=pids.get("worker", []),
                simulator=pids.get("simulator", []),
                postgres=self.servers.postgres_pid,
                redis=self.servers.redis_pid,
            ),
        )


@contextmanager
def development_stack(options: StackOptions) -> Iterator[DevelopmentStack]:
    """Everything up and ready inside the `with`, and nothing left of it after."""
    # First, so that a taken port is told before anything is begun.
    first = _first_port(options.port)
    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)
    with started(choose_servers(options.data_dir)) as servers:
        kept = secrets.recall(servers.data_dir)
        free = free_ports(options.api_processes - 1 + options.workers)
        ports = Ports(
            api=(first, *free[options.workers :]),
            worker_metrics=tuple(free[: options.workers]),
            simulator=choose_port(None, kept.simulator_port) if options.simulator else None,
        )
        variables = stack_variables(servers, kept, time_scale=options.time_scale)
        kept = _prepared(servers, kept, ports, variables)
        with Supervisor(
            servers.data_dir, on_change=_announced_once_ready, revive=servers.revive
        ) as supervisor:
            _start_processes(Processes(supervisor, variables), servers, ports, kept)
            await_ready(supervisor, ports.base_urls, log_dir=servers.data_dir)
            stack = DevelopmentStack(
                servers, supervisor, ports, kept, variables, options.ready_file
            )
            try:
                stack.announce()
                yield stack
            finally:
                stack.withdraw()


def _first_port(asked: int) -> int:
    try:
        return choose_port(asked or None, None)
    except PortTaken as taken:
        raise CommandFailed(
            f"{taken} Choose another with --port, or let any free one be taken with --port 0."
        ) from taken


def _announced_once_ready() -> None:
    """A new process is told of when it answers, not when it starts: see `keep_running`."""


def _prepared(
    servers: Servers, kept: StackSecrets, ports: Ports, variables: dict[str, str]
) -> StackSecrets:
    """Secrets on disk before anything is sealed with them, and again with the keys minted."""
    kept = kept.model_copy(update={"simulator_port": ports.simulator or kept.simulator_port})
    secrets.remember(servers.data_dir, kept)
    prepared = prepare_database(
        settings_from(variables),
        kept,
        simulator_url=None if ports.simulator is None else provider_url(ports.simulator),
    )
    secrets.remember(servers.data_dir, prepared)
    return prepared


def _start_processes(
    processes: Processes, servers: Servers, ports: Ports, kept: StackSecrets
) -> None:
    if ports.simulator is not None:
        processes.start_simulator(
            ports.simulator,
            key=kept.provider_key,
            state_file=servers.data_dir / "simulator.jsonl",
            seed=0,
        )
    for port in ports.worker_metrics:
        processes.start_worker(port)
    for port in ports.api:
        processes.start_api(port)
