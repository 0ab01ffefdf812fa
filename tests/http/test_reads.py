"""What a reseller reads: the catalogue, its orders and their timelines, its money, its account."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import Clock, rfc3339
from app.providers.protocol import ServiceType
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import Caller, RouteTo, World
from tests.http.problems import problem


async def walk(
    client: httpx.AsyncClient, caller: Caller, path: str, limit: int, **params: Any
) -> list[dict[str, Any]]:
    """Every entry of a list, read page by page."""
    entries: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": limit, **params} | ({"cursor": cursor} if cursor else {})
        answer = await client.get(path, params=query, headers=caller.headers)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= limit
        entries += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return entries
        assert len(page["data"]) == limit


class TestServices:
    @pytest.mark.policy("TOS-2a")
    @pytest.mark.policy("TOS-4")
    async def test_a_service_is_told_with_its_price_estimate_and_risk(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        service = await world.service(rate="0.90", risk_notice="Platforms may remove it.")

        answer = await client.get(f"/v1/services/{service.id}", headers=reseller.headers)

        assert answer.json() == {
            "id": service.id,
            "name": service.name,
            "description": "",
            "category": "Followers",
            "platform": "example",
            "kind": "followers",
            "type": "default",
            "tier": "standard",
            "rate": {"amount": "0.90", "currency": "USD"},
            "price_unit": 1000,
            "min_quantity": 10,
            "max_quantity": 100_000,
            "refill": False,
            "refill_days": 30,
            "cancel": True,
            "delivery_hours_min": 1,
            "delivery_hours_max": 72,
            "bulk_units": None,
            "bulk_hours": None,
            "estimate": None,
            "risk_notice": "Platforms may remove it.",
        }

    @pytest.mark.policy("TOS-2b")
    async def test_nothing_that_a_reseller_reads_names_a_provider(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        provider = await world.provider()
        reseller, service = await world.reseller(), await world.service(routes=[provider])
        order = await world.order(reseller, service)
        for path in (
            "/v1/services",
            f"/v1/services/{service.id}",
            "/v1/orders",
            f"/v1/orders/{order['id']}",
            f"/v1/orders/{order['id']}/events",
            "/v1/transactions",
        ):
            text = (await client.get(path, headers=reseller.headers)).text
            assert provider.name not in text
            assert provider.id.hex not in text
            assert "provider" not in text

    async def test_only_what_is_on_sale_is_listed_newest_first(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        services = [
            await world.service(type=kind, routes=[provider])
            for kind in (*ServiceType, ServiceType.DEFAULT, ServiceType.DEFAULT)
        ]
        hidden = await world.service(routes=[provider], on_sale=False)

        for limit in (1, 2, 5, 100):
            listed = await walk(client, reseller, "/v1/services", limit)
            assert [one["id"] for one in listed] == [one.id for one in reversed(services)]
        answer = await client.get(f"/v1/services/{hidden.id}", headers=reseller.headers)
        problem(answer, 404, "not-found")


class TestOrders:
    async def test_pages_of_every_size_hold_each_order_once_newest_first(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        ids = [(await world.order(reseller, service))["id"] for _ in range(7)]

        for limit in (1, 2, 3, 6, 7, 8):
            listed = await walk(client, reseller, "/v1/orders", limit)
            assert [one["id"] for one in listed] == ids[::-1]

    async def test_what_is_placed_while_paging_does_not_shift_the_pages(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        ids = [(await world.order(reseller, service))["id"] for _ in range(3)]
        first = (
            await client.get("/v1/orders", params={"limit": 2}, headers=reseller.headers)
        ).json()
        await world.order(reseller, service)

        rest = await client.get(
            "/v1/orders", params={"cursor": first["next_cursor"]}, headers=reseller.headers
        )

        assert [one["id"] for one in rest.json()["data"]] == ids[:1]

    async def test_each_filter_finds_what_it_names(
        self, client: httpx.AsyncClient, world: World, clock: Clock
    ) -> None:
        reseller = await world.reseller()
        one, other = await world.service(), await world.service()
        early = await world.order(reseller, one, reference="early", link="https://EXAMPLE.com/a/")
        clock.move(timedelta(hours=1))
        between = rfc3339(clock.now())
        clock.move(timedelta(hours=1))
        late = await world.order(reseller, other, reference="late", link="https://example.com/b")
        await client.post(f"/v1/orders/{early['id']}/cancel", headers=reseller.headers)

        async def found(**params: Any) -> list[int]:
            return [
                entry["id"] for entry in await walk(client, reseller, "/v1/orders", 1, **params)
            ]

        assert await found(status="canceled") == [early["id"]]
        assert await found(status="queued") == [late["id"]]
        assert await found(status="completed") == []
        assert await found(service_id=other.id) == [late["id"]]
        assert await found(reference="early") == [early["id"]]
        assert await found(created_from=between) == [late["id"]]
        assert await found(created_to=between) == [early["id"]]
        # The same place on the web in another spelling.
        assert await found(link="http://example.com/a#top") == [early["id"]]
        assert await found(status="queued", service_id=one.id) == []

    async def test_the_timeline_tells_an_orders_life_from_its_first_event(
        self,
        client: httpx.AsyncClient,
        world: World,
        simulator: Simulator,
        worker: Worker,
    ) -> None:
        provider = await world.provider(simulator=simulator)
        reseller, service = await world.reseller(), await world.service(routes=[provider])
        order = await world.order(reseller, service)

        await worker.until_ended()

        path = f"/v1/orders/{order['id']}"
        ended = (await client.get(path, headers=reseller.headers)).json()
        assert (ended["status"], ended["remains"]) == ("completed", 0)
        assert ended["refunded"]["amount"] == "0.00"
        events = await walk(client, reseller, f"{path}/events", 100)
        for limit in (1, 2):
            assert await walk(client, reseller, f"{path}/events", limit) == events
        assert (events[0]["type"], events[-1]["type"]) == ("place", "complete")
        numbers = [event["seq"] for event in events]
        assert numbers == sorted(set(numbers))
        assert all("provider" not in str(event) for event in events)

    async def test_the_timeline_says_who_and_why_and_names_nobody_of_ours(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, operator = await world.reseller(), await world.operator()
        mine = await world.order(reseller)
        await client.post(f"/v1/orders/{mine['id']}/cancel", headers=reseller.headers)
        theirs = await world.order(reseller)
        await client.post(
            f"/v1/operator/orders/{theirs['id']}/cancel",
            json={"reason": "a private word"},
            headers=operator.headers,
        )

        async def told(order: dict[str, Any]) -> list[tuple[str, str, str | None]]:
            events = await walk(client, reseller, f"/v1/orders/{order['id']}/events", 100)
            assert "private" not in str(events)
            assert "opr_" not in str(events)
            return [(event["type"], event["by"], event["reason"]) for event in events]

        assert await told(mine) == [
            ("place", "you", None),
            ("cancel", "you", "canceled_by_reseller"),
        ]
        assert await told(theirs) == [
            ("place", "you", None),
            ("cancel", "operator", "canceled_by_operator"),
        ]


class TestMoney:
    async def test_the_balance_and_what_is_held_follow_each_step(
        self,
        client: httpx.AsyncClient,
        world: World,
        simulator: Simulator,
        worker: Worker,
    ) -> None:
        provider = await world.provider(simulator=simulator)
        service = await world.service(rate="1.00", routes=[RouteTo(provider, cost="0.90")])
        reseller = await world.reseller(balance="5.00")

        async def balance() -> tuple[str, str]:
            read = (await client.get("/v1/balance", headers=reseller.headers)).json()
            assert read["balance"]["currency"] == "USD"
            return read["balance"]["amount"], read["held"]["amount"]

        assert await balance() == ("5.00", "0.00")
        await world.order(reseller, service, quantity=1000)
        canceled = await world.order(reseller, service, quantity=500)
        assert await balance() == ("3.50", "1.50")
        await client.post(f"/v1/orders/{canceled['id']}/cancel", headers=reseller.headers)
        assert await balance() == ("4.00", "1.00")
        await worker.until_ended()
        assert await balance() == ("4.00", "0.00")

    async def test_every_movement_is_told_once_with_the_balance_after_it(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller(balance="10.00")
        service = await world.service(rate="1.00")
        kept = await world.order(reseller, service, quantity=2000)
        back = await world.order(reseller, service, quantity=500)
        await client.post(f"/v1/orders/{back['id']}/cancel", headers=reseller.headers)

        told = await walk(client, reseller, "/v1/transactions", 100)
        for limit in (1, 3):
            assert await walk(client, reseller, "/v1/transactions", limit) == told
        assert [
            (one["kind"], one["amount"]["amount"], one["balance_after"]["amount"]) for one in told
        ] == [
            ("order_end", "0.50", "8.00"),
            ("order_hold", "-0.50", "7.50"),
            ("order_hold", "-2.00", "8.00"),
            ("credit", "10.00", "10.00"),
        ]
        assert [one["order_id"] for one in told] == [back["id"], back["id"], kept["id"], None]
        assert told[3]["note"] == "opening"

    async def test_a_book_without_movements_has_nothing_to_tell(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller(balance="0")

        balance = await client.get("/v1/balance", headers=reseller.headers)

        assert balance.json() == {
            "balance": {"amount": "0.00", "currency": "USD"},
            "held": {"amount": "0.00", "currency": "USD"},
        }
        assert await walk(client, reseller, "/v1/transactions", 1) == []


class TestAccount:
    async def test_an_account_tells_who_it_is_and_takes_another_name(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()

        changed = await client.patch(
            "/v1/account", json={"name": "Neuer Name", "country": "AT"}, headers=reseller.headers
        )
        unchanged = await client.patch("/v1/account", json={}, headers=reseller.headers)

        read = (await client.get("/v1/account", headers=reseller.headers)).json()
        assert changed.json() == unchanged.json() == read
        assert read == {
            "id": reseller.id,
            "name": "Neuer Name",
            "email": reseller.email,
            "country": "AT",
            "standing": "active",
            "mode": "live",
            "currency": "USD",
            "created_at": read["created_at"],
        }

    @pytest.mark.parametrize(
        "body",
        [
            {"name": ""},
            {"name": "n" * 201},
            {"name": "two\nlines"},
            {"country": "de"},
            {"country": "DEU"},
            {"standing": "active"},
            {"email": "other@example.com"},
        ],
    )
    async def test_what_an_account_may_not_say_of_itself_is_refused(
        self, body: dict[str, str], client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()

        answer = await client.patch("/v1/account", json=body, headers=reseller.headers)

        document = problem(answer, 422, "validation-failed")
        assert document["errors"][0]["pointer"] == f"/{next(iter(body))}"

    async def test_keys_are_listed_page_by_page_newest_first(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        ids = [reseller.key_id] + [(await world.key(reseller)).key_id for _ in range(4)]

        for limit in (1, 2, 5):
            listed = await walk(client, reseller, "/v1/api-keys", limit)
            assert [one["id"] for one in listed] == ids[::-1]


async def test_every_answer_carries_safe_headers(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller()
    for path, headers in (("/v1/balance", reseller.headers), ("/v1/balance", {}), ("/nowhere", {})):
        answer = await client.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert answer.headers["x-request-id"]
        assert "set-cookie" not in answer.headers


async def test_times_are_told_in_utc(client: httpx.AsyncClient, world: World) -> None:
    order = await world.order()

    assert order["created_at"].endswith("Z")
    assert order["deliver_by"].endswith("Z")
