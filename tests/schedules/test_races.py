"""Starting, canceling and handing on at once, with real commits: each run once, all money kept."""

import asyncio
from contextlib import suppress

import pytest

from app.core.money import Money
from app.core.runtime import Runtime
from app.orders import runs
from app.orders.errors import OrderNotCancelable
from app.schedules import service as schedules
from app.schedules.starting import SCHEDULE
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World
from tests.orders.conftest import RESELLER, Desk
from tests.orders.test_races import deadlocks

pytestmark = pytest.mark.committing

ROUNDS = 20


async def test_a_run_that_starts_while_its_schedule_is_canceled_is_paid_for_or_given_back(
    world: World, desk: Desk, worker: Worker, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=100)
    service = await world.service(routes=[provider])
    reseller = await world.reseller(balance="100.00")
    before = await deadlocks(runtime)
    for _ in range(ROUNDS):
        placed = await world.order(reseller, service, quantity=100, runs=3, interval_minutes=60)

        async def cancel(number: int = placed["id"]) -> None:
            with suppress(OrderNotCancelable):
                async with runtime.uow.begin() as session:
                    await schedules.cancel(session, reseller.book_id, number, actor=RESELLER)

        await asyncio.gather(
            worker.drain(SCHEDULE), worker.drain(SCHEDULE), cancel(), desk.lease(provider), cancel()
        )
        async with runtime.uow.begin() as session:
            schedule = await schedules.get_in_book(session, reseller.book_id, placed["id"])
            started = await runs.page(session, schedule.id, after=0, limit=10)
        assert len(started) == schedule.started <= 1
        assert schedule.state == "canceled"
        assert schedule.held == 0
    balance = await world.balance(reseller)
    assert balance.available + balance.held == Money.parse("100.00")
    assert await deadlocks(runtime) == before


async def test_two_workers_start_a_run_once(world: World, worker: Worker, runtime: Runtime) -> None:
    reseller, service = await world.reseller(balance="100.00"), await world.service()
    for _ in range(ROUNDS):
        placed = await world.order(reseller, service, quantity=100, runs=3, interval_minutes=60)
        await asyncio.gather(*(worker.drain(SCHEDULE) for _ in range(3)))
        async with runtime.uow.begin() as session:
            [run] = await runs.page(session, placed["id"], after=0, limit=10)
        assert run.run_number == 1
