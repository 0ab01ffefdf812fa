"""Rounds of what arrives together, and fixed statements in a session's own transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.clock import Clock
from app.core.db import Session, create_engine, create_sessions, is_retryable, sqlstate_of
from app.core.doorbell import SilentDoorbell
from app.core.gathering import Gathering
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.statements import Statement
from app.core.uow import PutAside, UnitOfWork
from tests.fixtures.pace import GIVE_UP_SECONDS

pytestmark = pytest.mark.committing

PUT = Statement(
    "INSERT INTO work (kind, ref, lane, due_at) VALUES (:kind, :ref, 'main', now()) RETURNING ref"
)


@pytest.fixture
async def engine(settings: Settings, runtime: Runtime) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings, application_name="smmos-together")
    yield engine
    await engine.dispose()


@pytest.fixture
def uow(engine: AsyncEngine, clock: Clock) -> UnitOfWork:
    return UnitOfWork(create_sessions(engine), clock, SilentDoorbell())


async def refs(runtime: Runtime) -> list[str]:
    async with runtime.uow.begin() as session:
        rows = await session.scalars(text("SELECT ref FROM work WHERE kind = 'test' ORDER BY ref"))
        return list(rows)


async def test_what_arrives_during_a_round_shares_the_next() -> None:
    rounds: list[list[int]] = []

    async def double(asked: Sequence[int]) -> list[int]:
        rounds.append(list(asked))
        await asyncio.sleep(0.01)
        return [2 * number for number in asked]

    gathering = Gathering(double, size_max=3)
    first = asyncio.create_task(gathering.ask(1))
    await asyncio.sleep(0.005)
    assert await asyncio.gather(*(gathering.ask(number) for number in range(2, 7))) == [
        4, 6, 8, 10, 12,
    ]  # fmt: skip
    assert await first == 2
    assert rounds == [[1], [2, 3, 4], [5, 6]]


async def test_a_round_that_fails_is_seen_by_all_of_it_and_by_no_other() -> None:
    async def refuse_one(asked: Sequence[int]) -> list[int]:
        if 1 in asked:
            raise ValueError("one")
        return list(asked)

    gathering = Gathering(refuse_one, size_max=2)
    answers = await asyncio.gather(*map(gathering.ask, (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError, int]
    assert await gathering.ask(4) == 4


async def test_who_stops_waiting_disturbs_nobody() -> None:
    async def same(asked: Sequence[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return list(asked)

    gathering = Gathering(same, size_max=2)
    gone, stays = (asyncio.create_task(gathering.ask(number)) for number in (1, 2))
    await asyncio.sleep(0.005)
    gone.cancel()
    assert await stays == 2
    assert await gathering.ask(3) == 3


class TestTogether:
    """One transaction for many, of which each gets what is his."""

    async def test_one_that_breaks_the_transaction_fails_alone(
        self, uow: UnitOfWork, runtime: Runtime
    ) -> None:
        sizes: list[int] = []

        async def put(session: Session, items: Sequence[str], _: bool) -> list[str | Exception]:
            sizes.append(len(items))
            for item in items:
                await PUT.rows(session, kind="test", ref=None if item == "bad" else item)
            return list(items)

        said = await asyncio.gather(
            *(uow.together(put, item) for item in ("a", "bad", "c")), return_exceptions=True
        )
        assert said[0] == "a"
        assert isinstance(said[1], IntegrityError)
        assert said[2] == "c"
        assert sizes[0] == 3
        assert await refs(runtime) == ["a", "c"]

    async def test_a_refusal_of_one_is_raised_to_that_one_only(
        self, uow: UnitOfWork, runtime: Runtime
    ) -> None:
        async def put(session: Session, items: Sequence[str], _: bool) -> list[str | Exception]:
            kept = [item for item in items if item != "no"]
            for item in kept:
                await PUT.rows(session, kind="test", ref=item)
            return [item if item in kept else KeyError(item) for item in items]

        said = await asyncio.gather(
            *(uow.together(put, item) for item in ("a", "no", "c")), return_exceptions=True
        )
        assert [type(one) for one in said] == [str, KeyError, str]
        assert await refs(runtime) == ["a", "c"]

    async def test_what_must_wait_waits_beside_the_others(self, uow: UnitOfWork) -> None:
        free = asyncio.Event()

        async def take(_: Session, items: Sequence[str], may_wait: bool) -> list[str | Exception]:
            if may_wait:
                await free.wait()
                return list(items)
            return [PutAside() if item == "slow" else item for item in items]

        slow = asyncio.create_task(uow.together(take, "slow"))
        async with asyncio.timeout(GIVE_UP_SECONDS):
            assert [await uow.together(take, item) for item in ("a", "b")] == ["a", "b"]
        assert not slow.done()
        free.set()
        assert await slow == "slow"


class TestStatements:
    """asyncpg does the work; the session's transaction and SQLAlchemy's errors stay."""

    async def test_a_statement_belongs_to_the_sessions_transaction(
        self, uow: UnitOfWork, runtime: Runtime
    ) -> None:
        async def put_and_fail(session: Session) -> None:
            [row] = await PUT.rows(session, kind="test", ref="undone")
            assert row.ref == "undone"
            seen = await session.scalar(text("SELECT count(*) FROM work WHERE kind = 'test'"))
            raise KeyError(seen)

        with pytest.raises(KeyError, match="1"):
            await uow.run(put_and_fail)
        assert await refs(runtime) == []

    async def test_a_second_transaction_of_a_session_is_not_taken_for_the_first(
        self, engine: AsyncEngine, runtime: Runtime
    ) -> None:
        async with create_sessions(engine)() as session:
            await PUT.rows(session, kind="test", ref="kept")
            await session.commit()
            await PUT.rows(session, kind="test", ref="undone")
            await session.rollback()
        assert await refs(runtime) == ["kept"]

    async def test_a_broken_constraint_is_told_as_sqlalchemy_tells_it(
        self, uow: UnitOfWork
    ) -> None:
        with pytest.raises(IntegrityError) as raised:
            async with uow.begin() as session:
                await PUT.rows(session, kind="test", ref=None)
        assert sqlstate_of(raised.value) == "23502"
        assert not is_retryable(raised.value)

    async def test_a_killed_connection_may_be_tried_again_and_is_not_used_again(
        self, uow: UnitOfWork, runtime: Runtime
    ) -> None:
        tried = 0

        async def once_killed(session: Session) -> None:
            nonlocal tried
            tried += 1
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            if tried == 1:
                async with runtime.uow.begin() as other:
                    await other.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
            await PUT.rows(session, kind="test", ref="once")

        await uow.run(once_killed)
        assert tried == 2
        assert await refs(runtime) == ["once"]

    async def test_a_lock_not_had_in_time_may_be_tried_again(self, uow: UnitOfWork) -> None:
        lock = Statement("SELECT ref FROM work WHERE ref = :ref FOR UPDATE NOWAIT")
        async with uow.begin() as session:
            await PUT.rows(session, kind="test", ref="locked")
        async with uow.begin() as holder:
            await lock.rows(holder, ref="locked")
            with pytest.raises(DBAPIError) as raised:
                async with create_sessions(holder.bind)() as other:  # type: ignore[arg-type]
                    await lock.rows(other, ref="locked")
            assert is_retryable(raised.value)
