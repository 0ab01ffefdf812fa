"""Canceling an order that is being delivered: asked for once, told, settled by its end alone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.money import Money
from app.core.runtime import Runtime
from app.orders import canceling
from app.orders.canceling import ANSWERED_WITHIN, ASK_AGAIN_AFTER, CANCEL, CancelBatch
from app.orders.service import FOLLOW
from app.providers.aftercare import CancelAsked, CancelRefused
from app.providers.protocol import CancelAnswer, ProviderState, Unreadable
from app.supply.models import Provider
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import ResellerCaller, RouteTo, World
from tests.http.problems import problem
from tests.orders.conftest import Desk, progress

BALANCE = Money.parse("10.00")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An order of 1,000 for 0.90 that its provider has, and the means to have it canceled."""

    client: httpx.AsyncClient
    runtime: Runtime
    world: World
    desk: Desk
    reseller: ResellerCaller
    provider: Provider
    order_id: int

    async def cancel(self) -> httpx.Response:
        return await self.client.post(
            f"/v1/orders/{self.order_id}/cancel", headers=self.reseller.headers
        )

    async def read(self) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/orders/{self.order_id}", headers=self.reseller.headers)
        found: dict[str, Any] = answer.json()
        return found

    async def lease(self) -> CancelBatch:
        async with self.runtime.uow.begin() as session:
            batch = await canceling.lease_cancels(
                session, self.runtime.keys, self.provider.id, time_scale=1.0
            )
        assert isinstance(batch, CancelBatch)
        return batch

    async def hear(self, said: CancelAnswer) -> CancelBatch:
        """Ask the provider to cancel what is due, and hear this."""
        batch = await self.lease()
        async with self.runtime.uow.begin() as session:
            await canceling.record_cancel_answers(session, batch, dict.fromkeys(batch.orders, said))
        return batch

    async def hear_nothing(self) -> CancelBatch:
        batch = await self.lease()
        for _ in range(2):  # recorded again, it counts once
            async with self.runtime.uow.begin() as session:
                await canceling.record_cancel_failure(
                    session, batch, retry_after_seconds=None, answered=False
                )
        return batch

    async def kinds(self) -> set[str]:
        return set(await self.desk.work_of(self.order_id))


Begin = Callable[..., Awaitable[Delivery]]


@pytest.fixture
def desk(runtime: Runtime, world: World) -> Desk:
    return Desk(runtime, world)


@pytest.fixture
def begin(client: httpx.AsyncClient, runtime: Runtime, world: World, desk: Desk) -> Begin:
    async def begun(**fields: Any) -> Delivery:
        provider = await world.provider()
        reseller = await world.reseller(balance=str(BALANCE))
        service = await world.service(routes=[provider], rate="0.90", **fields)
        order_id = await desk.running(provider, service, reseller, quantity=1000)
        return Delivery(client, runtime, world, desk, reseller, provider, order_id)

    return begun


@pytest.fixture
async def delivery(begin: Begin) -> Delivery:
    return await begin()


class TestOverTheWire:
    @pytest.fixture
    async def provider(self, world: World, simulator: Simulator) -> Provider:
        await simulator.speed(units_per_second=1)
        return await world.provider(simulator=simulator)

    async def test_what_was_delivered_is_charged_and_the_rest_goes_back(
        self,
        client: httpx.AsyncClient,
        world: World,
        worker: Worker,
        provider: Provider,
        clock: Clock,
    ) -> None:
        reseller = await world.reseller(balance=str(BALANCE))
        service = await world.service(routes=[provider], rate="0.90")
        order = await world.order(reseller, service, quantity=1000)
        await worker.dispatch(provider)
        clock.move(timedelta(seconds=250))

        answer = await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "in_progress")
        assert answer.json()["cancel"]["state"] == "requested"
        await worker.drain(CANCEL, str(provider.id))
        assert (await world.row(order)).held == (await world.row(order)).charge
        await worker.until_ended()

        read = (await client.get(f"/v1/orders/{order['id']}", headers=reseller.headers)).json()
        assert (read["status"], read["remains"]) == ("partial", 750)
        assert (read["cancel"]["state"], read["refunded"]["amount"]) == ("asked", "0.675")
        assert (await world.balance(reseller)).available == BALANCE - Money.parse("0.225")

    async def test_a_provider_that_does_not_cancel_is_quoted(
        self, client: httpx.AsyncClient, world: World, worker: Worker, provider: Provider
    ) -> None:
        reseller = await world.reseller()
        route = RouteTo(provider, provider_service="105")  # of which it cancels nothing
        order = await world.order(reseller, await world.service(routes=[route]), quantity=1000)
        await worker.dispatch(provider)
        await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)
        await worker.drain(CANCEL, str(provider.id))

        read = (await client.get(f"/v1/orders/{order['id']}", headers=reseller.headers)).json()
        assert read["status"] == "in_progress"
        assert read["cancel"]["state"] == "refused"
        assert read["cancel"]["reason"] == "Order cannot be canceled"


