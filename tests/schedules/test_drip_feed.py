"""A drip-feed: its runs start one after another, each once, whatever befalls workers and clocks."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core import work
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders.models import Order
from app.schedules import starting
from app.schedules.starting import SCHEDULE
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import ResellerCaller, World

INTERVAL = timedelta(minutes=60)


async def drip_feed(world: World, simulator: Simulator, reseller: ResellerCaller) -> dict[str, Any]:
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[provider])
    return await world.order(reseller, service, quantity=101, runs=10, interval_minutes=60)


async def read(
    client: httpx.AsyncClient, reseller: ResellerCaller, order: dict[str, Any], more: str = ""
) -> dict[str, Any]:
    answer = await client.get(f"/v1/orders/{order['id']}{more}", headers=reseller.headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def run_due(worker: Worker, times: int) -> None:
    for _ in range(times):
        await worker.until_idle()
        worker.context.runtime.clock.move(INTERVAL)


@pytest.mark.policy("TOS-2a")
async def test_ten_runs_are_ten_orders_though_a_worker_is_killed_and_the_clock_moves(
    world: World,
    simulator: Simulator,
    worker: Worker,
    client: httpx.AsyncClient,
    runtime: Runtime,
    clock: Clock,
) -> None:
    reseller = await world.reseller()
    order = await drip_feed(world, simulator, reseller)
    await run_due(worker, 3)
    async with runtime.uow.begin() as session:
        lost = await work.lease(
            session, SCHEDULE, work.MAIN_LANE, limit=1, in_flight_max=20, seconds=60
        )
    await worker.lose_leases()
    await worker.upkeep()
    clock.move(timedelta(days=1))
    await worker.until_idle()
    async with runtime.uow.begin() as session:
        await starting.start_due(session, runtime.keys, lost, str(order["id"]), time_scale=1.0)
    assert (await read(client, reseller, order))["runs"]["started"] == 4
    clock.move(timedelta(hours=-5))
    await worker.until_idle()
    assert (await read(client, reseller, order))["runs"]["started"] == 4
    clock.move(timedelta(hours=6))
    await run_due(worker, 6)
    await worker.until_ended()

    runs = (await read(client, reseller, order, "/runs"))["data"]
    assert {run["parent_id"] for run in runs} == {order["id"]}
    assert len(runs) == len(await simulator.accepted()) == 10
    seen = await read(client, reseller, order)
    assert (seen["status"], seen["remains"], seen["refunded"]["amount"]) == ("completed", 0, "0.00")
    assert (await world.balance(reseller)).held.micros == 0


@pytest.mark.policy("TOS-2a")
async def test_canceled_after_run_four_the_money_of_six_runs_is_back_at_once(
    world: World, simulator: Simulator, worker: Worker, client: httpx.AsyncClient
) -> None:
    reseller = await world.reseller()
    order = await drip_feed(world, simulator, reseller)
    await run_due(worker, 3)
    await worker.until_ended()

    answer = await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)

    assert answer.status_code == 200, answer.text
    assert answer.json()["charge"]["amount"] == "0.909"
    assert answer.json()["refunded"]["amount"] == "0.5454"
    assert answer.json()["status"] == "partial"
    assert str((await world.balance(reseller)).available) == "9.6364"


async def test_after_a_restore_every_run_that_fell_due_is_started_however_many_schedules(
    world: World,
    simulator: Simulator,
    runtime: Runtime,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "MISSED_AT_ONCE_MAX", 1)
    for _ in range(3):
        await drip_feed(world, simulator, await world.reseller())
    clock.move(INTERVAL)
    # The first of each, which was due at once, and the second.
    async with runtime.uow.begin() as session:
        assert await starting.start_missed(session, runtime.keys, time_scale=1.0) == 3 * 2
        # The clock of a claim on a run starts when it was due.
        ahead = select(func.count()).where(Order.due_at > Order.created_at)
        assert await session.scalar(ahead) == 0
