"""A refill by the number of a drip-feed: one for all of its runs that may have one."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import Clock
from app.orders.refill_moves import POLL_MAX
from app.orders.refill_states import RefillState, group_status
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import ResellerCaller, World

INTERVAL = timedelta(minutes=60)
R = RefillState


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({R.REQUESTED}, "pending"),
        ({R.SENDING, R.UNKNOWN, R.PENDING}, "pending"),
        ({R.PENDING, R.COMPLETED}, "in_progress"),
        ({R.IN_PROGRESS, R.REJECTED}, "in_progress"),
        ({R.COMPLETED}, "completed"),
        ({R.COMPLETED, R.REJECTED}, "rejected"),
        ({R.COMPLETED, R.REJECTED, R.FAILED}, "failed"),
    ],
)
def test_refills_told_as_one_are_completed_only_when_all_are(
    states: set[RefillState], told: str
) -> None:
    assert group_status(states) == told


class Shop:
    """A drip-feed of three runs, of which some have been delivered."""

    def __init__(self, client: httpx.AsyncClient, reseller: ResellerCaller, number: int) -> None:
        self.client, self.reseller, self.number = client, reseller, number

    async def panel(self, action: str, **fields: Any) -> Any:
        form = {"key": self.reseller.key, "action": action} | fields
        return (await self.client.post("/api/v2", data=form)).json()

    async def ask(self) -> httpx.Response:
        path = f"/v1/orders/{self.number}/refills"
        return await self.client.post(path, headers=self.reseller.headers)

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=self.reseller.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def shop(world: World, simulator: Simulator, client: httpx.AsyncClient) -> Shop:
    reseller, provider = await world.reseller(), await world.provider(simulator=simulator)
    service = await world.service(routes=[provider], refill=True, refill_days=1)
    placed = await world.order(reseller, service, quantity=100, runs=3, interval_minutes=60)
    return Shop(client, reseller, placed["id"])


async def deliver(worker: Worker, clock: Clock, runs: int) -> None:
    for _ in range(runs):
        await worker.until_ended()
        clock.move(INTERVAL)


async def test_each_run_that_was_delivered_is_refilled_under_one_number(
    shop: Shop, worker: Worker, clock: Clock, simulator: Simulator
) -> None:
    assert (await shop.ask()).json()["code"] == "refill-not-yet"
    await deliver(worker, clock, 2)

    answer = await shop.ask()

    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["order_id"], made["status"]) == (shop.number, "pending")
    assert answer.headers["location"] == f"/v1/refills/{made['id']}"
    listed = (await shop.get(f"/v1/refills?order_id={shop.number}"))["data"]
    runs = (await shop.get(f"/v1/orders/{shop.number}/runs"))["data"]
    assert {one["order_id"] for one in listed} == {run["id"] for run in runs[:2]}
    assert (await shop.ask()).json()["code"] == "refill-open"
    for _ in range(3):
        await worker.until_idle("refill", "refill_follow")
        clock.move(POLL_MAX)
    assert (await shop.get(f"/v1/refills/{made['id']}"))["status"] == "completed"
    assert await shop.panel("refill_status", refill=made["id"]) == {"status": "Completed"}
    assert len(simulator.provider.accepted_refills()) == 2


async def test_a_run_whose_time_is_over_is_left_out_and_none_is_refused(
    shop: Shop, worker: Worker, clock: Clock
) -> None:
    await deliver(worker, clock, 1)
    clock.move(timedelta(hours=22, minutes=55))
    await deliver(worker, clock, 1)

    told = await shop.panel("refill", order=shop.number)

    assert list(told) == ["refill"]
    assert type(told["refill"]) is str
    assert await shop.panel("refill_status", refill=told["refill"]) == {"status": "Pending"}
    assert len((await shop.get("/v1/refills"))["data"]) == 1
    [again] = await shop.panel("refill", orders=shop.number)
    assert again["refill"] == {"error": "A refill of this order is under way"}


async def test_a_refill_of_all_is_no_elses(
    shop: Shop, worker: Worker, clock: Clock, world: World, client: httpx.AsyncClient
) -> None:
    await deliver(worker, clock, 1)
    made = (await shop.ask()).json()
    stranger = await world.reseller()

    seen = await client.get(f"/v1/refills/{made['id']}", headers=stranger.headers)
    asked = await client.post(f"/v1/orders/{shop.number}/refills", headers=stranger.headers)

    assert (seen.status_code, asked.status_code) == (404, 404)
