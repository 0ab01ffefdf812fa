"""The minute's calls: neither submits nor reads can use up what the other needs."""

from datetime import timedelta

import pytest

from app.core.clock import Clock
from app.core.runtime import Runtime
from app.supply import protection
from app.supply.models import Provider
from app.supply.protection import Closed, Grant
from tests.fixtures.world import World


class Budget:
    """One provider's budget, spent by either side in transactions of its own."""

    def __init__(self, runtime: Runtime, provider: Provider) -> None:
        self._runtime = runtime
        self._provider = provider

    async def submits(self, spend: int = 0) -> int:
        """How many orders may be handed over now; then these are."""
        async with self._runtime.uow.begin() as session:
            grant = await protection.admit_submits(session, self._provider.id)
            if not isinstance(grant, Grant):
                assert grant is Closed.BUDGET
                return 0
            await protection.spend_calls(session, grant.provider, spend)
            return grant.calls

    async def reads(self, spend: int = 0) -> int:
        """How many questions may be asked now; then these are."""
        async with self._runtime.uow.begin() as session:
            grant = await protection.admit_reads(session, self._provider.id)
            if not isinstance(grant, Grant):
                assert grant is Closed.BUDGET
                return 0
            await protection.spend_reads(session, grant.provider, spend)
            return grant.calls


@pytest.fixture
async def whole_minute(clock: Clock) -> None:
    clock.move(timedelta(seconds=60 - clock.now().second))


async def budget_of(world: World, runtime: Runtime, calls_per_minute: int) -> Budget:
    return Budget(runtime, await world.provider(calls_per_minute=calls_per_minute))


@pytest.mark.usefixtures("whole_minute")
async def test_orders_by_the_hundred_leave_a_quarter_of_the_calls_for_polls(
    world: World, runtime: Runtime
) -> None:
    budget = await budget_of(world, runtime, 60)
    assert await budget.submits(spend=45) == 45
    assert await budget.submits() == 0
    assert await budget.reads(spend=15) == 15
    assert await budget.reads() == 0


@pytest.mark.usefixtures("whole_minute")
async def test_polls_without_end_leave_a_quarter_of_the_calls_for_orders(
    world: World, runtime: Runtime
) -> None:
    budget = await budget_of(world, runtime, 60)
    assert await budget.reads(spend=45) == 45
    assert await budget.reads() == 0
    assert await budget.submits(spend=15) == 15
    assert await budget.submits() == 0


@pytest.mark.usefixtures("whole_minute")
async def test_what_one_side_has_used_of_the_rest_the_other_cannot(
    world: World, runtime: Runtime, clock: Clock
) -> None:
    budget = await budget_of(world, runtime, 60)
    await budget.submits(spend=30)
    assert await budget.reads(spend=10) == 30
    assert await budget.submits(spend=15) == 15
    assert await budget.reads() == 5
    clock.move(timedelta(minutes=1))
    assert (await budget.submits(), await budget.reads()) == (45, 45)


@pytest.mark.usefixtures("whole_minute")
async def test_a_clock_that_is_behind_opens_no_second_budget_at_the_edge_of_a_minute(
    world: World, runtime: Runtime, clock: Clock
) -> None:
    budget = await budget_of(world, runtime, 60)
    await budget.submits(spend=45)
    for seconds in (-2, 2):
        clock.move(timedelta(seconds=seconds))
        assert await budget.submits() == 0
        assert await budget.reads(spend=5) > 0
    assert await budget.reads() == 5


@pytest.mark.usefixtures("whole_minute")
async def test_a_clock_that_was_an_hour_ahead_closes_nobodys_budget_for_an_hour(
    world: World, runtime: Runtime, clock: Clock
) -> None:
    budget = await budget_of(world, runtime, 60)
    clock.move(timedelta(hours=1))
    await budget.submits(spend=45)
    clock.move(timedelta(hours=-1))
    assert await budget.submits() == 45


@pytest.mark.usefixtures("whole_minute")
@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_budget_too_small_to_share_goes_to_whoever_comes_first(
    world: World, runtime: Runtime, calls: int
) -> None:
    first, second = (
        await budget_of(world, runtime, calls),
        await budget_of(world, runtime, calls),
    )
    assert await first.submits(spend=calls) == calls
    assert await first.reads() == 0
    assert await second.reads(spend=calls) == calls
    assert await second.submits() == 0
