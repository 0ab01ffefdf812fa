"""Changes of big tables while they are in use, for migrations: indexes and constraints.

Either leaves Alembic's transaction: what the migration did before is committed, and the migration
must bear being run again when it fails. These two do, and so they come last in it, or alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from alembic import op
from sqlalchemy import text

# Building waits for every transaction that began before it, and locks out nobody meanwhile.
_PATIENT: Final = ("SET lock_timeout = '10min'", "SET statement_timeout = 0")
_VALID_INDEX: Final = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_CONSTRAINT: Final = text(
    "SELECT convalidated FROM pg_constraint"
    " WHERE conname = :name AND conrelid = to_regclass(:table_name)"
)


def create_index(name: str, table: str, columns: list[str], **options: Any) -> None:
    """Build an index without locking out writers; what a failed attempt left is removed first.

    `options` are those of Alembic's `create_index`.
    """
    with _outside_a_transaction():
        valid = _found(_VALID_INDEX, name=name)
        if valid:
            return
        if valid is False:
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def add_check(name: str, table: str, condition: str) -> None:
    """Demand a condition of new rows at once, and then look through the old ones unlocked."""
    with _outside_a_transaction(patient=False):
        valid = _found(_CONSTRAINT, name=name, table_name=table)
        if valid is None:
            op.create_check_constraint(op.f(name), table, condition, postgresql_not_valid=True)
    if not valid:
        with _outside_a_transaction():
            op.execute(f'ALTER TABLE "{table}" VALIDATE CONSTRAINT "{name}"')


@contextmanager
def _outside_a_transaction(*, patient: bool = True) -> Iterator[None]:
    """Each statement by itself, with the time-outs of the migrations or with long ones."""
    with op.get_context().autocommit_block():
        before = {} if op.get_context().as_sql else _time_outs()
        for statement in _PATIENT if patient else ():
            op.execute(statement)
        try:
            yield
        finally:
            for name, value in before.items():
                op.execute(f"SET {name} = '{value}'")


def _time_outs() -> dict[str, str]:
    names = ("lock_timeout", "statement_timeout")
    return {name: op.get_bind().scalar(text(f"SHOW {name}")) or "0" for name in names}


def _found(question: Any, **values: str) -> bool | None:
    """What the catalogue says; nothing where the SQL is only printed."""
    if op.get_context().as_sql:
        return None
    found: bool | None = op.get_bind().scalar(question, values)
    return found
