"""The worker: every kind of work has its drain, none waits for another, stopping loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from arq.connections import ArqRedis
from sqlalchemy import text

from app.catalog import service_routes
from app.catalog.mirror import SYNC
from app.core import work
from app.core.clock import Clock
from app.core.db import Session
from app.core.doorbell import Ring, connect_arq, queue_of
from app.core.errors import Unavailable
from app.core.gauges import read
from app.core.metrics import FENCED, WORK_FAILURES
from app.core.money import Money
from app.core.runtime import Runtime
from app.core.tasks import end_tasks
from app.files.service import COLLECT
from app.ledger.repository import CHECK_SECONDS_MAX
from app.orders import attempt_repository, evidence_repository
from app.orders import service as orders
from app.orders.canceling import CANCEL
from app.orders.refill_moves import REFILL, REFILL_FOLLOW
from app.orders.states import RUNNING
from app.providers.wire import Wire
from app.refunds.deciding import CLAIM
from app.schedules.starting import SCHEDULE
from app.supply import pausing, protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from tests.fixtures.pace import GIVE_UP_SECONDS
from tests.fixtures.servers import Servers
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import RouteTo, World
from workers import main, upkeep
from workers.context import WorkerContext, drain_once
from workers.main import DRAINS
from workers.upkeep import TASKS, UPKEEP, Task, promise_tasks

LANE = "somewhere"
PARTS = ("job", "in-progress", "retry")
LATE = {"smmos_orders_late", "smmos_orders_undispatched_late"}


@pytest.fixture
def context(runtime: Runtime, worker: Worker) -> WorkerContext:
    return worker.context


async def test_an_order_goes_from_the_public_door_to_its_end(
    world: World, worker: Worker, simulator: Simulator
) -> None:
    provider = await world.provider(simulator=simulator)
    placed = await world.order(service=await world.service(routes=[provider]))
    await worker.until_ended()
    order = await world.row(placed)
    assert (order.state, order.remains, order.earned) == ("completed", 0, order.charge)
    [accepted] = await simulator.accepted()
    assert str(accepted["provider_order"]) == order.provider_order_id


class TestEveryKind:
    """Completeness: what is promised is also done."""

    def test_every_kind_of_work_that_is_promised_has_a_drain(self) -> None:
        promised = {orders.DISPATCH, orders.FOLLOW, orders.RECONCILE, supply.PROBE, SYNC, UPKEEP}
        assert set(DRAINS) == promised | {CANCEL, REFILL, REFILL_FOLLOW, SCHEDULE, COLLECT, CLAIM}

    @pytest.mark.parametrize("kind", list(DRAINS))
    async def test_the_arq_function_of_a_kind_is_the_one_that_the_doorbell_rings(
        self,
        kind: str,
        context: WorkerContext,
        redis: ArqRedis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        drained = asyncio.Queue[str]()

        async def drain(_context: WorkerContext, lane: str) -> None:
            drained.put_nowait(lane)

        monkeypatch.setitem(DRAINS, kind, drain)
        ring = Ring(kind, LANE)
        job_id = f"{ring.function}:{ring.lane}"
        listening = asyncio.create_task(main._listen_forever(context, kind))
        for _ in range(2):  # a second ring of the same lane is no repetition
            await redis.enqueue_job(
                ring.function, ring.lane, _job_id=job_id, _queue_name=ring.queue
            )
            async with asyncio.timeout(GIVE_UP_SECONDS):
                assert await drained.get() == LANE
                # Until arq has forgotten the job, a second one of its name is dropped.
                while await redis.exists(*(f"arq:{part}:{job_id}" for part in PARTS)):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        await stop(listening)

    async def test_every_task_of_upkeep_has_its_row_and_runs(
        self, worker: Worker, runtime: Runtime
    ) -> None:
        await worker.upkeep()
        async with runtime.uow.begin() as session:
            rows = await session.execute(
                text("SELECT ref, due_at > :now FROM work WHERE kind = 'upkeep'"),
                {"now": runtime.clock.now()},
            )
            assert {row[0]: row[1] for row in rows} == dict.fromkeys(TASKS, True)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[ArqRedis]:
    redis = connect_arq(servers.redis_url)
    await redis.flushdb()
    yield redis
    await redis.aclose(close_connection_pool=True)


async def stop(listening: asyncio.Task[None]) -> None:
    """Stop to listen, once arq is done with the jobs it has."""
    jobs = [task for task in asyncio.all_tasks() if "run_job" in repr(task.get_coro())]
    await asyncio.gather(*jobs)
    await end_tasks([listening])


async def test_rubbish_in_a_queue_does_not_end_the_listening(
    context: WorkerContext, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = asyncio.Queue[str]()

    async def drain(_context: WorkerContext, lane: str) -> None:
        drained.put_nowait(lane)

    monkeypatch.setitem(DRAINS, "dispatch", drain)
    queue = queue_of("dispatch")
    for name, body in (("a", b"\x80\x04pickle"), ("b", b'{"f": "nobody"}'), ("c", b"[]")):
        await redis.set(f"arq:job:{name}", body)
        await redis.zadd(queue, {name: 1})
    listening = asyncio.create_task(main._listen_forever(context, "dispatch"))
    await redis.enqueue_job("drain_dispatch", LANE, "too", "many", _queue_name=queue)
    await redis.enqueue_job("drain_dispatch", LANE, _queue_name=queue)
    async with asyncio.timeout(GIVE_UP_SECONDS):
        assert await drained.get() == LANE
    await stop(listening)


class TestDraining:
    """One lane is drained once at a time, and once more for who rang meanwhile."""

    async def test_a_ring_during_a_drain_makes_it_look_again(self, context: WorkerContext) -> None:
        turns, may_end = 0, asyncio.Event()

        async def drain(_context: WorkerContext, _lane: str) -> None:
            nonlocal turns
            turns += 1
            await may_end.wait()

        first = asyncio.create_task(drain_once(context, "dispatch", LANE, drain))
        await asyncio.sleep(0)
        for _ in range(5):
            await drain_once(context, "dispatch", LANE, drain)
            context.start_drain("dispatch", LANE, drain)
        assert turns == 1
        may_end.set()
        await first
        assert turns == 2
        assert context.lanes.busy == {}

    async def test_a_drain_that_fails_is_counted_and_the_lane_is_free_again(
        self, context: WorkerContext
    ) -> None:
        async def fail(_context: WorkerContext, _lane: str) -> None:
            raise LookupError

        async def put_off(_context: WorkerContext, _lane: str) -> None:
            raise Unavailable

        counted = WORK_FAILURES.labels("dispatch")
        before = counted._value.get()
        await drain_once(context, "dispatch", LANE, fail)
        await drain_once(context, "dispatch", LANE, put_off)
        assert counted._value.get() == before + 1
        assert context.lanes.busy == {}

    async def test_a_stopping_worker_begins_nothing_new(
        self, world: World, worker: Worker, simulator: Simulator
    ) -> None:
        provider = await world.provider(simulator=simulator)
        placed = await world.order(service=await world.service(routes=[provider]))
        worker.context.stopping.set()
        await worker.dispatch(provider)
        worker.context.start_drain("dispatch", str(provider.id), DRAINS["dispatch"])
        assert worker.context.lanes.tasks == set()
        assert (await world.row(placed)).state == "queued"
        assert await simulator.accepted() == []


class OneChunk(httpx.AsyncByteStream):
    """A body that comes off the wire, as our client reads it."""

    def __init__(self, content: object) -> None:
        self._body = orjson.dumps(content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class Scripted(httpx.AsyncBaseTransport):
    """A wire on which each submit waits until the test lets its link through."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.let_through: dict[str, asyncio.Event] = {}
        self.accepted = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams((await request.aread()).decode())
        link = form["link"]
        gate = self.let_through.setdefault(link, asyncio.Event())
        self.begun.put_nowait(link)
        await gate.wait()
        self.accepted += 1
        return httpx.Response(200, stream=OneChunk({"order": 1000 + self.accepted}))

    def release(self, *links: str) -> None:
        for link in links:
            self.let_through.setdefault(link, asyncio.Event()).set()


