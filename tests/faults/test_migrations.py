"""A migration while orders are placed and delivered, with long readers open: nobody gets a 500.

Earlier code is not at hand: today's code is the old code, on a schema with one migration more.
"""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from app.core import migrating
from app.core.db import LOCK_NOT_AVAILABLE, sqlstate_of
from tests.faults.clients import ordering
from tests.faults.conftest import assert_all_is_well
from tests.faults.stacks import RunningStack, running_stack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(300)]

TRIES_MAX = 30
SEEN_SECONDS_MAX = 60.0
NEXT_VERSION = """
from alembic import op
from sqlalchemy import Column, Text

revision, down_revision = "of_tomorrow", "{head}"


def upgrade() -> None:
    op.add_column("orders", Column("note", Text))
    op.create_check_constraint(
        "note_short", "orders", "length(note) <= 100", postgresql_not_valid=True
    )
    with op.get_context().autocommit_block():
        # It waits for every older snapshot, and stands in nobody's way meanwhile.
        op.execute("SET lock_timeout = '60s'")
        op.create_index("ix_orders_note", "orders", ["note"], postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
    op.execute("ALTER TABLE orders VALIDATE CONSTRAINT ck_orders_note_short")
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process, and no other, knows one migration more."""
    told = NEXT_VERSION.format(head=migrating.head_revision())
    (tmp_path / "of_tomorrow.py").write_text(told)
    todays = migrating.alembic_config

    def config() -> Config:
        config = todays()
        folders = (str(migrating.SCRIPTS / "versions"), str(tmp_path))
        config.set_main_option("version_locations", os.pathsep.join(folders))
        return config

    monkeypatch.setattr(migrating, "alembic_config", config)


def migrate(database_url: str) -> None:
    """As an operator does: again, where a lock was not to be had in time."""
    for _ in range(TRIES_MAX):
        try:
            asyncio.run(migrating.upgrade(database_url))
        except DBAPIError as error:
            if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
                raise
        else:
            return


def is_under_way(stack: RunningStack, statement: str, wait: str) -> bool:
    found = stack.sql(
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE $1 AND wait_event_type = 'Lock'"
        " AND wait_event = $2",
        f"{statement}%",
        wait,
    )
    return bool(found)


@pytest.mark.fault(45)
@pytest.mark.slow_fault
def test_a_migration_behind_long_readers_costs_no_order_and_no_server_error(
    next_version: None,
) -> None:
    with running_stack("--api-processes", "2") as stack:
        url = stack.ready()["database_url"]
        migration = threading.Thread(target=migrate, args=(url,))
        with ordering(stack.load(), clients=3) as load:
            keeps_snapshot = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
            with stack.holding(*keeps_snapshot):
                with stack.holding("SELECT count(*) FROM orders"):
                    migration.start()
                    waits = ("ALTER TABLE", "relation")
                    until(lambda: is_under_way(stack, *waits), SEEN_SECONDS_MAX, "it waits")
                    load.until_more(20)
                builds = ("CREATE INDEX CONCURRENTLY", "virtualxid")
                until(lambda: is_under_way(stack, *builds), SEEN_SECONDS_MAX, "it builds")
                load.until_more(20)
            migration.join(120)
            assert [row[0] for row in stack.sql("SELECT version_num FROM alembic_version")] == [
                "of_tomorrow"
            ]
            # The old version may have to start once more before it is replaced.
            for pid in [*stack.ready()["pids"]["api"], stack.pid("worker")]:
                os.kill(pid, signal.SIGKILL)
            load.until_more(20)
        assert set(load.statuses) <= {201, 503}
        load.replay()
        stack.expire_leases()
        stack.until_over(load.order_ids, besides=("unknown",))
        checked = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_orders_note'::regclass"
        assert stack.sql(checked)[0]["indisvalid"]
        assert_all_is_well(stack)
