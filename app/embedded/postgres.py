"""A PostgreSQL server on a loopback port: its settings, its start and its three ways to stop."""

import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from app.embedded.cluster import ENV, NAME, major_version, make_cluster
from app.embedded.errors import ServerDidNotStart
from app.embedded.plan import ServerPlan
from app.embedded.previous import await_end_of_previous
from app.embedded.process import spawn, stop

PostgresStop = Literal["fast", "immediate", "kill"]

_START_SECONDS_MAX = 60.0
_LOOK_EVERY_SECONDS = 0.01
_RETRY_EVERY_SECONDS = 0.1
_READY_LINE = 7
_TOLD_LINES_MAX = 8
# What the server logs while children of a killed one have not noticed its end yet.
_LINGERING = "pre-existing shared memory block"

_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "log_destination": "stderr",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For data that may be lost with the machine: nothing waits for the disk. Commits still wait for the
# operating system, so that a server that is merely killed loses nothing that it confirmed.
_FAST: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "30min",
}
_STOPS: Final[Mapping[PostgresStop, tuple[tuple[signal.Signals, float], ...]]] = {
    "fast": ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
    "immediate": ((signal.SIGQUIT, 5.0),),
    "kill": (),
}


class PostgresServer:
    """One server over one data folder, which the first start makes."""

    def __init__(self, plan: ServerPlan, settings: Mapping[str, str]) -> None:
        """`settings` are added to ours, and win over them."""
        self._plan = plan
        self._settings = {**_SETTINGS, **({} if plan.durable else _FAST), **settings}
        self._data = plan.home / f"pg{major_version(plan.program)}"
        self._process: subprocess.Popen[bytes] | None = None
        # Set between `prepare` and the first `start`; kept from then on.
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def url(self) -> str:
        """Where the application connects, in SQLAlchemy's form."""
        return f"postgresql+asyncpg://{NAME}:{self._plan.password}@127.0.0.1:{self.port}/{NAME}"

    def prepare(self) -> None:
        """Wait for an earlier server over the same folder to end; make the folder if need be."""
        await_end_of_previous(self._data / "postmaster.pid", serves=self._data)
        if not self._data.exists():
            make_cluster(self._data, self._plan)

    def start(self) -> None:
        """Return when it takes connections; raise with its last words when it does not."""
        if self.pid is not None:
            raise RuntimeError("PostgreSQL is running already.")
        deadline = time.monotonic() + _START_SECONDS_MAX
        while True:
            told_before = self._plan.log.stat().st_size if self._plan.log.exists() else 0
            process = self._spawn()
            if self._becomes_ready(process, deadline):
                self._process = process
                return
            stop(process, *_STOPS["immediate"])
            told = self._told_since(told_before)
            if _LINGERING not in told or time.monotonic() >= deadline:
                raise ServerDidNotStart(f"PostgreSQL did not start (log {self._plan.log}):\n{told}")
            time.sleep(_RETRY_EVERY_SECONDS)

    def stop(self, mode: PostgresStop = "fast") -> None:
        """`fast` keeps all in order, `immediate` leaves a recovery to do, `kill` is kill -9."""
        if self._process is not None:
            stop(self._process, *_STOPS[mode])

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {**self._settings, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return spawn(
            [str(self._plan.program), "-D", str(self._data), *options],
            env=ENV,
            cwd=Path("/"),
            log=self._plan.log,
            # To PostgreSQL, SIGINT is the fast shutdown; SIGTERM would wait for its clients.
            dies_by=signal.SIGINT,
            account=self._plan.account,
        )

    def _becomes_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        while process.poll() is None and time.monotonic() < deadline:
            if self._says_ready(process.pid):
                return True
            time.sleep(_LOOK_EVERY_SECONDS)
        return False

    def _says_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The pid is compared because a killed server leaves its file behind, saying "ready".
        return (
            len(lines) > _READY_LINE
            and lines[0] == str(pid)
            and lines[_READY_LINE].strip() == "ready"
        )

    def _told_since(self, offset: int) -> str:
        with self._plan.log.open("rb") as log:
            log.seek(offset)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TOLD_LINES_MAX:])
