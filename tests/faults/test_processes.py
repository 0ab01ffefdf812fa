"""Processes killed, stopped, raced: every order once at the provider, every cent accounted for."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

import httpx
import pytest
import redis

from tests.faults.conftest import RunningStack, until

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("faults")]

ORDERS = 60


def taken_of(stack: RunningStack, order_ids: Sequence[int]) -> Counter[str]:
    """How often the provider took each of these orders, by link, as its own log says."""
    links = set(links_of(stack, order_ids))
    return Counter(one["link"] for one in stack.accepted() if one["link"] in links)


def links_of(stack: RunningStack, order_ids: Sequence[int]) -> dict[str, int]:
    with stack.api() as client:
        return {client.get(f"/v1/orders/{one}").json()["link"]: one for one in order_ids}


def make_submits_slow(stack: RunningStack) -> None:
    """Half of the answers trickle for some 0.3 seconds, so that many calls are under way."""
    stack.control("PUT", "/speed", {"slow_byte_seconds": 0.02})
    stack.control("PUT", "/faults", {"seed": 7, "slow_bytes": 1.0})


def sweep_now(stack: RunningStack) -> None:
    """As if the leases of the dead had run out: tests do not wait for them."""
    dead = "UPDATE work SET lease_until = clock_timestamp() - interval '1 s'"
    stack.sql(f"{dead} WHERE lease_token IS NOT NULL")


def test_kill_9_of_the_worker_sends_nothing_twice_and_forgets_nothing(stack: RunningStack) -> None:
    make_submits_slow(stack)
    order_ids = stack.place_many(ORDERS)
    for _ in range(2):
        until(lambda: len(stack.states(order_ids)) > 1, 5, "some orders handed over")
        submitting = stack.states(order_ids).get("submitting", 0)
        killed = stack.kill("worker")
        until(lambda killed=killed: stack.pid("worker") != killed, 15, "the worker runs again")
        assert submitting >= 0
        sweep_now(stack)
    stack.control("DELETE", "/faults")
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 20, "all ended or unknown")
    taken = taken_of(stack, order_ids)
    assert max(taken.values()) == 1
    states = stack.states(order_ids)
    assert sum(states.values()) == ORDERS
    assert states.get("unknown", 0) > 0, "nothing was under way when it was killed"
    rows = stack.sql(
        "SELECT id, state, charge, held, refunded FROM orders WHERE id = ANY($1)", order_ids
    )
    by_id = {row["id"]: row for row in rows}
    for link, order_id in links_of(stack, order_ids).items():
        order = by_id[order_id]
        if order["state"] == "unknown":
            assert (order["held"], order["refunded"]) == (order["charge"], 0)
        else:
            assert taken[link] == 1
            assert order["state"] == "completed"
    assert stack.violations() == []


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
    assert max(taken_of(stack, order_ids).values()) == 1


def test_sigterm_of_the_worker_under_load_makes_no_order_unknown(stack: RunningStack) -> None:
    make_submits_slow(stack)
    order_ids = stack.place_many(ORDERS)
    for _ in range(2):
        until(lambda: "submitting" in stack.states(order_ids), 10, "calls are under way")
        ended = stack.kill("worker", signal.SIGTERM)
        until(lambda ended=ended: stack.pid("worker") != ended, 20, "the worker runs again")
    stack.control("DELETE", "/faults")
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 25, "all ended")
    assert stack.states(order_ids) == {"completed": ORDERS}
    assert max(taken_of(stack, order_ids).values()) == 1


def test_two_hundred_orders_over_two_processes_on_a_balance_for_fifty_are_fifty(
    stack: RunningStack,
) -> None:
    ready = stack.ready()
    operator = {"Authorization": f"Bearer {ready['operator_key']}"}

    async def race() -> tuple[list[int], dict[str, str]]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
            base = ready["base_url"]

            async def post(path: str, body: object, headers: dict[str, str]) -> httpx.Response:
                headers = headers | {"Idempotency-Key": uuid4().hex}
                return await client.post(base + path, json=body, headers=headers)

            made = await post(
                "/v1/operator/resellers",
                {"name": "Race", "email": f"{uuid4().hex}@example.com", "country": "DE"},
                operator,
            )
            assert made.status_code == 201, made.text
            reseller = made.json()["id"]
            keyed = await post(
                f"/v1/operator/resellers/{reseller}/api-keys",
                {"name": "race", "scopes": ["orders:read", "orders:write", "account"]},
                operator,
            )
            assert keyed.status_code == 201, keyed.text
            credited = await post(
                f"/v1/operator/resellers/{reseller}/credits",
                {"amount": "2.00", "note": "race"},
                operator,
            )
            assert credited.status_code == 201, credited.text
            caller = {"Authorization": f"Bearer {keyed.json()['key']}"}
            body = {"service_id": 2, "quantity": 100}

            async def order(number: int) -> int:
                answer = await client.post(
                    ready["base_urls"][number % 2] + "/v1/orders",
                    json=body | {"link": f"https://example.com/race-{number}"},
                    headers=caller | {"Idempotency-Key": uuid4().hex},
                )
                return answer.status_code

            codes = await asyncio.gather(*(order(number) for number in range(200)))
            balance = await client.get(base + "/v1/balance", headers=caller)
            return list(codes), balance.json()["balance"]

    codes, balance = asyncio.run(race())
    assert Counter(codes) == {201: 50, 402: 150}
    assert balance["amount"] == "0.00"


def test_a_worker_stopped_past_its_lease_changes_nothing_when_it_wakes(
    stack: RunningStack,
) -> None:
    make_submits_slow(stack)
    order_ids = stack.place_many(20)
    until(lambda: "submitting" in stack.states(order_ids), 10, "calls are under way")
    sleeping = stack.kill("worker", signal.SIGSTOP)
    try:
        under_way = stack.states(order_ids).get("submitting", 0)
        assert under_way > 0
        # What the sweeper of another worker would do; this stack has only the one that sleeps.
        stack.sql("UPDATE work SET lease_token = NULL, lease_until = NULL WHERE kind = 'dispatch'")
    finally:
        stack.kill("worker", signal.SIGCONT)
    stack.control("DELETE", "/faults")
    assert stack.pid("worker") == sleeping
    until(lambda: not stack.states(order_ids).get("queued"), 20, "the rest handed over")
    assert max(taken_of(stack, order_ids).values()) == 1
