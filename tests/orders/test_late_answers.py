"""The answer of a worker that was cut off, which comes when the order was called absent already."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from app.catalog.models import OnUnknown
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.ids import new_id
from app.core.money import Money
from app.ledger import service as ledger
from app.orders import canceling, conceding, resolving, sweeping, unresolved
from app.orders import service as orders
from app.orders.conceding import Concession
from app.orders.dispatch import Batch
from app.orders.errors import OrderNotCancelable
from app.orders.judging import ABSENCE_AFTER
from app.orders.models import Order
from app.orders.unresolved import Next
from app.providers.protocol import Accepted, RefusalKind, Unconfirmed
from app.refunds.facts import facts_of
from app.refunds.models import Claim
from app.refunds.states import Reason
from app.supply.models import Provider
from tests.fixtures.supplying import Worker
from tests.orders.conftest import Desk, refused

OPERATOR = Actor("operator", "opr_1")


@dataclass(frozen=True, slots=True)
class Late:
    """An order that is queued again, though its provider has it as 77."""

    desk: Desk
    clock: Clock
    worker: Worker

    async def called_absent(self, **service: Any) -> tuple[Provider, int, Batch]:
        """An order of a worker that was cut off, and what that worker has on the wire still."""
        world, desk = self.desk.world, self.desk
        provider = await world.provider()
        order = await world.order(service=await world.service(routes=[provider], **service))
        stopped = await desk.send(provider)
        await self.worker.lose_leases()
        await self.worker.upkeep()
        self.clock.move(ABSENCE_AFTER + timedelta(minutes=1))
        async with desk.runtime.uow.begin() as session:
            await resolving.prove_absent(session, order["id"], actor=OPERATOR, reason="not there")
        return provider, order["id"], stopped

    async def hear(self, stopped: Batch) -> None:
        """The worker wakes, and has the answer of a quarter of an hour ago."""
        await self.desk.record(stopped, Accepted("77", "{}"))

    async def row(self, order_id: int) -> Order:
        return await self.desk.world.row(order_id)


@pytest.fixture
def late(desk: Desk, clock: Clock, worker: Worker) -> Late:
    return Late(desk, clock, worker)


@pytest.mark.parametrize("sent_again", [False, True])
async def test_an_order_that_a_late_answer_shows_to_be_taken_is_neither_sent_again_nor_repaid(
    late: Late, desk: Desk, sent_again: bool
) -> None:
    provider, order_id, stopped = await late.called_absent()
    again = await desk.send(provider) if sent_again else None
    await late.hear(stopped)

    if again is None:
        batch = await desk.lease(provider)
        assert isinstance(batch, Batch)
        assert batch.handovers == ()
    else:
        await desk.record(again, refused(RefusalKind.PERMANENT))

    assert (await late.row(order_id)).state == "needs_review"
    async with desk.runtime.uow.begin() as session:
        found = await resolving.find(
            session, order_id, provider_order_id="77", actor=OPERATOR, reason="seen in their panel"
        )
    assert found.state == "in_progress"
    states = [one.state for one in await desk.attempts(order_id)]
    assert states == (["accepted", "refused"] if sent_again else ["accepted"])


@pytest.mark.violates("order-taken-twice")
async def test_one_that_was_taken_again_before_it_was_heard_is_told_by_the_ledger_check(
    late: Late, desk: Desk
) -> None:
    provider, order_id, stopped = await late.called_absent()
    again = await desk.send(provider)
    await late.hear(stopped)
    await desk.record(again, Accepted("88", "{}"))

    async with desk.runtime.uow.begin() as session:
        [found] = await ledger.violations(session)
    assert (found.code, found.ref) == ("order-taken-twice", str(order_id))
    assert found.detail == "77 and 88"


async def test_before_it_is_looked_at_nobody_cancels_it(late: Late, desk: Desk) -> None:
    _, order_id, stopped = await late.called_absent()
    await late.hear(stopped)

    async with desk.runtime.uow.begin() as session:
        with pytest.raises(OrderNotCancelable):
            await canceling.request(session, order_id, actor=OPERATOR, reason="changed my mind")

    assert (await late.row(order_id)).state == "queued"


async def test_waiting_too_long_it_is_for_a_person(late: Late, desk: Desk, clock: Clock) -> None:
    _, order_id, stopped = await late.called_absent()
    await late.hear(stopped)
    clock.move(timedelta(days=8))

    async with desk.runtime.uow.begin() as session:
        assert await sweeping.cancel_stale(session, queued_days_max=7) == 0

    order = await late.row(order_id)
    assert (order.state, order.refunded) == ("needs_review", 0)
    assert (await desk.attempt(order_id)).state == "unknown"


async def test_the_rules_of_claims_take_its_standing_for_unknown(late: Late, desk: Desk) -> None:
    _, order_id, stopped = await late.called_absent()
    now = late.clock.now()
    claim = Claim(id=new_id(), reason=Reason.NOT_DELIVERED, opens_at=now, deadline=now)

    async def standing() -> str:
        async with desk.runtime.uow.begin() as session:
            order = await orders.get(session, order_id)
            return (await facts_of(session, claim, order, time_scale=1.0)).state

    assert await standing() == "queued"
    await late.hear(stopped)
    assert await standing() == "needs_review"


async def test_where_a_claim_ends_it_its_provider_is_asked_to_stop(late: Late, desk: Desk) -> None:
    _, order_id, stopped = await late.called_absent()
    await late.hear(stopped)

    async with desk.runtime.uow.begin() as session:
        order = await orders.lock(session, order_id)
        given = Concession(new_id(), Money(order.charge), OPERATOR, {})
        await conceding.end_running(session, order, given)

    order = await late.row(order_id)
    assert (order.state, order.provider_order_id) == ("canceled", "77")
    assert set(await desk.work_of(order_id)) == {"cancel", "follow"}


async def test_no_policy_writes_it_off_once_it_was_sent_again_and_lost_again(
    late: Late, desk: Desk, clock: Clock
) -> None:
    provider, order_id, stopped = await late.called_absent(
        on_unknown=OnUnknown.WRITE_OFF, write_off_hours=2
    )
    again = await desk.send(provider)
    await late.hear(stopped)
    await desk.record(again, Unconfirmed("ReadTimeout"))
    clock.move(timedelta(hours=25))

    async with desk.runtime.uow.begin() as session:
        [shown] = await unresolved.page(session, after=None, limit=9, unknown_hours_max=24)
    await desk.look(order_id)

    assert (shown.then, "earlier attempt" in shown.evidence["own"]) == (Next.REVIEW, True)
    assert (await late.row(order_id)).state == "needs_review"
    assert await desk.work_of(order_id) == {}


async def test_where_it_is_written_off_its_provider_is_asked_to_stop(
    late: Late, desk: Desk
) -> None:
    provider, order_id, stopped = await late.called_absent()
    await late.hear(stopped)
    await desk.lease(provider)

    async with desk.runtime.uow.begin() as session:
        await resolving.write_off(session, order_id, actor=OPERATOR, reason="enough")

    order = await late.row(order_id)
    assert (order.state, order.provider_order_id) == ("canceled", "77")
    assert (order.refunded, order.cancel_state) == (order.charge, "requested")
    assert (await desk.attempt(order_id)).state == "accepted"
    assert set(await desk.work_of(order_id)) == {"cancel", "follow"}


@pytest.mark.parametrize("by_claim", [False, True])
async def test_where_it_was_written_off_before_its_provider_is_asked_to_stop_all_the_same(
    late: Late, desk: Desk, *, by_claim: bool
) -> None:
    provider = await desk.world.provider()
    placed = await desk.world.order(service=await desk.world.service(routes=[provider]))
    stopped = await desk.send(provider)
    await late.worker.lose_leases()
    await late.worker.upkeep()
    async with desk.runtime.uow.begin() as session:
        order = await orders.lock(session, placed["id"])
        if by_claim:
            whole = Concession(new_id(), Money(order.charge), OPERATOR, {})
            await conceding.end_running(session, order, whole)
        else:
            await resolving.write_off(session, order.id, actor=OPERATOR, reason="enough")

    await late.hear(stopped)
    await late.worker.upkeep()

    order = await late.row(order.id)
    assert (order.provider_order_id, order.cancel_state) == ("77", "requested")
    assert (order.state, order.refunded) == ("canceled", order.charge)
    assert (await desk.attempt(order.id)).state == "accepted"
    assert set(await desk.work_of(order.id)) == {"cancel", "follow"}
