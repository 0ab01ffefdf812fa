"""Workers killed, doubled and stopped: every order once at the provider, none forgotten."""

import asyncio
import signal
from typing import Any

import pytest

from app.core.crypto import new_master_key
from app.core.doorbell import connect_arq, queue_of
from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.orders import sweeping
from app.orders.service import DISPATCH
from tests.faults import peers
from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180)]

ORDERS = 60
START_SECONDS_MAX = 60.0


def sweep(stack: RunningStack) -> int:
    """What the upkeep of another worker does; the stack has only one."""

    async def swept() -> int:
        settings = Settings(
            _env_file=None,
            database_url=stack.ready()["database_url"],
            redis_url=stack.ready()["redis_url"],
            master_keys=new_master_key(),
        )
        async with (
            open_runtime(settings, name="sweeper", with_doorbell=False) as runtime,
            runtime.uow.begin() as session,
        ):
            return await sweeping.sweep_dispatch(session)

    return asyncio.run(swept())


def attempts_of(stack: RunningStack, order_id: int) -> list[str]:
    rows = stack.sql("SELECT state FROM attempts WHERE order_id = $1 ORDER BY number", order_id)
    return [row["state"] for row in rows]


def order_of(stack: RunningStack, order_id: int) -> dict[str, Any]:
    [row] = stack.sql(
        "SELECT state, charge, held, refunded, provider_order_id FROM orders WHERE id = $1",
        order_id,
    )
    return dict(row)


def taken(stack: RunningStack, order_id: int) -> list[str]:
    """The ids under which the provider has this order."""
    with stack.api() as client:
        link = client.get(f"/v1/orders/{order_id}").json()["link"]
    return [str(one["provider_order"]) for one in stack.accepted() if one["link"] == link]


def place_and_lose_the_worker(stack: RunningStack, *, spoilt: str) -> int:
    """One order, in the hands of a worker that dies at this point, while the other is away."""
    with stack.worker_away():
        [order_id] = stack.place_many(1)
        with peers.worker(stack, spoilt=spoilt) as mortal:
            peers.wait_for_death(mortal, seconds=START_SECONDS_MAX)
    return order_id


@pytest.mark.fault(1)
@pytest.mark.slow_fault
def test_a_worker_killed_before_it_sends_leaves_an_order_that_another_sends_once(
    stack: RunningStack,
) -> None:
    order_id = place_and_lose_the_worker(stack, spoilt="leased")
    assert attempts_of(stack, order_id) == ["leased"]
    stack.expire_leases()
    stack.until_over([order_id])
    assert order_of(stack, order_id)["state"] == "completed"
    assert attempts_of(stack, order_id) == ["absent", "accepted"]
    assert len(taken(stack, order_id)) == 1


@pytest.mark.fault(2)
@pytest.mark.slow_fault
def test_a_worker_killed_before_the_first_byte_leaves_an_order_unknown_and_its_money_held(
    stack: RunningStack,
) -> None:
    order_id = place_and_lose_the_worker(stack, spoilt="sending")
    # Its own lease runs out, and that of the sweeper where the dead worker had it.
    until(lambda: order_of(stack, order_id)["state"] == "unknown", 90, "it is swept")
    order = order_of(stack, order_id)
    assert (order["held"], order["refunded"]) == (order["charge"], 0)
    assert attempts_of(stack, order_id) == ["unknown"]
    assert taken(stack, order_id) == []


@pytest.mark.fault(3)
@pytest.mark.slow_fault
def test_an_order_taken_from_a_worker_that_died_is_found_under_the_providers_id(
    stack: RunningStack,
) -> None:
    order_id = place_and_lose_the_worker(stack, spoilt="answered")
    stack.expire_leases()
    until(lambda: order_of(stack, order_id)["state"] == "unknown", 40, "it is swept")
    [provider_order] = taken(stack, order_id)
    with stack.api() as client:
        resolved = client.post(
            f"/v1/operator/orders/{order_id}/resolve",
            json={
                "outcome": "accepted",
                "provider_order_id": provider_order,
                "reason": "seen in the provider's panel",
            },
            headers={
                "Authorization": f"Bearer {stack.ready()['operator_key']}",
                "Idempotency-Key": f"resolve-{order_id}",
            },
        )
    assert resolved.status_code == 200, resolved.text
    stack.until_over([order_id])
    order = order_of(stack, order_id)
    assert (order["state"], order["refunded"]) == ("completed", 0)
    assert order["provider_order_id"] == provider_order
    assert len(taken(stack, order_id)) == 1


