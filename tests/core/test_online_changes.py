"""Migrations while serving: whoever works on the tables is neither blocked for long nor failed."""

import asyncio
from collections.abc import Callable

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core import migrating, online_changes, work
from app.core.db import Session
from app.core.migrating import upgrade
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.statements import Statement

pytestmark = pytest.mark.committing

TRIES = Statement("SELECT tries FROM work WHERE ref = :ref")


async def migrate(settings: Settings, change: Callable[[], None]) -> None:
    """What a migration's `upgrade` does, in a transaction of its own."""

    def run(connection: Connection) -> None:
        context = MigrationContext.configure(connection)
        with context.begin_transaction(_per_migration=True), Operations.context(context):
            change()

    engine = create_async_engine(settings.database_url.get_secret_value(), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def one(runtime: Runtime, question: str) -> object:
    async with runtime.uow.begin() as session:
        return await session.scalar(text(question))


async def test_an_index_is_built_while_others_write_and_a_broken_one_is_replaced(
    settings: Settings, runtime: Runtime
) -> None:
    def build() -> None:
        online_changes.create_index("ix_work_tries", "work", ["tries"], unique=True)

    async with runtime.uow.begin() as session:
        await work.put_many(session, "test", [("1", "a"), ("2", "a")])
    with pytest.raises(IntegrityError):
        await migrate(settings, build)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_work_tries')"
    assert await one(runtime, valid) is False

    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE work SET tries = 7 WHERE ref = '2'"))
        building = asyncio.create_task(migrate(settings, build))
        begun = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query LIKE '%INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()"
        )
        while not await one(runtime, begun):  # noqa: ASYNC110 - in another session
            await asyncio.sleep(0.01)
        await runtime.uow.run(lambda other: work.put(other, "test", "3", lane="b"))
        await runtime.uow.run(lambda other: work.finish(other, "test", ["3"]))
    await building

    assert await one(runtime, valid) is True
    await migrate(settings, build)


async def test_a_check_is_added_beside_writers_and_then_proven_of_the_old_rows(
    settings: Settings, runtime: Runtime
) -> None:
    def demand() -> None:
        online_changes.add_check("ck_work_tries", "work", "tries < 5")

    async with runtime.uow.begin() as session:
        await work.put(session, "test", "1")
        await session.execute(text("UPDATE work SET tries = 9"))
    with pytest.raises(IntegrityError):
        await migrate(settings, demand)
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_work_tries'"
    assert await one(runtime, valid) is False
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE work SET tries = 4"))

    await migrate(settings, demand)

    assert await one(runtime, valid) is True
    assert await one(runtime, "SHOW statement_timeout") == "5s"


async def test_a_change_under_a_prepared_statement_is_run_again_and_is_no_accident(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        await work.put(session, "test", "1")

    async def read(session: Session) -> tuple[object, object]:
        [row] = await TRIES.rows(session, ref="1")
        return row.tries, await session.scalar(text("SELECT tries FROM work WHERE ref = '1'"))

    assert await runtime.uow.run(read) == (0, 0)
    await runtime.uow.run(
        lambda session: session.execute(text("ALTER TABLE work ALTER tries TYPE numeric"))
    )
    assert await runtime.uow.run(read) == (0, 0)


async def test_a_migration_that_meets_a_lock_lets_others_pass_and_comes_again(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "PAUSE_SECONDS", 0.01)
    tried = asyncio.Event()
    real = migrating._upgrade_on

    def upgrade_on(connection: Connection) -> None:
        if not tried.is_set():
            tried.set()
            connection.execute(text("SET lock_timeout = '10ms'"))
            connection.execute(text("LOCK TABLE work"))
        real(connection)

    monkeypatch.setattr(migrating, "_upgrade_on", upgrade_on)
    async with runtime.uow.begin() as session:
        await work.put(session, "test", "1")
        await upgrade(settings.database_url.get_secret_value())
        assert tried.is_set()


async def test_two_migrations_at_once_wait_for_each_other_without_a_snapshot(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second, if it waited in a statement, would keep an index of the first's from its end."""
    url = settings.database_url.get_secret_value()
    monkeypatch.setattr(migrating, "LOCK_EVERY_SECONDS", 0.01)
    taken = "SELECT pg_advisory_lock(hashtextextended('smmos-migrate', 0))"
    async with runtime.engine.connect() as connection:
        first = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await first.execute(text(taken))
        second = asyncio.create_task(upgrade(url))
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert await one(runtime, waits) == 0
        assert not second.done()
        await migrate(settings, lambda: online_changes.create_index("ix_a", "work", ["tries"]))
        await first.execute(text(taken.replace("lock(", "unlock(")))
        await second
