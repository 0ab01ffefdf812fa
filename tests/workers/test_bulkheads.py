"""One worker process, two providers: what one does with its calls is no matter to the other."""

import asyncio

from app.core import work
from app.orders.service import DISPATCH
from app.supply.models import Provider
from tests.fixtures.world import World
from tests.workers.test_workers import (  # noqa: F401 - fixtures
    Scripted,
    link,
    scripted,
    wire,
)
from workers.context import WorkerContext
from workers.main import DRAINS

# ruff: noqa: F811 - the fixtures that are imported above

HANGING = 4
GOOD = 8


async def test_a_provider_whose_calls_all_hang_keeps_no_order_of_another_waiting(
    world: World, scripted: WorkerContext, wire: Scripted
) -> None:
    bad, good = await world.provider(in_flight_max=HANGING), await world.provider(in_flight_max=2)
    stuck = await _place(world, bad, range(HANGING + 2))
    flowing = await _place(world, good, range(100, 100 + GOOD))
    wire.release(*(link(n) for n in range(100, 100 + GOOD)))
    async with scripted.runtime.uow.begin() as session:
        lanes = await work.due_lanes(session, DISPATCH)
    # The one that hangs was due first, and has all the places that it may have.
    assert lanes == [str(bad.id), str(good.id)]
    for lane in lanes:
        scripted.start_drain(DISPATCH, lane, DRAINS[DISPATCH])
    # Its lane is drained to the end, round after round, while the other's calls hang.
    [drained] = [task for task in scripted.lanes.tasks if task.get_name().endswith(str(good.id))]
    await asyncio.wait([drained])
    assert {(await world.row(order_id)).state for order_id in flowing} == {"in_progress"}
    states = [(await world.row(order_id)).state for order_id in stuck]
    assert (states.count("submitting"), states.count("queued")) == (HANGING, 2)
    wire.release(*(link(n) for n in range(HANGING + 2)))
    await asyncio.wait(scripted.lanes.tasks)


async def _place(world: World, provider: Provider, numbers: range) -> list[int]:
    service, reseller = await world.service(routes=[provider]), await world.reseller()
    return [(await world.order(reseller, service, link=link(n)))["id"] for n in numbers]
