"""Two at once, with real commits: one wins, the other sees it, and no money is caught between."""

import asyncio
import random

import pytest
from sqlalchemy import text

from app.core.audit import Actor
from app.core.clock import Clock
from app.core.db import Session
from app.core.money import ZERO, Money
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.ledger.service import Balance
from app.orders import dispatch, follow, holding, outcomes
from app.orders import service as orders
from app.orders.dispatch import Batch
from app.orders.errors import OrderNotCancelable, OrderStateConflict
from app.orders.follow import POLL_MIN
from app.providers.protocol import ProviderState, RefusalKind
from app.supply.bounds import STATUS_CALLS_MAX
from tests.fixtures.world import World
from tests.orders.conftest import RESELLER, Desk, accepted, progress, refused

pytestmark = pytest.mark.committing

OPERATOR = Actor("operator", "opr_1")
ROUNDS = 100


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"pool_size": 20, "pool_timeout_seconds": 30})


async def deadlocks(runtime: Runtime) -> int:
    async with runtime.uow.begin() as session:
        await session.execute(text("SELECT pg_stat_force_next_flush()"))
    async with runtime.uow.begin() as session:
        found = await session.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    return int(found or 0)


async def test_a_cancel_and_a_take_of_one_order_never_both_succeed(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=1)
    service = await world.service(routes=[provider])
    reseller = await world.reseller(balance="100.00")
    jitter = random.Random(7)
    canceled = taken = 0
    for order_id in await desk.place_many(reseller, service, ROUNDS):
        async with runtime.uow.begin() as session:
            # Only this one is due, so that the worker takes no other.
            await session.execute(
                text(
                    "UPDATE work SET due_at = CAST(:now AS timestamptz)"
                    " + (ref <> :ref)::int * interval '1 hour'"
                ),
                {"now": runtime.clock.now(), "ref": str(order_id)},
            )

        async def cancel(order_id: int = order_id) -> bool:
            await asyncio.sleep(jitter.uniform(0, 0.004))
            try:
                async with runtime.uow.begin() as session:
                    await orders.cancel(session, order_id, actor=RESELLER, reason="asked")
            except OrderNotCancelable:
                return False
            return True

        async def take() -> Batch | None:
            await asyncio.sleep(jitter.uniform(0, 0.004))
            leased = await desk.lease(provider)
            return leased if isinstance(leased, Batch) and leased.handovers else None

        was_canceled, batch = await asyncio.gather(cancel(), take())
        order = await world.row(order_id)
        assert was_canceled is not (batch is not None)
        if batch is None:
            canceled += 1
            assert (order.state, order.refunded) == ("canceled", order.charge)
            assert await desk.attempts(order_id) == []
        else:
            taken += 1
            assert order.state == "submitting"
            async with runtime.uow.begin() as session:
                await dispatch.mark_sending(session, batch)
            await desk.record(batch, accepted)
    assert canceled + taken == ROUNDS
    assert min(canceled, taken) > 0, "the race was no race"
    assert await world.balance(reseller) == Balance(
        Money.parse("100.00") - Money(taken * 9_000), Money(taken * 9_000)
    )


