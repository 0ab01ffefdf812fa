"""Claims in a restored database: nothing goes back for what may have been sent since its backup."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text

from app.core.runtime import Runtime
from tests.refunds.conftest import HOUR, WEEK, Shop

Restore = Callable[[], Awaitable[None]]


@pytest.fixture
async def restore(runtime: Runtime) -> AsyncIterator[Restore]:
    """Lets the database find itself elsewhere; at the end it is at home again."""

    async def restored() -> None:
        async with runtime.uow.begin() as session:
            await session.execute(text("UPDATE database_lineage SET identity = 'elsewhere'"))

    yield restored
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE database_lineage SET identity = database_identity()"))


async def test_a_due_claim_is_decided_only_once_somebody_has_vouched(
    shop: Shop, restore: Restore, runtime: Runtime
) -> None:
    order_id = await shop.order()
    claim = await shop.filed(order_id)
    await restore()
    shop.clock.move(WEEK)
    await shop.decide()
    assert (await shop.read(claim))["status"] == "awaiting_deadline"
    assert (await shop.world.row(order_id)).state == "queued"

    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE database_lineage SET identity = database_identity()"))
    shop.clock.move(HOUR)
    await shop.decide()

    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")


async def test_a_claim_that_is_filed_meanwhile_waits(shop: Shop, restore: Restore) -> None:
    order_id = await shop.order()
    shop.clock.move(WEEK)  # at the edge of its window, where it would be decided at once
    await restore()
    claim = await shop.filed(order_id)
    await shop.decide()
    assert (await shop.read(claim))["status"] == "awaiting_deadline"
    assert await shop.balance() == "9.10"


async def test_an_operator_cannot_end_what_may_have_been_handed_over(
    shop: Shop, restore: Restore
) -> None:
    order_id = await shop.order()
    claim = await shop.filed(order_id)
    await restore()
    answer = await shop.act(await shop.world.operator(), claim, "approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "order-state-conflict")
    assert "restored" in answer.json()["detail"]
    assert (await shop.world.row(order_id)).state == "queued"
