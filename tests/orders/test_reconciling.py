"""Lost orders: looked for by every means that their provider allows, and never sent on a guess."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.catalog.models import OnUnknown
from app.core import work
from app.core.audit import Actor
from app.core.clock import CLOCKS_APART_MAX, Clock
from app.core.ids import new_id
from app.core.money import Money
from app.core.runtime import Runtime
from app.core.work import MAIN_LANE
from app.orders import conceding, gauges, inquiry_repository, reconciling, resolving, unresolved
from app.orders import service as orders
from app.orders.conceding import Concession
from app.orders.errors import OrderStateConflict
from app.orders.hand_settlement import Settlement
from app.orders.inquiry_models import Inquiry
from app.orders.judging import ABSENCE_AFTER, LOOK_EVERY
from app.orders.models import Order
from app.orders.reconciling import Learned
from app.orders.service import RECONCILE
from app.orders.states import OrderState
from app.orders.unresolved import Next, Unresolved
from app.providers.forms import ServiceType
from app.providers.protocol import (
    Accepted,
    Found,
    IdUnknown,
    LookupAnswer,
    NotThere,
    ProviderBalance,
    ProviderState,
    StatusAnswer,
    SubmitOutcome,
    Unconfirmed,
    Unreadable,
)
from app.supply import probing, protection, sampling
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import Closed, Grant
from app.supply.sampling import QUIET_MAX
from app.supply.service import PROBE, Evidence
from tests.fixtures.world import World
from tests.orders.conftest import Desk, progress

LOST = Unconfirmed("ReadTimeout")
OPERATOR = Actor("operator", "opr_1")
COST = Money.parse("0.50").micros


class Search:
    """One provider with what its operator declared of it, and what it is heard to say."""

    def __init__(self, world: World, desk: Desk, provider: Provider) -> None:
        self._world = world
        self._desk = desk
        self._runtime = desk.runtime
        self.provider = provider

    async def declare(self, **evidence: bool) -> None:
        async with self._runtime.uow.begin() as session:
            await supply.declare(session, self.provider, Evidence(**evidence))

    async def order(self, say: Any = LOST, **service: Any) -> int:
        """An order of its own service, handed over, of which this was said."""
        placed = await self._world.order(
            service=await self._world.service(routes=[self.provider], **service)
        )
        await self._desk.submit(self.provider, say)
        order_id: int = placed["id"]
        return order_id

    async def completed(self, given: str) -> int:
        """An order that went well, at the cost that was expected."""
        order_id = await self.order(Accepted(given, "{}"))
        done = progress(ProviderState.COMPLETED, charge_micros=COST)
        await self._desk.hear(self.provider, {order_id: done})
        return order_id

    async def look(self, order_id: int, learned: Learned | None = None) -> Order:
        await self._desk.look(order_id, learned or Learned())
        return await self._world.row(order_id)

    async def look_up(self, order_id: int, answer: LookupAnswer) -> Order:
        attempt = await self._desk.attempt(order_id)
        return await self.look(order_id, Learned(lookups={str(attempt.id): answer}))

    async def sample(self, balance: str) -> None:
        """A probe that learns this balance."""
        async with self._runtime.uow.begin() as session:
            await work.put(session, PROBE, str(self.provider.id))
            lease = await work.lease(
                session, PROBE, MAIN_LANE, limit=1, in_flight_max=1, seconds=60
            )
            asking = await sampling.begin_asking(session, self.provider.id)
        learned = ProviderBalance(Money.parse(balance).micros, "USD")
        async with self._runtime.uow.begin() as session:
            await probing.record_probe(
                session, lease, self.provider.id, learned, time_scale=1.0, asking=asking
            )

    async def inquiry(self, order_id: int) -> Inquiry:
        attempts = await self._desk.attempts(order_id)
        async with self._runtime.uow.begin() as session:
            found = await inquiry_repository.find(session, attempts[0].id)
        assert found is not None
        return found

    async def listed(self) -> dict[int, Unresolved]:
        async with self._runtime.uow.begin() as session:
            rows = await unresolved.page(session, after=None, limit=50, unknown_hours_max=24)
        return {row.order.id: row for row in rows}


@pytest.fixture
async def search(world: World, desk: Desk) -> Search:
    """At a provider that can be asked everything."""
    return Search(world, desk, await world.provider(adapter="smmos"))


class TestLookingUp:
    """The provider is asked by our own reference."""

    async def test_what_the_provider_has_under_our_reference_is_found(
        self, search: Search, desk: Desk
    ) -> None:
        order_id = await search.order()
        order = await search.look_up(order_id, Found("77"))
        assert (order.state, order.provider_order_id) == ("in_progress", "77")
        assert (await search.inquiry(order_id)).resolved_by == "lookup"
        last = (await desk.events(order_id))[-1]
        assert (last.type, last.actor, last.data["why"]) == ("find", "system:reconcile", "lookup")

    async def test_what_is_not_there_proves_absence_only_when_asked_a_quarter_of_an_hour_after(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await search.order()
        clock.move(ABSENCE_AFTER - timedelta(seconds=2))
        assert (await search.look_up(order_id, NotThere())).state == "unknown"
        clock.move(timedelta(minutes=5))
        # What was said before is no proof, however much later it is looked at.
        assert (await search.look(order_id)).state == "unknown"
        assert (await search.look_up(order_id, NotThere())).state == "queued"
        assert (await search.inquiry(order_id)).resolved_by == "lookup"
        await desk.submit(search.provider)
        assert [one.state for one in await desk.attempts(order_id)] == ["absent", "accepted"]

    async def test_an_answer_that_makes_no_sense_decides_nothing(
        self, search: Search, clock: Clock
    ) -> None:
        order_id = await search.order()
        clock.move(timedelta(hours=1))
        assert (await search.look_up(order_id, Unreadable("?"))).state == "unknown"

    async def test_an_id_that_another_order_has_is_not_believed_and_never_written_off(
        self, search: Search, clock: Clock
    ) -> None:
        await search.order(Accepted("77", "{}"))
        order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=1)
        clock.move(timedelta(hours=2))
        assert (await search.look_up(order_id, Found("77"))).state == "unknown"
        shown = (await search.listed())[order_id]
        assert "77" in shown.evidence["own"]
        assert shown.then is Next.REVIEW

    async def test_a_look_whose_lease_was_lost_moves_nothing_and_is_kept(
        self, search: Search, desk: Desk, runtime: Runtime
    ) -> None:
        order_id = await search.order()
        attempt = await desk.attempt(order_id)
        lane = str(search.provider.id)
        async with runtime.uow.begin() as session:
            await work.put(session, RECONCILE, str(order_id), lane=lane)
        async with runtime.uow.begin() as session:
            look = await reconciling.lease_look(
                session, runtime.keys, search.provider.id, time_scale=1.0
            )
        assert look is not None
        async with runtime.uow.begin() as session:
            await work.put(session, RECONCILE, str(order_id), lane=lane)
        learned = Learned(lookups={str(attempt.id): Found("77")})
        [question] = look.questions
        assert question.reference == str(attempt.id)
        async with runtime.uow.begin() as session:
            await reconciling.record_look(session, look, question, learned, unknown_hours_max=24)
        assert (await desk.event_types(order_id))[-1] == "lose"
        assert (await search.look(order_id)).state == "in_progress", "found by our own evidence"

    async def test_an_operator_cannot_call_absent_what_a_look_up_has_found(
        self, search: Search, runtime: Runtime, clock: Clock
    ) -> None:
        await search.order(Accepted("77", "{}"))
        order_id = await search.order()
        await search.look_up(order_id, Found("77"))
        clock.move(ABSENCE_AFTER)
        async with runtime.uow.begin() as session:
            with pytest.raises(OrderStateConflict):
                await resolving.prove_absent(session, order_id, actor=OPERATOR, reason="gone")


class TestBalance:
    """The provider's balance before and after, where it was declared to be proof."""

    @pytest.fixture(autouse=True)
    async def declared(self, search: Search) -> None:
        await search.declare(balance_is_proof=True)

    async def around(
        self, search: Search, clock: Clock, after: str, *, minutes: int = 16
    ) -> tuple[int, Order]:
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        clock.move(timedelta(minutes=minutes))
        await search.sample(after)
        return order_id, await search.look(order_id)

    async def test_a_balance_that_did_not_fall_sends_the_order_again(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "queued"
        assert (await search.inquiry(order_id)).resolved_by == "balance"
        last = (await desk.events(order_id))[-1]
        assert (last.type, last.data["why"]) == ("prove_absent", "balance")

    async def test_a_balance_that_fell_by_its_cost_is_kept_as_evidence_for_a_person(
        self, search: Search, clock: Clock
    ) -> None:
        order_id, order = await self.around(search, clock, "99.51")
        assert order.state == "unknown"
        assert (await search.listed())[order_id].evidence["balance"].startswith("taken")

    async def test_early_the_balance_proves_no_absence(self, search: Search, clock: Clock) -> None:
        order_id, order = await self.around(search, clock, "100.01", minutes=10)
        assert order.state == "unknown"
        assert "too early" in (await search.listed())[order_id].evidence["balance"]

    async def test_what_others_were_charged_is_taken_off(
        self, search: Search, clock: Clock
    ) -> None:
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        clock.move(timedelta(minutes=1))
        await search.completed("8")
        clock.move(timedelta(minutes=16))
        await search.sample("99.51")
        assert (await search.look(order_id)).state == "queued"

    @pytest.mark.parametrize("ended", [None, ProviderState.CANCELED])
    async def test_an_order_that_may_have_been_repaid_makes_it_unclear(
        self, search: Search, desk: Desk, clock: Clock, ended: ProviderState | None
    ) -> None:
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        clock.move(timedelta(minutes=1))
        other = await search.order(Accepted("8", "{}"))
        if ended is not None:
            said = progress(ended, remains=1000, charge_micros=0)
            await desk.hear(search.provider, {other: said})
        clock.move(timedelta(minutes=16))
        await search.sample("100.01")
        assert (await search.look(order_id)).state == "unknown"
        assert "repa" in (await search.listed())[order_id].evidence["balance"]

    @pytest.mark.parametrize("written_off", [False, True])
    @pytest.mark.parametrize("days", [0, 7])
    async def test_an_order_that_ended_on_our_word_may_be_repaid_long_after(
        self, search: Search, runtime: Runtime, clock: Clock, written_off: bool, days: int
    ) -> None:
        other = await search.order(LOST if written_off else Accepted("8", "{}"))
        async with runtime.uow.begin() as session:
            if written_off:
                await resolving.write_off(session, other, actor=OPERATOR, reason="given up")
            else:
                order = await orders.lock(session, other)
                whole = Concession(new_id(), Money(order.charge), OPERATOR, {})
                await conceding.end_running(session, order, whole)
        clock.move(timedelta(days=days, minutes=20))
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "unknown"
        assert "repayment" in (await search.listed())[order_id].evidence["balance"]

    @pytest.mark.parametrize(("hours", "state"), [(20, "unknown"), (25, "queued")])
    async def test_what_a_provider_did_not_deliver_may_be_repaid_hours_after(
        self, search: Search, desk: Desk, clock: Clock, hours: int, state: str
    ) -> None:
        other = await search.order(Accepted("8", "{}"))
        said = progress(ProviderState.CANCELED, remains=1000, charge_micros=0)
        await desk.hear(search.provider, {other: said})
        clock.move(timedelta(hours=hours))
        _, order = await self.around(search, clock, "100.01")
        assert order.state == state

    async def test_a_balance_that_once_said_taken_is_not_unsaid_by_what_comes_later(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=2)
        clock.move(timedelta(minutes=16))
        await search.sample("99.51")
        await search.look(order_id)
        assert (await search.inquiry(order_id)).balance == "taken"
        # Another order ends short now: its repayment cannot be in what was read long before.
        other = await search.order(Accepted("8", "{}"))
        said = progress(ProviderState.CANCELED, remains=1000, charge_micros=0)
        await desk.hear(search.provider, {other: said})
        clock.move(timedelta(hours=2))
        order = await search.look(order_id)
        assert (order.state, order.refunded) == ("unknown", 0)
        assert (await search.inquiry(order_id)).balance == "taken"

    async def test_an_order_lost_before_may_be_repaid_while_another_is_charged_for(
        self, search: Search, clock: Clock
    ) -> None:
        earlier = await search.order()
        clock.move(timedelta(minutes=20))
        # In truth both were taken, and the first is paid back by the time of the second sample.
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "unknown"
        assert "repaid" in (await search.listed())[order_id].evidence["balance"]
        assert earlier in await search.listed()

    async def test_a_lost_order_that_a_person_has_settled_may_still_be_repaid(
        self, search: Search, runtime: Runtime, clock: Clock
    ) -> None:
        earlier = await search.order()
        async with runtime.uow.begin() as session:
            await resolving.hand_over(session, earlier, "asked for")
            await resolving.settle_by_hand(
                session, earlier, Settlement(OrderState.CANCELED), actor=OPERATOR, reason="told"
            )
        clock.move(timedelta(minutes=20))
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "unknown"
        assert "repayment" in (await search.listed())[order_id].evidence["balance"]

    @pytest.mark.parametrize(
        ("settlement", "days"),
        [(Settlement(OrderState.COMPLETED), 0), (Settlement(OrderState.CANCELED), 7)],
    )
    async def test_an_order_that_a_person_has_settled_may_be_repaid_long_after(
        self,
        search: Search,
        desk: Desk,
        runtime: Runtime,
        clock: Clock,
        settlement: Settlement,
        days: int,
    ) -> None:
        other = await search.order(Accepted("8", "{}"))
        await desk.hear(search.provider, {other: progress(ProviderState.FAILED)})
        async with runtime.uow.begin() as session:
            await resolving.settle_by_hand(
                session, other, settlement, actor=OPERATOR, reason="told"
            )
        clock.move(timedelta(days=days, minutes=20))
        # In truth this one was taken, and the other is paid back at the same time.
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "unknown"
        assert "repayment" in (await search.listed())[order_id].evidence["balance"]

    async def test_without_the_declaration_no_balance_is_believed(
        self, search: Search, clock: Clock
    ) -> None:
        await search.declare(balance_is_proof=False)
        order_id, order = await self.around(search, clock, "100.01")
        assert order.state == "unknown"
        assert "balance" not in (await search.listed())[order_id].evidence

    async def test_a_lost_order_makes_the_balance_be_read_at_once(
        self, search: Search, runtime: Runtime, clock: Clock
    ) -> None:
        await search.sample("100.01")
        await search.order()
        async with runtime.uow.begin() as session:
            due = await work.due_times(session, PROBE, [str(search.provider.id)])
        assert due[str(search.provider.id)] <= clock.now()

    async def test_after_a_lost_order_a_quiet_provider_gets_no_other_until_its_balance_is_read(
        self, search: Search, world: World, desk: Desk, runtime: Runtime, clock: Clock
    ) -> None:
        await search.declare(quiet_after_unknown=True)
        await search.order()
        assert await self.admitted(runtime, search) is Closed.QUIET
        service = await world.service(routes=[search.provider])
        waiting = await world.order(service=service)
        assert await desk.lease(search.provider) is Closed.QUIET
        assert (await world.row(waiting)).wait_reason == "provider_quiet"
        clock.move(CLOCKS_APART_MAX + timedelta(seconds=1))
        await search.sample("99.51")
        assert isinstance(await self.admitted(runtime, search), Grant)
        # Another so soon does not silence it again.
        clock.move(timedelta(minutes=1))
        await search.order()
        assert isinstance(await self.admitted(runtime, search), Grant)

    async def test_quiet_goes_on_until_a_balance_is_surely_from_after_the_loss(
        self, search: Search, runtime: Runtime, clock: Clock
    ) -> None:
        await search.declare(quiet_after_unknown=True)
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        clock.move(timedelta(seconds=3))
        await search.sample("99.51")
        assert await self.admitted(runtime, search) is Closed.QUIET
        async with runtime.uow.begin() as session:
            due = await work.due_times(session, PROBE, [str(search.provider.id)])
        again = due[str(search.provider.id)] - clock.now()
        assert timedelta() < again <= CLOCKS_APART_MAX
        clock.move(again + timedelta(seconds=1))
        await search.sample("99.51")
        assert isinstance(await self.admitted(runtime, search), Grant)
        # What follows now takes nothing away from that proof.
        await search.order(Accepted("9", "{}"))
        clock.move(timedelta(minutes=2))
        await search.look(order_id)
        assert (await search.inquiry(order_id)).balance == "taken"

    async def test_quiet_lasts_two_minutes_at_most(
        self, search: Search, runtime: Runtime, clock: Clock
    ) -> None:
        await search.declare(quiet_after_unknown=True)
        await search.order()
        clock.move(QUIET_MAX - timedelta(seconds=1))
        assert await self.admitted(runtime, search) is Closed.QUIET
        clock.move(timedelta(seconds=1))
        assert isinstance(await self.admitted(runtime, search), Grant)

    async def admitted(self, runtime: Runtime, search: Search) -> Grant | Closed:
        async with runtime.uow.begin() as session:
            return await protection.admit_submits(session, search.provider.id)


class TestBalanceBesideSubscriptions:
    """A subscription is charged for post by post, and what it did not use is paid back."""

    @pytest.fixture
    async def search(self, world: World, desk: Desk) -> Search:
        search = Search(world, desk, await world.provider())
        await search.declare(balance_is_proof=True)
        return search

    async def subscribe(self, search: Search, world: World, desk: Desk, say: SubmitOutcome) -> int:
        service = await world.service(type=ServiceType.SUBSCRIPTIONS, routes=[search.provider])
        await world.order(
            service=service, username="ada", min=100, max=200, delay=0, spend_cap="5.00"
        )
        batch = await desk.submit(search.provider, say)
        [handover] = batch.handovers
        return handover.order_id

    async def test_a_lost_one_is_not_proven_absent_by_a_balance_that_did_not_fall(
        self, search: Search, world: World, desk: Desk, clock: Clock
    ) -> None:
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await self.subscribe(search, world, desk, LOST)
        clock.move(timedelta(minutes=16))
        await search.sample("100.01")
        assert (await search.look(order_id)).state == "unknown"
        assert "post by post" in (await search.listed())[order_id].evidence["balance"]

    async def test_the_repayment_for_one_that_expired_may_hide_a_charge(
        self, search: Search, world: World, desk: Desk, clock: Clock
    ) -> None:
        subscription = await self.subscribe(search, world, desk, Accepted("8", "{}"))
        clock.move(timedelta(minutes=1))
        await search.sample("100.01")
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        said = progress(ProviderState.EXPIRED, posts=1, charge_micros=100_000)
        await desk.hear(search.provider, {subscription: said})
        assert (await world.row(subscription)).state == "completed"
        clock.move(timedelta(minutes=16))
        await search.sample("100.01")
        assert (await search.look(order_id)).state == "unknown"
        assert "repayment" in (await search.listed())[order_id].evidence["balance"]


class TestIds:
    """The provider's ids between our orders before and after, where it agreed to be asked."""

    @pytest.fixture(autouse=True)
    async def declared(self, search: Search) -> None:
        await search.declare(may_probe_ids=True)

    async def lost_between(
        self, search: Search, clock: Clock, before: str, after: str, *, minutes: int = 20
    ) -> int:
        await search.order(Accepted(before, "{}"))
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        clock.move(timedelta(minutes=minutes))
        await search.order(Accepted(after, "{}"))
        clock.move(timedelta(minutes=1))
        return order_id

    async def asked(
        self, search: Search, desk: Desk, order_id: int, said: Mapping[int, StatusAnswer]
    ) -> Order:
        """Look, and hear of each id that is asked what it is, or that it is not ours."""
        look = await desk.look(order_id)
        assert look is not None
        ids = next(one.ids for one in look.questions if one.order_id == order_id)
        statuses = {str(one): said.get(one, IdUnknown()) for one in ids}
        return await search.look(order_id, Learned(statuses=statuses))

    async def test_the_one_id_of_ours_that_no_order_has_is_the_lost_one(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await self.lost_between(search, clock, "100", "120")
        order = await self.asked(search, desk, order_id, {107: progress(ProviderState.PENDING)})
        assert (order.state, order.provider_order_id) == ("in_progress", "107")
        assert (await search.inquiry(order_id)).resolved_by == "status"

    async def test_a_gap_without_any_id_of_ours_proves_absence(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await self.lost_between(search, clock, "100", "120")
        order = await self.asked(search, desk, order_id, {})
        assert order.state == "queued"
        assert (await search.inquiry(order_id)).resolved_by == "status"

    async def test_ids_of_our_other_orders_are_not_asked_about(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.order(Accepted("100", "{}"))
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        await search.order(Accepted("101", "{}"))
        clock.move(timedelta(minutes=20))
        await search.order(Accepted("104", "{}"))
        clock.move(timedelta(minutes=1))
        look = await desk.look(order_id)
        assert look is not None
        assert [one.ids for one in look.questions] == [(102, 103)]
        order = await self.asked(search, desk, order_id, {103: progress(ProviderState.PENDING)})
        assert (order.state, order.provider_order_id) == ("in_progress", "103")

    async def test_a_neighbour_from_too_soon_after_proves_no_absence(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await self.lost_between(search, clock, "100", "120", minutes=1)
        clock.move(timedelta(hours=1))
        assert (await self.asked(search, desk, order_id, {})).state == "unknown"
        assert "so far" in (await search.listed())[order_id].evidence["ids"]

    async def test_an_id_that_was_unknown_while_the_order_was_on_its_way_proves_no_absence(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.order(Accepted("100", "{}"))
        clock.move(timedelta(minutes=1))
        order_id = await search.order()
        await search.order(Accepted("102", "{}"))
        clock.move(timedelta(minutes=1))
        # The provider has numbered it 101 by now, and does not tell before it is through.
        await self.asked(search, desk, order_id, {})
        clock.move(ABSENCE_AFTER)
        await search.order(Accepted("104", "{}"))
        clock.move(timedelta(minutes=1))
        order = await self.asked(search, desk, order_id, {101: progress(ProviderState.PENDING)})
        assert (order.state, order.provider_order_id) == ("in_progress", "101")

    async def test_a_neighbour_from_before_by_less_than_clocks_may_be_apart_is_none(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.order(Accepted("100", "{}"))
        clock.move(timedelta(minutes=1))
        # By a worker's clock that is slow: in truth it was taken after the lost one, as 102.
        await search.order(Accepted("102", "{}"))
        clock.move(CLOCKS_APART_MAX - timedelta(seconds=3))
        order_id = await search.order()
        clock.move(timedelta(minutes=20))
        await search.order(Accepted("104", "{}"))
        clock.move(timedelta(minutes=1))
        order = await self.asked(search, desk, order_id, {101: progress(ProviderState.PENDING)})
        assert (order.state, order.provider_order_id) == ("in_progress", "101")

    async def test_an_id_of_ours_that_no_order_has_stands_against_all_that_says_absent(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await self.lost_between(search, clock, "100", "110", minutes=10)
        clock.move(timedelta(minutes=10))
        attempt = await desk.attempt(order_id)
        look = await desk.look(order_id)
        assert look is not None
        ours = {str(one): IdUnknown() for one in look.questions[0].ids}
        learned = Learned(
            lookups={str(attempt.id): NotThere()},
            statuses=ours | {"107": progress(ProviderState.PENDING)},
        )
        assert (await search.look(order_id, learned)).state == "unknown"
        # The gap grows, and this time nobody answers.
        await search.order(Accepted("120", "{}"))
        clock.move(timedelta(minutes=1))
        assert (await search.look(order_id)).state == "unknown"

    async def test_with_two_lost_orders_in_the_gap_an_id_is_no_proof_for_either(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.order(Accepted("100", "{}"))
        clock.move(timedelta(minutes=1))
        first = await search.order()
        second = await search.order()
        clock.move(timedelta(minutes=20))
        await search.order(Accepted("120", "{}"))
        clock.move(timedelta(minutes=1))
        for order_id in (first, second):
            order = await self.asked(search, desk, order_id, {107: progress(ProviderState.PENDING)})
            assert order.state == "unknown"

    @pytest.mark.parametrize(("before", "after"), [("abc", "120"), ("120", "100"), ("007", "120")])
    async def test_ids_that_are_no_sequence_are_not_asked_about(
        self, search: Search, desk: Desk, clock: Clock, before: str, after: str
    ) -> None:
        order_id = await self.lost_between(search, clock, before, after)
        look = await desk.look(order_id)
        assert look is not None
        assert [one.ids for one in look.questions if one.ids] == []

    async def test_without_the_providers_consent_no_id_is_asked_about(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        await search.declare(may_probe_ids=False)
        order_id = await self.lost_between(search, clock, "100", "120")
        look = await desk.look(order_id)
        assert look is not None
        assert [one.ids for one in look.questions if one.ids] == []


class TestPolicies:
    """What time does for a service that does not hold."""

    async def test_a_service_may_write_off_after_some_hours_and_the_timeline_names_the_rule(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=2)
        clock.move(timedelta(hours=2, minutes=-1))
        assert (await search.look(order_id)).state == "unknown"
        clock.move(timedelta(minutes=1))
        order = await search.look(order_id)
        assert (order.state, order.reason, order.refunded) == (
            "canceled",
            "written_off",
            order.charge,
        )
        last = (await desk.events(order_id))[-1]
        assert (last.actor, last.data["why"]) == (
            "system:reconcile",
            "on_unknown: write_off after 2 hours",
        )
        assert (await search.inquiry(order_id)).resolved_by == "policy"

    async def test_it_still_does_for_an_order_that_a_person_has_been_asked_to_look_at(
        self, search: Search, clock: Clock
    ) -> None:
        order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=48)
        clock.move(timedelta(hours=25))
        assert (await search.look(order_id)).state == "needs_review"
        shown = (await search.listed())[order_id]
        assert (shown.look_at, shown.then) == (None, Next.WRITE_OFF)
        clock.move(timedelta(hours=23))
        assert (await search.look(order_id)).state == "canceled"

    async def test_by_default_it_is_held_and_nothing_but_a_person_ends_it(
        self, search: Search, desk: Desk, clock: Clock
    ) -> None:
        order_id = await search.order()
        clock.move(timedelta(days=30))
        order = await search.look(order_id)
        assert (order.state, order.held) == ("needs_review", order.charge)
        assert await desk.work_of(order_id) == {}
        shown = (await search.listed())[order_id]
        assert (shown.then, shown.then_at) == (Next.NOTHING, None)


async def test_the_list_says_what_is_known_and_what_comes_next(
    search: Search, clock: Clock
) -> None:
    order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=2)
    clock.move(timedelta(minutes=1))
    await search.look_up(order_id, NotThere())
    clock.move(timedelta(minutes=5))
    shown = (await search.listed())[order_id]
    sent_at = shown.since
    assert shown.provider == search.provider.name
    assert shown.evidence == {
        "answer": "ReadTimeout",
        "lookup": "not there under our reference (5 min ago)",
    }
    assert shown.look_at is not None
    assert abs(shown.look_at - clock.now() + timedelta(minutes=5) - LOOK_EVERY) < timedelta(
        seconds=3
    )
    assert (shown.then, shown.then_at) == (Next.WRITE_OFF, sent_at + timedelta(hours=2))


async def test_the_gauges_tell_how_many_are_lost_how_old_and_by_what_they_were_resolved(
    search: Search, runtime: Runtime, clock: Clock
) -> None:
    found, left = await search.order(), await search.order()
    await search.look_up(found, Found("77"))
    clock.move(timedelta(minutes=30))
    async with runtime.uow.begin() as session:
        samples = await gauges.lost_samples(session)
    told = {(one.name, one.labels): one.value for one in samples}
    provider = f'provider="{search.provider.name}"'
    assert (await search.listed()).keys() == {left}
    assert told["smmos_lost_orders", provider] == 1
    assert told["smmos_lost_orders_last_day", provider] == 2
    assert told["smmos_lost_orders_resolved_last_day", 'by="lookup"'] == 1
    assert told["smmos_lost_orders_resolved_last_day", 'by="operator"'] == 0
    assert told["smmos_lost_orders_age_p99_seconds", ""] == pytest.approx(1800, abs=5)


async def test_work_of_an_older_version_is_given_its_providers_lane(
    search: Search, desk: Desk, runtime: Runtime
) -> None:
    order_id = await search.order()
    async with runtime.uow.begin() as session:
        await work.put(session, RECONCILE, str(order_id))
        await session.execute(text("DELETE FROM inquiries"))
    async with runtime.uow.begin() as session:
        assert await reconciling.give_lanes(session) == 1
    assert (await desk.work_of(order_id))["reconcile"].lane == str(search.provider.id)
    assert (await search.look_up(order_id, Found("77"))).state == "in_progress"


@pytest.mark.committing
async def test_two_orders_cannot_be_found_under_one_id_at_once(world: World, desk: Desk) -> None:
    search = Search(world, desk, await world.provider(adapter="smmos"))
    first, second = await search.order(), await search.order()
    attempts = [await desk.attempt(one) for one in (first, second)]
    learned = Learned(lookups={str(one.id): Found("77") for one in attempts})
    async with desk.runtime.uow.begin() as session:
        for order_id in (first, second):
            lane = str(search.provider.id)
            await work.put(session, RECONCILE, str(order_id), lane=lane)
    async with desk.runtime.uow.begin() as session:
        look = await reconciling.lease_look(
            session, desk.runtime.keys, search.provider.id, time_scale=1.0
        )
    assert look is not None

    async def record(number: int) -> None:
        async with desk.runtime.uow.begin() as session:
            await reconciling.record_look(
                session, look, look.questions[number], learned, unknown_hours_max=24
            )

    await asyncio.gather(record(0), record(1))
    states = sorted([(await world.row(one)).state for one in (first, second)])
    assert states in (["in_progress", "unknown"], ["unknown", "unknown"])
