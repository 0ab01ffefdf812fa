"""Placing an order: once per key, at the price of that moment, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text

from app.catalog import service as catalog
from app.catalog.models import ServiceState
from app.core import idempotency
from app.core.clock import Clock
from app.core.crypto import KeyRing, new_master_key
from app.core.idempotency import IdempotencyAnswerExpired, IdempotencyRow
from app.core.money import Money
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.providers.protocol import ServiceType
from app.resellers.models import Mode
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.web import OpenClient
from tests.fixtures.world import LINK, Caller, ResellerCaller, RouteTo, World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import BODIES, that_refuse


async def place(
    client: httpx.AsyncClient, reseller: Caller, body: dict[str, Any], key: str | None = None
) -> httpx.Response:
    headers = reseller.headers | {"Idempotency-Key": key or uuid4().hex}
    return await client.post("/v1/orders", json=body, headers=headers)


async def test_an_order_is_placed_charged_and_promised(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller(balance="10.00")
    service = await world.service(rate="0.90")

    answer = await place(client, reseller, order_body(service, quantity=1000, reference="shop-1"))

    assert answer.status_code == 201
    order = answer.json()
    assert answer.headers["location"] == f"/v1/orders/{order['id']}"
    assert order == {
        "id": order["id"],
        "status": "queued",
        "service_id": service.id,
        "link": LINK,
        "quantity": 1000,
        "charge": {"amount": "0.90", "currency": "USD"},
        "refunded": {"amount": "0.00", "currency": "USD"},
        "start_count": None,
        "remains": None,
        "reference": "shop-1",
        "created_at": order["created_at"],
        "deliver_from": order["deliver_from"],
        "deliver_by": order["deliver_by"],
        "late_at": None,
        "ended_at": None,
        "reason": None,
        "cancel": None,
        "parent_id": None,
        "runs": None,
    }
    assert await world.balance(reseller) == ledger.Balance(Money.parse("9.10"), Money.parse("0.90"))
    found = await client.get(answer.headers["location"], headers=reseller.headers)
    assert found.json() == order


async def test_the_same_key_again_gets_the_same_answer_and_makes_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    body = order_body(service)

    first = await place(client, reseller, body, "key-1")
    # The same members in another order and with other blanks are the same request.
    other_text = str(dict(reversed(body.items()))).replace("'", '"')
    again = await client.post(
        "/v1/orders",
        content=other_text,
        headers=reseller.headers
        | {"Idempotency-Key": "key-1", "Content-Type": "application/json; charset=utf-8"},
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await world.count("orders") == 1
    assert (await world.balance(reseller)).held == Money.parse("0.90")


async def test_a_kept_answer_is_sealed_and_opens_only_under_the_key_that_sealed_it(
    client: httpx.AsyncClient, world: World, runtime: Runtime
) -> None:
    reseller, service = await world.reseller(), await world.service()
    await place(client, reseller, order_body(service), "key-1")

    async with runtime.uow.begin() as session:
        [row] = await session.scalars(select(IdempotencyRow))
        asked = idempotency.Request(row.owner, row.key, row.request_hash)
        assert row.body is not None
        assert b"link" not in row.body
        answer = await idempotency.claim(session, runtime.keys, asked)
        assert answer is not None
        assert order_body(service)["link"] in answer.body.decode()
        with pytest.raises(IdempotencyAnswerExpired):
            await idempotency.claim(session, KeyRing([new_master_key()]), asked)


@pytest.mark.refuses("createOrder", "idempotency-key-reused")
async def test_the_same_key_for_another_body_is_refused(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    await place(client, reseller, order_body(service), "key-1")

    other = await place(client, reseller, order_body(service, quantity=999), "key-1")

    problem(other, 422, "idempotency-key-reused")
    assert await world.count("orders") == 1


@pytest.mark.refuses("createOrderBatch", "idempotency-key-reused")
async def test_the_same_key_on_another_route_is_refused(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    await place(client, reseller, order_body(service), "key-1")

    other = await client.post(
        "/v1/orders/batch",
        json={"orders": [order_body(service)]},
        headers=reseller.headers | {"Idempotency-Key": "key-1"},
    )

    problem(other, 422, "idempotency-key-reused")


async def test_two_resellers_may_use_the_same_key(client: httpx.AsyncClient, world: World) -> None:
    service = await world.service()
    one, other = await world.reseller(), await world.reseller()

    answers = [await place(client, each, order_body(service), "key-1") for each in (one, other)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


async def test_two_keys_of_one_reseller_share_the_idempotency_keys_of_their_book(
    client: httpx.AsyncClient, world: World
) -> None:
    service, reseller = await world.service(), await world.reseller()
    same = await world.key(reseller)

    first = await place(client, reseller, order_body(service), "key-1")
    again = await place(client, same, order_body(service), "key-1")

    assert again.content == first.content


async def test_a_refusal_leaves_the_key_free(client: httpx.AsyncClient, world: World) -> None:
    reseller, service = await world.reseller(balance="0.50"), await world.service()
    body = order_body(service, quantity=1000)
    problem(await place(client, reseller, body, "key-1"), 402, "insufficient-funds")

    smaller = await place(client, reseller, body | {"quantity": 500}, "key-1")

    assert smaller.status_code == 201


@pytest.mark.parametrize("guarded", that_refuse("idempotency-key-missing"))
async def test_without_an_idempotency_key_the_call_is_refused(
    guarded: Any, client: httpx.AsyncClient, world: World
) -> None:
    caller = await (world.operator() if guarded.is_operators else world.reseller())
    answer = await client.request(
        guarded.method, guarded.path(), json=guarded.body, headers=caller.headers
    )

    problem(answer, 400, "idempotency-key-missing")


@pytest.mark.parametrize("guarded", that_refuse("idempotency-key-invalid"))
async def test_an_odd_idempotency_key_is_refused(
    guarded: Any, client: httpx.AsyncClient, world: World
) -> None:
    caller = await (world.operator() if guarded.is_operators else world.reseller())
    own = [(name.encode(), value.encode()) for name, value in caller.headers.items()]
    for key in ("", " ", "two words", "k" * 256, "schlüssel", "\x7f"):
        headers = [*own, (b"idempotency-key", key.encode("latin-1"))]
        answer = await client.request(
            guarded.method, guarded.path(), json=guarded.body, headers=headers
        )

        problem(answer, 400, "idempotency-key-invalid")


@pytest.mark.parametrize("guarded", that_refuse("idempotency-in-flight"))
async def test_a_key_that_is_under_way_is_refused_at_once(
    guarded: Any, client: httpx.AsyncClient, world: World, runtime: Runtime
) -> None:
    if guarded.is_operators:
        operator = await world.operator()
        caller: Caller = operator
        owner = f"operator:{operator.operator_id}"
    else:
        reseller = await world.reseller()
        caller, owner = reseller, f"book:{reseller.book_id}"

    async with holding_key(runtime, owner, "a-key"):
        answer = await guarded.call(client, caller.headers)

    problem(answer, 409, "idempotency-in-flight")
    assert answer.headers["retry-after"] == "1"


@asynccontextmanager
async def holding_key(runtime: Runtime, owner: str, key: str) -> AsyncIterator[None]:
    """As another connection's transaction that has claimed the key and not committed yet."""
    async with runtime.engine.connect() as connection:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7))"),
            {"name": f"{owner}:{key}"},
        )
        yield


