"""The local servers: they start whole, keep their data and addresses, and never outlive us."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from app.embedded import DataDirectoryTaken, EmbeddedStack, temporary_stack
from app.embedded.postgres import PostgresStop

_END_SECONDS_MAX = 10.0
_DEBIAN_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_HOLD_A_STACK = """
import sys, time
from pathlib import Path
from app.embedded import EmbeddedStack
stack = EmbeddedStack(Path(sys.argv[1]))
stack.start()
print(stack.postgres_pid, stack.redis_pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: as root the servers run as another user, who could not pass through it."""
    path = Path(tempfile.mkdtemp(prefix="smmos-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    with temporary_stack(postgres_settings={"max_connections": "33"}) as running:
        yield running


@pytest.fixture
def used_folder(stack: EmbeddedStack) -> Iterator[Path]:
    """The folder of a stack that was stopped, so that a start over it makes nothing anew."""
    stack.stop()
    yield stack.data_dir
    stack.start()


async def ask_postgres(url: str, query: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def ping_redis(url: str) -> bool:
    async with Redis.from_url(url) as redis:
        return bool(await redis.ping())


def runs(pid: int) -> bool:
    """A zombie, which nobody may be left to reap, does not run."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def ends(pid: int) -> bool:
    deadline = time.monotonic() + _END_SECONDS_MAX
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not runs(pid)


def start_and_kill_an_owner(folder: Path) -> list[int]:
    owner = subprocess.Popen(  # noqa: S603 - our own text
        [sys.executable, "-c", _HOLD_A_STACK, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert all(runs(pid) for pid in pids)
        owner.kill()
    return pids


@contextmanager
def pid_file_that_names_a_stranger(folder: Path) -> Iterator[None]:
    """As when the number was given out again: here, to a process that runs as the same user."""
    with EmbeddedStack(folder):
        (file,) = folder.glob("pg*/postmaster.pid")
        lines = file.read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"], user=file.parent.stat().st_uid)  # noqa: S607
    file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    try:
        yield
    finally:
        stranger.kill()
        stranger.wait()


def exist(*paths: Path | str) -> list[bool]:
    return [Path(path).exists() for path in paths]


def is_closed(folder: Path) -> bool:
    return stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_both_servers_answer_under_their_urls(stack: EmbeddedStack) -> None:
    owner = "select current_database() || ' of ' || current_user"

    assert await ask_postgres(stack.database_url, owner) == "smmos of smmos"
    assert await ping_redis(stack.redis_url)
    assert stack.took_seconds > 0


async def test_settings_of_the_caller_reach_postgres(stack: EmbeddedStack) -> None:
    assert await ask_postgres(stack.database_url, "show max_connections") == "33"
    assert await ask_postgres(stack.database_url, "show fsync") == "off"


async def test_nobody_gets_in_without_the_password(stack: EmbeddedStack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask_postgres(with_wrong_password(stack.database_url), "select 1")
    with pytest.raises(AuthenticationError):
        await ping_redis(with_wrong_password(stack.redis_url))


def with_wrong_password(url: str) -> str:
    account, _, place = url.partition("@")
    return f"{account}wrong@{place}"


def test_passwords_are_readable_by_the_owner_only_and_shown_in_no_argument(
    stack: EmbeddedStack,
) -> None:
    file = stack.data_dir / "stack.json"
    passwords = [v for k, v in json.loads(file.read_text()).items() if k.endswith("_password")]
    arguments = "".join(
        Path(f"/proc/{pid}/cmdline").read_text() for pid in (stack.postgres_pid, stack.redis_pid)
    )

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(passwords) == 2
    assert not any(password in arguments for password in passwords)


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
async def test_postgres_comes_back_under_its_address_however_it_was_stopped(
    stack: EmbeddedStack, mode: PostgresStop
) -> None:
    url, pid = stack.database_url, stack.postgres_pid
    await ask_postgres(url, f"create table kept_{mode} ()")

    stack.restart_postgres(mode)

    assert stack.database_url == url
    assert stack.postgres_pid != pid
    assert await ask_postgres(url, f"select to_regclass('kept_{mode}') is not null")


async def test_a_restart_outwaits_children_of_the_killed_server(stack: EmbeddedStack) -> None:
    connection = await asyncpg.connect(stack.database_url.replace("+asyncpg", ""))
    child = connection.get_server_pid()
    # Frozen, it cannot notice that its server is gone, and keeps hold of the shared memory.
    os.kill(child, signal.SIGSTOP)
    thaw = threading.Timer(0.3, os.kill, [child, signal.SIGCONT])
    thaw.start()

    stack.restart_postgres("kill")

    thaw.join()
    connection.terminate()
    assert await ask_postgres(stack.database_url, "select 1") == 1


async def test_redis_stops_alone_and_comes_back_under_its_address(stack: EmbeddedStack) -> None:
    url = stack.redis_url

    stack.stop_redis()
    assert stack.redis_pid is None
    assert stack.postgres_pid is not None
    stack.start_redis()

    assert stack.redis_url == url
    assert await ping_redis(url)


async def test_servers_that_died_are_revived_and_named(stack: EmbeddedStack) -> None:
    assert stack.revive() == []
    for pid in (stack.postgres_pid, stack.redis_pid):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert ends(pid)

    assert stack.revive() == ["postgres", "redis"]

    assert await ask_postgres(stack.database_url, "select 1") == 1
    assert await ping_redis(stack.redis_url)


def test_a_folder_in_use_is_refused_with_the_pid_of_its_owner(stack: EmbeddedStack) -> None:
    with pytest.raises(DataDirectoryTaken, match=rf"in use by process {os.getpid()}\b"):
        EmbeddedStack(stack.data_dir).start()


async def test_a_refused_second_start_does_not_free_the_folder(stack: EmbeddedStack) -> None:
    second = EmbeddedStack(stack.data_dir)
    with pytest.raises(DataDirectoryTaken):
        second.start()
    second.stop()

    with pytest.raises(DataDirectoryTaken):
        second.start()
    assert await ping_redis(stack.redis_url)


async def test_a_second_start_keeps_data_and_addresses(used_folder: Path) -> None:
    with EmbeddedStack(used_folder) as first:
        urls = first.database_url, first.redis_url
        await ask_postgres(first.database_url, "create table kept ()")
    with EmbeddedStack(used_folder) as second:
        assert (second.database_url, second.redis_url) == urls
        assert await ask_postgres(second.database_url, "select to_regclass('kept') is not null")


async def test_a_killed_owner_leaves_nothing_running_and_the_folder_usable(
    used_folder: Path,
) -> None:
    pids = start_and_kill_an_owner(used_folder)

    # At once, while the servers are still on their way out.
    with EmbeddedStack(used_folder) as next_one:
        assert all(ends(pid) for pid in pids)
        assert await ask_postgres(next_one.database_url, "select 1") == 1


async def test_a_pid_file_that_names_a_stranger_does_not_block_the_start(
    used_folder: Path,
) -> None:
    with pid_file_that_names_a_stranger(used_folder), EmbeddedStack(used_folder) as second:
        assert await ask_postgres(second.database_url, "select 1") == 1


@pytest.mark.skipif(not _DEBIAN_POSTGRES, reason="no PostgreSQL of the distribution is installed")
async def test_a_postgres_of_the_distribution_serves_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMMOS_PG_BIN", str(_DEBIAN_POSTGRES[0].parent))

    with temporary_stack() as stack:
        major = await ask_postgres(stack.database_url, "show server_version_num")

    assert str(major).startswith(_DEBIAN_POSTGRES[0].parts[-3])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as someone else")
async def test_root_below_a_closed_folder_stores_the_data_elsewhere_and_opens_nothing(
    folder: Path,
) -> None:
    assert is_closed(folder)
    stack = EmbeddedStack(folder / "data", durable=False)
    try:
        with stack:
            where = str(await ask_postgres(stack.database_url, "show data_directory"))
            assert not where.startswith(str(folder))
            assert is_closed(folder)
    finally:
        stack.remove()

    assert not any(exist(stack.data_dir, where))