@pytest.mark.fault(4)
def test_kill_9_of_the_worker_sends_nothing_twice_and_forgets_nothing(stack: RunningStack) -> None:
    stack.make_submits_slow()
    order_ids: list[int] = []
    sending = "SELECT 1 FROM attempts WHERE state = 'sending' LIMIT 1"
    for _ in range(2):
        order_ids += stack.place_backlog(ORDERS // 2)
        until(lambda: stack.sql(sending), 15, "some orders being sent")
        stack.until_replaced("worker", stack.kill("worker"))
        stack.expire_leases()
    stack.control("DELETE", "/faults")
    stack.until_over(order_ids, besides=("unknown",))
    states = stack.states(order_ids)
    assert sum(states.values()) == ORDERS
    assert states.get("unknown", 0) > 0, "nothing was under way when it was killed"
    assert set(states) <= {"unknown", "completed"}


@pytest.mark.fault(5)
@pytest.mark.slow_fault
def test_two_workers_and_doubled_rings_give_each_order_one_attempt(stack: RunningStack) -> None:
    async def ring(lane: str, times: int) -> None:
        redis = connect_arq(stack.ready()["redis_url"])
        for number in range(times):
            # Each under an id of its own: arq drops a ring whose id is known.
            await redis.enqueue_job(
                f"drain_{DISPATCH}",
                lane,
                _job_id=f"doubled-{number}",
                _queue_name=queue_of(DISPATCH),
            )
        await redis.aclose(close_connection_pool=True)

    stack.make_submits_slow()
    with peers.worker(stack) as second:
        sees = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'smmos-worker'"
        pools = "SELECT count(DISTINCT client_port) > 1 AS both FROM pg_stat_activity"
        until(lambda: stack.sql(sees) and stack.sql(pools)[0]["both"], 60, "both work")
        order_ids = stack.place_many(ORDERS)
        asyncio.run(ring(stack.lane_of(order_ids), 50))
        stack.until_over(order_ids)
        assert second.poll() is None
    assert stack.states(order_ids) == {"completed": ORDERS}
    twice = "SELECT order_id FROM attempts GROUP BY order_id HAVING count(*) > 1"
    assert not {row["order_id"] for row in stack.sql(twice)} & set(order_ids)


@pytest.mark.fault(6)
def test_a_worker_stopped_past_its_lease_changes_nothing_when_it_wakes(
    stack: RunningStack,
) -> None:
    stack.make_submits_slow()
    fenced = stack.metric("smmos_fenced_records_total")
    order_ids = stack.place_backlog(30)
    sleeping = stack.stop_worker_while_sending()
    try:
        stack.expire_leases()
        assert sweep(stack) > 0
        swept = stack.sql(
            "SELECT id FROM orders WHERE state = 'unknown' AND id = ANY($1)", order_ids
        )
        assert swept
    finally:
        stack.kill("worker", signal.SIGCONT)
    ids = [row["id"] for row in swept]
    stack.control("DELETE", "/faults")
    until(lambda: not stack.states(order_ids).get("queued"), 30, "the rest handed over")
    assert stack.pid("worker") == sleeping
    # It wrote down what it was told, and left the orders as the sweeper had judged them.
    told = (
        "SELECT count(DISTINCT a.order_id) AS told FROM provider_evidence e"
        " JOIN attempts a ON a.id = e.attempt_id"
        " WHERE a.order_id = ANY($1) AND e.provider_order_id IS NOT NULL"
    )
    until(lambda: stack.sql(told, ids)[0]["told"] == len(ids), 20, "the answers are kept")
    assert stack.metric("smmos_fenced_records_total") - fenced >= len(ids)
    stack.sql("UPDATE work SET due_at = clock_timestamp() WHERE kind = 'reconcile'")
    stack.until_over(order_ids)
    assert stack.states(order_ids) == {"completed": 30}
