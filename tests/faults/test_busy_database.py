"""A database that is busy with others: refusals that say when to come back, and no harm."""

import asyncio
import threading
import time
from uuid import uuid4

import httpx
import pytest

from tests.faults import peers
from tests.faults.clients import order_body
from tests.faults.stacks import WALLET_LOCK, RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180)]

POOL_TIMEOUT_SECONDS = 2.0
REQUESTS = 50
REFUSAL_SECONDS_MAX = 5 * POOL_TIMEOUT_SECONDS
"""Two seconds and a half on a machine that has nothing else to do."""


def post(stack: RunningStack, key: str, body: dict[str, object]) -> httpx.Response:
    with stack.api() as client:
        return client.post("/v1/orders", json=body, headers={"Idempotency-Key": key})


@pytest.mark.fault(16)
@pytest.mark.slow_fault
def test_an_exhausted_pool_refuses_in_time_and_the_process_stays_alive(
    stack: RunningStack,
) -> None:
    async def ask(base_url: str) -> list[tuple[httpx.Response, float]]:
        headers = {"Authorization": f"Bearer {stack.ready()['reseller_key']}"}
        hooks = {"response": [stack.heard.note_async]}
        limits = httpx.Limits(max_connections=REQUESTS + 1)
        async with httpx.AsyncClient(
            base_url=base_url, timeout=30, trust_env=False, limits=limits, event_hooks=hooks
        ) as client:

            async def timed(path: str) -> tuple[httpx.Response, float]:
                began = time.monotonic()
                return await client.get(path, headers=headers), time.monotonic() - began

            asked = [asyncio.create_task(timed("/v1/orders")) for _ in range(REQUESTS)]
            await asyncio.sleep(POOL_TIMEOUT_SECONDS / 4)
            alive, seconds = await timed("/livez")
            assert (alive.status_code, seconds < POOL_TIMEOUT_SECONDS) == (200, True)
            return list(await asyncio.gather(*asked))

    with peers.api(stack, pool_size="2") as (base_url, process):
        with stack.holding("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"):
            answers = asyncio.run(ask(base_url))
        assert {answer.status_code for answer, _ in answers} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < REFUSAL_SECONDS_MAX
        with stack.api(base_url) as client:
            until(lambda: client.get("/v1/orders").status_code == 200, 10, "it serves again")
        assert process.poll() is None


@pytest.mark.fault(17)
@pytest.mark.slow_fault
def test_a_wallet_locked_by_another_is_refused_and_free_again_afterwards(
    stack: RunningStack,
) -> None:
    key, body = uuid4().hex, order_body()
    with stack.holding(WALLET_LOCK):
        refused = post(stack, key, body)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
    placed = post(stack, key, body)
    assert placed.status_code == 201
    assert "Idempotency-Replayed" not in placed.headers


@pytest.mark.fault(17)
@pytest.mark.slow_fault
def test_an_order_that_loses_a_deadlock_is_placed_all_the_same_and_once(
    stack: RunningStack,
) -> None:
    """It holds its key and waits for the wallet; the other holds the wallet and wants the key."""
    key, body = uuid4().hex, order_body()
    answers: list[httpx.Response] = []
    placing = threading.Thread(target=lambda: answers.append(post(stack, key, body)))
    waiting = (
        "SELECT (held.classid::bigint << 32) | held.objid::bigint AS key"
        " FROM pg_stat_activity waits JOIN pg_locks held ON held.pid = waits.pid"
        " WHERE waits.application_name = 'smmos-api' AND waits.wait_event_type = 'Lock'"
        " AND held.locktype = 'advisory' AND held.granted"
    )
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    [before] = stack.sql(deadlocks)

    async def deadlock() -> None:
        connection = await stack.connect()
        try:
            async with connection.transaction():
                # It is the order that is to lose.
                await connection.execute("SET LOCAL deadlock_timeout = '1min'")
                await connection.execute(WALLET_LOCK)
                placing.start()
                found = None
                async with asyncio.timeout(30):
                    while found is None:
                        found = await connection.fetchval(waiting)
                await connection.execute("SELECT pg_advisory_xact_lock($1)", found)
        finally:
            await connection.close()

    asyncio.run(deadlock())
    placing.join(60)
    [answer] = answers
    # Asked again by its sender where the other had not let go of the key yet.
    assert answer.status_code in {201, 409}
    again = post(stack, key, body)
    assert again.status_code == 201
    until(lambda: stack.sql(deadlocks)[0] != before, 30, "the database tells of the deadlock")
    assert "40P01" in stack.log("api")
