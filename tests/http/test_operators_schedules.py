"""What operators see of drip-feeds and subscriptions, and what they may do to them."""

from typing import Any

import httpx
import pytest

from app.core.money import Money
from app.schedules.starting import SCHEDULE
from tests.fixtures.supplying import Worker
from tests.fixtures.world import OperatorCaller, World
from tests.http.problems import problem
from tests.http.test_reads import walk

PATH = "/v1/operator/schedules"
REPEAT: dict[str, Any] = {"quantity": 100, "runs": 3, "interval_minutes": 60}


async def post(
    client: httpx.AsyncClient,
    operator: OperatorCaller,
    number: int,
    verb: str,
    body: dict[str, Any] | None = None,
) -> httpx.Response:
    return await client.post(f"{PATH}/{number}/{verb}", json=body, headers=operator.headers)


async def test_an_operator_sees_every_schedule_with_its_timeline_and_its_runs(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    operator, service = await world.operator(), await world.service()
    numbers = [
        (await world.order(await world.reseller(), service, **REPEAT))["id"] for _ in range(2)
    ]
    await worker.drain(SCHEDULE)

    listed = await walk(client, operator, PATH, 1)
    answer = await client.get(f"{PATH}/{numbers[0]}", headers=operator.headers)
    paused = await client.get(PATH, params={"state": "paused"}, headers=operator.headers)

    assert [one["id"] for one in listed] == numbers[::-1]
    assert paused.json()["data"] == []
    assert answer.status_code == 200, answer.text
    detail = answer.json()
    assert detail["schedule"] == listed[1]
    assert (detail["schedule"]["held"]["amount"], detail["schedule"]["started"]) == ("0.18", 1)
    assert [event["type"] for event in detail["events"]] == ["place", "run"]
    [run] = detail["runs"]
    assert (run["parent_id"], run["charge"]["amount"]) == (numbers[0], "0.09")
    assert detail["events"][1]["data"] == {"run": 1, "order_id": run["id"]}


async def test_a_drip_feed_is_paused_resumed_and_canceled_by_an_operator_on_record(
    client: httpx.AsyncClient, world: World, worker: Worker
) -> None:
    operator, reseller = await world.operator(), await world.reseller()
    number = (await world.order(reseller, **REPEAT))["id"]
    rows = await world.count("audit_log")

    paused = await post(client, operator, number, "pause", {"reason": "under review"})
    await worker.drain(SCHEDULE)
    resumed = await post(client, operator, number, "resume")
    canceled = await post(client, operator, number, "cancel", {"reason": "asked by phone"})

    assert [one.status_code for one in (paused, resumed, canceled)] == [200] * 3
    assert [one.json()["state"] for one in (paused, resumed, canceled)] == [
        "paused",
        "active",
        "canceled",
    ]
    assert (canceled.json()["reason"], canceled.json()["started"]) == ("canceled_by_operator", 0)
    assert (await world.balance(reseller)).available == Money.parse("10.00")
    assert await world.count("audit_log") == rows + 3
    detail = (await client.get(f"{PATH}/{number}", headers=operator.headers)).json()
    assert {event["actor"] for event in detail["events"][1:]} == {f"operator:{operator.id}"}


@pytest.mark.refuses("operatorPauseSchedule", "order-not-pausable")
@pytest.mark.refuses("operatorResumeSchedule", "order-not-resumable")
@pytest.mark.refuses("operatorCancelSchedule", "order-not-cancelable")
async def test_what_is_over_is_neither_paused_nor_resumed_nor_canceled(
    client: httpx.AsyncClient, world: World
) -> None:
    operator = await world.operator()
    number = (await world.order(**REPEAT))["id"]
    because = {"reason": "asked by phone"}
    await post(client, operator, number, "cancel", because)

    for verb, body, code in (
        ("pause", because, "order-not-pausable"),
        ("resume", None, "order-not-resumable"),
        ("cancel", because, "order-not-cancelable"),
    ):
        problem(await post(client, operator, number, verb, body), 409, code)
