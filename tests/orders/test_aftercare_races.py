"""Refills and cancels asked for at once, with real commits: one is made, none lock each other."""

import asyncio

import pytest

from app.core.runtime import Runtime
from app.core.settings import Settings
from app.orders import canceling, follow, refills
from app.orders.canceling import CancelBatch
from app.orders.errors import OrderNotCancelable, RefillOpen
from app.orders.follow import POLL_MIN, Poll
from app.orders.refill_models import Refill
from app.providers.aftercare import CancelAsked
from app.providers.protocol import ProviderState
from tests.fixtures.world import World
from tests.orders.conftest import RESELLER, Desk, progress
from tests.orders.test_races import deadlocks

pytestmark = pytest.mark.committing

AT_ONCE = 8
ORDERS = 40


@pytest.fixture
def settings(settings: Settings) -> Settings:
    patient = {"pool_size": 20, "pool_timeout_seconds": 30, "lock_timeout_seconds": 30}
    return settings.model_copy(update=patient)


async def test_of_many_requests_for_a_refill_at_once_one_is_made(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    service = await world.service(routes=[provider], refill=True)
    order_id = await desk.running(provider, service, reseller)
    await desk.hear(provider, progress(ProviderState.COMPLETED))

    async def ask() -> Refill | RefillOpen:
        try:
            async with runtime.uow.begin() as session:
                return await refills.request(session, reseller.book_id, order_id, actor=RESELLER)
        except RefillOpen as refusal:
            return refusal

    told = await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    assert sum(isinstance(one, Refill) for one in told) == 1
    assert await world.count("refills") == 1


async def test_an_end_a_cancel_and_its_answer_at_once_never_lock_each_other(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider], rate="0.90")
    reseller = await world.reseller(balance="100.00")
    ids = await desk.place_many(reseller, service, ORDERS)
    for _ in range(2):
        await desk.submit(provider)
    for order_id in ids:
        async with runtime.uow.begin() as session:
            await canceling.request(session, order_id, actor=RESELLER, reason="asked")
    runtime.clock.move(POLL_MIN)
    poll = await desk.poll(provider)
    async with runtime.uow.begin() as session:
        batch = await canceling.lease_cancels(session, runtime.keys, provider.id, time_scale=1.0)
    assert isinstance(batch, CancelBatch)
    before = await deadlocks(runtime)

    async def end(part: Poll) -> None:
        async with runtime.uow.begin() as session:
            said = dict.fromkeys(part.orders, progress(ProviderState.COMPLETED))
            await follow.record_answers(session, part, said)

    async def record() -> None:
        async with runtime.uow.begin() as session:
            said = dict.fromkeys(batch.orders, CancelAsked())
            await canceling.record_cancel_answers(session, batch, said)

    async def request_again(order_id: int) -> None:
        try:
            async with runtime.uow.begin() as session:
                await canceling.request(session, order_id, actor=RESELLER, reason="asked")
        except OrderNotCancelable:
            return

    await asyncio.gather(
        *(end(part) for part in poll.parts()), record(), *(request_again(one) for one in ids)
    )

    assert await deadlocks(runtime) == before
    assert {(await world.row(one)).state for one in ids} == {"completed"}
    assert [await desk.work_of(one) for one in ids] == [{}] * ORDERS
