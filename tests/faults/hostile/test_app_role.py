"""The role that deploy/app-role.sql makes: it runs the platform, and cannot change its books."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    Desk,
    another_worker,
    assert_each_was_taken_at_most_once,
    joining,
    workers_say,
)
from tests.faults.hostile.raw_provider import RawProvider, free_port

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.slow_fault,
]

SCRIPT: Final = Path(__file__).resolve().parents[3] / "deploy" / "app-role.sql"
PASSWORD: Final = "of-the-app"


def as_role(stack: RunningStack) -> str:
    """The database's address with the role in the place of the owner."""
    parts = urlsplit(str(stack.ready()["database_url"]))
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"smmos_app:{PASSWORD}@{server}"))


async def run_as(url: str, script: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(script)
    finally:
        await connection.close()


@pytest.fixture
def role(stack: RunningStack) -> str:
    owner = stack.ready()["database_url"]
    for _ in range(2):  # it may be run again
        asyncio.run(run_as(owner, SCRIPT.read_text()))
    asyncio.run(run_as(owner, f"ALTER ROLE smmos_app PASSWORD '{PASSWORD}'"))
    return as_role(stack)


@pytest.mark.fault(47)
def test_the_apps_role_may_not_change_the_books_nor_switch_off_their_guards(
    stack: RunningStack, role: str
) -> None:
    books = stack.sql(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'refuse_change'"
    )
    assert {"journal", "postings", "audit_log", "order_events"} <= {book for [book] in books}
    for [book] in books:
        for statement in (
            f"UPDATE {book} SET at = at" if book == "audit_log" else f"DELETE FROM {book}",  # noqa: S608 - from the catalogue
            f"TRUNCATE {book} CASCADE",
            f"ALTER TABLE {book} DISABLE TRIGGER USER",
            f"DROP TRIGGER refuse_change ON {book}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                asyncio.run(run_as(role, statement))
    for statement in (
        "INSERT INTO order_moves VALUES ('completed', 'queued')",
        "CREATE OR REPLACE FUNCTION violations(since timestamptz DEFAULT NULL)"
        " RETURNS TABLE (code text, ref text, detail text) LANGUAGE sql AS"
        " 'SELECT ''''::text, ''''::text, ''''::text WHERE false'",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(run_as(role, statement))


@contextmanager
def without_its_own_worker(stack: RunningStack) -> Iterator[None]:
    """The stack's worker stands still, with no transaction open that would hold up others."""
    busy = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'smmos-worker' AND state <> 'idle'"
    )

    def stopped_between_transactions() -> bool:
        stack.kill("worker", signal.SIGSTOP)
        if stack.sql(busy)[0][0] == 0:
            return True
        stack.kill("worker", signal.SIGCONT)
        return False

    until(stopped_between_transactions, 30, "the worker stands still, with nothing open")
    try:
        yield
    finally:
        stack.kill("worker", signal.SIGCONT)


@contextmanager
def api_as(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """An API process of the role's; its address."""
    port = free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "app.cli", "api", "--port", str(port)],
            env=dict(environment),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        until(lambda: answers(base), 90, "an API of the role's is ready")
        yield base
    finally:
        process.terminate()
        process.wait(20)


def answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.fault(47)
def test_the_platform_runs_as_the_apps_role(
    stack: RunningStack, role: str, desk: Desk, provider: RawProvider
) -> None:
    environment = joining(stack) | {"SMMOS_DATABASE_URL": role}
    log = stack.folder / f"api-{time.monotonic_ns()}.log"
    with (
        without_its_own_worker(stack),
        another_worker(stack, environment=environment),
        api_as(environment, log) as base,
        httpx.Client(base_url=base, headers=desk.client.headers, trust_env=False) as client,
    ):
        theirs = Desk(stack, client)
        shop = theirs.shop()
        service = theirs.service(theirs.provider(provider.url))
        orders = theirs.place(shop, service, 10)
        theirs.until_states(orders, 60, completed=10)
        theirs.cancel(theirs.waiting_order(shop))
        # Everything that a worker does by itself is done by this one.
        stack.sql(
            "UPDATE work SET due_at = clock_timestamp(), lease_token = NULL, lease_until = NULL"
            " WHERE kind = 'upkeep'"
        )
        due = "SELECT count(*) FROM work WHERE kind = 'upkeep' AND due_at <= clock_timestamp()"
        until(lambda: stack.sql(due)[0][0] == 0, 60, "all upkeep has been done")
    assert "permission denied" not in workers_say(stack) + log.read_text()
    assert_each_was_taken_at_most_once(stack, provider, orders)
