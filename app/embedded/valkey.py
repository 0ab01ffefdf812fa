"""A Valkey (or Redis) server on a loopback port, behind a password."""

import signal
import socket
import subprocess
import time

from app.embedded.errors import ServerDidNotStart
from app.embedded.plan import ServerPlan
from app.embedded.previous import await_end_of_previous
from app.embedded.privileges import give
from app.embedded.process import spawn, stop

_START_SECONDS_MAX = 30.0
_LOOK_EVERY_SECONDS = 0.01
_ANSWER_SECONDS_MAX = 1.0
_ANSWER_BYTES_MAX = 1024
_STOP = ((signal.SIGTERM, 10.0),)
_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


class ValkeyServer:
    """One server over one folder, which holds its configuration and its data."""

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._folder = plan.home / "redis"
        self._configuration = self._folder / "valkey.conf"
        self._process: subprocess.Popen[bytes] | None = None
        # Set between `prepare` and the first `start`; kept from then on.
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The server's, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://:{self._plan.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Wait for an earlier server over the same folder to end; make the folder if need be."""
        await_end_of_previous(self._folder / "valkey.pid", serves=self._configuration)
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700)
            give(self._folder, self._plan.account)

    def start(self) -> None:
        """Return when it answers; raise when it ends instead."""
        if self.pid is not None:
            raise RuntimeError("Valkey is running already.")
        self._write_configuration()
        process = spawn(
            [str(self._plan.program), str(self._configuration)],
            env=_ENV,
            cwd=self._folder,
            log=self._plan.log,
            dies_by=signal.SIGTERM,
            account=self._plan.account,
        )
        deadline = time.monotonic() + _START_SECONDS_MAX
        while process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                self._process = process
                return
            time.sleep(_LOOK_EVERY_SECONDS)
        code = stop(process, *_STOP)
        raise ServerDidNotStart(
            f"{self._plan.program.name} ended with {code} (log {self._plan.log})."
        )

    def stop(self) -> None:
        """Harmless when it is not running."""
        if self._process is not None:
            stop(self._process, *_STOP)

    def _write_configuration(self) -> None:
        """In a file, because arguments, and so the password, are shown to every user."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._plan.password}",
            # Relative to where it is started: a path would need quoting.
            "dir .",
            "pidfile valkey.pid",
            # Its arguments must stay as given: they tell whose server it is.
            "set-proc-title no",
            "maxmemory-policy noeviction",
            # Else a server whose folder has vanished refuses to end.
            "shutdown-on-sigterm force",
            f"appendonly {'yes' if self._plan.durable else 'no'}",
            "save 60 1000" if self._plan.durable else 'save ""',
        ]
        self._configuration.unlink(missing_ok=True)
        self._configuration.touch(mode=0o600)
        give(self._configuration, self._plan.account)
        self._configuration.write_text("\n".join(lines) + "\n")

    def _answers(self) -> bool:
        """Whether a server that knows our password, and so is ours, takes commands."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), _ANSWER_SECONDS_MAX) as wire:
                wire.sendall(f"AUTH {self._plan.password}\r\nPING\r\nQUIT\r\n".encode())
                with wire.makefile("rb") as answer:
                    return b"+PONG" in answer.read(_ANSWER_BYTES_MAX)
        except OSError:
            return False
