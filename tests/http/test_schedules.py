"""Drip-feeds over HTTP: bought, read, paused, resumed and canceled under one order number."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import Clock
from app.schedules.starting import SCHEDULE
from tests.fixtures.supplying import Worker
from tests.fixtures.world import LINK, ResellerCaller, World, order_body
from tests.http.conftest import ChangeStanding
from tests.http.problems import pointers, problem

HOUR = timedelta(hours=1)
REPEAT: dict[str, Any] = {"quantity": 100, "runs": 3, "interval_minutes": 60}


async def get(client: httpx.AsyncClient, reseller: ResellerCaller, path: str) -> Any:
    answer = await client.get(path, headers=reseller.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(
    client: httpx.AsyncClient, reseller: ResellerCaller, order: dict[str, Any], verb: str
) -> httpx.Response:
    return await client.post(f"/v1/orders/{order['id']}/{verb}", headers=reseller.headers)


async def test_a_drip_feed_is_charged_for_all_runs_and_told_as_one_order(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, reference="shop-7", **REPEAT)

    assert (placed["status"], placed["quantity"], placed["remains"]) == ("queued", 300, 300)
    assert placed["charge"]["amount"] == "0.27"
    assert placed["runs"] | {"next_at": ""} == {
        "total": 3,
        "started": 0,
        "quantity": 100,
        "interval_minutes": 60,
        "next_at": "",
    }
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert (seen["status"], seen["runs"]["started"]) == ("in_progress", 1)
    [run] = (await get(client, reseller, f"/v1/orders/{placed['id']}/runs"))["data"]
    assert (run["parent_id"], run["charge"]["amount"], run["runs"]) == (placed["id"], "0.09", None)
    assert run["reference"] == "shop-7"
    balance = await world.balance(reseller)
    assert (str(balance.available), str(balance.held)) == ("9.73", "0.27")


async def test_schedules_have_a_list_and_their_runs_are_in_that_of_orders(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    reseller = await world.reseller()
    first = await world.order(reseller, **REPEAT)
    second = await world.order(reseller, **REPEAT)
    await worker.drain(SCHEDULE)

    page = await get(client, reseller, "/v1/schedules?limit=1")
    assert [one["id"] for one in page["data"]] == [second["id"]]
    page = await get(client, reseller, f"/v1/schedules?cursor={page['next_cursor']}&limit=1")
    assert [one["id"] for one in page["data"]] == [first["id"]]
    orders = await get(client, reseller, "/v1/orders")
    assert [one["parent_id"] for one in orders["data"]] == [second["id"], first["id"]]


async def test_the_timeline_of_a_schedule_tells_its_runs(
    client: httpx.AsyncClient, world: World, worker: Worker, clock: Clock
) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, **REPEAT)
    await worker.drain(SCHEDULE)
    await post(client, reseller, placed, "pause")
    await post(client, reseller, placed, "resume")
    await post(client, reseller, placed, "cancel")
    events = (await get(client, reseller, f"/v1/orders/{placed['id']}/events"))["data"]
    told = [(event["type"], event["by"]) for event in events]
    assert told == [
        ("place", "you"),
        ("run", "system"),
        ("pause", "you"),
        ("resume", "you"),
        ("cancel", "you"),
    ]
    assert events[-1]["refunded"] == "0.18"


async def test_while_paused_no_run_starts_and_resumed_the_next_one_does(
    client: httpx.AsyncClient, world: World, worker: Worker, clock: Clock
) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, **REPEAT)
    await worker.drain(SCHEDULE)
    for _ in range(2):
        answer = await post(client, reseller, placed, "pause")
        assert (answer.status_code, answer.json()["status"]) == (200, "on_hold")
    clock.move(10 * HOUR)
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert seen["runs"]["started"] == 1
    for _ in range(2):
        answer = await post(client, reseller, placed, "resume")
        assert (answer.status_code, answer.json()["status"]) == (200, "in_progress")
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert seen["runs"]["started"] == 2


async def test_a_schedule_canceled_gives_back_queued_runs_too_and_once(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, **REPEAT)
    await worker.drain(SCHEDULE)
    answer = await post(client, reseller, placed, "cancel")
    assert (answer.json()["status"], answer.json()["refunded"]["amount"]) == ("canceled", "0.27")
    assert answer.json()["ended_at"]
    assert str((await world.balance(reseller)).available) == "10.00"
    problem(await post(client, reseller, placed, "cancel"), 409, "order-not-cancelable")
    assert str((await world.balance(reseller)).available) == "10.00"


async def test_one_run_is_an_order_like_any(world: World) -> None:
    placed = await world.order(**REPEAT | {"runs": 1})
    assert (placed["runs"], placed["quantity"]) == (None, 100)


async def test_the_runs_of_a_suspended_account_wait_until_it_may_spend(
    client: httpx.AsyncClient,
    world: World,
    worker: Worker,
    clock: Clock,
    change_standing: ChangeStanding,
) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, **REPEAT)
    await change_standing(reseller.reseller_id, "suspended")
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert (seen["runs"]["started"], seen["reason"]) == (0, "spending_stopped")
    await change_standing(reseller.reseller_id, "active")
    clock.move(HOUR)
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert (seen["runs"]["started"], seen["reason"]) == (1, None)


async def test_a_service_that_went_off_sale_still_runs_what_it_sold(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    reseller, operator = await world.reseller(), await world.operator()
    service = await world.service()
    placed = await world.order(reseller, service, **REPEAT)
    answer = await client.patch(
        f"/v1/operator/services/{service.id}", json={"state": "off_sale"}, headers=operator.headers
    )
    assert answer.status_code == 200, answer.text
    await worker.drain(SCHEDULE)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert seen["runs"]["started"] == 1


async def _refused(
    client: httpx.AsyncClient, reseller: ResellerCaller, body: dict[str, Any], code: str
) -> dict[str, Any]:
    answer = await client.post(
        "/v1/orders", json=body, headers=reseller.headers | {"Idempotency-Key": "k"}
    )
    return problem(answer, answer.status_code, code)


async def test_runs_and_interval_are_given_together_and_within_bounds(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    for wrong, field in (
        ({"runs": 3}, "interval_minutes"),
        ({"interval_minutes": 60}, "interval_minutes"),
        ({"runs": None, "interval_minutes": 60}, "interval_minutes"),
        ({"runs": 0, "interval_minutes": 60}, "runs"),
        ({"runs": 101, "interval_minutes": 60}, "runs"),
        ({"runs": 0}, "runs"),
        ({"runs": 3, "interval_minutes": 0}, "interval_minutes"),
        ({"runs": 3, "interval_minutes": 43_201}, "interval_minutes"),
    ):
        body = order_body(service, **wrong)
        refusal = await _refused(client, reseller, body, "validation-failed")
        assert [one["pointer"] for one in refusal["errors"]] == [f"/{field}"], wrong


async def test_what_all_runs_cost_must_be_there(client: httpx.AsyncClient, world: World) -> None:
    reseller, service = await world.reseller(balance="0.26"), await world.service()
    await _refused(client, reseller, order_body(service, **REPEAT), "insufficient-funds")
    assert str((await world.balance(reseller)).available) == "0.26"


async def test_a_schedule_in_a_batch_is_refused_by_name(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    answer = await client.post(
        "/v1/orders/batch",
        json={"orders": [order_body(service), order_body(service, **REPEAT)]},
        headers=reseller.headers | {"Idempotency-Key": "k"},
    )
    placed, refused = answer.json()["data"]
    assert (placed["status"], refused["status"]) == (201, 422)
    assert pointers(refused["problem"]) == ["/runs"]


async def test_the_same_key_buys_a_drip_feed_once(client: httpx.AsyncClient, world: World) -> None:
    reseller, service = await world.reseller(), await world.service()
    body = order_body(service, **REPEAT)
    headers = reseller.headers | {"Idempotency-Key": "once"}
    first = await client.post("/v1/orders", json=body, headers=headers)
    again = await client.post("/v1/orders", json=body, headers=headers)
    assert first.content == again.content
    assert await world.count("schedules") == 1
    assert first.headers["location"] == f"/v1/orders/{first.json()['id']}"


@pytest.mark.refuses("pauseOrder", "order-not-pausable")
async def test_only_what_has_runs_to_come_can_be_paused(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    plain, placed = await world.order(reseller), await world.order(reseller, **REPEAT)
    problem(await post(client, reseller, plain, "pause"), 409, "order-not-pausable")
    await post(client, reseller, placed, "cancel")
    problem(await post(client, reseller, placed, "pause"), 409, "order-not-pausable")


@pytest.mark.refuses("resumeOrder", "order-not-resumable")
async def test_only_what_is_paused_can_be_resumed(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller()
    plain, placed = await world.order(reseller), await world.order(reseller, **REPEAT)
    problem(await post(client, reseller, plain, "resume"), 409, "order-not-resumable")
    await post(client, reseller, placed, "cancel")
    problem(await post(client, reseller, placed, "resume"), 409, "order-not-resumable")


async def test_the_schedule_of_another_is_as_absent_as_one_that_never_was(
    client: httpx.AsyncClient, world: World
) -> None:
    placed, other = await world.order(**REPEAT), await world.reseller()
    for verb in ("pause", "resume", "cancel"):
        problem(await post(client, other, placed, verb), 404, "not-found")
    for path in ("", "/runs", "/events"):
        answer = await client.get(f"/v1/orders/{placed['id']}{path}", headers=other.headers)
        problem(answer, 404, "not-found")


async def test_the_link_is_sealed_in_the_schedule(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller()
    placed = await world.order(reseller, link=LINK, **REPEAT)
    seen = await get(client, reseller, f"/v1/orders/{placed['id']}")
    assert seen["link"] == LINK
