"""A worker whose event loop stands still for two seconds: told, and nothing is sent twice."""

from typing import Final

import orjson
import pytest

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    Desk,
    Shop,
    another_worker,
    assert_each_was_taken_at_most_once,
    workers_say,
)
from tests.faults.hostile.raw_provider import Call, RawProvider, Say

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.slow_fault,
]

STALL_SECONDS: Final = 2
STALLING_WORKER: Final = f"""
import asyncio, time
from app.core.settings import load_settings
from workers import dispatch, main

submit = dispatch._submit
stalls = iter(range(3))

async def stalling(*what):
    call = asyncio.create_task(submit(*what))
    await asyncio.sleep(0.05)
    if next(stalls, None) is not None:
        time.sleep({STALL_SECONDS})  # with orders on the wire
    return await call

dispatch._submit = stalling
main.run(load_settings())
"""
LANES: Final = 4


@pytest.mark.fault(49)
def test_a_stalled_event_loop_is_told_of_and_loses_no_lease_and_doubles_no_order(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    def slowly(call: Call) -> Say:
        return Say(orjson.dumps({"order": provider.accept(call)}), seconds_per_byte=0.01)

    provider.on_add = slowly
    # Not called simulators: they have the time-outs and leases of production.
    services = [desk.service(desk.provider(provider.url, simulated=False)) for _ in range(LANES)]
    orders: dict[str, int] = {}
    with another_worker(stack, STALLING_WORKER):

        def stalled() -> bool:
            for service in services:
                orders.update(desk.place(shop, service, 2))
            desk.until_states(orders, 60, in_progress=len(orders))
            return "event_loop_stalled" in workers_say(stack)

        # Which of two workers takes an order is their affair: until this one has had some.
        until(stalled, 60, "the stalling worker has stalled with orders on the wire")
        ids = list(orders.values())
        # No lease was lost meanwhile, and no answer came too late to count.
        assert "outcomes_fenced" not in workers_say(stack)
        lost = "SELECT count(*) FROM order_events WHERE order_id = ANY($1) AND type <> 'place'"
        lost += " AND type NOT IN ('take', 'accept')"
        assert stack.sql(lost, ids)[0][0] == 0
        desk.let_time_pass(orders)
        desk.until_states(orders, 60, completed=len(orders))
    attempts = stack.sql("SELECT count(*) FROM attempts WHERE order_id = ANY($1)", ids)
    assert attempts[0][0] == len(provider.submits) == len(orders)
    assert_each_was_taken_at_most_once(stack, provider, orders)
