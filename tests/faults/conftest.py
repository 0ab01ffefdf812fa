"""The stack that fault tests share, and what must be true after each of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.faults.facts import facts_of
from tests.faults.oracle import verdict
from tests.faults.stacks import ENDED, RunningStack, running_stack
from tests.faults.waiting import until

__all__ = ["ENDED", "RunningStack", "running_stack", "until"]

SETTLE_SECONDS_MAX = 60.0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow ones run when they are asked for: by `./run faults`, or with `-m slow_fault`."""
    if "slow_fault" in config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow_fault")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


class SharedStack:
    """One stack for one test after the other, started when the first asks for it."""

    def __init__(self) -> None:
        self._open: AbstractContextManager[RunningStack] | None = None
        self._running: RunningStack | None = None

    def running(self) -> RunningStack:
        if self._running is None:
            self._open = running_stack("--api-processes", "2")
            self._running = self._open.__enter__()
        return self._running

    def end(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
        self._open = self._running = None


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[SharedStack]:
    shared = SharedStack()
    yield shared
    shared.end()


@pytest.fixture
def stack(shared_stack: SharedStack) -> RunningStack:
    """One stack with two API processes; a new one after a test that left it in disorder."""
    return shared_stack.running()


@pytest.fixture(autouse=True)
def all_is_well_afterwards(
    request: pytest.FixtureRequest, shared_stack: SharedStack
) -> Iterator[None]:
    """The tail of every row, wherever a test uses a stack."""
    if "stack" not in request.fixturenames:
        yield
        return
    running: RunningStack = request.getfixturevalue("stack")
    yield
    try:
        assert_all_is_well(running)
    except BaseException:
        shared_stack.end()
        raise


def assert_all_is_well(stack: RunningStack) -> None:
    """No fault is left, the ledger check finds nothing, and the oracle neither."""
    stack.control("DELETE", "/faults")
    under_way = "SELECT id FROM orders WHERE state = 'submitting' LIMIT 1"
    until(lambda: not stack.sql(under_way), SETTLE_SECONDS_MAX, "no order is being sent")
    assert stack.violations() == []
    # Provider and database are read one after the other, and what is still queued may be handed
    # over in between: what is wrong stays wrong, and is found by each look.
    if verdict(facts_of(stack)):
        until(lambda: not stack.sql(under_way), SETTLE_SECONDS_MAX, "no order is being sent")
        assert verdict(facts_of(stack)) == []