async def test_a_hold_and_a_take_of_one_order_never_both_succeed(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    reseller = await world.reseller()
    for _ in range(20):
        [order_id] = await desk.place_many(reseller, service, 1)

        async def hold(order_id: int = order_id) -> bool:
            try:
                async with runtime.uow.begin() as session:
                    await holding.put_on_hold(
                        session,
                        order_id,
                        source="operator",
                        source_id="1",
                        reason="r",
                        actor=OPERATOR,
                    )
            except OrderStateConflict:
                return False
            return True

        was_held, leased = await asyncio.gather(hold(), desk.lease(provider))
        is_taken = isinstance(leased, Batch) and bool(leased.handovers)
        assert was_held is not is_taken
        assert (await world.row(order_id)).state == ("on_hold" if was_held else "submitting")
        if is_taken:
            assert isinstance(leased, Batch)
            async with runtime.uow.begin() as session:
                await dispatch.mark_sending(session, leased)
            await desk.record(leased, accepted)


async def test_many_workers_take_each_order_once(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider])
    await desk.place_many(await world.reseller(), service, 100)

    async def take_all() -> list[int]:
        mine: list[int] = []
        while isinstance(batch := await desk.lease(provider), Batch):
            async with runtime.uow.begin() as session:
                await dispatch.mark_sending(session, batch)
            mine += [handover.order_id for handover in batch.handovers]
            await desk.record(batch, accepted)
        return mine

    shares = await asyncio.gather(*(take_all() for _ in range(6)))
    taken = [order_id for share in shares for order_id in share]
    assert len(taken) == len(set(taken)) == 100
    assert await world.count("attempts") == 100


async def test_orders_of_two_books_settled_by_two_workers_do_not_deadlock(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider])
    resellers = [await world.reseller() for _ in range(2)]
    for _ in range(15):
        for reseller in resellers:
            await desk.place_many(reseller, service, 2)
    batches = []
    while isinstance(leased := await desk.lease(provider), Batch):
        async with runtime.uow.begin() as session:
            await dispatch.mark_sending(session, leased)
        batches.append(leased)
    for batch in batches:
        await desk.record(batch, accepted)
    # Into the next minute: the handovers have used up the budget of this one.
    clock.move(2 * POLL_MIN)
    polls = []
    for _ in range(STATUS_CALLS_MAX):
        async with runtime.uow.begin() as session:
            await session.execute(
                text(
                    "UPDATE work SET due_at = CAST(:now AS timestamptz)"
                    " + (random() > 0.5)::int * interval '1 h'"
                    " WHERE kind = 'follow' AND lease_token IS NULL"
                ),
                {"now": clock.now()},
            )
        polls.append(await desk.poll(provider))
    await asyncio.gather(*(desk.answer(poll, progress(ProviderState.COMPLETED)) for poll in polls))
    assert await deadlocks(runtime) == 0


async def test_refusals_of_two_books_recorded_by_two_workers_do_not_deadlock(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider])
    resellers = [await world.reseller() for _ in range(2)]
    for turn in range(8):
        # The orders of the two books alternate one way for one worker, the other for the other.
        batches = []
        for mine in (resellers, resellers[::-1]):
            for reseller in mine * 4:
                await desk.place_many(reseller, service, 1)
            batch = await desk.lease(provider)
            assert isinstance(batch, Batch)
            async with runtime.uow.begin() as session:
                await dispatch.mark_sending(session, batch)
            batches.append(batch)

        async def record(batch: Batch) -> None:
            said = {h: refused(RefusalKind.PERMANENT) for h in batch.handovers}

            async def transaction(session: Session) -> None:
                await outcomes.record_outcomes(session, batch, said)

            await runtime.uow.run(transaction, repeatable=True)

        await asyncio.gather(*(record(batch) for batch in batches))
        assert await deadlocks(runtime) == 0, f"in turn {turn}"
    for reseller in resellers:
        assert (await world.balance(reseller)).held == ZERO


async def test_two_polls_of_one_order_end_it_once(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    reseller = await world.reseller(balance="10.00")
    order_id = await desk.running(provider, service, reseller, quantity=1000)
    clock.move(POLL_MIN)
    poll = await desk.poll(provider)

    async def record() -> None:
        async with runtime.uow.begin() as session:
            await follow.record_answers(
                session,
                poll,
                dict.fromkeys(poll.orders, progress(ProviderState.PARTIAL, remains=500)),
            )

    await asyncio.gather(*(record() for _ in range(8)))
    assert (await desk.event_types(order_id)).count("end_short") == 1
    assert await world.balance(reseller) == Balance(Money.parse("9.55"), ZERO)
