"""The database killed, cut off and restarted: no 201 without its row, and nobody starts again."""

import signal
import time

import asyncpg
import pytest

from tests.faults import peers
from tests.faults.clients import Load, ordering
from tests.faults.roads import Cut, road_to
from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(300)]

RECOVERY_SECONDS_MAX = 10.0
"""From when the database is back until orders are taken again."""
TERMINATE_EVERY_SECONDS = 0.2
TERMINATIONS = 40
CUTS = 6


def processes(stack: RunningStack) -> dict[str, list[int]]:
    pids = stack.ready()["pids"]
    return {name: pids[name] for name in ("api", "worker")}


def until_ended(stack: RunningStack, load: Load) -> None:
    """What a worker had in its hands when it lost the database is judged by the sweeper."""
    stack.expire_leases()
    stack.until_over(load.order_ids, besides=("unknown",))


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="kill"),
        pytest.param(signal.SIGINT, id="fast", marks=pytest.mark.slow_fault),
        pytest.param(signal.SIGQUIT, id="immediate", marks=pytest.mark.slow_fault),
    ],
)
def test_a_database_that_restarts_loses_no_order_and_the_processes_outlive_it(
    stack: RunningStack, how: signal.Signals
) -> None:
    before = processes(stack)

    def answers() -> bool:
        try:
            return bool(stack.sql("SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False

    with ordering(stack.load(), clients=3) as load:
        load.until_more(10)
        old = stack.kill("postgres", how)
        until(lambda: not answers() or stack.pid("postgres") != old, 30, "it is gone")
        until(answers, 60, "it is back")
        back = time.monotonic()
        load.until_more(1)
        recovery = time.monotonic() - back
        load.until_more(10)
    assert recovery < RECOVERY_SECONDS_MAX
    assert set(load.statuses) <= {201, 503}
    until(lambda: stack.pid("postgres") != old, 30, "the stack says so")
    load.replay()
    until_ended(stack, load)
    assert processes(stack) == before


@pytest.mark.fault(13)
@pytest.mark.slow_fault
def test_connections_killed_in_mid_transaction_cost_no_order_and_no_process(
    stack: RunningStack,
) -> None:
    before = processes(stack)
    # Those that are in the middle of something first.
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name IN ('smmos-api', 'smmos-worker')"
        " ORDER BY state = 'idle', random() LIMIT 1"
    )
    with ordering(stack.load(), clients=4) as load:
        for _ in range(TERMINATIONS):
            stack.sql(terminate)
            time.sleep(TERMINATE_EVERY_SECONDS)
    assert set(load.statuses) <= {201, 503}
    load.replay()
    until_ended(stack, load)
    assert processes(stack) == before


@pytest.mark.fault(14)
@pytest.mark.slow_fault
@pytest.mark.parametrize("cut", Cut)
def test_a_connection_cut_at_commit_gives_one_order_and_one_charge(
    stack: RunningStack, cut: Cut
) -> None:
    with (
        road_to(stack.ready()["database_url"]) as road,
        peers.api(stack, database_url=road.url) as (base_url, process),
    ):
        with ordering(stack.load(base_url), clients=2) as load:
            for _ in range(CUTS):
                road.arm(cut)
                load.until_more(2)
        assert set(load.statuses) <= {201, 409, 503}
        assert road.cuts[cut] == CUTS
        load.replay()
        assert process.poll() is None
    assert len(set(load.order_ids)) == len(load.bodies)
    until_ended(stack, load)


@pytest.mark.fault(14)
@pytest.mark.slow_fault
def test_orders_committed_just_as_the_connection_broke_are_answered_as_they_stand(
    stack: RunningStack,
) -> None:
    """No try is left: all COMMITs arrive, no answer does, and the key still finds its order."""
    with (
        road_to(stack.ready()["database_url"]) as road,
        peers.api(stack, database_url=road.url) as (base_url, _),
    ):
        load = stack.load(base_url)
        road.arm(*[Cut.AFTER_COMMIT] * 4)
        with ordering(load, clients=1):
            until(lambda: road.cuts[Cut.AFTER_COMMIT] == 4, 30, "COMMITs were cut")
        load.replay()
    until_ended(stack, load)
