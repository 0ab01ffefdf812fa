"""A batch of a hundred of which one answer is odd: the other ninety-nine are settled."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.runtime import Runtime
from app.providers.protocol import ProviderState
from app.providers.wire import Wire
from app.supply.models import Provider
from tests.fixtures.world import World
from tests.orders.conftest import Desk, progress
from tests.workers.test_workers import OneChunk
from workers.context import WorkerContext
from workers.main import DRAINS

COMPLETED = {
    "charge": "0.05",
    "start_count": "10",
    "status": "Completed",
    "remains": "0",
    "currency": "USD",
}
HTML = "<html><body>502 Bad Gateway</body></html>"


class Answers(httpx.AsyncBaseTransport):
    """A provider that has completed all orders, and says something odd of the one asked for."""

    def __init__(self, odd_one: str, odd: object, *, spoils_all: bool) -> None:
        self.odd_one, self.odd, self.spoils_all = odd_one, odd, spoils_all
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        form = httpx.QueryParams((await request.aread()).decode())
        ids = form["orders"].split(",")
        if self.spoils_all and self.odd_one in ids:
            return httpx.Response(200, stream=OneChunk(self.odd))
        said: dict[str, Any] = dict.fromkeys(ids, COMPLETED)
        if self.odd_one in ids:
            said[self.odd_one] = self.odd
        return httpx.Response(200, stream=OneChunk(said))


@pytest.mark.parametrize(
    ("odd", "spoils_all", "state", "count"),
    [
        ({"error": "Incorrect order ID"}, False, "in_progress", 100),
        ({"error": "Incorrect order ID"}, True, "in_progress", 100),
        (HTML, False, "in_progress", 20),
        (COMPLETED | {"status": "Teleported"}, False, "in_progress", 20),
        (COMPLETED | {"remains": 0, "charge": 0.05, "start_count": 10}, False, "completed", 20),
        (None, False, "in_progress", 20),
        ([], False, "in_progress", 20),
    ],
)
async def test_one_odd_answer_spoils_no_other(
    odd: object, spoils_all: bool, state: str, count: int, world: World, runtime: Runtime
) -> None:
    desk, reseller = Desk(runtime, world), await world.reseller(balance="100.00")
    provider = await world.provider(in_flight_max=100)
    placed = await desk.place_many(reseller, await world.service(routes=[provider]), count)
    await _hand_over(desk, provider, count)
    wire = Answers(f"p{placed[11]}", odd, spoils_all=spoils_all)
    runtime.clock.move(timedelta(minutes=2))
    async with Wire(transport=wire) as connected:
        context = WorkerContext(runtime, connected, asyncio.Event())
        await DRAINS["follow"](context, str(provider.id))
    states = {order_id: (await world.row(order_id)).state for order_id in placed}
    assert states.pop(placed[11]) == state
    assert set(states.values()) == {"completed"}
    assert wire.calls <= 16


async def test_a_page_of_html_for_the_whole_batch_changes_nothing_and_is_asked_again(
    world: World, runtime: Runtime
) -> None:
    desk, reseller = Desk(runtime, world), await world.reseller(balance="100.00")
    provider = await world.provider(in_flight_max=100)
    placed = await desk.place_many(reseller, await world.service(routes=[provider]), 20)
    await _hand_over(desk, provider, 20)
    runtime.clock.move(timedelta(minutes=2))
    says: list[Callable[[httpx.Request], httpx.Response]] = [
        lambda _: httpx.Response(200, stream=OneChunk(HTML)),
        lambda _: httpx.Response(502, stream=OneChunk(HTML)),
    ]
    for say in says:
        async with Wire(transport=httpx.MockTransport(say)) as connected:
            context = WorkerContext(runtime, connected, asyncio.Event())
            await DRAINS["follow"](context, str(provider.id))
        assert {(await world.row(one)).state for one in placed} == {"in_progress"}
        runtime.clock.move(timedelta(minutes=16))
    await desk.answer(await desk.poll(provider), progress(ProviderState.COMPLETED))
    assert {(await world.row(one)).state for one in placed} == {"completed"}


async def _hand_over(desk: Desk, provider: Provider, count: int) -> None:
    handed = 0
    while handed < count:
        handed += len((await desk.submit(provider)).handovers)
