"""Orders that hang: swept by how far they came, found by evidence, ended by people or time."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.audit import Actor
from app.core.clock import Clock
from app.core.db import Session
from app.core.errors import InvalidInput, NotFound
from app.core.money import ZERO, Money
from app.ledger.service import Balance
from app.orders import evidence_repository, holding, resolving, sweeping
from app.orders import service as orders
from app.orders.dispatch import Batch
from app.orders.errors import OrderStateConflict, ProviderOrderTaken, TooEarlyToProve
from app.orders.hand_settlement import Settlement
from app.orders.judging import ABSENCE_AFTER, LOOK_EVERY
from app.orders.models import Order
from app.orders.states import OrderState
from app.providers.protocol import (
    Accepted,
    IdUnknown,
    NotSent,
    ProviderState,
    RefusalKind,
    ServiceType,
    Unconfirmed,
)
from app.supply import service as supply
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World
from tests.orders.conftest import Desk, accepted, progress, refused

OPERATOR = Actor("operator", "opr_1")
LOST = Unconfirmed("ReadTimeout")
TEN = Money.parse("10.00")


async def hanging(world: World, desk: Desk, state: str = "unknown") -> int:
    """An order whose outcome nobody knows, or one that needs a person."""
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    await desk.submit(provider, LOST if state == "unknown" else refused(RefusalKind.UNSEEN))
    order = await world.row(placed)
    assert order.state == state
    return order.id


async def reconcile(desk: Desk, order_id: int) -> Order:
    await desk.look(order_id)
    return await desk.world.row(order_id)


async def find(session: Session, order_id: int, given: str = "p1") -> Order:
    return await resolving.find(
        session, order_id, provider_order_id=given, actor=OPERATOR, reason="seen in their panel"
    )


async def prove_absent(session: Session, order_id: int) -> Order:
    return await resolving.prove_absent(session, order_id, actor=OPERATOR, reason="not there")


async def write_off(session: Session, order_id: int) -> Order:
    return await resolving.write_off(session, order_id, actor=OPERATOR, reason="enough")


async def settle(session: Session, order_id: int, to: Settlement) -> Order:
    return await resolving.settle_by_hand(session, order_id, to, actor=OPERATOR, reason="asked")


class TestSweeping:
    """What becomes of the orders of a worker that lost its lease."""

    async def sweep(self, desk: Desk, worker: Worker) -> int:
        await worker.lose_leases()
        async with desk.runtime.uow.begin() as session:
            return await sweeping.sweep_dispatch(session)

    async def test_one_that_never_reached_sending_goes_back(
        self, world: World, desk: Desk, worker: Worker
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        assert isinstance(await desk.lease(provider), Batch)
        assert await self.sweep(desk, worker) == 1
        assert (await world.row(placed)).state == "queued"
        assert (await desk.attempt(placed["id"])).state == "absent"
        await desk.submit(provider)
        assert [one.state for one in await desk.attempts(placed["id"])] == ["absent", "accepted"]

    async def test_one_that_reached_sending_is_unknown(
        self, world: World, desk: Desk, worker: Worker
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        await desk.send(provider)
        assert await self.sweep(desk, worker) == 1
        order = await world.row(placed)
        assert (order.state, order.held) == ("unknown", order.charge)
        assert (await desk.attempt(order.id)).state == "unknown"
        assert set(await desk.work_of(order.id)) == {"reconcile"}

    async def test_what_the_lost_worker_says_afterwards_changes_no_state_but_is_kept(
        self, world: World, desk: Desk, worker: Worker
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        batch = await desk.send(provider)
        await self.sweep(desk, worker)
        await desk.record(batch, accepted)
        order = await world.row(placed)
        assert (order.state, order.provider_order_id) == ("unknown", None)
        order = await reconcile(desk, order.id)
        assert (order.state, order.provider_order_id) == ("in_progress", f"p{order.id}")

    async def test_a_lease_that_runs_is_left_alone(self, world: World, desk: Desk) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        batch = await desk.send(provider)
        async with desk.runtime.uow.begin() as session:
            assert await sweeping.sweep_dispatch(session) == 0
        await desk.record(batch, accepted)
        assert (await world.row(placed)).state == "in_progress"


class TestReconciling:
    """What time and our own evidence do for an unknown order."""

    async def test_our_own_evidence_finds_the_order(self, world: World, desk: Desk) -> None:
        order_id = await hanging(world, desk)
        attempt = await desk.attempt(order_id)
        async with desk.runtime.uow.begin() as session:
            await evidence_repository.append_evidence(
                session, {attempt.id: ("900", '{"order": 900}')}
            )
        order = await reconcile(desk, order_id)
        assert (order.state, order.provider_order_id) == ("in_progress", "900")
        assert (await desk.attempt(order_id)).state == "accepted"
        assert set(await desk.work_of(order_id)) == {"follow"}

    async def test_evidence_of_an_id_that_another_order_has_finds_nothing(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        await world.order(service=service)
        await desk.submit(provider, Accepted("5", "{}"))
        doubtful = await world.order(service=service)
        await desk.submit(provider, Accepted("5", "{}"))
        assert (await reconcile(desk, doubtful["id"])).state == "unknown"

    async def test_without_evidence_it_is_looked_at_again_and_nothing_moves(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        order_id = await hanging(world, desk)
        order = await reconcile(desk, order_id)
        assert (order.state, order.held) == ("unknown", order.charge)
        due = (await desk.work_of(order_id))["reconcile"].due_at
        assert abs(due - clock.now() - LOOK_EVERY) < timedelta(seconds=3)

    async def test_after_a_day_a_person_has_to_look_and_no_money_has_moved(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        order_id = await hanging(world, desk)
        clock.move(timedelta(hours=23, minutes=59))
        assert (await reconcile(desk, order_id)).state == "unknown"
        clock.move(timedelta(minutes=2))
        order = await reconcile(desk, order_id)
        assert (order.state, order.held) == ("needs_review", order.charge)
        assert await desk.work_of(order_id) == {}

    async def test_an_order_that_was_resolved_meanwhile_is_left_alone(
        self, world: World, desk: Desk
    ) -> None:
        order_id = await hanging(world, desk)
        async with desk.runtime.uow.begin() as session:
            await find(session, order_id)
        assert (await reconcile(desk, order_id)).state == "in_progress"
        assert set(await desk.work_of(order_id)) == {"follow"}


class TestByHand:
    """What operators may do, and when."""

    @pytest.mark.parametrize("state", ["unknown", "needs_review"])
    async def test_an_order_that_was_found_goes_on_to_its_end(
        self, world: World, desk: Desk, state: str
    ) -> None:
        order_id = await hanging(world, desk, state)
        async with desk.runtime.uow.begin() as session:
            order = await find(session, order_id, "900")
        assert (order.state, order.provider_order_id) == ("in_progress", "900")
        provider_id = order.provider_id
        assert provider_id is not None
        async with desk.runtime.uow.begin() as session:
            provider = await supply.get(session, provider_id)
        await desk.hear(provider, progress(ProviderState.COMPLETED))
        assert (await world.row(order_id)).state == "completed"

    async def test_an_id_that_another_order_has_is_not_believed(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        await world.order(service=service)
        await desk.submit(provider, Accepted("5", "{}"))
        other = await world.order(service=service)
        await desk.submit(provider, LOST)
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(ProviderOrderTaken):
                await find(session, other["id"], "5")

    @pytest.mark.parametrize("state", ["unknown", "needs_review"])
    async def test_absence_is_proven_only_a_quarter_of_an_hour_after_sending(
        self, world: World, desk: Desk, clock: Clock, state: str
    ) -> None:
        order_id = await hanging(world, desk, state)
        clock.move(ABSENCE_AFTER - timedelta(seconds=5))
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(TooEarlyToProve):
                await prove_absent(session, order_id)
        assert (await world.row(order_id)).state == state
        clock.move(timedelta(seconds=6))
        async with desk.runtime.uow.begin() as session:
            order = await prove_absent(session, order_id)
        assert order.state == "queued"
        assert (await desk.attempt(order_id)).state == "absent"
        assert set(await desk.work_of(order_id)) == {"dispatch"}

    async def test_an_order_proven_absent_is_sent_once_more(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, LOST)
        clock.move(ABSENCE_AFTER)
        async with desk.runtime.uow.begin() as session:
            await prove_absent(session, placed["id"])
        await desk.submit(provider)
        assert (await world.row(placed)).state == "in_progress"
        assert [one.number for one in await desk.attempts(placed["id"])] == [1, 2]

    async def test_an_order_with_a_providers_id_cannot_be_proven_absent(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        provider = await world.provider()
        order_id = await desk.running(provider, await world.service(routes=[provider]))
        for _ in range(3):
            await desk.hear(provider, IdUnknown())
        clock.move(timedelta(days=1))
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(OrderStateConflict):
                await prove_absent(session, order_id)
        async with desk.runtime.uow.begin() as session:
            assert (await find(session, order_id, f"p{order_id}")).state == "in_progress"

    @pytest.mark.parametrize("state", ["unknown", "needs_review"])
    async def test_a_written_off_order_gives_all_money_back(
        self, world: World, desk: Desk, state: str
    ) -> None:
        order_id = await hanging(world, desk, state)
        async with desk.runtime.uow.begin() as session:
            order = await write_off(session, order_id)
        assert (order.state, order.reason) == ("canceled", "written_off")
        assert (order.refunded, order.held) == (order.charge, 0)
        assert await desk.work_of(order_id) == {}

    async def test_a_provider_that_has_a_written_off_order_is_asked_to_stop_and_heard(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        order_id = await desk.running(provider, await world.service(routes=[provider]))
        await desk.hear(provider, progress(ProviderState.FAILED))
        async with desk.runtime.uow.begin() as session:
            order = await write_off(session, order_id)
        assert (order.state, order.cancel_state) == ("canceled", "requested")
        assert set(await desk.work_of(order_id)) == {"cancel", "follow"}

        await desk.hear(provider, progress(ProviderState.COMPLETED))

        assert (await world.row(order_id)).state == "canceled"
        assert "follow" not in await desk.work_of(order_id)

    @pytest.mark.parametrize(
        ("settlement", "refunded", "remains"),
        [
            (Settlement(OrderState.COMPLETED), "0", 0),
            (Settlement(OrderState.PARTIAL, 250), "0.225", 250),
            (Settlement(OrderState.CANCELED), "0.90", 1000),
            (Settlement(OrderState.FAILED), "0.90", 1000),
        ],
        ids=lambda case: case.target if isinstance(case, Settlement) else None,
    )
    async def test_an_order_under_review_is_settled_by_hand(
        self, world: World, desk: Desk, settlement: Settlement, refunded: str, remains: int
    ) -> None:
        order_id = await hanging(world, desk, "needs_review")
        async with desk.runtime.uow.begin() as session:
            order = await settle(session, order_id, settlement)
        assert (order.state, order.reason) == (settlement.target, "settled_by_hand")
        assert (Money(order.refunded), order.remains) == (Money.parse(refunded), remains)
        last = (await desk.events(order_id))[-1]
        assert (last.type, last.actor, last.data["why"]) == ("settle", "operator:opr_1", "asked")

    @pytest.mark.parametrize("remains", [None, 0, -1, 1000, 1001])
    async def test_a_partial_by_hand_needs_what_was_left_undone(
        self, world: World, desk: Desk, remains: int | None
    ) -> None:
        order_id = await hanging(world, desk, "needs_review")
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(InvalidInput):
                await settle(session, order_id, Settlement(OrderState.PARTIAL, remains))
        assert (await world.row(order_id)).state == "needs_review"

    async def test_an_unknown_order_is_not_settled_by_hand(self, world: World, desk: Desk) -> None:
        order_id = await hanging(world, desk)
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(OrderStateConflict):
                await settle(session, order_id, Settlement(OrderState.COMPLETED))

    async def test_what_does_not_hang_is_not_resolved(self, world: World, desk: Desk) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        running = await desk.running(provider, service)
        queued = (await world.order(service=service))["id"]
        for order_id in (running, queued):
            for verb in (find, prove_absent, write_off):
                async with desk.runtime.uow.begin() as session:
                    with pytest.raises(OrderStateConflict):
                        await verb(session, order_id)
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(NotFound):
                await write_off(session, 1)


class TestWaitingTooLong:
    """Orders that were never handed on."""

    async def test_an_order_queued_for_seven_days_is_canceled_with_its_money_back(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        reseller = await world.reseller(balance="10.00")
        placed = await world.order(reseller)
        clock.move(timedelta(days=7) - timedelta(minutes=1))
        assert await self.cancel_stale(desk) == 0
        clock.move(timedelta(minutes=2))
        assert await self.cancel_stale(desk) == 1
        order = await world.row(placed)
        assert (order.state, order.reason) == ("canceled", "not_started_in_time")
        assert await world.balance(reseller) == Balance(TEN, ZERO)

    async def test_one_that_may_be_at_a_provider_is_never_canceled_by_time(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        order_ids = [await hanging(world, desk), await hanging(world, desk, "needs_review")]
        provider = await world.provider()
        order_ids.append(await desk.running(provider, await world.service(routes=[provider])))
        clock.move(timedelta(days=400))
        assert await self.cancel_stale(desk) == 0
        assert {(await world.row(one)).ended_at for one in order_ids} == {None}

    async def test_one_that_is_held_waits_for_its_hold(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        placed = await world.order()
        async with desk.runtime.uow.begin() as session:
            await holding.put_on_hold(
                session, placed["id"], source="case", source_id="1", reason="r", actor=OPERATOR
            )
        clock.move(timedelta(days=30))
        assert await self.cancel_stale(desk) == 0

    async def cancel_stale(self, desk: Desk) -> int:
        async with desk.runtime.uow.begin() as session:
            return await sweeping.cancel_stale(session, queued_days_max=7)


class TestHolds:
    """Stopping an order that was not handed on yet."""

    async def hold(self, desk: Desk, order_id: int, source: str = "operator") -> Order:
        async with desk.runtime.uow.begin() as session:
            return await holding.put_on_hold(
                session, order_id, source=source, source_id="1", reason="r", actor=OPERATOR
            )

    async def release(self, desk: Desk, order_id: int, source: str = "operator") -> Order:
        async with desk.runtime.uow.begin() as session:
            return await holding.release_hold(session, order_id, source=source, actor=OPERATOR)

    async def test_a_held_order_is_not_handed_on_until_the_last_hold_is_lifted(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        order_id = placed["id"]
        for source in ("operator", "case", "case"):
            assert (await self.hold(desk, order_id, source)).state == "on_hold"
        assert await desk.lease(provider) is None
        assert (await self.release(desk, order_id, "case")).state == "on_hold"
        assert (await self.release(desk, order_id)).state == "queued"
        await desk.submit(provider)
        assert (await world.row(order_id)).state == "in_progress"
        assert await desk.event_types(order_id) == ["place", "hold", "release", "take", "accept"]

    async def test_a_held_order_can_be_canceled_and_its_holds_end_with_it(
        self, world: World, desk: Desk
    ) -> None:
        placed = await world.order()
        await self.hold(desk, placed["id"])
        async with desk.runtime.uow.begin() as session:
            order = await orders.cancel(session, placed["id"], actor=OPERATOR, reason="asked")
        assert (order.state, order.refunded) == ("canceled", order.charge)
        async with desk.runtime.uow.begin() as session:
            open_holds = await session.scalar(
                text("SELECT count(*) FROM order_holds WHERE released_at IS NULL")
            )
        assert open_holds == 0

    async def test_an_order_that_was_handed_on_cannot_be_held(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        order_id = await desk.running(provider, await world.service(routes=[provider]))
        with pytest.raises(OrderStateConflict):
            await self.hold(desk, order_id)
        with pytest.raises(OrderStateConflict):
            await self.release(desk, order_id)


async def test_a_package_cannot_be_partial_by_hand_without_units(world: World, desk: Desk) -> None:
    provider = await world.provider()
    service = await world.service(type=ServiceType.PACKAGE, rate="6.00", routes=[provider])
    placed = await world.order(service=service)
    await desk.submit(provider, refused(RefusalKind.UNSEEN))
    async with desk.runtime.uow.begin() as session:
        with pytest.raises(InvalidInput):
            await settle(session, placed["id"], Settlement(OrderState.PARTIAL, 1))
    async with desk.runtime.uow.begin() as session:
        order = await settle(session, placed["id"], Settlement(OrderState.COMPLETED))
    assert (order.state, order.remains, order.earned) == ("completed", None, order.charge)


async def test_an_order_that_was_only_not_sent_can_be_canceled(world: World, desk: Desk) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    await desk.submit(provider, NotSent("ConnectError"))
    async with desk.runtime.uow.begin() as session:
        order = await orders.cancel(session, placed["id"], actor=OPERATOR, reason="asked")
    assert (order.state, order.refunded) == ("canceled", order.charge)
