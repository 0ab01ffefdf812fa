"""What a worker does with answers when the database, one batch or one call gives trouble."""

import asyncio
import socket
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.core.crypto import Place
from app.core.errors import Unavailable
from app.core.runtime import Runtime
from app.orders import dispatch, outcomes
from app.orders.dispatch import Batch
from app.providers.protocol import Accepted, SubmitOutcome
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from tests.fixtures.world import RouteTo, World
from tests.orders.conftest import Desk
from tests.workers.test_workers import (  # noqa: F401 - fixtures
    Scripted,
    begin_drain,
    link,
    scripted,
    until_state,
    wire,
)
from workers import dispatch as dispatching
from workers.context import WorkerContext
from workers.main import DRAINS

# ruff: noqa: F811 - the fixtures that are imported above


@pytest.fixture
def desk(runtime: Runtime, world: World) -> Desk:
    return Desk(runtime, world)


async def test_a_hung_call_holds_up_no_order_that_comes_later(
    world: World, scripted: WorkerContext, wire: Scripted
) -> None:
    provider = await world.provider(in_flight_max=8)
    service = await world.service(routes=[provider])
    lane = ("dispatch", str(provider.id), DRAINS["dispatch"])
    first = await world.order(service=service, link=link(0))
    scripted.start_drain(*lane)
    await wire.begun.get()
    second = await world.order(service=service, link=link(1))
    wire.release(link(1))
    scripted.start_drain(*lane)
    await until_state(world, second["id"], "in_progress")
    assert (await world.row(first)).state == "submitting"
    wire.release(link(0))
    await asyncio.wait(scripted.lanes.tasks)
    assert (await world.row(first)).state == "in_progress"


@pytest.mark.parametrize(
    "error",
    [
        OSError(113, "No route to host"),
        OSError(101, "Network is unreachable"),
        socket.gaierror(-3, "Temporary failure in name resolution"),
        RuntimeError("something nobody thought of"),
    ],
)
async def test_an_answer_is_stored_however_the_database_went_away(
    error: Exception,
    world: World,
    scripted: WorkerContext,
    wire: Scripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.dispatch.EVIDENCE_PAUSE_SECONDS", 0.001)
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=link(0))
    draining = begin_drain(scripted, provider)
    await wire.begun.get()
    opened, tries = scripted.runtime.uow._sessions, 0

    def away() -> Any:
        nonlocal tries
        tries += 1
        if tries <= 6:
            raise error
        return opened()

    monkeypatch.setattr(scripted.runtime.uow, "_sessions", away)
    wire.release(link(0))
    await asyncio.wait([draining])
    # Leasing more has failed meanwhile, and says so.
    assert isinstance(draining.exception(), Unavailable | RuntimeError)
    assert await world.count("provider_evidence") == 1
    assert (await world.row(placed)).state == "in_progress"


async def test_a_batch_that_cannot_be_stored_at_all_keeps_no_other_from_it(
    world: World, scripted: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dispatch.EVIDENCE_TRIES_MAX", 1)
    provider = await world.provider(in_flight_max=2)
    service = await world.service(routes=[provider])
    batches = []
    for number in range(2):
        await world.order(service=service, link=link(number))
        batches.append(await _sent(scripted, provider))
    spoilt, sound = batches
    calls = {
        _answered(Accepted("a\x00", "{}")): dispatching.Call(spoilt, spoilt.handovers[0], 0.0),
        _answered(Accepted("b1", "{}")): dispatching.Call(sound, sound.handovers[0], 0.0),
    }
    await asyncio.wait(calls)
    record, times = outcomes.record_outcomes, 0

    async def passing_trouble(*args: Any) -> None:
        nonlocal times
        times += 1
        if times <= 2:
            raise RuntimeError("a passing trouble")
        await record(*args)

    monkeypatch.setattr("workers.dispatch.record_outcomes", passing_trouble)
    with pytest.raises(Exception, match=r"(?i)null|0x00|byte"):
        await dispatching._record(scripted, calls)
    assert await world.count("provider_evidence") == 1
    assert (await world.row(sound.handovers[0].order_id)).state == "in_progress"


async def test_a_form_that_opens_and_cannot_be_read_goes_to_a_person_and_holds_up_no_other(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    odd, sound = await world.order(service=service), await world.order(service=service)
    content = orjson.dumps({"link": "x", "quantity": 10, "of_a_later_version": 1})
    sealed = runtime.keys.seal(content, Place("order_inputs", "sealed", str(odd["id"])))
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE order_inputs SET sealed = :sealed WHERE order_id = :id"),
            {"sealed": sealed, "id": odd["id"]},
        )
    batch = await desk.send(provider)
    assert [handover.order_id for handover in batch.handovers] == [sound["id"]]
    assert (await world.row(odd)).state == "needs_review"


async def test_orders_of_an_account_that_cannot_be_opened_go_to_the_next_route(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    shut, other = await world.provider(), await world.provider()
    routes = [RouteTo(shut, priority=1), RouteTo(other, priority=2)]
    placed = await world.order(service=await world.service(routes=routes))
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE providers SET credentials = :sealed WHERE id = :id"),
            {"sealed": b"nobody's" * 8, "id": shut.id},
        )
    assert not isinstance(await desk.lease(shut), Batch)
    assert (await desk.provider(shut)).pause_reason == PauseReason.CREDENTIALS
    assert (await desk.work_of(placed["id"]))["dispatch"].lane == str(other.id)


async def _sent(context: WorkerContext, provider: Provider) -> Batch:
    runtime = context.runtime
    async with runtime.uow.begin() as session:
        batch = await dispatch.lease_batch(session, runtime.keys, provider.id, time_scale=1.0)
    assert isinstance(batch, Batch)
    async with runtime.uow.begin() as session:
        await dispatch.mark_sending(session, batch)
    return batch


def _answered(outcome: SubmitOutcome) -> asyncio.Task[SubmitOutcome]:
    async def answer() -> SubmitOutcome:
        return outcome

    return asyncio.create_task(answer())
