"""The demo's processes: servers, two simulators, a worker and an API, gone once it is over."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.cli.demo.world import PROVIDERS, PretendProvider, World, plant
from app.cli.refusals import CommandFailed, variable
from app.cli.stack import secrets
from app.cli.stack.environment import settings_from, stack_variables
from app.cli.stack.processes import Processes, base_url, free_ports
from app.cli.stack.readiness import await_ready
from app.cli.stack.secrets import StackSecrets
from app.core.settings import Settings
from app.embedded import EmbeddedStack, Supervisor

_TIME_SCALE = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs, and what was started again meanwhile."""

    base_url: str
    settings: Settings
    world: World
    providers: tuple[PretendProvider, ...]
    supervisor: Supervisor
    servers: EmbeddedStack
    restarts: Counter[str] = field(default_factory=Counter)

    def look_after(self) -> None:
        """Start again what has died, and remember what it was."""
        self.restarts.update(self.supervisor.poll())

    @property
    def worker_pid(self) -> int | None:
        pids = self.supervisor.pids()["worker"]
        return pids[0] if pids else None


@contextmanager
def data_folder(wanted: Path | None) -> Iterator[EmbeddedStack]:
    """Servers over a new folder: a throw-away one, or the one asked for, which is kept."""
    if wanted is None:
        servers = EmbeddedStack(Path(tempfile.mkdtemp(prefix="smmos-demo-")), durable=False)
        try:
            servers.start()
            yield servers
        finally:
            servers.remove()
        return
    if wanted.exists() and any(wanted.iterdir()):
        raise CommandFailed(
            f"{wanted} is not empty. The demo begins with nothing: name a new folder."
        )
    with EmbeddedStack(wanted) as servers:
        yield servers


@contextmanager
def stage(servers: EmbeddedStack, *, orders: int) -> Iterator[Stage]:
    """Everything planted, up and ready inside the `with`."""
    kept = StackSecrets()
    secrets.remember(servers.data_dir, kept)
    api_port, metrics_port, *simulator_ports = free_ports(2 + len(PROVIDERS))
    providers = tuple(
        PretendProvider(name, port, kept.provider_key, servers.data_dir / f"simulator-{port}.jsonl")
        for name, port in zip(PROVIDERS, simulator_ports, strict=True)
    )
    variables = stack_variables(servers, kept, time_scale=_TIME_SCALE)
    # What is shown is the platform at its own pace, not the fair use of one key.
    variables[variable("rate_limit_default_per_minute")] = "1000000"
    settings = settings_from(variables)
    with Supervisor(servers.data_dir, on_change=_nobody_waits, revive=servers.revive) as supervisor:
        processes = Processes(supervisor, variables)
        for seed, one in enumerate(providers):
            processes.start_simulator(one.port, key=one.key, state_file=one.state_file, seed=seed)
        world = asyncio.run(plant(settings, kept, providers, orders=orders))
        processes.start_worker(metrics_port)
        processes.start_api(api_port)
        await_ready(supervisor, [base_url(api_port)], log_dir=servers.data_dir)
        yield Stage(base_url(api_port), settings, world, providers, supervisor, servers)


def _nobody_waits() -> None:
    """The demo looks at what was started again by itself, in `look_after`."""
