"""A schedule whose form nobody can open any more: left to a person, and in nobody's way."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.runtime import Runtime
from app.schedules.starting import FORM_UNREADABLE, SCHEDULE
from tests.fixtures.supplying import Worker
from tests.fixtures.world import ResellerCaller, World
from tests.orders.conftest import Desk


@pytest.fixture
async def reseller(world: World) -> ResellerCaller:
    return await world.reseller()


@pytest.fixture
async def unreadable(world: World, reseller: ResellerCaller, runtime: Runtime) -> str:
    """The number of a drip-feed that was sealed with a master key which is gone."""
    placed = await world.order(reseller, quantity=100, runs=3, interval_minutes=60)
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE schedules SET sealed = decode(repeat('00', 60), 'hex') WHERE id = :id"),
            {"id": placed["id"]},
        )
    return str(placed["id"])


async def test_it_is_tried_once_and_left_to_a_person(
    unreadable: str,
    reseller: ResellerCaller,
    worker: Worker,
    client: httpx.AsyncClient,
    clock: Clock,
    desk: Desk,
) -> None:
    await worker.drain(SCHEDULE)
    assert await desk.work_of(int(unreadable)) == {}
    clock.move(timedelta(days=1))
    await worker.drain(SCHEDULE)

    seen = (await client.get(f"/v1/orders/{unreadable}", headers=reseller.headers)).json()
    assert (seen["status"], seen["reason"], seen["link"]) == ("on_hold", FORM_UNREADABLE, None)
    assert seen["runs"]["started"] == 0


async def test_it_is_canceled_with_its_money_back(
    unreadable: str, reseller: ResellerCaller, world: World, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"/v1/orders/{unreadable}/cancel", headers=reseller.headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert str((await world.balance(reseller)).available) == "10.00"


async def test_its_neighbours_are_listed_and_told_beside_it(
    unreadable: str,
    reseller: ResellerCaller,
    world: World,
    client: httpx.AsyncClient,
    runtime: Runtime,
) -> None:
    order = await world.order(reseller)
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE order_inputs SET sealed = decode('00', 'hex')"))

    form = {"key": reseller.key, "action": "status", "orders": f"{unreadable},{order['id']}"}
    told = (await client.post("/api/v2", data=form)).json()
    listed = await client.get("/v1/schedules", headers=reseller.headers)
    orders = await client.get("/v1/orders", headers=reseller.headers)

    assert {one: figures["status"] for one, figures in told.items()} == {
        unreadable: "Pending",
        str(order["id"]): "Pending",
    }
    assert [one["link"] for one in listed.json()["data"]] == [None]
    assert [one["link"] for one in orders.json()["data"]] == [None]
