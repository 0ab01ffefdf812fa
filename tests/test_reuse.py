"""A database that a test leaves to the next is as new, or the next gets another."""

from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.fixtures.database import copied
from tests.fixtures.reuse import Copies
from tests.fixtures.servers import Servers

PLAN = (
    "INSERT INTO plans (id, code, limits_per_minute, created_at)"
    " VALUES (gen_random_uuid(), 'planted', '{}', now())"
)
NUMBER = "SELECT nextval('order_numbers')"


async def use(copies: Copies, *statements: str) -> tuple[str, list[object]]:
    """Which database a test got that did this, and what each statement answered."""
    async with copies.one() as url:
        connection = await asyncpg.connect(url)
        answers = [await connection.fetchval(statement) for statement in statements]
    # Left open until now, as by a test that fails.
    connection.terminate()
    return url, answers


async def test_what_a_test_wrote_is_gone_when_the_next_has_its_database(
    servers: Servers, template: str
) -> None:
    async with AsyncExitStack() as stack:
        copies = Copies(lambda: stack.enter_async_context(copied(servers, template)))
        first, [_, number] = await use(copies, PLAN, NUMBER)
        again, [left, next_number] = await use(copies, "SELECT count(*) FROM plans", NUMBER)
    assert again == first
    assert (left, next_number) == (0, number)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE planted (id int)",
        "DROP TRIGGER guard_schedule ON schedules",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "DELETE FROM order_moves",
        "UPDATE installation SET currency = 'EUR'",
    ],
)
async def test_a_database_of_which_more_was_touched_serves_nobody_else(
    change: str, servers: Servers, template: str
) -> None:
    async with AsyncExitStack() as stack:
        copies = Copies(lambda: stack.enter_async_context(copied(servers, template)))
        touched, _ = await use(copies, "SET session_replication_role = replica", change)
        another, _ = await use(copies)
    assert another != touched
