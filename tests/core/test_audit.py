"""The audit log: one unbroken chain, however many write to it, and none can rewrite it."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.core import audit
from app.core.audit import GENESIS, Actor, AuditRow, chain_hash
from app.core.runtime import Runtime

ACTOR = Actor("operator", "opr_1")


async def act(runtime: Runtime, subject: str = "rsl_1", **data: object) -> None:
    async with runtime.uow.begin() as session:
        await audit.record(session, ACTOR, "reseller.credit", subject, data)


async def chain(runtime: Runtime) -> list[AuditRow]:
    async with runtime.uow.begin() as session:
        return list(await session.scalars(select(AuditRow).order_by(AuditRow.seq)))


async def test_every_act_is_hashed_over_the_one_before_it(runtime: Runtime) -> None:
    for note in ("one", "two | three", "Grüße 漢字 \n"):
        await act(runtime, amount="1.00", note=note)
    rows = await chain(runtime)
    assert [row.seq for row in rows] == [1, 2, 3]
    before = GENESIS
    for row in rows:
        assert row.prev_hash == before
        assert row.hash == chain_hash(
            before, row.seq, row.at, row.actor, row.action, row.subject, row.body
        )
        before = row.hash


async def test_two_acts_of_one_transaction_follow_each_other(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        await audit.record(session, ACTOR, "a", "s", {})
        await audit.record(session, ACTOR, "b", "s", {})
    first, second = await chain(runtime)
    assert second.prev_hash == first.hash


async def test_an_act_that_was_rolled_back_leaves_no_gap(runtime: Runtime) -> None:
    await act(runtime)
    with pytest.raises(LookupError):  # noqa: PT012 - the block is what raises
        async with runtime.uow.begin() as session:
            await audit.record(session, ACTOR, "a", "s", {})
            raise LookupError
    await act(runtime)
    assert [row.seq for row in await chain(runtime)] == [1, 2]


@pytest.mark.committing
async def test_acts_in_parallel_make_one_chain(runtime: Runtime) -> None:
    await asyncio.gather(*(act(runtime, subject=f"rsl_{number}") for number in range(30)))
    rows = await chain(runtime)
    assert [row.seq for row in rows] == list(range(1, 31))
    assert {row.prev_hash for row in rows[1:]} == {row.hash for row in rows[:-1]}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'operator:somebody else'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
async def test_the_database_refuses_to_change_what_people_did(
    runtime: Runtime, statement: str
) -> None:
    await act(runtime)
    with pytest.raises(DBAPIError, match="append-only"):
        async with runtime.uow.begin() as session:
            await session.execute(text(statement))
    assert len(await chain(runtime)) == 1
