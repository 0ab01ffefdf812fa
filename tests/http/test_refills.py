"""Refills by the public door: what is promised, what is refused, what an operator resolves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.catalog import service as catalog
from app.core import gauges, idempotency
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders.refill_moves import POLL_MAX, REFILL, REFILL_FOLLOW
from app.supply import pausing
from app.supply.models import Provider
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import ResellerCaller, RouteTo, World
from tests.http.problems import problem
from tests.http.test_reads import walk

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shop:
    """A reseller with an order that was delivered in full, and the means to have it refilled."""

    client: httpx.AsyncClient
    world: World
    worker: Worker
    simulator: Simulator
    clock: Clock
    reseller: ResellerCaller
    provider: Provider
    service_id: int
    order_id: int

    async def ask(self, order_id: int | None = None, *, key: str | None = None) -> httpx.Response:
        path = f"/v1/orders/{order_id or self.order_id}/refills"
        headers = self.reseller.headers | ({"Idempotency-Key": key} if key else {})
        return await self.client.post(path, headers=headers)

    async def made(self) -> dict[str, Any]:
        answer = await self.ask()
        assert answer.status_code == 201, answer.text
        refill: dict[str, Any] = answer.json()
        return refill

    async def read(self, refill: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/refills/{refill['id']}"
        answer = await self.client.get(path, headers=self.reseller.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until_over(self, refill: dict[str, Any]) -> dict[str, Any]:
        """Work and let time pass until the refill has ended."""
        for _ in range(10):
            await self.worker.until_idle(REFILL, REFILL_FOLLOW)
            found = await self.read(refill)
            if found["ended_at"] is not None:
                return found
            self.clock.move(POLL_MAX)
        raise AssertionError(f"after ten polls the refill {refill['id']} has not ended")

    async def taken(self) -> int:
        """How many refills the provider has taken, whatever it answered."""
        return len(self.simulator.provider.accepted_refills())

    async def events(self) -> list[str]:
        path = f"/v1/orders/{self.order_id}/events"
        listed = await self.client.get(path, headers=self.reseller.headers)
        return [event["type"] for event in listed.json()["data"]]

    async def resolve(self, refill: dict[str, Any], **body: Any) -> httpx.Response:
        operator = await self.world.operator()
        return await self.client.post(
            f"/v1/operator/refills/{refill['id']}/resolve",
            json={"reason": "asked them"} | body,
            headers=operator.headers,
        )


OpenShop = Callable[..., Awaitable[Shop]]


@pytest.fixture
def open_shop(
    client: httpx.AsyncClient, world: World, worker: Worker, simulator: Simulator, clock: Clock
) -> OpenShop:
    async def opened(*, ended: bool = True, **fields: Any) -> Shop:
        provider = await world.provider(simulator=simulator)
        reseller = await world.reseller()
        service = await world.service(routes=[provider], **({"refill": True} | fields))
        order = await world.order(reseller, service)
        if ended:
            await worker.until_ended()
        return Shop(
            client,
            world,
            worker,
            simulator,
            clock,
            reseller,
            provider,
            service.id,
            order["id"],
        )

    return opened


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop()


class TestTheLifeOfARefill:
    async def test_what_was_lost_is_asked_for_followed_and_told(self, shop: Shop) -> None:
        answer = await shop.ask()
        refill = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/v1/refills/{refill['id']}"
        assert (refill["order_id"], refill["status"]) == (shop.order_id, "pending")
        assert (refill["reason"], refill["ended_at"]) == (None, None)

        over = await shop.until_over(refill)

        assert over["status"] == "completed"
        assert await shop.taken() == 1
        told = [event for event in await shop.events() if event.startswith("refill")]
        assert (told[0], told[1], told[-1]) == (
            "refill_requested",
            "refill_taken",
            "refill_completed",
        )

    async def test_a_refill_moves_no_money(self, shop: Shop) -> None:
        before = await shop.world.balance(shop.reseller)
        await shop.until_over(await shop.made())
        assert await shop.world.balance(shop.reseller) == before

    async def test_what_the_provider_refuses_is_told_with_its_reason(
        self, open_shop: OpenShop, world: World
    ) -> None:
        provider_service = "102"  # of which the provider takes no refill
        shop = await open_shop()
        route = RouteTo(shop.provider, provider_service=provider_service, cost="0.10")
        service = await world.service(routes=[route], refill=True)
        order = await world.order(shop.reseller, service)
        await shop.worker.until_ended()

        refill = (await shop.ask(order["id"])).json()
        over = await shop.until_over(refill)

        assert (over["status"], over["reason"]) == ("rejected", "Refill is not available")
        problem(await shop.ask(order["id"]), 409, "refill-too-soon")

    async def test_a_refill_that_is_rejected_later_has_ended(self, shop: Shop) -> None:
        await shop.simulator.faults(refill_reject=1.0)
        over = await shop.until_over(await shop.made())
        assert over["status"] == "rejected"

    async def test_the_list_shows_each_refill_of_the_book_once_newest_first(
        self, shop: Shop
    ) -> None:
        first = await shop.until_over(await shop.made())
        shop.clock.move(DAY)
        second = await shop.made()
        listed = await walk(shop.client, shop.reseller, "/v1/refills", 1)
        assert [one["id"] for one in listed] == [second["id"], first["id"]]
        ended = await walk(shop.client, shop.reseller, "/v1/refills", 1, status="completed")
        assert [one["id"] for one in ended] == [first["id"]]
        none = await walk(shop.client, shop.reseller, "/v1/refills", 1, order_id=1)
        assert none == []

    async def test_nothing_about_a_refill_names_who_delivers(self, shop: Shop) -> None:
        refill = await shop.made()
        for path in ("/v1/refills", f"/v1/refills/{refill['id']}"):
            told = (await shop.client.get(path, headers=shop.reseller.headers)).text
            assert "provider" not in told


class TestWhatIsRefused:
    @pytest.mark.refuses("createRefill", "refill-not-offered")
    async def test_a_service_without_refill_refuses(self, open_shop: OpenShop) -> None:
        shop = await open_shop(refill=False)
        problem(await shop.ask(), 409, "refill-not-offered")

    @pytest.mark.refuses("createRefill", "refill-not-yet")
    async def test_an_order_that_is_not_delivered_refuses(self, open_shop: OpenShop) -> None:
        shop = await open_shop(ended=False)
        problem(await shop.ask(), 409, "refill-not-yet")
        await shop.client.post(f"/v1/orders/{shop.order_id}/cancel", headers=shop.reseller.headers)
        problem(await shop.ask(), 409, "refill-not-yet")

    @pytest.mark.refuses("createRefill", "refill-window-closed")
    async def test_the_window_of_the_service_includes_its_edge(self, open_shop: OpenShop) -> None:
        shop = await open_shop(refill_days=7)
        ended_at = (await shop.world.row(shop.order_id)).ended_at
        assert ended_at is not None
        shop.clock.move(ended_at + timedelta(days=7, seconds=1) - shop.clock.now())
        problem(await shop.ask(), 409, "refill-window-closed")
        shop.clock.move(timedelta(seconds=-2))
        await shop.made()

    async def test_a_window_of_no_days_never_closes(self, open_shop: OpenShop) -> None:
        shop = await open_shop(refill_days=0)
        shop.clock.move(timedelta(days=3000))
        await shop.made()

    @pytest.mark.refuses("createRefill", "idempotency-key-reused")
    @pytest.mark.refuses("createRefill", "idempotency-answer-expired")
    async def test_repeated_under_a_key_it_is_the_same_refill(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        first, second = [await shop.ask(key="a-key") for _ in range(2)]
        assert (second.status_code, second.content) == (201, first.content)
        assert second.headers["location"] == first.headers["location"]
        problem(await shop.ask(1, key="a-key"), 422, "idempotency-key-reused")
        shop.clock.move(timedelta(hours=73))
        async with runtime.uow.begin() as session:
            await idempotency.forget_old(session)
        problem(await shop.ask(key="a-key"), 409, "idempotency-answer-expired")

    @pytest.mark.refuses("createRefill", "refill-open")
    async def test_there_is_one_refill_at_a_time(self, shop: Shop) -> None:
        await shop.made()
        problem(await shop.ask(), 409, "refill-open")
        await shop.worker.drain(REFILL, str(shop.provider.id))
        shop.clock.move(DAY)
        problem(await shop.ask(), 409, "refill-open")
        assert await shop.taken() == 1

    @pytest.mark.refuses("createRefill", "refill-too-soon")
    async def test_the_next_one_is_a_day_after_the_last_was_asked_for(self, shop: Shop) -> None:
        asked_at = shop.clock.now()
        await shop.until_over(await shop.made())
        refused = await shop.ask()
        problem(refused, 409, "refill-too-soon")
        left = int(refused.headers["retry-after"])
        assert 0 <= left - (asked_at + DAY - shop.clock.now()).total_seconds() <= 1
        shop.clock.move(timedelta(seconds=left))
        await shop.made()

    @pytest.mark.refuses("createRefill", "refill-unavailable")
    async def test_an_order_whose_provider_takes_no_refills_refuses(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await session.execute(
                text("UPDATE providers SET adapter = 'smoservice' WHERE id = :id"),
                {"id": shop.provider.id},
            )
        problem(await shop.ask(), 409, "refill-unavailable")

    async def test_a_service_that_stops_its_refills_stops_them_for_old_orders(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await catalog.change(session, shop.service_id, {"refill": False})
        problem(await shop.ask(), 409, "refill-not-offered")


class TestALostAnswer:
    """It may have been taken: nobody asks again before an operator has found out."""

    @pytest.fixture
    async def lost(self, shop: Shop) -> dict[str, Any]:
        await shop.simulator.faults(refill_lost_reply=1.0)
        refill = await shop.made()
        await shop.worker.drain(REFILL, str(shop.provider.id))
        await shop.simulator.faults()
        assert await shop.taken() == 1
        return refill

    async def test_it_is_never_asked_for_again_by_itself(
        self, shop: Shop, lost: dict[str, Any]
    ) -> None:
        for _ in range(5):
            shop.clock.move(DAY)
            await shop.worker.until_idle(REFILL, REFILL_FOLLOW)
            await shop.worker.upkeep()
        assert await shop.taken() == 1
        assert (await shop.read(lost))["status"] == "pending"
        problem(await shop.ask(), 409, "refill-open")

    async def test_it_is_seen_from_outside(
        self, shop: Shop, lost: dict[str, Any], runtime: Runtime
    ) -> None:
        await shop.worker.upkeep()
        async with runtime.uow.begin() as session:
            values = {(one.name, one.labels): one.value for one in await gauges.read(session)}
        assert values["smmos_refills", 'state="unknown"'] == 1
        assert values["smmos_refills", 'state="requested"'] == 0
        told = (await shop.read(lost))["status"]
        assert told == "pending"  # how it hangs is not the reseller's concern

    async def test_operators_find_it_in_their_list(self, shop: Shop, lost: dict[str, Any]) -> None:
        operator = await shop.world.operator()
        listed = await walk(shop.client, operator, "/v1/operator/refills", 1, state="unknown")
        assert [(one["id"], one["state"]) for one in listed] == [(lost["id"], "unknown")]
        assert await walk(shop.client, operator, "/v1/operator/refills", 1, state="pending") == []

    async def test_one_that_was_taken_is_followed_under_its_id(
        self, shop: Shop, lost: dict[str, Any]
    ) -> None:
        [taken] = shop.simulator.provider.accepted_refills()
        answer = await shop.resolve(lost, outcome="taken", provider_refill_id=str(taken["refill"]))
        assert (answer.status_code, answer.json()["state"]) == (200, "pending")
        assert (await shop.until_over(lost))["status"] == "completed"
        assert await shop.taken() == 1

    async def test_one_that_was_proven_not_taken_is_asked_for_again(
        self, shop: Shop, lost: dict[str, Any]
    ) -> None:
        shop.clock.move(timedelta(hours=1))
        answer = await shop.resolve(lost, outcome="not_taken")
        assert (answer.status_code, answer.json()["state"]) == (200, "requested")
        await shop.worker.drain(REFILL, str(shop.provider.id))
        assert await shop.taken() == 2

    async def test_one_whose_end_is_known_has_ended(self, shop: Shop, lost: dict[str, Any]) -> None:
        answer = await shop.resolve(lost, outcome="completed")
        assert answer.json()["state"] == "completed"
        assert (await shop.read(lost))["status"] == "completed"

    @pytest.mark.refuses("operatorResolveRefill", "too-early-to-prove")
    async def test_absence_is_proven_a_quarter_of_an_hour_later(
        self, shop: Shop, lost: dict[str, Any]
    ) -> None:
        problem(await shop.resolve(lost, outcome="not_taken"), 409, "too-early-to-prove")

    @pytest.mark.refuses("operatorResolveRefill", "provider-refill-taken")
    async def test_an_id_of_another_refill_is_refused(
        self, shop: Shop, lost: dict[str, Any]
    ) -> None:
        shop.clock.move(timedelta(days=2))
        await shop.resolve(lost, outcome="taken", provider_refill_id="7")
        order = await shop.world.order(
            shop.reseller, await shop.world.service(routes=[shop.provider], refill=True)
        )
        await shop.worker.until_ended()
        await shop.simulator.faults(refill_lost_reply=1.0)
        another = (await shop.ask(order["id"])).json()
        await shop.worker.drain(REFILL, str(shop.provider.id))
        answer = await shop.resolve(another, outcome="taken", provider_refill_id="7")
        problem(answer, 409, "provider-refill-taken")

    @pytest.mark.refuses("operatorResolveRefill", "refill-state-conflict")
    async def test_only_an_unknown_one_is_resolved(self, shop: Shop) -> None:
        refill = await shop.made()
        problem(await shop.resolve(refill, outcome="rejected"), 409, "refill-state-conflict")


async def test_a_pause_stops_no_refill(shop: Shop, runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        await pausing.pause(session, shop.provider.id, pausing.PauseReason.NO_FUNDS)
    assert (await shop.until_over(await shop.made()))["status"] == "completed"