@pytest.mark.refuses("createOrder", "idempotency-answer-expired")
@pytest.mark.refuses("createOrderBatch", "idempotency-answer-expired")
async def test_a_key_whose_answer_is_no_longer_kept_makes_nothing(
    client: httpx.AsyncClient, world: World, runtime: Runtime, clock: Clock
) -> None:
    reseller, service = await world.reseller(), await world.service()
    batch = {"orders": [order_body(service)]}
    headers = reseller.headers | {"Idempotency-Key": "key-2"}
    await place(client, reseller, order_body(service), "key-1")
    await client.post("/v1/orders/batch", json=batch, headers=headers)
    clock.move(timedelta(hours=73))
    async with runtime.uow.begin() as session:
        await idempotency.forget_old(session)

    again = await place(client, reseller, order_body(service), "key-1")
    batch_again = await client.post("/v1/orders/batch", json=batch, headers=headers)

    problem(again, 409, "idempotency-answer-expired")
    problem(batch_again, 409, "idempotency-answer-expired")
    assert await world.count("orders") == 2


@pytest.mark.committing
async def test_fifty_parallel_calls_with_one_key_make_one_order(
    client: httpx.AsyncClient, world: World, another_client: OpenClient
) -> None:
    reseller, service = await world.reseller(balance="100.00"), await world.service()
    clients = [client, await another_client()]

    answers = await asyncio.gather(
        *(place(clients[n % 2], reseller, order_body(service), "key-1") for n in range(50))
    )

    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.content for answer in made} == {made[0].content}
    assert sum("idempotency-replayed" not in answer.headers for answer in made) == 1
    for answer in answers:
        # Those that found it under way; with all connections busy some may be told to wait.
        assert answer.status_code in {201, 409, 503}
    assert await world.count("orders") == 1
    assert (await world.balance(reseller)).available == Money.parse("99.10")


