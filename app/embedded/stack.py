"""PostgreSQL and Valkey as one thing that starts whole, stops whole and dies with this process."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded.data_directory import DataDirectory
from app.embedded.ports import choose_port
from app.embedded.postgres import PostgresStop
from app.embedded.process import require_main_thread
from app.embedded.servers import Servers, make_servers


class EmbeddedStack:
    """Two real servers over one data folder, owned by this process.

    Call `start` and the other verbs from the main thread only: the servers die with the thread
    that started them. Ports and passwords are kept in the folder, so that a second start answers
    under the same addresses wherever the ports are still free.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        postgres_settings: Mapping[str, str] | None = None,
        postgres_port: int | None = None,
        redis_port: int | None = None,
    ) -> None:
        """`durable=False` trades safety against power loss for speed; a port of None is chosen."""
        self._directory = DataDirectory(data_dir)
        self._durable = durable
        self._postgres_settings = dict(postgres_settings or {})
        self._asked_postgres_port = postgres_port
        self._asked_redis_port = redis_port
        self._made: Servers | None = None
        self.took_seconds = 0.0

    @property
    def data_dir(self) -> Path:
        """The folder as an absolute path; the servers' logs stand in it."""
        return self._directory.path

    @property
    def database_url(self) -> str:
        """Of the application's database, as its owner, in SQLAlchemy's form."""
        return self._servers.postgres.url

    @property
    def redis_url(self) -> str:
        """Of database 0, password included."""
        return self._servers.redis.url

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster's, or None while it is down."""
        return self._servers.postgres.pid

    @property
    def redis_pid(self) -> int | None:
        """The server's, or None while it is down."""
        return self._servers.redis.pid

    def start(self) -> None:
        """Bring both servers up, or leave nothing running and raise an `EmbeddedError`."""
        require_main_thread()
        began = time.monotonic()
        self._directory.take()
        try:
            self._prepare()
            self._servers.redis.start()
            self._servers.postgres.start()
        except BaseException:
            self.stop()
            raise
        self.took_seconds = time.monotonic() - began

    def stop(self) -> None:
        """Stop both and give the folder up; harmless when they are down."""
        try:
            if self._made is not None:
                self._made.redis.stop()
                self._made.postgres.stop()
        finally:
            self._directory.release()

    def remove(self) -> None:
        """Stop, and delete the data folder with all that belongs to it."""
        self.stop()
        folders = {self.data_dir} | ({self._made.home} if self._made else set())
        for folder in folders:
            shutil.rmtree(folder)

    def start_postgres(self) -> None:
        """Bring PostgreSQL back under the same address."""
        self._servers.postgres.start()

    def stop_postgres(self, mode: PostgresStop = "fast") -> None:
        """`fast` keeps all in order, `immediate` leaves a recovery to do, `kill` is kill -9."""
        self._servers.postgres.stop(mode)

    def restart_postgres(self, mode: PostgresStop = "fast") -> None:
        """Stop PostgreSQL in that way and bring it back under the same address."""
        self.stop_postgres(mode)
        self.start_postgres()

    def start_redis(self) -> None:
        """Bring Valkey back under the same address."""
        self._servers.redis.start()

    def stop_redis(self) -> None:
        """Stop Valkey alone."""
        self._servers.redis.stop()

    def revive(self) -> list[str]:
        """Start again what has died under the same address; return its names."""
        revived = []
        if self.postgres_pid is None:
            self.start_postgres()
            revived.append("postgres")
        if self.redis_pid is None:
            self.start_redis()
            revived.append("redis")
        return revived

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _servers(self) -> Servers:
        if self._made is None:
            raise RuntimeError("The stack was not started.")
        return self._made

    def _prepare(self) -> None:
        memory = self._directory.recall()
        # Before a cluster is made with them: one whose password is lost is of no use.
        self._directory.remember(memory)
        made = self._made = make_servers(
            self.data_dir,
            memory,
            durable=self._durable,
            postgres_settings=self._postgres_settings,
        )
        made.postgres.prepare()
        made.redis.prepare()
        # Chosen last: a server of an earlier start has freed its port by now.
        made.postgres.port = choose_port(self._asked_postgres_port, memory.postgres_port)
        made.redis.port = choose_port(self._asked_redis_port, memory.redis_port)
        ports = {"postgres_port": made.postgres.port, "redis_port": made.redis.port}
        self._directory.remember(memory.model_copy(update=ports))


@contextmanager
def temporary_stack(
    *, postgres_settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedStack]:
    """A fast stack over a new folder that vanishes with it: for tests and benchmarks."""
    stack = EmbeddedStack(
        Path(tempfile.mkdtemp(prefix="smmos-")), durable=False, postgres_settings=postgres_settings
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.remove()