class TestAsking:
    async def test_an_answer_of_one_moves_no_money_and_no_state(self, delivery: Delivery) -> None:
        before = await delivery.world.balance(delivery.reseller)
        await delivery.cancel()
        await delivery.hear(CancelAsked())
        read = await delivery.read()
        assert (read["status"], read["cancel"]["state"]) == ("in_progress", "asked")
        assert await delivery.world.balance(delivery.reseller) == before
        assert await delivery.kinds() == {FOLLOW}

    async def test_an_order_that_was_asked_for_is_looked_at_soon(
        self, delivery: Delivery, clock: Clock
    ) -> None:
        clock.move(timedelta(hours=5))
        await delivery.desk.hear(delivery.provider, progress(ProviderState.IN_PROGRESS))
        await delivery.cancel()
        await delivery.hear(CancelAsked())
        due = (await delivery.desk.work_of(delivery.order_id))[FOLLOW].due_at
        assert round((due - clock.now()).total_seconds()) == 60

    async def test_an_order_that_completes_all_the_same_is_paid_in_full(
        self, delivery: Delivery
    ) -> None:
        await delivery.cancel()
        await delivery.hear(CancelAsked())
        await delivery.desk.hear(delivery.provider, progress(ProviderState.COMPLETED))
        read = await delivery.read()
        assert (read["status"], read["refunded"]["amount"]) == ("completed", "0.00")
        assert read["cancel"]["state"] == "asked"

    async def test_asked_twice_it_is_asked_for_once(self, delivery: Delivery) -> None:
        first, second = await delivery.cancel(), await delivery.cancel()
        assert first.json() == second.json()
        await delivery.hear(CancelAsked())
        assert (await delivery.cancel()).json()["cancel"]["state"] == "asked"
        types = await delivery.desk.event_types(delivery.order_id)
        assert types[-2:] == ["cancel_requested", "cancel_asked"]
        assert await delivery.kinds() == {FOLLOW}

    async def test_the_timeline_tells_the_reseller(self, delivery: Delivery) -> None:
        await delivery.cancel()
        await delivery.hear(CancelRefused("too late"))
        path = f"/v1/orders/{delivery.order_id}/events"
        listed = await delivery.client.get(path, headers=delivery.reseller.headers)
        types = [event["type"] for event in listed.json()["data"]]
        assert types[-2:] == ["cancel_requested", "cancel_refused"]

    async def test_a_refusal_stands_for_ten_minutes_and_then_one_may_ask_again(
        self, delivery: Delivery, clock: Clock
    ) -> None:
        await delivery.cancel()
        await delivery.hear(CancelRefused("not now"))
        clock.move(ASK_AGAIN_AFTER - timedelta(seconds=1))
        read = (await delivery.cancel()).json()["cancel"]
        assert (read["state"], read["reason"]) == ("refused", "not now")
        assert CANCEL not in await delivery.kinds()
        clock.move(timedelta(seconds=1))
        read = (await delivery.cancel()).json()["cancel"]
        assert (read["state"], read["reason"]) == ("requested", None)
        assert CANCEL in await delivery.kinds()

    async def test_a_provider_without_an_answer_is_asked_again_for_a_day(
        self, delivery: Delivery, clock: Clock
    ) -> None:
        await delivery.cancel()
        waits = []
        for said in (None, Unreadable("an array"), None):
            await (delivery.hear(said) if said else delivery.hear_nothing())
            due = (await delivery.desk.work_of(delivery.order_id))[CANCEL].due_at
            wait = due - clock.now()
            waits.append(round(wait.total_seconds()))
            clock.move(wait)
        assert waits == [60, 120, 240]
        provider = await delivery.desk.provider(delivery.provider)
        assert provider.breaker_read_failures == 1
        clock.move(ANSWERED_WITHIN)
        await delivery.hear_nothing()
        read = (await delivery.read())["cancel"]
        assert (read["state"], read["reason"]) == ("refused", "No answer came in time.")
        assert CANCEL not in await delivery.kinds()

    async def test_an_order_that_ends_first_is_asked_for_no_more(self, delivery: Delivery) -> None:
        await delivery.cancel()
        batch = await delivery.lease()
        await delivery.desk.hear(delivery.provider, progress(ProviderState.COMPLETED))
        async with delivery.runtime.uow.begin() as session:
            await canceling.record_cancel_answers(
                session, batch, dict.fromkeys(batch.orders, CancelAsked())
            )
        read = await delivery.read()
        assert (read["status"], read["cancel"]["state"]) == ("completed", "requested")
        assert await delivery.kinds() == set()

    async def test_a_worker_that_lost_its_lease_records_nothing(
        self, delivery: Delivery, worker: Worker
    ) -> None:
        await delivery.cancel()
        batch = await delivery.lease()
        await worker.lose_leases()
        await worker.upkeep()
        async with delivery.runtime.uow.begin() as session:
            await canceling.record_cancel_answers(
                session, batch, dict.fromkeys(batch.orders, CancelRefused("late"))
            )
        assert (await delivery.read())["cancel"]["state"] == "requested"
        assert (await delivery.hear(CancelAsked())).orders == batch.orders

    async def test_what_was_requested_is_asked_for_after_a_review(self, delivery: Delivery) -> None:
        await delivery.cancel()
        await delivery.desk.hear(delivery.provider, progress(ProviderState.FAILED))
        assert (await delivery.world.row(delivery.order_id)).state == "needs_review"
        assert (await delivery.cancel()).status_code == 409
        operator = await delivery.world.operator()
        row = await delivery.world.row(delivery.order_id)
        found = await delivery.client.post(
            f"/v1/operator/orders/{delivery.order_id}/resolve",
            json={
                "outcome": "accepted",
                "provider_order_id": row.provider_order_id,
                "reason": "it runs",
            },
            headers=operator.headers | {"Idempotency-Key": "key-1"},
        )
        assert found.status_code == 200, found.text
        assert await delivery.kinds() == {FOLLOW, CANCEL}
        await delivery.hear(CancelAsked())


