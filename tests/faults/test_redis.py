"""Redis flushed, restarted, down, hanging and full: orders flow, only later."""

import os
import signal
import statistics
import time

import httpx
import pytest
import redis

from tests.faults.clients import ordering
from tests.faults.stacks import RunningStack

pytestmark = [pytest.mark.timeout(300)]

DOWN_SECONDS = 30.0
"""Twice the longest pause of a worker before it looks for Redis again."""
HANG_SECONDS = 15.0
"""Three times the pause after which a process tries Redis again."""
LAG_SECONDS_MAX = 0.5
ANSWER_SECONDS_MAX = 1.0
STRAGGLER_SECONDS_MAX = 3.0
FLUSHES = 8


def processes(stack: RunningStack) -> dict[str, list[int]]:
    pids = stack.ready()["pids"]
    return {name: pids[name] for name in ("api", "worker")}


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
        stack.until_over(order_ids)
    finally:
        stack.kill("redis", signal.SIGCONT)
    killed = stack.kill("redis")
    assert killed == hanging
    order_ids += stack.place_many(10)
    stack.until_over(order_ids)
    assert stack.states(order_ids) == {"completed": 40}


@pytest.mark.fault(7)
@pytest.mark.slow_fault
def test_flushing_redis_again_and_again_under_load_loses_no_order(stack: RunningStack) -> None:
    with (
        redis.Redis.from_url(stack.ready()["redis_url"]) as server,
        ordering(stack.load(), clients=3) as load,
    ):
        for _ in range(FLUSHES):
            load.until_more(10)
            server.flushall()
    stack.until_over(load.order_ids)
    assert stack.states(load.order_ids) == {"completed": len(load.order_ids)}


@pytest.mark.fault(8)
@pytest.mark.slow_fault
def test_redis_restarted_under_load_ends_no_process_and_loses_no_order(
    stack: RunningStack,
) -> None:
    before = processes(stack)
    with ordering(stack.load(), clients=3) as load:
        for _ in range(3):
            stack.until_replaced("redis", stack.kill("redis"))
            load.until_more(10)
    assert set(load.statuses) == {201}
    stack.until_over(load.order_ids)
    assert stack.states(load.order_ids) == {"completed": len(load.order_ids)}
    assert processes(stack) == before


@pytest.mark.fault(9)
@pytest.mark.slow_fault
def test_orders_are_taken_at_pace_and_delivered_while_redis_is_down(stack: RunningStack) -> None:
    with stack.supervisor_away():
        stack.kill("redis")
        with ordering(stack.load(), clients=2) as load:
            time.sleep(DOWN_SECONDS)
        assert set(load.statuses) == {201}
        assert statistics.median(load.seconds) < ANSWER_SECONDS_MAX
        assert statistics.quantiles(load.seconds, n=100)[-1] < STRAGGLER_SECONDS_MAX
        stack.until_over(load.order_ids)
    assert stack.states(load.order_ids) == {"completed": len(load.order_ids)}


@pytest.mark.fault(10)
@pytest.mark.slow_fault
def test_a_hanging_redis_holds_up_no_event_loop(stack: RunningStack) -> None:
    base_url = stack.ready()["base_url"]
    pid = stack.kill("redis", signal.SIGSTOP)
    try:
        with ordering(stack.load(), clients=2) as load:
            ends = time.monotonic() + HANG_SECONDS
            while time.monotonic() < ends:
                alive = httpx.get(f"{base_url}/livez", trust_env=False, timeout=ANSWER_SECONDS_MAX)
                assert alive.status_code == 200
                assert stack.metric("smmos_event_loop_lag_seconds", of="api") < LAG_SECONDS_MAX
                time.sleep(0.25)
        stack.until_over(load.order_ids)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert set(load.statuses) == {201}


@pytest.mark.fault(11)
@pytest.mark.slow_fault
def test_a_redis_that_is_full_or_evicts_costs_rings_and_nothing_else(stack: RunningStack) -> None:
    def failed() -> float:
        return stack.metric("smmos_doorbell_rings_total", of="api", label='outcome="failed"')

    before = failed()
    with redis.Redis.from_url(stack.ready()["redis_url"]) as server:
        order_ids: list[int] = []
        try:
            for policy in ("noeviction", "allkeys-lru"):
                server.config_set("maxmemory-policy", policy)
                server.config_set("maxmemory", 1)
                order_ids += stack.place_many(20)
                stack.until_over(order_ids)
        finally:
            server.config_set("maxmemory", 0)
            server.config_set("maxmemory-policy", "noeviction")
    assert stack.states(order_ids) == {"completed": 40}
    assert failed() > before