@pytest.mark.committing
async def test_parallel_orders_over_two_processes_never_spend_more_than_there_is(
    client: httpx.AsyncClient, world: World, another_client: OpenClient
) -> None:
    service = await world.service(rate="1.00")
    reseller = await world.reseller(balance="15.00", limits={"orders-write": 100_000})
    clients = [client, await another_client()]
    few_at_once = asyncio.Semaphore(16)

    async def one(n: int) -> int:
        async with few_at_once:
            answer = await place(clients[n % 2], reseller, order_body(service, quantity=1000))
        return answer.status_code

    statuses = await asyncio.gather(*(one(n) for n in range(60)))

    assert (statuses.count(201), statuses.count(402)) == (15, 45)
    assert await world.balance(reseller) == ledger.Balance(Money(0), Money.parse("15.00"))


class TestForms:
    """Which fields a service takes, its type says; what does not fit is refused by name."""

    async def test_a_package_is_one_thing_at_one_price(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        package = await world.service(type=ServiceType.PACKAGE, rate="6.00", package_units=500)

        answer = await place(client, reseller, {"service_id": package.id, "link": LINK})

        assert answer.status_code == 201
        assert answer.json()["quantity"] == 1
        assert answer.json()["charge"]["amount"] == "6.00"
        assert (await world.row(answer.json())).units == 500

    async def test_custom_comments_are_charged_by_their_number(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, rate="10.00")
        comments = [f"Number {n} — مرحبا" for n in range(25)]

        answer = await place(
            client, reseller, {"service_id": service.id, "link": LINK, "comments": comments}
        )

        assert answer.status_code == 201
        assert answer.json()["quantity"] == 25
        assert answer.json()["charge"]["amount"] == "0.25"

    @pytest.mark.refuses("createOrder", "invalid-input")
    @pytest.mark.parametrize(
        ("kind", "fields", "blamed"),
        [
            (ServiceType.DEFAULT, {"quantity": None}, ["/quantity"]),
            (ServiceType.DEFAULT, {"comments": ["hello"]}, ["/comments"]),
            (
                ServiceType.DEFAULT,
                {"quantity": None, "comments": ["hello"]},
                ["/comments", "/quantity"],
            ),
            (ServiceType.DEFAULT, {"type": "package"}, ["/type"]),
            (ServiceType.PACKAGE, {"type": "default", "quantity": 1}, ["/type"]),
            (ServiceType.DEFAULT, {"quantity": 9}, ["/quantity"]),
            (ServiceType.DEFAULT, {"quantity": 100_001}, ["/quantity"]),
            (ServiceType.PACKAGE, {"quantity": 2}, ["/quantity"]),
            (ServiceType.PACKAGE, {"comments": ["hello"]}, ["/comments"]),
            (ServiceType.CUSTOM_COMMENTS, {"comments": None}, ["/comments"]),
            (ServiceType.CUSTOM_COMMENTS, {"comments": ["too", "few"]}, ["/comments"]),
            (ServiceType.CUSTOM_COMMENTS, {"quantity": 11}, ["/quantity"]),
        ],
    )
    async def test_what_the_type_does_not_take_is_refused_by_its_field(
        self,
        kind: ServiceType,
        fields: dict[str, Any],
        blamed: list[str],
        client: httpx.AsyncClient,
        world: World,
    ) -> None:
        reseller, service = await world.reseller(), await world.service(type=kind)

        body = {
            field: value
            for field, value in order_body(service, **fields).items()
            if value is not None
        }
        answer = await place(client, reseller, body)

        assert pointers(problem(answer, 422, "invalid-input")) == blamed
        assert await world.count("orders") == 0

    @pytest.mark.parametrize("quantity", [10, 100_000])
    async def test_the_bounds_themselves_are_within(
        self, quantity: int, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="100.00"), await world.service()

        answer = await place(client, reseller, order_body(service, quantity=quantity))

        assert answer.status_code == 201


class TestSelling:
    """What is sold, at which price, and what is not."""

    @pytest.mark.policy("AUP-2")
    @pytest.mark.refuses("createOrder", "service-unknown")
    @pytest.mark.parametrize("facts", [{"attested": False}, {"on_sale": False}])
    async def test_a_service_off_sale_or_without_attestation_is_not_sold(
        self, facts: dict[str, Any], client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service(**facts)

        answer = await place(client, reseller, order_body(service))

        assert pointers(problem(answer, 422, "service-unknown")) == ["/service_id"]

    @pytest.mark.refuses("createOrder", "service-unavailable")
    async def test_nothing_is_sold_below_its_cost(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        service = await world.service(rate="0.90", routes=[RouteTo(provider, cost="0.900001")])

        problem(await place(client, reseller, order_body(service)), 409, "service-unavailable")

    @pytest.mark.refuses("createOrder", "link-busy")
    async def test_where_a_service_says_so_a_link_on_which_an_order_runs_is_refused_neutrally(
        self, client: httpx.AsyncClient, world: World, simulator: Simulator, worker: Worker
    ) -> None:
        provider = await world.provider(simulator=simulator)
        service = await world.service(routes=[provider], busy_link="refuse")
        await simulator.speed(units_per_second=0)
        body = order_body(service)
        running = (await place(client, await world.reseller(), body)).json()
        await worker.dispatch(provider)

        answer = await place(client, await world.reseller(), body)

        told = problem(answer, 409, "link-busy")
        assert told["title"] == "This link is being worked on; try again when that has ended"
        assert str(running["id"]) not in answer.text
        assert told.get("detail") in {None, told["title"]}

    async def test_an_operator_may_allow_a_sale_below_cost(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        service = await world.service(
            rate="0.90", routes=[RouteTo(provider, cost="5.00")], below_cost_allowed=True
        )

        assert (await place(client, reseller, order_body(service))).status_code == 201

    @pytest.mark.parametrize("currency", ["USD", "EUR"])
    async def test_a_service_without_a_priced_route_cannot_be_ordered(
        self, currency: str, client: httpx.AsyncClient, world: World
    ) -> None:
        """Without any route, and with one in a currency whose worth nobody has stated."""
        reseller = await world.reseller()
        routes = [] if currency == "USD" else [await world.provider(currency=currency)]
        service = await world.service(routes=routes)

        problem(await place(client, reseller, order_body(service)), 409, "service-unavailable")

    async def test_a_charge_is_rounded_up_to_the_micro(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        service = await world.service(rate="0.900001", routes=[await world.provider()])

        answer = await place(client, reseller, order_body(service, quantity=999))

        # 0.900001 x 999 / 1000 = 0.899100999
        assert answer.json()["charge"]["amount"] == "0.899101"

    async def test_an_order_keeps_the_price_it_was_bought_at(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        reseller, service = await world.reseller(), await world.service(rate="0.90")
        before = (await place(client, reseller, order_body(service))).json()
        async with runtime.uow.begin() as session:
            await catalog.change(session, service.id, {"rate_micros": 2_000_000})

        after = (await place(client, reseller, order_body(service))).json()

        kept = await client.get(f"/v1/orders/{before['id']}", headers=reseller.headers)
        assert kept.json()["charge"]["amount"] == "0.90"
        assert after["charge"]["amount"] == "2.00"
        row = await world.row(before)
        assert (row.rate_micros, row.price_unit, row.cost_micros) == (900_000, 1000, 500_000)

    @pytest.mark.refuses("createOrder", "insufficient-funds")
    async def test_a_charge_over_the_balance_is_refused(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="0.899999"), await world.service()

        problem(await place(client, reseller, order_body(service)), 402, "insufficient-funds")
        assert (await world.balance(reseller)).available == Money.parse("0.899999")

    async def test_a_reseller_without_a_wallet_has_nothing_to_spend(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="0"), await world.service()

        problem(await place(client, reseller, order_body(service)), 402, "insufficient-funds")

    @pytest.mark.refuses("createOrder", "test-orders-unavailable")
    @pytest.mark.refuses("createOrderBatch", "test-orders-unavailable")
    async def test_a_test_key_places_no_orders_yet(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        tester, service = await world.reseller(mode=Mode.TEST), await world.service()

        problem(await place(client, tester, order_body(service)), 403, "test-orders-unavailable")
        batch = await client.post(
            "/v1/orders/batch",
            json={"orders": [order_body(service)]},
            headers=tester.headers | {"Idempotency-Key": "b"},
        )
        problem(batch, 403, "test-orders-unavailable")

    @pytest.mark.policy("TOS-6")
    @pytest.mark.refuses("createOrder", "spending-stopped")
    @pytest.mark.refuses("createOrderBatch", "spending-stopped")
    async def test_spending_stops_even_while_a_process_still_believes_the_key(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        assert (await place(client, reseller, order_body(service))).status_code == 201
        async with runtime.uow.begin() as session:
            await ledger.set_spendable(session, reseller.book_id, spendable=False)

        problem(await place(client, reseller, order_body(service)), 403, "spending-stopped")
        batch = await client.post(
            "/v1/orders/batch",
            json={"orders": [order_body(service)]},
            headers=reseller.headers | {"Idempotency-Key": "b"},
        )
        problem(batch, 403, "spending-stopped")


class TestBatch:
    """Up to a hundred orders in one call, each judged by itself."""

    async def place(
        self,
        client: httpx.AsyncClient,
        reseller: ResellerCaller,
        bodies: list[dict[str, Any]],
        key: str = "batch-1",
    ) -> httpx.Response:
        return await client.post(
            "/v1/orders/batch",
            json={"orders": bodies},
            headers=reseller.headers | {"Idempotency-Key": key},
        )

    async def test_each_order_has_its_own_outcome_in_the_order_given(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        reseller, service = await world.reseller(balance="1.00"), await world.service(rate="1.00")
        gone = await world.service()
        async with runtime.uow.begin() as session:
            await catalog.change(session, gone.id, {"state": ServiceState.OFF_SALE})
        bodies = [
            order_body(service, quantity=600, reference="first"),
            order_body(gone),
            order_body(service, quantity=5),
            order_body(service, quantity=500, reference="does not fit"),
            order_body(service, quantity=400, reference="fits"),
        ]

        answer = await self.place(client, reseller, bodies)

        assert answer.status_code == 200
        items = answer.json()["data"]
        assert [item["index"] for item in items] == [0, 1, 2, 3, 4]
        assert [item["status"] for item in items] == [201, 422, 422, 402, 201]
        codes = [item["problem"] and item["problem"]["code"] for item in items]
        assert codes == [None, "service-unknown", "invalid-input", "insufficient-funds", None]
        assert items[2]["problem"]["errors"][0]["pointer"] == "/quantity"
        assert [item["order"] and item["order"]["reference"] for item in items] == [
            "first",
            None,
            None,
            None,
            "fits",
        ]
        assert await world.balance(reseller) == ledger.Balance(Money(0), Money.parse("1.00"))
        assert await world.count("orders") == 2

    async def test_the_same_key_again_gets_the_same_answer(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        first = await self.place(client, reseller, [order_body(service)] * 3)
        again = await self.place(client, reseller, [order_body(service)] * 3)

        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        assert await world.count("orders") == 3

    async def test_a_hundred_are_placed_and_one_more_is_too_many(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="100.00"), await world.service()

        hundred = await self.place(client, reseller, [order_body(service)] * 100)
        too_many = await self.place(client, reseller, [order_body(service)] * 101, "batch-2")
        none = await self.place(client, reseller, [], "batch-3")

        assert {item["status"] for item in hundred.json()["data"]} == {201}
        ids = [item["order"]["id"] for item in hundred.json()["data"]]
        assert len(set(ids)) == 100
        assert pointers(problem(too_many, 422, "validation-failed")) == ["/orders"]
        assert pointers(problem(none, 422, "validation-failed")) == ["/orders"]
        assert await world.count("orders") == 100

    async def test_one_malformed_order_refuses_the_whole_batch(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        bodies = [order_body(service), order_body(service, link="ftp://example.com")]

        answer = await self.place(client, reseller, bodies)

        assert pointers(problem(answer, 422, "validation-failed")) == ["/orders/1/link"]
        assert await world.count("orders") == 0

    async def test_a_batch_of_refusals_touches_no_wallet(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller(balance="0")

        answer = await self.place(client, reseller, [BODIES["createOrder"]] * 2)

        assert [item["status"] for item in answer.json()["data"]] == [422, 422]


class TestCancel:
    """Taking an order back before it was handed on."""

    async def test_the_whole_charge_returns_at_once(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller(balance="10.00")
        order = await world.order(reseller)

        answer = await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)

        assert answer.status_code == 200
        assert answer.json()["status"] == "canceled"
        assert answer.json()["refunded"] == order["charge"]
        assert answer.json()["reason"] == "canceled_by_reseller"
        assert answer.json()["ended_at"] is not None
        assert (await world.balance(reseller)).available == Money.parse("10.00")

    @pytest.mark.policy("REF-5")
    @pytest.mark.refuses("cancelOrder", "order-not-cancelable")
    async def test_an_order_that_has_ended_cannot_be_canceled_again(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        order = await world.order(reseller)
        path = f"/v1/orders/{order['id']}/cancel"
        await client.post(path, headers=reseller.headers)

        problem(await client.post(path, headers=reseller.headers), 409, "order-not-cancelable")