class TestWhatCannotBeCanceled:
    async def test_a_service_without_cancel_refuses_once_it_has_begun(self, begin: Begin) -> None:
        delivery = await begin(cancel=False)
        problem(await delivery.cancel(), 409, "order-not-cancelable")

    async def test_a_provider_that_has_no_such_call_refuses(
        self, delivery: Delivery, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await session.execute(
                text("UPDATE providers SET adapter = 'smoservice' WHERE id = :id"),
                {"id": delivery.provider.id},
            )
        problem(await delivery.cancel(), 409, "order-not-cancelable")

    async def test_an_order_on_its_way_refuses_and_says_to_try_again(
        self, client: httpx.AsyncClient, world: World, desk: Desk
    ) -> None:
        provider, reseller = await world.provider(), await world.reseller()
        order = await world.order(reseller, await world.service(routes=[provider]))
        await desk.send(provider)
        answer = await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)
        assert "try again later" in problem(answer, 409, "order-not-cancelable")["detail"]

    async def test_operators_ask_by_the_same_rule(self, delivery: Delivery) -> None:
        operator = await delivery.world.operator()
        answer = await delivery.client.post(
            f"/v1/operator/orders/{delivery.order_id}/cancel",
            json={"reason": "asked by phone"},
            headers=operator.headers,
        )
        assert (answer.status_code, answer.json()["cancel_state"]) == (200, "requested")