@pytest.fixture
def wire() -> Scripted:
    return Scripted()


@pytest.fixture
async def scripted(runtime: Runtime, wire: Scripted) -> AsyncIterator[WorkerContext]:
    async with Wire(transport=wire) as connected:
        yield WorkerContext(runtime, connected, asyncio.Event())


def link(number: int) -> str:
    return f"https://example.com/{number}"


def begin_drain(context: WorkerContext, provider: Provider) -> asyncio.Task[None]:
    async def drain() -> None:
        await DRAINS["dispatch"](context, str(provider.id))

    return asyncio.create_task(drain())


async def until_state(world: World, order_id: int, state: str) -> None:
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while (await world.row(order_id)).state != state:  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0.005)


class TestCallsUnderWay:
    """What happens while providers take their time."""

    async def test_a_slow_call_holds_up_no_other(
        self, world: World, scripted: WorkerContext, wire: Scripted
    ) -> None:
        provider = await world.provider(in_flight_max=2)
        service = await world.service(routes=[provider])
        placed = [(await world.order(service=service, link=link(n)))["id"] for n in range(6)]
        wire.release(*(link(n) for n in range(1, 6)))
        draining = begin_drain(scripted, provider)
        for order_id in placed[1:]:
            await until_state(world, order_id, "in_progress")
        assert (await world.row(placed[0])).state == "submitting"
        wire.release(link(0))
        await draining
        assert (await world.row(placed[0])).state == "in_progress"

    async def test_stopping_records_what_is_under_way_and_leases_no_more(
        self, world: World, scripted: WorkerContext, wire: Scripted
    ) -> None:
        provider = await world.provider(in_flight_max=1)
        service = await world.service(routes=[provider])
        first, second = [(await world.order(service=service, link=link(n)))["id"] for n in range(2)]
        draining = begin_drain(scripted, provider)
        begun = await wire.begun.get()
        scripted.stopping.set()
        wire.release(link(0), link(1))
        await draining
        states = {(await world.row(one)).state for one in (first, second)}
        assert states == {"in_progress", "queued"}
        assert wire.begun.empty()
        assert begun in {link(0), link(1)}

    async def test_a_database_away_while_leasing_loses_no_answer_of_a_call_under_way(
        self,
        world: World,
        scripted: WorkerContext,
        wire: Scripted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        provider = await world.provider(in_flight_max=2)
        service = await world.service(routes=[provider])
        first, second = [(await world.order(service=service, link=link(n)))["id"] for n in range(2)]
        draining = asyncio.create_task(
            drain_once(scripted, "dispatch", str(provider.id), DRAINS["dispatch"])
        )
        for _ in range(2):
            await wire.begun.get()

        async def away(*_args: object, **_kwargs: object) -> None:
            raise Unavailable

        monkeypatch.setattr("app.orders.dispatch.lease_batch", away)
        wire.release(link(0))
        await until_state(world, first, "in_progress")
        for _ in range(20):
            await asyncio.sleep(0)
        wire.release(link(1))
        await until_state(world, second, "in_progress")
        await draining

    async def test_an_answer_that_comes_after_the_lease_was_lost_is_kept_and_moves_nothing(
        self, world: World, worker: Worker, scripted: WorkerContext, wire: Scripted
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]), link=link(0))
        draining = begin_drain(scripted, provider)
        await wire.begun.get()
        await worker.lose_leases()
        await worker.upkeep()
        assert (await world.row(placed)).state == "unknown"
        fenced = FENCED.labels("dispatch")._value.get()
        wire.release(link(0))
        await draining
        assert FENCED.labels("dispatch")._value.get() == fenced + 1
        assert (await world.row(placed)).state == "unknown"
        assert await world.count("provider_evidence") == 1
        scripted.runtime.clock.move(timedelta(minutes=2))
        await worker.reconcile()
        order = await world.row(placed)
        assert (order.state, order.provider_order_id) == ("in_progress", "1001")

    async def test_what_a_provider_said_is_stored_even_where_the_order_cannot_be_moved(
        self,
        world: World,
        scripted: WorkerContext,
        wire: Scripted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]), link=link(0))

        async def die(*_args: object) -> None:
            raise RuntimeError("the worker died here")

        monkeypatch.setattr("workers.dispatch.record_outcomes", die)
        wire.release(link(0))
        with pytest.raises(RuntimeError, match="died here"):
            await DRAINS["dispatch"](scripted, str(provider.id))
        assert (await world.row(placed)).state == "submitting"
        assert await world.count("provider_evidence") == 1

    async def test_evidence_is_stored_again_and_again_until_it_stands(
        self,
        world: World,
        scripted: WorkerContext,
        wire: Scripted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("workers.dispatch.EVIDENCE_PAUSE_SECONDS", 0.001)
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]), link=link(0))
        store = evidence_repository.append_evidence
        tries = 0

        async def sometimes(session: Session, said: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise Unavailable
            await store(session, said)

        monkeypatch.setattr("app.orders.evidence_repository.append_evidence", sometimes)
        wire.release(link(0))
        await DRAINS["dispatch"](scripted, str(provider.id))
        assert tries == 5
        assert (await world.row(placed)).state == "in_progress"
        assert await world.count("provider_evidence") == 1

    async def test_what_was_leased_when_the_database_went_away_is_sent_once_it_is_back(
        self,
        world: World,
        scripted: WorkerContext,
        wire: Scripted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Left to its lease, the order would wait for minutes after a restart of seconds."""
        monkeypatch.setattr("workers.context.PATIENCE_PAUSE_SECONDS", 0.001)
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]), link=link(0))
        mark, tries = attempt_repository.mark_sending, 0

        async def away_at_first(session: Session, ids: Collection[UUID]) -> set[UUID]:
            nonlocal tries
            tries += 1
            if tries < 5:
                raise Unavailable
            return await mark(session, ids)

        monkeypatch.setattr("app.orders.attempt_repository.mark_sending", away_at_first)
        wire.release(link(0))
        await DRAINS["dispatch"](scripted, str(provider.id))
        assert (await world.row(placed)).state == "in_progress"


class TestUpkeep:
    """What is done again and again."""

    async def test_a_sweeper_that_died_does_not_end_all_sweeping(self, runtime: Runtime) -> None:
        async with runtime.uow.begin() as session:
            await promise_tasks(session)
            await work.lease(session, UPKEEP, "main", limit=20, in_flight_max=20, seconds=-1)
        async with runtime.uow.begin() as session:
            assert await work.due_lanes(session, UPKEEP) == []
        async with runtime.uow.begin() as session:  # the poll of any worker that lives
            await promise_tasks(session)
            assert await work.due_lanes(session, UPKEEP) == ["main"]

    async def test_a_task_of_a_newer_version_is_left_to_it(
        self, worker: Worker, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await work.put(session, UPKEEP, "of-tomorrow")
        await worker.upkeep()
        async with runtime.uow.begin() as session:
            held = await work.leased_count(session, UPKEEP, work.MAIN_LANE)
            due = await work.due_times(session, UPKEEP, ["of-tomorrow"])
        assert held == 0
        assert due["of-tomorrow"] > runtime.clock.now()

    async def test_one_task_that_fails_keeps_no_other_from_its_turn(
        self, worker: Worker, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(_context: WorkerContext, _session: Session) -> None:
            raise LookupError

        monkeypatch.setitem(TASKS, "measure", Task(fail, timedelta(seconds=10)))
        with pytest.raises(LookupError):
            await worker.upkeep()
        async with runtime.uow.begin() as session:
            rows = await session.execute(
                text("SELECT ref, lease_token IS NULL, due_at FROM work WHERE kind = 'upkeep'")
            )
            left = {row[0]: row[1:] for row in rows}
        assert {ref for ref, (free, _) in left.items() if not free} == set()
        now = runtime.clock.now()
        assert now < left["measure"][1] <= now + timedelta(seconds=10)
        assert left["cancel_stale"][1] > now

    @pytest.mark.violates("work-in-wrong-lane")
    @pytest.mark.committing
    async def test_a_full_ledger_check_under_way_does_not_hold_up_the_sweep(
        self, worker: Worker, runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context, may_end, checks = worker.context, asyncio.Event(), 0

        async def check(_context: WorkerContext, _session: Session) -> None:
            nonlocal checks
            checks += 1
            await may_end.wait()

        async def poll() -> None:
            """What a worker does by itself every few seconds."""
            async with runtime.uow.begin() as session:
                await promise_tasks(session)
            for lane in await worker.due_lanes(UPKEEP):
                context.start_drain(UPKEEP, lane, DRAINS[UPKEEP])
            await asyncio.sleep(0.005)

        full = replace(TASKS["check_ledger_in_full"], act=check)
        monkeypatch.setitem(TASKS, "check_ledger_in_full", full)
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while not checks:
                await poll()
            for _ in range(3):
                async with runtime.uow.begin() as session:
                    await work.put(session, "follow", "1")
                    await work.lease(
                        session, "follow", "main", limit=1, in_flight_max=1, seconds=-1
                    )
                clock.move(timedelta(minutes=5))
                while await worker.due_lanes("follow") == []:
                    await poll()
            may_end.set()
            while context.lanes.tasks:
                await asyncio.wait(context.lanes.tasks)
        assert checks == 1

    def test_no_ledger_check_can_outlast_its_lease(self) -> None:
        for name in ("check_ledger", "check_ledger_in_full"):
            assert TASKS[name].lease_seconds > CHECK_SECONDS_MAX
            assert [ref for ref, task in TASKS.items() if task.lane == TASKS[name].lane] == [name]

    async def test_a_task_in_the_lane_of_others_moves_to_its_own_and_is_done_there(
        self, worker: Worker, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await promise_tasks(session)
        await worker.drain(UPKEEP)
        own_lanes = {task.lane for task in TASKS.values()} - {work.MAIN_LANE}
        assert set(await worker.due_lanes(UPKEEP)) == own_lanes
        await worker.upkeep()
        assert await worker.due_lanes(UPKEEP) == []

    async def test_expired_leases_of_every_kind_are_freed(
        self, worker: Worker, runtime: Runtime
    ) -> None:
        # The other two are freed by whoever promises them.
        kinds = [kind for kind in DRAINS if kind not in {UPKEEP, SYNC}]
        async with runtime.uow.begin() as session:
            for kind in kinds:
                await work.put(session, kind, "1")
                await work.lease(session, kind, "main", limit=1, in_flight_max=1, seconds=-1)
            await upkeep.sweep(worker.context, session)
            freed = [await work.due_lanes(session, kind) for kind in kinds]
            assert freed == [["main"]] * len(kinds)
            await work.finish_all(session, ["1"])

    async def test_gauges_tell_orders_queues_and_providers(
        self, world: World, worker: Worker, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        for _ in range(3):
            await world.order(service=service)
        clock.move(timedelta(minutes=2))
        await worker.upkeep()
        async with runtime.uow.begin() as session:
            values = {(one.name, one.labels): one.value for one in await read(session)}
        lane = f'kind="dispatch",lane="{provider.id}"'
        assert values["smmos_orders", 'state="queued"'] == 3
        assert values["smmos_orders", 'state="unknown"'] == 0
        assert values["smmos_orders_late", 'state="queued"'] == 0
        assert values["smmos_work_due", lane] == 3
        assert 120 <= values["smmos_work_age_seconds", lane] < 130
        assert values["smmos_provider_open", f'provider="{provider.name}"'] == 1
        assert values["smmos_ledger_violations_recent", 'code="all"'] == 0
        assert values["smmos_ledger_violations_full", 'code="all"'] == 0

    async def test_orders_past_their_time_are_counted_wherever_they_hang(
        self, world: World, worker: Worker, runtime: Runtime, clock: Clock, simulator: Simulator
    ) -> None:
        silent, slow = await world.provider(), await world.provider(simulator=simulator)
        await simulator.speed(units_per_second=0.0001)
        await world.order(service=await world.service(routes=[silent]))
        await world.order(service=await world.service(routes=[slow]))
        await world.order(service=await world.service(routes=[slow]))
        await worker.dispatch(slow)
        clock.move(timedelta(hours=73))
        await worker.upkeep()
        async with runtime.uow.begin() as session:
            late = {one.labels: one.value for one in await read(session) if one.name in LATE}
        expected = {f'state="{state}"': 0 for state in RUNNING}
        expected |= {'state="queued"': 1, 'state="in_progress"': 2, "": 1}
        assert late == expected

    @pytest.mark.violates
    async def test_the_ledger_gauges_count_what_must_never_be(
        self, world: World, worker: Worker, runtime: Runtime
    ) -> None:
        await world.order()
        async with runtime.uow.begin() as session:
            await session.execute(text("UPDATE orders SET version = version + 1"))
        await worker.upkeep()
        async with runtime.uow.begin() as session:
            values = {(one.name, one.labels): one.value for one in await read(session)}
        for scope in ("recent", "full"):
            name = f"smmos_ledger_violations_{scope}"
            assert values[name, 'code="order-events-missing"'] == 1
            assert values[name, 'code="all"'] == 1


EARLIER = datetime(2020, 1, 1, tzinfo=UTC)


class Balances(httpx.AsyncBaseTransport):
    """A wire on which every account has money, and the account of one key answers late."""

    def __init__(self, *, hang: str) -> None:
        self._hang = hang
        self.may_end = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams((await request.aread()).decode())
        if form["key"] == self._hang:
            await self.may_end.wait()
        return httpx.Response(200, stream=OneChunk({"balance": "5.00", "currency": "USD"}))


async def is_open(runtime: Runtime, provider: Provider) -> bool:
    async with runtime.uow.begin() as session:
        return (await supply.get(session, provider.id)).breaker_open_until is not None


class TestProbing:
    """The one call that may try a closed door."""

    async def test_an_answered_probe_closes_the_breaker_and_orders_flow(
        self, world: World, worker: Worker, runtime: Runtime, simulator: Simulator, clock: Clock
    ) -> None:
        provider = await world.provider(simulator=simulator)
        placed = await world.order(service=await world.service(routes=[provider]))
        async with runtime.uow.begin() as session:
            await protection.record_failures(session, provider.id, 5, time_scale=1.0)
        await worker.dispatch(provider)
        assert (await world.row(placed)).state == "queued"
        clock.move(timedelta(minutes=1))
        await worker.probe()
        async with runtime.uow.begin() as session:
            now = await supply.get(session, provider.id)
        assert (now.breaker_open_until, now.breaker_failures) == (None, 0)
        assert now.balance_micros is not None
        await worker.dispatch(provider)
        assert (await world.row(placed)).state == "in_progress"

    async def test_a_probe_without_answer_keeps_the_breaker_open_longer_each_time(
        self, world: World, worker: Worker, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        async with runtime.uow.begin() as session:
            await protection.record_failures(session, provider.id, 5, time_scale=1.0)
        waits = []
        for _ in range(7):
            async with runtime.uow.begin() as session:
                until = (await supply.get(session, provider.id)).breaker_open_until
            assert until is not None
            waits.append(round((until - clock.now()).total_seconds()))
            clock.move(until - clock.now())
            await worker.probe()
        assert waits == [30, 60, 120, 240, 480, 600, 600]

    @pytest.mark.parametrize(
        ("reason", "balance", "lifted"),
        [
            (PauseReason.NO_FUNDS, "2000000", True),
            (PauseReason.NO_FUNDS, "5", False),
            (PauseReason.MAINTENANCE, "5", True),
            (PauseReason.RATE_LIMITED, "5", True),
            (PauseReason.CREDENTIALS, "2000000", False),
            (PauseReason.OPERATOR, "2000000", False),
        ],
    )
    async def test_a_probe_lifts_only_the_pauses_that_its_answer_disproves(
        self,
        world: World,
        worker: Worker,
        runtime: Runtime,
        simulator: Simulator,
        clock: Clock,
        reason: PauseReason,
        balance: str,
        lifted: bool,
    ) -> None:
        provider = await world.provider(simulator=simulator)
        await worker.probe()
        async with runtime.uow.begin() as session:
            await pausing.pause(session, provider.id, reason)
        await worker.probe()  # want of funds is probed at once
        await simulator.control.put("/balance", json={"balance": balance})
        clock.move(supply.PROBE_EVERY)
        await worker.probe()
        async with runtime.uow.begin() as session:
            now = await supply.get(session, provider.id)
        assert (now.state == "active") is lifted

    async def test_a_provider_that_hangs_keeps_the_door_of_no_other_shut(
        self, world: World, runtime: Runtime, clock: Clock
    ) -> None:
        gone, back = await world.provider(key="gone"), await world.provider(key="back")
        async with runtime.uow.begin() as session:
            for provider in (gone, back):
                await protection.record_failures(session, provider.id, 5, time_scale=1.0)
        clock.move(protection.BREAKER_OPEN_BASE)
        async with runtime.uow.begin() as session:
            # The one that hangs is asked first.
            await work.put(session, supply.PROBE, str(gone.id), due_at=EARLIER)
            await work.put(session, supply.PROBE, str(back.id))
        wire = Balances(hang="gone")
        async with Wire(transport=wire) as connected:
            context = WorkerContext(runtime, connected, asyncio.Event())
            context.start_drain(supply.PROBE, work.MAIN_LANE, DRAINS[supply.PROBE])
            async with asyncio.timeout(GIVE_UP_SECONDS):
                while await is_open(runtime, back):  # noqa: ASYNC110 - another task's doing
                    await asyncio.sleep(0.005)
            assert await is_open(runtime, gone)
            wire.may_end.set()
            await asyncio.wait(context.lanes.tasks)
        assert not await is_open(runtime, gone)

    async def test_a_pause_for_a_while_is_not_lifted_before_its_time(
        self, world: World, worker: Worker, runtime: Runtime, simulator: Simulator, clock: Clock
    ) -> None:
        provider = await world.provider(simulator=simulator)
        async with runtime.uow.begin() as session:
            until = clock.now() + timedelta(minutes=10)
            await pausing.pause(session, provider.id, PauseReason.MAINTENANCE, until=until)
            await work.put(session, supply.PROBE, str(provider.id))
        await worker.probe()
        async with runtime.uow.begin() as session:
            assert (await supply.get(session, provider.id)).state == "paused"
        clock.move(timedelta(minutes=11))
        await worker.probe()
        async with runtime.uow.begin() as session:
            assert (await supply.get(session, provider.id)).state == "active"


async def test_orders_without_a_route_find_one_that_was_opened_later(
    world: World, worker: Worker, runtime: Runtime, simulator: Simulator, clock: Clock
) -> None:
    first = await world.provider()
    service = await world.service(routes=[RouteTo(first)])
    placed = await world.order(service=service)
    async with runtime.uow.begin() as session:
        await pausing.pause(session, first.id, PauseReason.OPERATOR)
    await worker.until_idle("dispatch")
    second = await world.provider(simulator=simulator)
    async with runtime.uow.begin() as session:
        await service_routes.add_route(
            session,
            service.id,
            provider_id=second.id,
            provider_service="101",
            cost=Money.parse("0.50"),
            priority=5,
        )
    clock.move(timedelta(minutes=1))
    await worker.until_idle("dispatch")
    assert (await world.row(placed)).provider_id == second.id
