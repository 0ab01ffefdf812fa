"""The unit of work: rings after the commit only, repeats what is safe, owns up to doubt."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core import work
from app.core.clock import Clock
from app.core.db import Session, create_engine, create_sessions
from app.core.doorbell import Ring, SilentDoorbell
from app.core.errors import OutcomeUnknown, Unavailable
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.statements import Statement
from app.core.uow import TRIES_MAX, UnitOfWork, now_of
from tests.fixtures.pace import GIVE_UP_SECONDS

pytestmark = [pytest.mark.committing, pytest.mark.violates("work-in-wrong-lane")]


class Rings:
    """A doorbell that keeps what it was asked to ring."""

    def __init__(self) -> None:
        self.heard: list[Ring] = []

    def ring(self, rings: set[Ring]) -> None:
        self.heard += rings


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
async def engine(settings: Settings, runtime: Runtime) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings, application_name="smmos-uow")
    yield engine
    await engine.dispose()


@pytest.fixture
def uow(engine: AsyncEngine, clock: Clock, rings: Rings) -> UnitOfWork:
    return UnitOfWork(create_sessions(engine), clock, rings)


async def count(runtime: Runtime) -> int:
    async with runtime.uow.begin() as session:
        return int(await session.scalar(text("SELECT count(*) FROM work")) or 0)


async def kill_backend_of(session: Session, runtime: Runtime) -> None:
    """What a database's restart or an administrator does to a connection."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    async with runtime.uow.begin() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def test_a_commit_rings_each_due_lane_once_and_only_afterwards(
    uow: UnitOfWork, rings: Rings
) -> None:
    async with uow.begin() as session:
        await work.put_many(session, "dispatch", [("1", "a"), ("2", "a"), ("3", "b")])
        await work.put(session, "follow", "1", lane="a")
        assert rings.heard == []
    assert len(rings.heard) == 3
    assert set(rings.heard) == {Ring("dispatch", "a"), Ring("dispatch", "b"), Ring("follow", "a")}


async def test_work_for_later_rings_nothing(uow: UnitOfWork, rings: Rings) -> None:
    async with uow.begin() as session:
        later = now_of(session) + timedelta(seconds=1)
        await work.put(session, "dispatch", "1", due_at=later)
    assert rings.heard == []


async def test_a_rolled_back_block_leaves_no_row_and_rings_nothing(
    uow: UnitOfWork, rings: Rings, runtime: Runtime
) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 - the block is what raises
        async with uow.begin() as session:
            await work.put(session, "dispatch", "1")
            raise LookupError
    assert rings.heard == []
    assert await count(runtime) == 0


async def test_a_transaction_has_one_time_which_tests_can_move(
    uow: UnitOfWork, clock: Clock
) -> None:
    async with uow.begin() as session:
        first = now_of(session)
        clock.move(timedelta(days=2))
        assert now_of(session) == first
    async with uow.begin() as session:
        assert now_of(session) - first >= timedelta(days=2)


async def test_a_serialization_failure_is_run_again(
    uow: UnitOfWork, rings: Rings, runtime: Runtime
) -> None:
    async with uow.begin() as session:
        await work.put(session, "dispatch", "1")
    rings.heard.clear()
    tries = 0

    async def transaction(session: Session) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            await session.execute(text("SELECT * FROM work"))
            async with runtime.uow.begin() as other:
                await other.execute(text("UPDATE work SET tries = 7"))
        await session.execute(text("UPDATE work SET tries = tries + 1"))
        await work.put(session, "dispatch", "2")
        return tries

    assert await uow.run(transaction) == 2
    assert rings.heard == [Ring("dispatch", work.MAIN_LANE)]


async def test_the_victim_of_a_deadlock_is_run_again(uow: UnitOfWork, runtime: Runtime) -> None:
    async with uow.begin() as session:
        await work.put_many(session, "dispatch", [("1", "a"), ("2", "a")])
    both_have_one = asyncio.Barrier(2)
    tries = 0

    async def cross(first: str, second: str) -> None:
        met = False

        async def transaction(session: Session) -> None:
            nonlocal tries, met
            tries += 1
            await work.lock_ref(session, first)
            if not met:
                met = True
                await both_have_one.wait()
            await work.lock_ref(session, second)
            await session.execute(text("UPDATE work SET tries = tries + 1"))

        await uow.run(transaction)

    await asyncio.gather(cross("1", "2"), cross("2", "1"))
    assert tries == 3
    async with runtime.uow.begin() as session:
        assert set(await session.scalars(text("SELECT tries FROM work"))) == {2}


async def test_a_lock_that_is_not_to_be_had_is_asked_for_again(
    uow: UnitOfWork, runtime: Runtime
) -> None:
    async with uow.begin() as session:
        await work.put(session, "dispatch", "1")
    tries = 0
    release = asyncio.Event()
    locked = asyncio.Event()

    async def hold() -> None:
        async with runtime.uow.begin() as session:
            await work.lock_ref(session, "1")
            locked.set()
            await release.wait()

    async def transaction(session: Session) -> set[str]:
        nonlocal tries
        tries += 1
        if tries == 2:
            release.set()
            await holder
        await session.execute(text("SET LOCAL lock_timeout = '10ms'"))
        return await work.lock_ref(session, "1")

    holder = asyncio.create_task(hold())
    await locked.wait()
    assert await uow.run(transaction) == {"dispatch"}
    assert tries == 2


