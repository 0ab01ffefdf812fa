"""Deploys under load, soft and hard: no order unknown by the soft ones, none lost by any."""

import asyncio
import os
import signal

import pytest

from app.core.doorbell import connect_arq, queue_of
from app.orders.service import DISPATCH
from tests.faults import peers
from tests.faults.clients import ordering
from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(400)]

ORDERS = 60
DEPLOYS = 4
HARD_STOPS = 5
REPLACED_SECONDS_MAX = 60.0
PROCESSES = 3


@pytest.mark.fault(43)
@pytest.mark.slow_fault
def test_sigterm_of_the_worker_under_load_makes_no_order_unknown(stack: RunningStack) -> None:
    stack.make_submits_slow()
    under_way = "SELECT 1 FROM orders WHERE state = 'submitting' LIMIT 1"
    order_ids: list[int] = []
    for _ in range(2):
        order_ids += stack.place_backlog(ORDERS // 2)
        until(lambda: stack.sql(under_way), 30, "calls are under way")
        ended = stack.kill("worker", signal.SIGTERM)
        stack.until_replaced("worker", ended)
    stack.control("DELETE", "/faults")
    stack.until_over(order_ids, besides=("unknown",))
    assert stack.states(order_ids) == {"completed": ORDERS}


def until_whole_again(stack: RunningStack, *, gone: set[int]) -> None:
    """Others run in the place of those that are gone."""

    def is_whole() -> bool:
        pids = stack.ready()["pids"]
        now = {*pids["api"], *pids["worker"]}
        return len(now) == PROCESSES and not now & gone

    until(is_whole, REPLACED_SECONDS_MAX, "others run in their place")


def deploy(stack: RunningStack, pid: int) -> None:
    """One process is asked to go, and another serves in its place when this returns."""
    os.kill(pid, signal.SIGTERM)
    until_whole_again(stack, gone={pid})


@pytest.mark.fault(43)
@pytest.mark.slow_fault
def test_a_rolling_deploy_under_load_fails_no_request_and_makes_no_order_unknown(
    stack: RunningStack,
) -> None:
    stack.make_submits_slow()
    with ordering(stack.load(), clients=3) as load:
        for number in range(DEPLOYS):
            deploy(stack, stack.ready()["pids"]["api"][number % 2])
            deploy(stack, stack.pid("worker"))
            load.until_more(5)
    assert set(load.statuses) == {201}
    load.replay()
    stack.control("DELETE", "/faults")
    stack.until_over(load.order_ids, besides=("unknown",))
    # A provider that is slow on a busy machine may leave one unknown; a worker that goes may not.
    lost = "SELECT order_id FROM attempts WHERE outcome LIKE 'worker lost%' AND order_id = ANY($1)"
    assert stack.sql(lost, load.order_ids) == []


@pytest.mark.fault(44)
@pytest.mark.slow_fault
def test_everything_stopped_hard_under_load_loses_nothing_and_sends_nothing_twice(
    stack: RunningStack,
) -> None:
    stack.make_submits_slow()
    with ordering(stack.load(), clients=3) as load:
        for _ in range(HARD_STOPS):
            load.until_more(10)
            pids = [*stack.ready()["pids"]["api"], stack.pid("worker")]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            until_whole_again(stack, gone=set(pids))
            stack.expire_leases()
    load.replay()
    stack.control("DELETE", "/faults")
    stack.until_over(load.order_ids, besides=("unknown",))


@pytest.mark.fault(46)
@pytest.mark.slow_fault
def test_an_older_worker_leaves_alone_what_it_does_not_know(stack: RunningStack) -> None:
    """It hands orders over, and knows nothing of following them; the newer one does that later."""
    unknown_kind = (
        "INSERT INTO work (kind, lane, ref, due_at) VALUES ('of-tomorrow', 'main', '1', now())"
    )
    untouched = "SELECT tries, lease_token FROM work WHERE kind = $1 AND ref = ANY($2)"

    async def ring(lane: str) -> None:
        redis = connect_arq(stack.ready()["redis_url"])
        queue = queue_of(DISPATCH)
        await redis.enqueue_job(f"drain_{DISPATCH}", lane, {"version": 2}, _queue_name=queue)
        await redis.enqueue_job("drain_of_tomorrow", lane, _queue_name=queue)
        await redis.aclose(close_connection_pool=True)

    with stack.worker_away(), peers.worker(stack, spoilt="before-follow") as older:
        stack.sql(unknown_kind)
        order_ids = stack.place_many(10)
        asyncio.run(ring(stack.lane_of(order_ids)))
        until(lambda: stack.states(order_ids) == {"in_progress": 10}, 60, "all are handed over")
        later = stack.place_many(5)
        until(lambda: stack.states(later) == {"in_progress": 5}, 30, "rings of tomorrow do no harm")
        refs = [str(one) for one in order_ids + later]
        for kind, those in (("follow", refs), ("of-tomorrow", ["1"])):
            rows = stack.sql(untouched, kind, those)
            assert [tuple(row) for row in rows] == [(0, None)] * len(those)
        assert older.poll() is None
    stack.until_over(order_ids + later)
    assert [tuple(row) for row in stack.sql(untouched, "of-tomorrow", ["1"])] == [(0, None)]
    stack.sql("DELETE FROM work WHERE kind = 'of-tomorrow'")
