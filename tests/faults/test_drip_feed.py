"""A drip-feed whose worker is killed between its runs and in the middle of one."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from tests.faults.conftest import RunningStack, running_stack, until

pytestmark = [pytest.mark.timeout(180)]

RUNS = 10
INTERVAL_MINUTES = 43_200
NOW = timedelta(0)
MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A stack in which a run is delivered in a moment; the next is an hour off all the same."""
    with running_stack("--time-scale", "600") as running:
        yield running


def buy(stack: RunningStack) -> dict[str, Any]:
    with stack.api() as client:
        answer = stack.place(client, runs=RUNS, interval_minutes=INTERVAL_MINUTES)
    assert answer.status_code == 201, answer.text
    bought: dict[str, Any] = answer.json()
    return bought


def runs_of(stack: RunningStack, number: int) -> list[int]:
    """The runs that have started, by their place among all."""
    query = "SELECT run_number FROM orders WHERE parent_id = $1 ORDER BY run_number, id"
    return [row["run_number"] for row in stack.sql(query, number)]


def has_started(stack: RunningStack, number: int, run: int) -> bool:
    return run in runs_of(stack, number)


def are_delivered(stack: RunningStack, number: int, runs: int) -> bool:
    query = "SELECT count(*) FROM orders WHERE parent_id = $1 AND state = 'completed'"
    return bool(stack.sql(query, number)[0][0] == runs)


def make_due(stack: RunningStack, number: int, started: int, *, since: timedelta = NOW) -> None:
    """Move the clock, as one schedule sees it, until its next run is due, unless it is under way.

    A worker that looks too early goes by the schedule and puts the work back.
    """
    stack.sql(
        "UPDATE schedules SET next_at = now() - $3::interval WHERE id = $1 AND started = $2",
        number,
        started,
        since,
    )
    stack.sql("UPDATE work SET due_at = now() WHERE kind = 'schedule' AND ref = $1", str(number))


def run_until(stack: RunningStack, number: int, runs: int) -> None:
    """Let run after run fall due, each once the one before it has been delivered."""
    until(lambda: runs_of(stack, number), 30, "the first run started")
    for started in range(len(runs_of(stack, number)), runs):
        until(partial(are_delivered, stack, number, started), 30, f"{started} runs are delivered")
        make_due(stack, number, started)
        until(partial(has_started, stack, number, started + 1), 30, f"run {started + 1} started")
    until(partial(are_delivered, stack, number, runs), 30, f"{runs} runs are delivered")


async def kill_while_it_starts(stack: RunningStack, number: int) -> int:
    """Kill -9 the worker within the transaction that starts the next run; the pid it had.

    The schedule's row is locked from here, so that the worker waits for it, with its lease.
    """
    connection = await asyncpg.connect(stack.ready()["database_url"].replace("+asyncpg", ""))
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'smmos-worker'"
        " AND wait_event_type = 'Lock'"
    )
    try:
        async with asyncio.timeout(30), connection.transaction():
            await connection.execute("SELECT 1 FROM schedules WHERE id = $1 FOR UPDATE", number)
            await connection.execute(
                "UPDATE schedules SET next_at = now() - interval '1 s' WHERE id = $1", number
            )
            await asyncio.to_thread(
                stack.sql,
                "UPDATE work SET due_at = now() WHERE kind = 'schedule' AND ref = $1",
                str(number),
            )
            await asyncio.to_thread(until, lambda: stack.sql(waits), 30, "the worker waits")
            return stack.kill("worker")
    finally:
        await connection.close()


@pytest.mark.fault(4)
@pytest.mark.slow_fault
def test_ten_runs_are_ten_orders_though_their_worker_is_killed_and_the_clock_moves(
    stack: RunningStack,
) -> None:
    bought = buy(stack)
    number = bought["id"]
    run_until(stack, number, 3)

    killed = asyncio.run(kill_while_it_starts(stack, number))
    until(lambda: stack.pid("worker") != killed, 30, "another worker runs")
    stack.sql(
        "UPDATE work SET lease_until = clock_timestamp() - interval '1 s'"
        " WHERE lease_token IS NOT NULL"
    )
    until(lambda: has_started(stack, number, 4), 30, "the next worker starts run 4")
    make_due(stack, number, 4, since=MONTH)
    until(lambda: has_started(stack, number, 5), 30, "one run for the month that has passed")
    make_due(stack, number, 5, since=-MONTH)
    assert len(runs_of(stack, number)) == 5
    run_until(stack, number, RUNS)

    assert runs_of(stack, number) == list(range(1, RUNS + 1))
    taken = [one for one in stack.accepted() if one["link"] == bought["link"]]
    assert len(taken) == RUNS
    with stack.api() as client:
        seen = client.get(f"/v1/orders/{number}").json()
    assert (seen["status"], seen["refunded"]["amount"]) == ("completed", "0.00")
    assert stack.violations() == []


@pytest.mark.fault(4)
@pytest.mark.slow_fault
def test_canceled_after_run_four_the_money_of_six_runs_is_back(stack: RunningStack) -> None:
    bought = buy(stack)
    number = bought["id"]
    run_until(stack, number, 4)

    with stack.api() as client:
        before = client.get("/v1/balance").json()["balance"]["amount"]
        answer = client.post(f"/v1/orders/{number}/cancel")
        after = client.get("/v1/balance").json()["balance"]["amount"]

    assert answer.status_code == 200, answer.text
    refunded = float(answer.json()["refunded"]["amount"])
    assert refunded == pytest.approx(float(bought["charge"]["amount"]) * 6 / RUNS)
    assert float(after) - float(before) == pytest.approx(refunded)
    assert len(runs_of(stack, number)) == 4
    assert stack.violations() == []
