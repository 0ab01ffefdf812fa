"""Deploys under load, soft and hard: no order unknown by the soft ones, none lost by any."""

import signal

import pytest

from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("faults")]

ORDERS = 60


@pytest.mark.fault(43)
def test_sigterm_of_the_worker_under_load_makes_no_order_unknown(stack: RunningStack) -> None:
    stack.make_submits_slow()
    order_ids = stack.place_many(ORDERS)
    for _ in range(2):
        until(lambda: "submitting" in stack.states(order_ids), 30, "calls are under way")
        ended = stack.kill("worker", signal.SIGTERM)
        stack.until_replaced("worker", ended)
    stack.control("DELETE", "/faults")
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 25, "all ended")
    assert stack.states(order_ids) == {"completed": ORDERS}
