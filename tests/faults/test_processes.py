"""Processes killed, stopped, raced: every order once at the provider, every cent accounted for."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from app.core.crypto import new_master_key
from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.orders import resolving
from tests.faults.conftest import RunningStack, until

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("faults")]

ORDERS = 60


def taken_by_link(stack: RunningStack, links: Iterable[str]) -> Counter[str]:
    """How often the provider took an order on each of these links, as its own log says."""
    wanted = set(links)
    return Counter(one["link"] for one in stack.accepted() if one["link"] in wanted)


def assert_none_was_sent_twice(taken: Counter[str]) -> None:
    """The oracle's verdict, the same for our worker and for the naive one."""
    assert [link for link, times in taken.items() if times > 1] == []


def links_of(stack: RunningStack, order_ids: Sequence[int]) -> dict[str, int]:
    with stack.api() as client:
        return {client.get(f"/v1/orders/{one}").json()["link"]: one for one in order_ids}


def make_submits_slow(stack: RunningStack) -> None:
    """Half of the answers trickle for some 0.3 seconds, so that many calls are under way."""
    stack.control("PUT", "/speed", {"slow_byte_seconds": 0.02})
    stack.control("PUT", "/faults", {"seed": 7, "slow_bytes": 1.0})


def until_replaced(stack: RunningStack, name: str, pid: int) -> None:
    until(lambda: stack.pid(name) != pid, 30, f"another {name} runs")


def stop_while_sending(stack: RunningStack) -> int:
    """Stop the worker with calls under way and no transaction open, which would hold up others."""
    sending = (
        "SELECT (SELECT count(*) FROM attempts WHERE state = 'sending') > 0 AND NOT EXISTS ("
        " SELECT 1 FROM pg_stat_activity WHERE application_name = 'smmos-worker'"
        " AND state <> 'idle') AS right_now"
    )
    for _ in range(100):
        pid = stack.kill("worker", signal.SIGSTOP)
        if stack.sql(sending)[0]["right_now"]:
            return pid
        stack.kill("worker", signal.SIGCONT)
        time.sleep(0.01)
    pytest.fail("the worker was never caught while sending")


def expire_leases(stack: RunningStack) -> None:
    """As if the leases of the dead had run out: tests do not wait for them."""
    dead = "UPDATE work SET lease_until = clock_timestamp() - interval '1 s'"
    stack.sql(f"{dead} WHERE lease_token IS NOT NULL")


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
            return await resolving.sweep_dispatch(session)

    return asyncio.run(swept())


def test_kill_9_of_the_worker_sends_nothing_twice_and_forgets_nothing(stack: RunningStack) -> None:
    make_submits_slow(stack)
    order_ids = stack.place_many(ORDERS)
    sending = "SELECT 1 FROM attempts WHERE state = 'sending' LIMIT 1"
    for _ in range(2):
        until(lambda: stack.sql(sending), 15, "some orders being sent")
        killed = stack.kill("worker")
        until_replaced(stack, "worker", killed)
        expire_leases(stack)
    stack.control("DELETE", "/faults")
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 20, "all ended or unknown")
    by_link = links_of(stack, order_ids)
    taken = taken_by_link(stack, by_link)
    assert_none_was_sent_twice(taken)
    states = stack.states(order_ids)
    assert sum(states.values()) == ORDERS
    assert states.get("unknown", 0) > 0, "nothing was under way when it was killed"
    rows = stack.sql(
        "SELECT id, state, charge, held, refunded FROM orders WHERE id = ANY($1)", order_ids
    )
    by_id = {row["id"]: row for row in rows}
    for link, order_id in by_link.items():
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
    assert_none_was_sent_twice(taken_by_link(stack, links_of(stack, order_ids)))


