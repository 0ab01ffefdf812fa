"""Who waits for one lock must not hold another that the first one's holder may ask for next."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.runtime import Runtime
from app.orders import (
    evidence_repository,
    refill_asking,
    refills,
    restored,
    sweeping,
)
from app.orders.refill_asking import RefillBatch
from app.providers.protocol import ProviderState, Unconfirmed
from tests.fixtures.world import World
from tests.orders.conftest import RESELLER, Desk, progress

pytestmark = pytest.mark.committing

OPERATOR = Actor("operator", "opr_1")


async def until_somebody_waits(runtime: Runtime) -> None:
    """Until another transaction of this database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(30):
        while True:
            async with runtime.uow.begin() as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.01)


async def take_at_once(session: Session, statement: str, **values: object) -> None:
    """Lock these rows, or fail where another transaction has them."""
    await session.execute(text(f"{statement} FOR UPDATE NOWAIT"), values)


async def test_an_operator_who_finds_a_refill_waits_for_a_late_recorder_without_its_row(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    service = await world.service(routes=[provider], refill=True)
    order_id = await desk.running(provider, service, reseller)
    await desk.hear(provider, progress(ProviderState.COMPLETED))
    async with runtime.uow.begin() as session:
        refill = await refills.request(session, reseller.book_id, order_id, actor=RESELLER)
    async with runtime.uow.begin() as session:
        batch = await refill_asking.lease_refills(
            session, runtime.keys, provider.id, time_scale=1.0
        )
    assert isinstance(batch, RefillBatch)
    async with runtime.uow.begin() as session:
        lost = dict.fromkeys(batch.orders, Unconfirmed("no answer"))
        await refill_asking.record_refills(session, batch, lost)

    async def find() -> None:
        async with runtime.uow.begin() as session:
            await refills.find(
                session, refill.id, provider_refill_id="r1", actor=OPERATOR, reason="seen"
            )

    async with runtime.uow.begin() as recorder:
        await evidence_repository.lock_acceptance(recorder, provider.id)
        finding = asyncio.create_task(find())
        await until_somebody_waits(runtime)
        await take_at_once(recorder, "SELECT id FROM refills WHERE id = :id", id=refill.id)
    await finding


async def test_stale_orders_are_all_locked_before_the_first_wallet_is(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    service = await world.service()
    resellers = sorted([await world.reseller() for _ in range(2)], key=lambda one: one.book_id)
    orders = [await world.order(one, service) for one in resellers]
    desk.runtime.clock.move(timedelta(days=8))

    async def cancel_stale() -> int:
        async with runtime.uow.begin() as session:
            return await sweeping.cancel_stale(session, queued_days_max=7)

    async with runtime.uow.begin() as holder:
        await take_at_once(holder, "SELECT id FROM orders WHERE id = :id", id=orders[1]["id"])
        canceling = asyncio.create_task(cancel_stale())
        await until_somebody_waits(runtime)
        wallet = "SELECT id FROM accounts WHERE kind = 'wallet' AND book_id = :book"
        await take_at_once(holder, wallet, book=resellers[0].book_id)
    assert await canceling == 2


async def test_a_restore_waits_for_the_work_on_an_order_without_the_orders_row(
    world: World, runtime: Runtime
) -> None:
    placed = await world.order(service=await world.service(routes=[await world.provider()]))

    async def doubt() -> None:
        async with runtime.uow.begin() as session:
            await restored.doubt_waiting(session, since=None, actor=OPERATOR)

    async with runtime.uow.begin() as session:
        await work.lock_ref(session, str(placed["id"]))
        doubting = asyncio.create_task(doubt())
        await until_somebody_waits(runtime)
        await take_at_once(session, "SELECT id FROM orders WHERE id = :id", id=placed["id"])
    await doubting
    assert (await world.row(placed)).state == "needs_review"
