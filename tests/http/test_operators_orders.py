"""Operators and orders: looking, holding, releasing, canceling, and resolving what hangs."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core import idempotency
from app.core.clock import Clock
from app.core.money import Money
from app.core.runtime import Runtime
from app.ledger.service import Balance
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import OperatorCaller, ResellerCaller, RouteTo, World
from tests.http.problems import pointers, problem
from tests.http.routes import ABSENT
from tests.http.test_reads import walk

HELD = Balance(Money.parse("9.00"), Money.parse("1.00"))
BACK = Balance(Money.parse("10.00"), Money(0))
EARNED = Balance(Money.parse("9.00"), Money(0))


async def post(
    client: httpx.AsyncClient,
    operator: OperatorCaller,
    order: dict[str, Any],
    verb: str,
    body: dict[str, Any] | None = None,
    key: str = "key-1",
) -> httpx.Response:
    return await client.post(
        f"/v1/operator/orders/{order['id']}/{verb}",
        json=body,
        headers=operator.headers | {"Idempotency-Key": key},
    )


async def detail(
    client: httpx.AsyncClient, operator: OperatorCaller, order: dict[str, Any]
) -> dict[str, Any]:
    answer = await client.get(f"/v1/operator/orders/{order['id']}", headers=operator.headers)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


class TestLooking:
    async def test_the_detail_shows_the_trail_and_what_the_provider_said(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        operator, provider = await world.operator(), await world.provider(simulator=simulator)
        order = await world.order(service=await world.service(routes=[provider]))
        await worker.until_ended()
        [accepted] = await simulator.accepted()

        read = await detail(client, operator, order)

        assert read["order"]["state"] == "completed"
        assert read["order"]["charge"] == read["order"]["earned"]
        assert read["order"]["provider_order_id"] == str(accepted["provider_order"])
        [attempt] = read["attempts"]
        assert (attempt["number"], attempt["state"]) == (1, "accepted")
        assert attempt["cost"]["currency"] == "USD"
        assert [one["provider_order_id"] for one in read["evidence"]] == [
            str(accepted["provider_order"])
        ]
        assert [event["type"] for event in read["events"]][:3] == ["place", "take", "accept"]
        assert [event["seq"] for event in read["events"]] == list(range(1, len(read["events"]) + 1))

    async def test_the_list_shows_every_book_and_one_state_when_asked(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        orders = [await world.order(service=service) for _ in range(4)]
        await post(client, operator, orders[1], "hold", {"reason": "r"})

        async def found(**params: str) -> list[int]:
            listed = await walk(client, operator, "/v1/operator/orders", 2, **params)
            return [one["id"] for one in listed]

        ids = [order["id"] for order in orders]
        assert await found() == ids[::-1]
        assert await found(state="on_hold") == [ids[1]]
        assert await found(state="queued") == [ids[3], ids[2], ids[0]]
        answer = await client.get(
            "/v1/operator/orders", params={"state": "c4n4ry"}, headers=operator.headers
        )
        assert pointers(problem(answer, 422, "validation-failed")) == ["state"]
        assert "c4n4ry" not in answer.text

    @pytest.mark.refuses("operatorListOrders", "invalid-input")
    async def test_an_order_leads_to_its_reseller_and_a_reseller_to_its_orders(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        one, other = await world.reseller(), await world.reseller()
        orders = [await world.order(whose, service) for whose in (one, other, one)]

        path = "/v1/operator/orders"
        listed = await walk(client, operator, path, 1, reseller_id=one.id)
        assert [order["id"] for order in listed] == [orders[2]["id"], orders[0]["id"]]
        assert await walk(client, operator, path, 1, reseller_id=one.id, state="on_hold") == []
        told = await detail(client, operator, orders[1])
        assert told["reseller_id"] == other.id
        account = f"/v1/operator/resellers/{other.id}"
        read = (await client.get(account, headers=operator.headers)).json()
        assert read["books"]["live"] == told["order"]["book_id"]
        for odd in (ABSENT["reseller_id"], "c4n4ry", ""):
            answer = await client.get(path, params={"reseller_id": odd}, headers=operator.headers)
            assert pointers(problem(answer, 422, "invalid-input")) == ["reseller_id"]
            assert "c4n4ry" not in answer.text


class TestHolding:
    @pytest.mark.refuses("operatorReleaseOrder", "order-state-conflict")
    async def test_a_held_order_goes_on_only_when_it_is_released(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        operator, provider = await world.operator(), await world.provider(simulator=simulator)
        reseller = await world.reseller()
        order = await world.order(reseller, await world.service(routes=[provider]))
        early = problem(await post(client, operator, order, "release"), 409, "order-state-conflict")
        assert early["detail"] == "Only an order on hold can be released; this is queued"

        held = await post(client, operator, order, "hold", {"reason": "under review"})
        again = await post(client, operator, order, "hold", {"reason": "under review"})
        await worker.until_idle()

        assert held.json()["state"] == again.json()["state"] == "on_hold"
        assert await simulator.accepted() == []
        seen = await client.get(f"/v1/orders/{order['id']}", headers=reseller.headers)
        assert seen.json()["status"] == "on_hold"

        released = await post(client, operator, order, "release")
        assert released.json()["state"] == "queued"
        await worker.until_ended()
        assert len(await simulator.accepted()) == 1

    @pytest.mark.refuses("operatorHoldOrder", "order-state-conflict")
    @pytest.mark.refuses("operatorCancelOrder", "order-not-cancelable")
    async def test_an_order_that_was_handed_on_is_neither_held_nor_canceled_where_that_is_not_sold(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        operator, provider = await world.operator(), await world.provider(simulator=simulator)
        service = await world.service(routes=[provider], cancel=False)
        order = await world.order(service=service)
        await worker.dispatch(provider)

        held = await post(client, operator, order, "hold", {"reason": "r"})
        canceled = await post(client, operator, order, "cancel", {"reason": "r"})

        told = problem(held, 409, "order-state-conflict")["detail"]
        assert told == "Only a queued order can be held; this one is in_progress"
        problem(canceled, 409, "order-not-cancelable")

    async def test_a_held_order_can_be_canceled_and_its_money_returns(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        order = await world.order(reseller, await world.service(rate="1.00"))
        await post(client, operator, order, "hold", {"reason": "r"})

        canceled = await post(client, operator, order, "cancel", {"reason": "asked by phone"})

        assert canceled.json()["state"] == "canceled"
        assert canceled.json()["reason"] == "canceled_by_operator"
        assert await world.balance(reseller) == BACK
        problem(await post(client, operator, order, "release"), 409, "order-state-conflict")


class Hanging:
    """An order of 1.00 for 1000 units that nobody knows anything of: its answer was lost."""

    def __init__(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        self._client, self._world = client, world
        self._simulator, self._worker = simulator, worker
        self.order: dict[str, Any] = {}

    async def happen(self) -> tuple[OperatorCaller, ResellerCaller]:
        provider = await self._world.provider(simulator=self._simulator)
        self.service = await self._world.service(
            rate="1.00", routes=[RouteTo(provider, cost="0.90")]
        )
        reseller = await self._world.reseller(balance="10.00")
        self.order = await self._world.order(reseller, self.service, quantity=1000)
        await self._simulator.faults(lost_reply=1.0)
        await self._worker.dispatch(provider)
        await self._simulator.faults(lost_reply=0.0)
        assert (await self._world.row(self.order)).state == "unknown"
        return await self._world.operator(), reseller

    async def await_review(self, clock: Clock) -> None:
        """A day passes without news."""
        clock.move(timedelta(hours=24, minutes=1))
        await self._worker.reconcile()
        assert (await self._world.row(self.order)).state == "needs_review"

    async def resolve(
        self, operator: OperatorCaller, key: str = "key-1", **body: Any
    ) -> httpx.Response:
        return await post(
            self._client, operator, self.order, "resolve", {"reason": "looked it up"} | body, key
        )


class TestResolving:
    @pytest.fixture
    def hanging(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> Hanging:
        return Hanging(client, world, simulator, worker)

    async def test_an_order_that_hangs_is_listed_with_what_is_known_and_what_comes_next(
        self, client: httpx.AsyncClient, hanging: Hanging
    ) -> None:
        operator, _ = await hanging.happen()
        path = "/v1/operator/unresolved-orders"

        [told] = (await client.get(path, headers=operator.headers)).json()["data"]

        assert (told["id"], told["state"]) == (hanging.order["id"], "unknown")
        assert told["charge"] == {"amount": "1.00", "currency": "USD"}
        assert told["evidence"]["answer"] is not None
        assert told["evidence"]["lookup"] is None
        assert told["look_at"] < told["then_at"]
        assert told["then"] == "needs_review"
        await hanging.resolve(operator, outcome="written_off")
        assert (await client.get(path, headers=operator.headers)).json()["data"] == []

    async def test_an_order_that_was_taken_goes_on_under_its_id(
        self, hanging: Hanging, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        operator, reseller = await hanging.happen()
        [accepted] = await simulator.accepted()

        answer = await hanging.resolve(
            operator, outcome="accepted", provider_order_id=str(accepted["provider_order"])
        )

        assert (answer.status_code, answer.json()["state"]) == (200, "in_progress")
        await worker.until_ended()
        assert await world.balance(reseller) == EARNED
        assert len(await simulator.accepted()) == 1

    @pytest.mark.refuses("operatorResolveOrder", "provider-order-taken")
    async def test_an_id_of_another_order_is_refused(
        self, hanging: Hanging, world: World, worker: Worker
    ) -> None:
        operator, _ = await hanging.happen()
        other = await world.order(service=hanging.service)
        await worker.until_idle("dispatch")
        taken = (await world.row(other)).provider_order_id
        assert taken is not None

        answer = await hanging.resolve(operator, outcome="accepted", provider_order_id=taken)

        problem(answer, 409, "provider-order-taken")

    @pytest.mark.refuses("operatorResolveOrder", "too-early-to-prove")
    async def test_absence_is_proven_after_a_quarter_of_an_hour_and_not_before(
        self, hanging: Hanging, world: World, clock: Clock
    ) -> None:
        operator, reseller = await hanging.happen()
        clock.move(timedelta(minutes=14, seconds=59) - timedelta(seconds=30))

        problem(await hanging.resolve(operator, outcome="absent"), 409, "too-early-to-prove")

        clock.move(timedelta(minutes=1))
        answer = await hanging.resolve(operator, outcome="absent")
        assert answer.json()["state"] == "queued"
        assert await world.balance(reseller) == HELD

    async def test_a_written_off_order_gives_all_its_money_back(
        self, hanging: Hanging, world: World
    ) -> None:
        operator, reseller = await hanging.happen()

        answer = await hanging.resolve(operator, outcome="written_off")

        assert (answer.json()["state"], answer.json()["reason"]) == ("canceled", "written_off")
        assert await world.balance(reseller) == BACK

    @pytest.mark.parametrize(
        ("outcome", "fields", "balance"),
        [
            ("completed", {}, EARNED),
            ("partial", {"remains": 250}, Balance(Money.parse("9.25"), Money(0))),
            ("canceled", {}, BACK),
            ("failed", {}, BACK),
        ],
    )
    async def test_an_order_under_review_ends_as_a_person_found(
        self,
        outcome: str,
        fields: dict[str, Any],
        balance: Balance,
        hanging: Hanging,
        world: World,
        clock: Clock,
    ) -> None:
        operator, reseller = await hanging.happen()
        await hanging.await_review(clock)

        answer = await hanging.resolve(operator, outcome=outcome, **fields)

        assert (answer.status_code, answer.json()["state"]) == (200, outcome)
        assert await world.balance(reseller) == balance

    @pytest.mark.refuses("operatorResolveOrder", "order-state-conflict")
    async def test_only_what_hangs_is_resolved_and_only_a_review_ends_by_hand(
        self, hanging: Hanging, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, _ = await hanging.happen()
        queued = await world.order()

        by_hand = await hanging.resolve(operator, outcome="completed")
        not_hanging = await post(
            client, operator, queued, "resolve", {"outcome": "written_off", "reason": "r"}
        )

        told = problem(by_hand, 409, "order-state-conflict")["detail"]
        assert told == "Only an order in needs_review ends so; this one is unknown"
        told = problem(not_hanging, 409, "order-state-conflict")["detail"]
        assert told.endswith("unknown or in needs_review can be resolved; this one is queued")

    @pytest.mark.refuses("operatorResolveOrder", "invalid-input")
    @pytest.mark.parametrize("remains", [None, 1000, 1001, 2**63, 10**400])
    async def test_a_remainder_outside_the_order_is_refused(
        self, remains: int | None, hanging: Hanging, world: World, clock: Clock
    ) -> None:
        operator, reseller = await hanging.happen()
        await hanging.await_review(clock)

        answer = await hanging.resolve(operator, outcome="partial", remains=remains)

        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] in {"invalid-input", "validation-failed"}
        assert pointers(answer.json())[0].endswith("/remains")
        assert await world.balance(reseller) == HELD

    @pytest.mark.refuses("operatorResolveOrder", "idempotency-key-reused")
    @pytest.mark.refuses("operatorResolveOrder", "idempotency-answer-expired")
    async def test_a_decision_is_made_once_and_its_answer_kept_for_three_days(
        self, hanging: Hanging, runtime: Runtime, clock: Clock
    ) -> None:
        operator, _ = await hanging.happen()

        first = await hanging.resolve(operator, outcome="written_off")
        again = await hanging.resolve(operator, outcome="written_off")
        other = await hanging.resolve(operator, outcome="written_off", reason="another")

        assert again.content == first.content
        problem(other, 422, "idempotency-key-reused")
        clock.move(timedelta(hours=73))
        async with runtime.uow.begin() as session:
            await idempotency.forget_old(session)
        late = await hanging.resolve(operator, outcome="written_off")
        problem(late, 409, "idempotency-answer-expired")

    @pytest.mark.parametrize(
        ("body", "rule"),
        [
            ({"outcome": "c4n4ry"}, "/outcome must be one of 'accepted', "),
            ({"outcome": 7}, "/outcome must be one of 'accepted', "),
            ({}, "/outcome is required"),
            ({"outcome": "accepted"}, "/provider_order_id is required"),
            (
                {"outcome": "accepted", "provider_order_id": "c4n4ry; DROP TABLE"},
                "/provider_order_id string should match pattern",
            ),
            (
                {"outcome": "absent", "provider_order_id": "c4n4ry"},
                "/provider_order_id is not a field of this request",
            ),
            ({"outcome": "partial", "remains": 0}, "/remains input should be greater than"),
            ({"outcome": "partial", "remains": "250"}, "/remains input should be a valid integer"),
            ({"outcome": "completed", "reason": ""}, "/reason string should have at least 1"),
        ],
    )
    async def test_a_decision_that_is_none_is_refused_without_being_repeated(
        self, body: dict[str, Any], rule: str, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, order = await world.operator(), await world.order()

        answer = await post(client, operator, order, "resolve", {"reason": "r"} | body)

        [blamed] = problem(answer, 422, "validation-failed")["errors"]
        assert f"{blamed['pointer']} {blamed['detail']}".startswith(rule)
        assert "c4n4ry" not in answer.text

    @pytest.mark.refuses("operatorCreateCredit", "idempotency-answer-expired")
    async def test_a_credits_answer_is_kept_for_three_days_too(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, clock: Clock
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()

        async def credit() -> httpx.Response:
            return await client.post(
                f"/v1/operator/resellers/{reseller.id}/credits",
                json={"amount": "1.00", "note": "n"},
                headers=operator.headers | {"Idempotency-Key": "k"},
            )

        assert (await credit()).status_code == 201
        clock.move(timedelta(hours=73))
        async with runtime.uow.begin() as session:
            await idempotency.forget_old(session)

        problem(await credit(), 409, "idempotency-answer-expired")
