"""The queue of record: each row to one worker, each bound exact, a lost lease worth nothing."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core import work
from app.core.clock import Clock
from app.core.db import Session
from app.core.runtime import Runtime
from app.core.uow import now_of
from app.core.work import Lease
from tests.fixtures.pace import GIVE_UP_SECONDS

# Its lanes are nobody's.
pytestmark = pytest.mark.violates("work-in-wrong-lane")

KIND = "dispatch"
LANE = "somewhere"
ENDED_SECONDS = -1.0
"""A lease of this length has run out when it begins, which is as good as a wait."""


async def promise(runtime: Runtime, refs: Sequence[str], lane: str = LANE) -> None:
    async with runtime.uow.begin() as session:
        await work.put_many(session, KIND, [(ref, lane) for ref in refs])


async def lease(
    runtime: Runtime, *, limit: int = 100, in_flight_max: int = 1000, seconds: float = 60
) -> Lease:
    async with runtime.uow.begin() as session:
        return await work.lease(
            session, KIND, LANE, limit=limit, in_flight_max=in_flight_max, seconds=seconds
        )


async def sweep(session: Session) -> list[str]:
    refs = await work.lock_expired(session, KIND, limit=100)
    await work.put_back(session, KIND, refs, due_at=now_of(session))
    return refs


async def still_held(runtime: Runtime, leased: Lease) -> set[str]:
    async with runtime.uow.begin() as session:
        return await work.lock_held(session, leased, leased.refs)


@pytest.mark.committing
async def test_parallel_workers_never_lease_the_same_row(runtime: Runtime) -> None:
    refs = [str(number) for number in range(200)]
    await promise(runtime, refs)

    async def take_all() -> list[str]:
        mine: list[str] = []
        while leased := (await lease(runtime, limit=7)).refs:
            mine += leased
        return mine

    shares = await asyncio.gather(*(take_all() for _ in range(8)))
    taken = [ref for share in shares for ref in share]
    assert sorted(taken) == sorted(refs)


@pytest.mark.committing
async def test_the_bound_of_a_lane_is_exact_across_connections(runtime: Runtime) -> None:
    await promise(runtime, [str(number) for number in range(100)])
    for _ in range(3):
        leases = await asyncio.gather(
            *(lease(runtime, limit=3, in_flight_max=10) for _ in range(20))
        )
        assert sum(len(one.refs) for one in leases) == 10
        async with runtime.uow.begin() as session:
            await work.finish(session, KIND, [ref for one in leases for ref in one.refs])


@pytest.mark.committing
async def test_a_row_that_somebody_has_locked_is_passed_over_without_waiting(
    runtime: Runtime,
) -> None:
    await promise(runtime, ["a", "b", "c"])
    async with runtime.uow.begin() as session:
        assert await work.lock_ref(session, "b") == {KIND}
        async with asyncio.timeout(GIVE_UP_SECONDS):
            assert set((await lease(runtime)).refs) == {"a", "c"}


async def test_what_is_due_longest_is_leased_first_and_what_is_not_due_never(
    runtime: Runtime, clock: Clock
) -> None:
    async with runtime.uow.begin() as session:
        now = now_of(session)
        for ref, minutes in (("late", 0), ("first", -5), ("future", 1)):
            due = now + timedelta(minutes=minutes)
            await work.put(session, KIND, ref, lane=LANE, due_at=due)
    assert (await lease(runtime, limit=1)).refs == ("first",)
    assert (await lease(runtime)).refs == ("late",)
    clock.move(timedelta(minutes=1))
    assert (await lease(runtime)).refs == ("future",)


async def test_a_lease_takes_from_its_own_lane_and_kind_only(runtime: Runtime) -> None:
    await promise(runtime, ["mine"])
    await promise(runtime, ["theirs"], lane="elsewhere")
    async with runtime.uow.begin() as session:
        await work.put(session, "follow", "mine", lane=LANE)
    assert (await lease(runtime)).refs == ("mine",)


async def test_each_lease_counts_the_tries_of_its_rows(runtime: Runtime) -> None:
    await promise(runtime, ["a"])
    for tries in (1, 2, 3):
        leased = await lease(runtime)
        assert leased.tries == {"a": tries}
        async with runtime.uow.begin() as session:
            await work.put_back(session, KIND, ["a"], due_at=now_of(session))


async def test_after_its_lease_was_swept_a_worker_holds_nothing(runtime: Runtime) -> None:
    await promise(runtime, ["a", "b"])
    lost = await lease(runtime, seconds=ENDED_SECONDS)
    assert await still_held(runtime, lost) == {"a", "b"}
    async with runtime.uow.begin() as session:
        assert sorted(await sweep(session)) == ["a", "b"]
    assert await still_held(runtime, lost) == set()
    taken_over = await lease(runtime)
    assert await still_held(runtime, lost) == set()
    assert await still_held(runtime, taken_over) == {"a", "b"}


async def test_a_lease_that_still_runs_is_not_swept(runtime: Runtime) -> None:
    await promise(runtime, ["a"])
    await lease(runtime)
    async with runtime.uow.begin() as session:
        assert await sweep(session) == []


@pytest.mark.committing
async def test_two_sweepers_share_what_has_expired(runtime: Runtime) -> None:
    await promise(runtime, ["a", "b"])
    await lease(runtime, seconds=ENDED_SECONDS)
    async with runtime.uow.begin() as one:
        assert len(await work.lock_expired(one, KIND, limit=1)) == 1
        async with asyncio.timeout(GIVE_UP_SECONDS), runtime.uow.begin() as other:
            assert len(await work.lock_expired(other, KIND, limit=10)) == 1


async def test_promising_again_moves_the_lane_and_the_time_and_fences_the_holder(
    runtime: Runtime,
) -> None:
    await promise(runtime, ["a"], lane="elsewhere")
    async with runtime.uow.begin() as session:
        elsewhere = await work.lease(
            session, KIND, "elsewhere", limit=1, in_flight_max=1, seconds=60
        )
    await promise(runtime, ["a"])
    assert await still_held(runtime, elsewhere) == set()
    assert (await lease(runtime)).refs == ("a",)


async def test_promising_where_a_promise_stands_keeps_its_time(
    runtime: Runtime, clock: Clock
) -> None:
    async with runtime.uow.begin() as session:
        due = now_of(session) + timedelta(hours=1)
        await work.put(session, KIND, "a", due_at=due)
        await work.put_if_absent(session, KIND, ["a", "b"])
        assert await work.due_lanes(session, KIND) == [work.MAIN_LANE]
        leased = await work.lease(
            session, KIND, work.MAIN_LANE, limit=10, in_flight_max=10, seconds=60
        )
    assert leased.refs == ("b",)
    clock.move(timedelta(hours=1))
    async with runtime.uow.begin() as session:
        assert await work.due_lanes(session, KIND) == [work.MAIN_LANE]


async def test_finished_work_is_gone_of_its_kind_or_of_all(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        for kind in ("dispatch", "follow", "reconcile"):
            await work.put(session, kind, "a")
        await work.finish(session, "dispatch", ["a"])
        assert await work.lock_ref(session, "a") == {"follow", "reconcile"}
        await work.finish_all(session, ["a"])
        assert await work.lock_ref(session, "a") == set()


async def test_lanes_with_something_due_come_oldest_first(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        now = now_of(session)
        for lane, minutes in (("young", -1), ("old", -9), ("future", 9), ("leased", -20)):
            due = now + timedelta(minutes=minutes)
            await work.put(session, KIND, lane, lane=lane, due_at=due)
        await work.lease(session, KIND, "leased", limit=1, in_flight_max=1, seconds=60)
        assert await work.due_lanes(session, KIND) == ["old", "young"]
        ages = {row[1]: (row[2], int(row[3])) for row in await work.queue_ages(session)}
    assert ages == {"old": (1, 540), "young": (1, 60)}


async def test_a_lease_ends_by_the_databases_clock_whatever_ours_says(
    runtime: Runtime, clock: Clock
) -> None:
    clock.move(timedelta(days=3))
    await promise(runtime, ["a"])
    await lease(runtime, seconds=60)
    async with runtime.uow.begin() as session:
        left = await session.scalar(
            text("SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM work")
        )
    assert left is not None
    assert 50 < float(left) <= 60


async def test_work_is_hastened_but_never_put_off_nor_taken_from_who_has_it(
    runtime: Runtime,
) -> None:
    now = runtime.clock.now()
    soon, later = now + timedelta(minutes=5), now + timedelta(hours=1)
    await promise(runtime, ["leased"])
    leased = await lease(runtime)
    async with runtime.uow.begin() as session:
        await work.put(session, KIND, "now", lane=LANE)
        await work.put(session, KIND, "later", lane=LANE, due_at=later)
        await work.hasten(session, KIND, ["leased", "now", "later"], due_at=soon)
    assert await still_held(runtime, leased) == {"leased"}
    assert (await lease(runtime)).refs == ("now",)
    runtime.clock.move(timedelta(minutes=5))
    assert (await lease(runtime)).refs == ("later",)
