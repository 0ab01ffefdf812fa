"""Delivery windows by the public door: stamped at purchase, told once when they are missed."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.core import gauges
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders import estimates
from app.providers.protocol import ServiceType
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import LINK, ResellerCaller, World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import BODIES


def hours_between(order: dict[str, Any], field: str) -> float:
    moments = [datetime.fromisoformat(order[name]) for name in ("created_at", field)]
    return (moments[1] - moments[0]) / timedelta(hours=1)


@pytest.mark.policy("SLA-2")
async def test_an_order_has_its_window_from_its_purchase_on(world: World) -> None:
    service = await world.service(
        tier="premium", deliver_hours_min=12, deliver_hours_max=48, bulk_units=500, bulk_hours=3
    )

    order = await world.order(service=service, quantity=1000)

    assert hours_between(order, "deliver_from") == 12
    assert hours_between(order, "deliver_by") == 54
    assert order["late_at"] is None


@pytest.mark.policy("SLA-2")
async def test_a_custom_order_names_its_date_and_no_other_does(
    client: httpx.AsyncClient, world: World, clock: Clock
) -> None:
    reseller, agreed = await world.reseller(), clock.now() + timedelta(days=12)
    custom = await world.service(tier="custom")
    order = await world.order(reseller, custom, deliver_by=agreed.isoformat())
    assert datetime.fromisoformat(order["deliver_by"]) == agreed

    standard = await world.service()
    for service, moment in ((standard, agreed), (custom, agreed + timedelta(days=90))):
        body = order_body(service, link=LINK, deliver_by=moment.isoformat())
        headers = reseller.headers | {"Idempotency-Key": "a-date"}
        refused = await client.post("/v1/orders", json=body, headers=headers)
        assert pointers(problem(refused, 422, "invalid-input")) == ["/deliver_by"]


async def test_a_drip_feed_agrees_on_no_date(client: httpx.AsyncClient, world: World) -> None:
    reseller, service = await world.reseller(), await world.service(tier="custom")
    body = order_body(service, runs=2, interval_minutes=60, deliver_by="2027-01-01T00:00:00Z")
    headers = reseller.headers | {"Idempotency-Key": "a-key"}

    refused = await client.post("/v1/orders", json=body, headers=headers)

    assert pointers(problem(refused, 422, "invalid-input")) == ["/deliver_by"]


@pytest.mark.policy("SLA-2")
async def test_a_service_that_states_no_hours_promises_those_of_its_tier(
    client: httpx.AsyncClient, world: World
) -> None:
    operator = await world.operator()
    for tier, hours in (("standard", (24, 72)), ("premium", (12, 48))):
        body = BODIES["operatorCreateService"] | {"tier": tier}
        made = await client.post("/v1/operator/services", json=body, headers=operator.headers)
        read = made.json()
        assert (read["delivery_hours_min"], read["delivery_hours_max"]) == hours

    body = BODIES["operatorCreateService"] | {"tier": "premium", "delivery_hours_max": 49}
    refused = await client.post("/v1/operator/services", json=body, headers=operator.headers)
    assert pointers(problem(refused, 422, "invalid-input")) == ["/delivery_hours_max"]


async def timeline(
    client: httpx.AsyncClient, reseller: ResellerCaller, order: dict[str, Any]
) -> list[str]:
    told = await client.get(f"/v1/orders/{order['id']}/events", headers=reseller.headers)
    return [event["type"] for event in told.json()["data"]]


@pytest.mark.policy("SLA-2")
async def test_a_late_order_is_told_once_and_counted_by_provider_and_service(
    client: httpx.AsyncClient,
    world: World,
    worker: Worker,
    simulator: Simulator,
    clock: Clock,
    runtime: Runtime,
) -> None:
    provider, reseller = await world.provider(simulator=simulator), await world.reseller()
    service = await world.service(routes=[provider], deliver_hours_max=72)
    await simulator.speed(units_per_second=0)
    order = await world.order(reseller, service)
    await worker.dispatch(provider)
    await worker.upkeep()
    assert "late" not in await timeline(client, reseller, order)

    clock.move(timedelta(hours=72, seconds=1))
    for _ in range(2):
        await worker.upkeep()

    assert (await timeline(client, reseller, order)).count("late") == 1
    read = await client.get(f"/v1/orders/{order['id']}", headers=reseller.headers)
    assert read.json()["late_at"] is not None
    async with runtime.uow.begin() as session:
        values = {(one.name, one.labels): one.value for one in await gauges.read(session)}
    labels = f'provider="{provider.name}",service="{service.id}"'
    assert values["smmos_orders_late_by_service", labels] == 1
    assert values["smmos_orders_seen_late_last_day", labels] == 1


@pytest.mark.policy("SLA-2")
async def test_a_subscription_that_begins_late_is_late_under_its_own_number(
    client: httpx.AsyncClient, world: World, worker: Worker, clock: Clock
) -> None:
    reseller = await world.reseller()
    body = order_body(await world.service(type=ServiceType.SUBSCRIPTIONS))
    headers = reseller.headers | {"Idempotency-Key": "a-key"}
    number = (await client.post("/v1/orders", json=body, headers=headers)).json()["id"]
    clock.move(timedelta(hours=73))

    await worker.upkeep()

    read = await client.get(f"/v1/orders/{number}", headers=reseller.headers)
    assert read.json()["late_at"] is not None


async def test_an_order_that_ends_late_unseen_is_late_all_the_same(
    world: World, worker: Worker, simulator: Simulator, clock: Clock
) -> None:
    provider = await world.provider(simulator=simulator)
    order = await world.order(service=await world.service(routes=[provider]))
    await worker.dispatch(provider)
    clock.move(timedelta(hours=73))

    await worker.until_ended()

    row = await world.row(order)
    assert (row.state, row.late_at) == ("completed", row.ended_at)


@pytest.mark.policy("SLA-2")
async def test_a_service_tells_how_long_it_took_lately_once_there_is_enough_to_say(
    client: httpx.AsyncClient,
    world: World,
    worker: Worker,
    simulator: Simulator,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reseller = await world.reseller()
    service = await world.service(routes=[await world.provider(simulator=simulator)])
    order = await world.order(reseller, service)
    await worker.until_ended()

    async def estimate() -> dict[str, int] | None:
        await worker.upkeep()
        read = await client.get(f"/v1/services/{service.id}", headers=reseller.headers)
        told: dict[str, int] | None = read.json()["estimate"]
        return told

    assert await estimate() is None
    monkeypatch.setattr(estimates, "ORDERS_MIN", 1)
    told = await estimate()
    row = await world.row(order)
    assert row.ended_at is not None
    seconds = round((row.ended_at - row.created_at).total_seconds())
    assert told == {"p50_seconds": seconds, "p90_seconds": seconds}
    clock.move(timedelta(days=15))
    assert await estimate() is None