def test_a_database_that_is_killed_loses_no_order_and_the_processes_outlive_it(
    stack: RunningStack,
) -> None:
    before = {name: stack.pid(name) for name in ("worker", "api")}
    order_ids = stack.place_many(10)
    killed = stack.kill("postgres")
    codes = set()
    with stack.api() as client:

        def served_again() -> bool:
            answer = stack.place(client)
            codes.add(answer.status_code)
            if answer.status_code == HTTPStatus.CREATED:
                order_ids.append(answer.json()["id"])
            return answer.is_success and stack.pid("postgres") != killed

        until(served_again, 30, "orders are taken again")
    assert codes <= {HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE}
    order_ids += stack.place_many(10)
    # What the worker had in its hands when the database went is judged by the sweeper.
    expire_leases(stack)
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 30, "all ended or unknown")
    assert_none_was_sent_twice(taken_by_link(stack, links_of(stack, order_ids)))
    assert {name: stack.pid(name) for name in before} == before


def test_sigterm_of_the_worker_under_load_makes_no_order_unknown(stack: RunningStack) -> None:
    make_submits_slow(stack)
    order_ids = stack.place_many(ORDERS)
    for _ in range(2):
        until(lambda: "submitting" in stack.states(order_ids), 30, "calls are under way")
        ended = stack.kill("worker", signal.SIGTERM)
        until_replaced(stack, "worker", ended)
    stack.control("DELETE", "/faults")
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 25, "all ended")
    assert stack.states(order_ids) == {"completed": ORDERS}
    assert_none_was_sent_twice(taken_by_link(stack, links_of(stack, order_ids)))


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
                answer = await client.post(base + path, json=body, headers=headers)
                for _ in range(10):
                    if answer.status_code != 503:
                        break
                    # A test before this one has killed Redis: wait as told, and try again.
                    await asyncio.sleep(int(answer.headers["retry-after"]))
                    answer = await client.post(base + path, json=body, headers=headers)
                return answer

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
                    json=body | {"link": f"https://www.instagram.com/p/race-{number}"},
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
    sleeping = stop_while_sending(stack)
    try:
        expire_leases(stack)
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
    stack.sql("UPDATE work SET due_at = clock_timestamp() WHERE kind = 'reconcile'")
    until(lambda: stack.are_over(order_ids), 30, "all found by our own evidence, and ended")
    assert stack.states(order_ids) == {"completed": 20}
    assert_none_was_sent_twice(taken_by_link(stack, links_of(stack, order_ids)))


NAIVE_WORKER = """
import json, sys, urllib.parse, urllib.request

url, key, todo, done = sys.argv[1:]
sent = set(open(done).read().split())
for link in open(todo).read().split():
    while link not in sent:
        form = {"key": key, "action": "add", "service": 102, "link": link, "quantity": 100}
        try:
            body = urllib.parse.urlencode(form).encode()
            json.load(urllib.request.urlopen(url, body, timeout=0.3))["order"]
        except OSError:
            continue  # it timed out, so it cannot have been taken
        with open(done, "a") as file:
            file.write(link + "\\n")
        sent.add(link)
"""


def test_a_naive_worker_that_sends_again_is_caught_by_the_same_oracle(
    stack: RunningStack, tmp_path: Path
) -> None:
    links = [f"https://www.instagram.com/p/naive-{number}" for number in range(20)]
    todo, done = tmp_path / "todo", tmp_path / "done"
    todo.write_text("\n".join(links))
    done.write_text("")
    key = json.loads((stack.folder / "data" / "secrets.json").read_text())["provider_key"]
    arguments = [stack.ready()["provider_url"], key, str(todo), str(done)]
    stack.control("PUT", "/speed", {"hang_seconds": 1})
    stack.control("PUT", "/faults", {"seed": 7, "accept_then_timeout": 0.4})

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", NAIVE_WORKER, *arguments])  # noqa: S603

    with start() as worker:
        until(lambda: len(taken_by_link(stack, links)) > 5, 30, "some orders are taken")
        worker.kill()
    with start() as worker:
        assert worker.wait(40) == 0
    taken = taken_by_link(stack, links)
    assert set(taken) == set(links)
    with pytest.raises(AssertionError):
        assert_none_was_sent_twice(taken)
