"""The check of the migrations: it passes what is committed, and finds what is planted."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Table, Text

from app.cli import migration_checks
from app.schema import metadata
from tests.cli.conftest import Shell


@pytest.fixture
def another_table() -> Iterator[None]:
    """A model without a migration."""
    planted = Table("planted", metadata, Column("id", Text, primary_key=True))
    yield
    metadata.remove(planted)


def test_the_committed_migrations_are_in_step(bare_shell: Shell) -> None:
    assert bare_shell("check-migrations").out == "the migrations are in step with the models\n"


@pytest.mark.usefixtures("another_table")
def test_a_model_without_a_migration_is_found(bare_shell: Shell) -> None:
    done = bare_shell("check-migrations")

    assert done.code == 1
    assert "planted" in done.out


def test_two_heads_are_found(bare_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_checks, "heads", lambda: ["0007", "0008"])

    done = bare_shell("check-migrations")

    assert (done.code, done.out) == (1, "there is not one head but 2: 0007, 0008\n")


def test_sql_that_would_stop_a_running_platform_is_found(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "CREATE INDEX ix_orders_reference ON orders (reference);"
    monkeypatch.setattr(migration_checks, "offline_sql", lambda: sql)

    done = bare_shell("check-migrations")

    assert done.code == 1
    assert "require-concurrent-index-creation" in done.out