async def test_a_connection_killed_before_the_commit_is_replaced_and_the_work_done_once(
    uow: UnitOfWork, rings: Rings, runtime: Runtime
) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await work.put(session, "dispatch", str(tries))
        if tries == 1:
            await kill_backend_of(session, runtime)
            await session.execute(text("SELECT 1"))

    await uow.run(transaction)
    assert tries == 2
    assert await count(runtime) == 1
    assert len(rings.heard) == 1


async def test_a_connection_killed_at_the_commit_is_told_as_an_unknown_outcome(
    uow: UnitOfWork, rings: Rings, runtime: Runtime
) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await work.put(session, "dispatch", "1")
        await kill_backend_of(session, runtime)

    with pytest.raises(OutcomeUnknown):
        await uow.run(transaction)
    assert tries == 1
    assert rings.heard == []


async def test_what_is_repeatable_is_run_again_after_an_unknown_outcome(
    uow: UnitOfWork, runtime: Runtime
) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await work.put(session, "dispatch", "1")
        if tries == 1:
            await kill_backend_of(session, runtime)

    await uow.run(transaction, repeatable=True)
    assert tries == 2
    assert await count(runtime) == 1


async def test_a_block_whose_connection_is_killed_is_unavailable_not_an_accident(
    uow: UnitOfWork, runtime: Runtime
) -> None:
    with pytest.raises(Unavailable):  # noqa: PT012 - the block is what raises
        async with uow.begin() as session:
            await kill_backend_of(session, runtime)
            await session.execute(text("SELECT 1"))
    with pytest.raises(OutcomeUnknown):  # noqa: PT012 - the block is what raises
        async with uow.begin() as session:
            await work.put(session, "dispatch", "1")
            await kill_backend_of(session, runtime)
    async with uow.begin() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_after_the_last_try_it_is_unavailable(uow: UnitOfWork, runtime: Runtime) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await kill_backend_of(session, runtime)
        await session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        await uow.run(transaction)
    assert tries == TRIES_MAX


async def test_a_broken_rule_of_the_database_is_not_tried_again(uow: UnitOfWork) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await session.execute(text("INSERT INTO order_moves VALUES ('queued', 'on_hold')"))

    with pytest.raises(IntegrityError):
        await uow.run(transaction)
    assert tries == 1


async def test_a_statement_that_takes_too_long_is_unavailable(uow: UnitOfWork) -> None:
    with pytest.raises(Unavailable):  # noqa: PT012 - the block is what raises
        async with uow.begin() as session:
            await session.execute(text("SET LOCAL statement_timeout = '10ms'"))
            await session.execute(text("SELECT pg_sleep(5)"))


@pytest.mark.parametrize("state", ["57P03", "53300", "53100", "08006", "57014"])
async def test_a_database_that_cannot_serve_now_is_unavailable(uow: UnitOfWork, state: str) -> None:
    tries = 0

    async def transaction(session: Session) -> None:
        nonlocal tries
        tries += 1
        await session.execute(
            text(f"DO $$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '{state}'; END $$")
        )

    with pytest.raises(Unavailable):
        await uow.run(transaction)
    assert tries == 1
    with pytest.raises(Unavailable):
        async with uow.begin() as session:
            await transaction(session)


async def test_with_every_connection_taken_it_is_unavailable_soon(
    settings: Settings, clock: Clock, runtime: Runtime
) -> None:
    small = settings.model_copy(update={"pool_size": 1, "pool_timeout_seconds": 0.05})
    engine = create_engine(small, application_name="smmos-small")
    uow = UnitOfWork(create_sessions(engine), clock, SilentDoorbell())

    async def transaction(session: Session) -> None:
        await session.execute(text("SELECT 1"))

    async with uow.begin() as session:
        await session.execute(text("SELECT 1"))
        async with asyncio.timeout(GIVE_UP_SECONDS):
            with pytest.raises(Unavailable):
                await uow.run(transaction)
            with pytest.raises(Unavailable):
                async with uow.begin() as other:
                    await other.execute(text("SELECT 1"))
    await engine.dispose()


async def test_a_server_that_goes_down_at_the_commit_leaves_the_outcome_unknown(
    uow: UnitOfWork, runtime: Runtime
) -> None:
    """It may say so with the connection still open, and after it has committed."""
    async with runtime.uow.begin() as session:
        for statement in (
            "CREATE FUNCTION go_down() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'down' USING ERRCODE = '57P01'; END $$",
            "CREATE CONSTRAINT TRIGGER go_down AFTER INSERT ON work"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION go_down()",
        ):
            await session.execute(text(statement))
    with pytest.raises(OutcomeUnknown):
        await uow.run(lambda session: work.put(session, "dispatch", "1"))


async def test_a_driver_that_lost_its_place_gives_its_connection_up_and_starts_anew(
    uow: UnitOfWork, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg tells a killed backend by an error that is of no database's kind."""
    tries = 0

    async def transaction(session: Session) -> int | None:
        nonlocal tries
        tries += 1
        pid: int | None = await session.scalar(text("SELECT pg_backend_pid()"))
        if tries == 1:
            with monkeypatch.context() as patched:
                patched.setattr(asyncpg.Connection, "fetch", lose_place)
                await Statement("SELECT 1").rows(session)
        return pid

    async def lose_place(*_: object, **__: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12")

    await uow.run(transaction)
    assert tries == 2
