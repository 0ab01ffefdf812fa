"""Redis flushed, restarted, down, hanging and full: orders flow, only later."""

import signal
import time

import pytest
import redis

from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("faults")]


@pytest.mark.fault(7)
@pytest.mark.fault(8)
@pytest.mark.fault(10)
def test_orders_flow_while_redis_is_flushed_hangs_and_dies(stack: RunningStack) -> None:
    url = stack.ready()["redis_url"]
    order_ids = stack.place_many(10)
    with redis.Redis.from_url(url) as server:
        server.flushall()
    order_ids += stack.place_many(10)
    hanging = stack.kill("redis", signal.SIGSTOP)
    try:
        with stack.api() as client:
            began = time.monotonic()
            answers = [stack.place(client) for _ in range(10)]
            slowest = (time.monotonic() - began) / len(answers)
        assert {answer.status_code for answer in answers} == {201}
        assert slowest < 1.5
        order_ids += [answer.json()["id"] for answer in answers]
        until(lambda: stack.are_over(order_ids), 20, "all ended with Redis hanging")
    finally:
        stack.kill("redis", signal.SIGCONT)
    killed = stack.kill("redis")
    assert killed == hanging
    order_ids += stack.place_many(10)
    until(lambda: stack.are_over(order_ids), 20, "all ended with Redis killed")
    assert stack.states(order_ids) == {"completed": 40}
