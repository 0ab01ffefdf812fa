"""PostgreSQL and Redis of a local stack: embedded ones, or those that the environment names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from app.cli.refusals import CommandFailed, variable
from app.embedded import EmbeddedStack
from app.embedded.data_directory import DataDirectory


class Servers(Protocol):
    """The two servers and the data folder, owned between `start` and `stop`."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def database_url(self) -> str: ...
    @property
    def redis_url(self) -> str: ...
    @property
    def postgres_pid(self) -> int | None: ...
    @property
    def redis_pid(self) -> int | None: ...

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def revive(self) -> list[str]: ...


class GivenServers:
    """Servers that somebody else runs; only the data folder is ours."""

    postgres_pid = None
    redis_pid = None

    def __init__(self, data_dir: Path, database_url: str, redis_url: str) -> None:
        self._directory = DataDirectory(data_dir)
        self.database_url = database_url
        self.redis_url = redis_url

    @property
    def data_dir(self) -> Path:
        return self._directory.path

    def start(self) -> None:
        """Own the data folder. Raises an EmbeddedError when another process does."""
        self._directory.take()

    def stop(self) -> None:
        self._directory.release()

    def revive(self) -> list[str]:
        """What others run, they start again."""
        return []


@contextmanager
def started(servers: Servers) -> Iterator[Servers]:
    """Started inside the `with`, stopped after."""
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


def choose_servers(data_dir: Path) -> Servers:
    """Those of SMMOS_DATABASE_URL and SMMOS_REDIS_URL, else embedded ones. One alone is refused."""
    database_url = os.environ.get(variable("database_url"))
    redis_url = os.environ.get(variable("redis_url"))
    if database_url and redis_url:
        return GivenServers(data_dir, database_url, redis_url)
    if database_url or redis_url:
        there, missing = "database_url", "redis_url"
        if redis_url:
            there, missing = missing, there
        raise CommandFailed(
            f"{variable(there)} is set and {variable(missing)} is not: set both to use your own"
            " servers, or neither to use embedded ones."
        )
    return EmbeddedStack(data_dir)
