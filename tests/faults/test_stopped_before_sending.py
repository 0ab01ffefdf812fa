"""A worker that slept past its deadline before the first byte does not send when it wakes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from app.core.settings import ENV_FILE_NAME
from tests.faults.conftest import RunningStack, until

pytestmark = [pytest.mark.timeout(180)]

SEND_WITHIN_SECONDS: Final = 2.0
"""The least that a provider's time-outs can be: a simulator's, by the stack's time scale."""


@contextmanager
def worker_asleep(stack: RunningStack) -> Iterator[None]:
    """The stack's own worker does nothing meanwhile, and holds no transaction open."""
    busy = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'smmos-worker' AND state <> 'idle'"
    )

    def stopped_idle() -> bool:
        stack.kill("worker", signal.SIGSTOP)
        if not stack.sql(busy):
            return True
        stack.kill("worker", signal.SIGCONT)
        return False

    until(stopped_idle, 20, "the worker is stopped while idle")
    try:
        yield
    finally:
        stack.kill("worker", signal.SIGCONT)


@contextmanager
def stopped_before_sending(stack: RunningStack) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has marked its order as sending, has connected, and sleeps past the deadline.

    It is woken by the test, and at the latest by its end.
    """
    [provider] = stack.sql(
        "SELECT id FROM providers WHERE adapter = 'panel_v2' ORDER BY id LIMIT 1"
    )
    env_file = stack.folder / "data" / ENV_FILE_NAME
    command = [sys.executable, "-m", "tests.faults.stopped_worker", str(env_file)]
    with subprocess.Popen([*command, str(provider["id"])]) as worker:  # noqa: S603 - our own
        try:
            state = Path(f"/proc/{worker.pid}/stat")
            until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", 60, "it stopped")
            stopped_at = time.monotonic()
            until(
                lambda: time.monotonic() - stopped_at > SEND_WITHIN_SECONDS + 0.5,
                30,
                "its deadline passed",
            )
            yield worker
        finally:
            worker.send_signal(signal.SIGCONT)
            worker.wait(60)


def wake(worker: subprocess.Popen[bytes]) -> None:
    """Let it do what it does, to its end."""
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(60) == 0


def order_row(stack: RunningStack, order_id: int) -> asyncpg.Record:
    [row] = stack.sql(
        "SELECT o.state, o.charge, o.held, o.refunded, count(a.id) AS attempts,"
        " max(a.state) AS attempt, max(a.outcome) AS outcome"
        " FROM orders o JOIN attempts a ON a.order_id = o.id WHERE o.id = $1 GROUP BY o.id",
        order_id,
    )
    return row


def taken(stack: RunningStack, order_id: int) -> int:
    """How often the provider took this order, as its own log says."""
    with stack.api() as client:
        link = client.get(f"/v1/orders/{order_id}").json()["link"]
    return sum(1 for one in stack.accepted() if one["link"] == link)


@pytest.mark.fault(6)
@pytest.mark.slow_fault
def test_woken_within_its_lease_it_gives_the_order_back_unsent(stack: RunningStack) -> None:
    with worker_asleep(stack):
        [order_id] = stack.place_many(1)
        with stopped_before_sending(stack) as worker:
            assert order_row(stack, order_id)["attempt"] == "sending"
            wake(worker)
        row = order_row(stack, order_id)
        assert (row["state"], row["attempt"]) == ("queued", "absent")
        assert "deadline" in row["outcome"]
        assert (row["held"], row["refunded"]) == (row["charge"], 0)
        assert taken(stack, order_id) == 0
    until(lambda: stack.are_over([order_id]), 60, "another worker hands it over")
    assert stack.states([order_id]) == {"completed": 1}
    assert taken(stack, order_id) == 1


@pytest.mark.fault(6)
def test_woken_after_its_lease_it_sends_nothing_and_the_order_stays_as_the_sweeper_judged_it(
    stack: RunningStack,
) -> None:
    with ExitStack() as sleeping:
        with worker_asleep(stack):
            [order_id] = stack.place_many(1)
            worker = sleeping.enter_context(stopped_before_sending(stack))
        stack.sql(
            "UPDATE work SET lease_until = clock_timestamp() - interval '1 s' WHERE ref = $1",
            str(order_id),
        )
        until(lambda: order_row(stack, order_id)["state"] == "unknown", 60, "it is swept")
        wake(worker)
    row = order_row(stack, order_id)
    assert (row["state"], row["attempt"], row["attempts"]) == ("unknown", "unknown", 1)
    assert (row["held"], row["refunded"]) == (row["charge"], 0)
    assert taken(stack, order_id) == 0
