"""Operators and what is sold: providers, exchange rates, services, attestations, routes."""

from typing import Any

import httpx
import pytest

from app.core.runtime import Runtime
from app.core.settings import Settings
from app.operators.permissions import Role
from app.providers.protocol import ServiceType
from app.supply import service as supply
from tests.fixtures.world import OperatorCaller, RouteTo, World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import BODIES
from tests.http.test_bad_input import everything_in
from tests.http.test_reads import walk


async def call(
    client: httpx.AsyncClient, operator: OperatorCaller, method: str, path: str, body: Any = None
) -> httpx.Response:
    return await client.request(method, f"/v1/operator{path}", json=body, headers=operator.headers)


class TestProviders:
    @pytest.mark.policy("PRI-4")
    @pytest.mark.policy("SEC-1")
    async def test_credentials_go_in_and_never_come_out(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        operator = await world.operator()
        body = BODIES["operatorCreateProvider"] | {"credentials": {"key": "c4n4ry"}}

        made = await call(client, operator, "POST", "/providers", body)
        assert made.status_code == 201
        path = f"/providers/{made.json()['id']}"
        changed = await call(
            client,
            operator,
            "PATCH",
            path,
            {"credentials": {"key": "c4n4ry-2"}, "in_flight_max": 3, "calls_per_minute": 90},
        )

        read = await call(client, operator, "GET", path)
        listed = await call(client, operator, "GET", "/providers")
        assert changed.json() == read.json() == listed.json()["data"][0]
        assert (read.json()["in_flight_max"], read.json()["calls_per_minute"]) == (3, 90)
        assert not any("c4n4ry" in answer.text for answer in (made, changed, read, listed))
        assert "c4n4ry" not in await everything_in(runtime)
        async with runtime.uow.begin() as session:
            provider = await supply.get_public(session, made.json()["id"])
        account = supply.account_of(provider, runtime.keys, time_scale=1)
        assert account.credentials == {"key": "c4n4ry-2"}

    async def test_what_may_be_evidence_is_declared_and_taken_back_one_by_one(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        made = await call(client, operator, "POST", "/providers", BODIES["operatorCreateProvider"])
        path = f"/providers/{made.json()['id']}"
        names = ("balance_is_proof", "may_probe_ids", "quiet_after_unknown")
        assert [made.json()[name] for name in names] == [False, False, False]

        await call(client, operator, "PATCH", path, dict.fromkeys(names, True))
        changed = await call(client, operator, "PATCH", path, {"may_probe_ids": False})

        assert [changed.json()[name] for name in names] == [True, False, True]

    @pytest.mark.refuses("operatorCreateProvider", "provider-name-taken")
    async def test_a_name_is_given_once(self, client: httpx.AsyncClient, world: World) -> None:
        operator = await world.operator()
        body = BODIES["operatorCreateProvider"]
        await call(client, operator, "POST", "/providers", body)

        again = await call(client, operator, "POST", "/providers", body)

        problem(again, 409, "provider-name-taken")

    @pytest.mark.refuses("operatorCreateProvider", "invalid-input")
    async def test_an_adapter_that_there_is_not_is_refused(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        body = BODIES["operatorCreateProvider"] | {"adapter": "telepathy"}

        answer = await call(client, await world.operator(), "POST", "/providers", body)

        assert pointers(problem(answer, 422, "invalid-input")) == ["/adapter"]

    async def test_an_address_is_needed_only_where_somebody_is_called(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        body: dict[str, Any] = {"name": "People", "adapter": "manual", "currency": "USD"}

        made = await call(client, operator, "POST", "/providers", body)
        assert made.status_code == 201, made.text
        assert made.json()["base_url"] is None
        body |= {"name": "Wire", "adapter": "panel_v2", "credentials": {"key": "k"}}
        refused = await call(client, operator, "POST", "/providers", body)
        assert pointers(problem(refused, 422, "invalid-input")) == ["/base_url"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"base_url": "http://upstream.example/api"},
            {"base_url": "ftp://upstream.example"},
            {"base_url": "https://upstream.example/\u0000"},
            {"currency": "usd"},
            {"in_flight_max": 0},
            {"in_flight_max": 201},
            {"calls_per_minute": 100_001},
            {"credentials": {"key": ""}},
            {"credentials": {"key": 7}},
            {"credentials": {str(n): "x" for n in range(11)}},
            {"simulated": "yes"},
            {"name": "n" * 101},
        ],
    )
    async def test_a_field_out_of_its_bounds_is_refused(
        self, fields: dict[str, Any], client: httpx.AsyncClient, world: World
    ) -> None:
        body = BODIES["operatorCreateProvider"] | fields

        answer = await call(client, await world.operator(), "POST", "/providers", body)

        [pointer] = pointers(problem(answer, 422, "validation-failed"))
        assert pointer.split("/")[1] == next(iter(fields))

    @pytest.mark.parametrize(
        ("adapter", "credentials", "blamed"),
        [
            ("panel_v2", {}, ["/credentials/key"]),
            ("panel_v2", {"key": "x", "user_id": "17"}, ["/credentials"]),
            ("smoservice", {"user_id": "17"}, ["/credentials/api_key"]),
            (
                "smoservice",
                {"key": "x"},
                ["/credentials/user_id", "/credentials/api_key", "/credentials"],
            ),
            ("manual", {"key": "x"}, ["/credentials"]),
        ],
    )
    async def test_an_account_signs_in_with_just_what_its_dialect_asks_for(
        self,
        adapter: str,
        credentials: dict[str, str],
        blamed: list[str],
        client: httpx.AsyncClient,
        world: World,
    ) -> None:
        fields = {"adapter": adapter, "credentials": credentials}
        body = BODIES["operatorCreateProvider"] | fields

        answer = await call(client, await world.operator(), "POST", "/providers", body)

        assert pointers(problem(answer, 422, "invalid-input")) == blamed

    async def test_a_paused_provider_is_handed_nothing_until_it_is_resumed(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, provider = await world.operator(), await world.provider()
        path = f"/providers/{supply.public_provider_id(provider.id)}"

        paused = await call(client, operator, "POST", f"{path}/pause")
        resumed = await call(client, operator, "POST", f"{path}/resume")

        assert (paused.json()["state"], paused.json()["pause_reason"]) == ("paused", "operator")
        assert (resumed.json()["state"], resumed.json()["pause_reason"]) == ("active", None)

    async def test_a_low_balance_is_told_once_an_operator_says_what_is_low(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, provider = await world.operator(), await world.provider()
        path = f"/providers/{supply.public_provider_id(provider.id)}"

        changed = await call(client, operator, "PATCH", path, {"low_balance": "50.00"})
        read = await call(client, operator, "GET", path)

        for told in (changed.json(), read.json()):
            assert told["low_balance"] == {"amount": "50.00", "currency": "USD"}
            assert told["balance_is_low"] is False  # it was never learned
        answer = await call(client, operator, "PATCH", path, {"low_balance": "-1.00"})
        assert pointers(problem(answer, 422, "validation-failed")) == ["/low_balance"]
        other = await call(client, operator, "PATCH", path, {"in_flight_max": 9})
        assert other.json()["low_balance"] is not None
        unwatched = await call(client, operator, "PATCH", path, {"low_balance": None})
        assert unwatched.json()["low_balance"] is None

    async def test_a_service_says_how_it_is_routed_and_a_route_whether_links_are_exclusive(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        path = f"/services/{service.id}"
        before = (await call(client, operator, "GET", path)).json()

        fields = {"routing": "cost", "busy_link": "refuse"}
        after = (await call(client, operator, "PATCH", path, fields)).json()
        route = f"{path}/routes/{before['routes'][0]['id']}"
        shared = (await call(client, operator, "PATCH", route, {"link_exclusive": False})).json()

        assert (before["routing"], before["busy_link"]) == ("priority", "queue")
        assert (after["routing"], after["busy_link"]) == ("cost", "refuse")
        assert before["routes"][0]["link_exclusive"] is True
        assert shared["link_exclusive"] is False

    async def test_providers_are_listed_page_by_page(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        names = [(await world.provider()).name for _ in range(3)]

        listed = await walk(client, operator, "/v1/operator/providers", 2)

        assert [one["name"] for one in listed] == names[::-1]


class TestSimulatorsInProduction:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"environment": "production"})

    async def test_a_simulator_is_refused(self, client: httpx.AsyncClient, world: World) -> None:
        body = BODIES["operatorCreateProvider"] | {"simulated": True}

        answer = await call(client, await world.operator(), "POST", "/providers", body)

        assert pointers(problem(answer, 422, "invalid-input")) == ["/simulated"]


class TestExchangeRates:
    async def test_a_stated_rate_makes_a_foreign_route_sellable_at_its_worth(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        provider = await world.provider(currency="EUR")
        service = await world.service(rate="1.10", routes=[RouteTo(provider, cost="1.00")])
        placing: dict[str, Any] = {"headers": reseller.headers | {"Idempotency-Key": "k"}}

        for rate, status in (("1.100001", 409), ("1.10", 201)):
            put = await call(client, operator, "PUT", "/exchange-rates/EUR", {"rate": rate})
            assert put.status_code == 200
            assert put.json()["rate"] == rate
            answer = await client.post(
                "/v1/orders", json=order_body(service, quantity=1000), **placing
            )
            assert answer.status_code == status

    async def test_rates_are_read_back_latest_first_and_each_page_goes_on_where_one_ended(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        support = await world.operator(roles=[Role.SUPPORT])
        said = [
            ("EUR", "1.10", "2026-01-01T00:00:00Z"),
            ("GBP", "1.30", "2026-01-01T00:00:00Z"),
            ("EUR", "1.15", "2026-02-01T00:00:00Z"),
            ("EUR", "1.20", "2126-01-01T00:00:00Z"),
        ]
        for currency, rate, since in said:
            body = {"rate": rate, "valid_from": since}
            await call(client, operator, "PUT", f"/exchange-rates/{currency}", body)

        for limit in (1, 3, 100):
            read = await walk(client, support, "/v1/operator/exchange-rates", limit)
            assert [(one["currency"], one["rate"], one["valid_from"]) for one in read] == [
                said[3],
                said[2],
                said[1],
                said[0],
            ]
        pounds = await walk(client, support, "/v1/operator/exchange-rates", 1, currency="GBP")
        assert [one["rate"] for one in pounds] == ["1.30"]

    @pytest.mark.refuses("operatorPutExchangeRate", "invalid-input")
    @pytest.mark.parametrize(
        ("currency", "rate", "blamed"),
        [("EUR", "0", "/rate"), ("EUR", "-1.10", "/rate"), ("USD", "1.10", "currency")],
    )
    async def test_a_rate_of_nothing_or_of_the_selling_currency_is_refused(
        self, currency: str, rate: str, blamed: str, client: httpx.AsyncClient, world: World
    ) -> None:
        answer = await call(
            client, await world.operator(), "PUT", f"/exchange-rates/{currency}", {"rate": rate}
        )

        assert pointers(problem(answer, 422, "invalid-input")) == [blamed]

    @pytest.mark.parametrize("currency", ["eur", "EURO", "E1R", "EUR%0A"])
    async def test_a_currency_that_is_none_is_refused(
        self, currency: str, client: httpx.AsyncClient, world: World
    ) -> None:
        answer = await call(
            client, await world.operator(), "PUT", f"/exchange-rates/{currency}", {"rate": "1.1"}
        )

        assert pointers(problem(answer, 422, "validation-failed")) == ["currency"]


class TestServices:
    @pytest.mark.policy("AUP-2")
    @pytest.mark.refuses("operatorChangeService", "not-attested")
    async def test_a_service_is_sold_only_with_an_attestation_and_only_as_long(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        provider = supply.public_provider_id((await world.provider()).id)
        made = await call(client, operator, "POST", "/services", BODIES["operatorCreateService"])
        assert made.status_code == 201, made.text
        service = made.json()
        assert (service["state"], service["attestation"], service["routes"]) == (
            "off_sale",
            None,
            [],
        )
        assert service["rate"] == {"amount": "0.90", "currency": "USD"}
        path = f"/services/{service['id']}"
        route = {"provider_id": provider, "provider_service": "101", "cost": "0.50"}
        routed = await call(client, operator, "POST", f"{path}/routes", route)
        assert routed.status_code == 201
        public = f"/v1/services/{service['id']}"

        on_sale = await call(client, operator, "PATCH", path, {"state": "on_sale"})
        problem(on_sale, 409, "not-attested")

        attested = await call(
            client, operator, "PUT", f"{path}/attestation", BODIES["operatorAttestService"]
        )
        assert attested.json()["operator_id"] == operator.id
        on_sale = await call(client, operator, "PATCH", path, {"state": "on_sale"})
        assert on_sale.json()["state"] == "on_sale"
        assert on_sale.json()["attestation"] == attested.json()
        assert on_sale.json()["routes"] == [routed.json()]
        assert (await client.get(public, headers=reseller.headers)).status_code == 200

        withdrawn = await call(client, operator, "DELETE", f"{path}/attestation")
        assert withdrawn.status_code == 204
        problem(await client.get(public, headers=reseller.headers), 404, "not-found")
        read = (await call(client, operator, "GET", path)).json()
        assert (read["state"], read["attestation"]) == ("off_sale", None)
        on_sale = await call(client, operator, "PATCH", path, {"state": "on_sale"})
        problem(on_sale, 409, "not-attested")

    @pytest.mark.policy("AUP-2")
    @pytest.mark.parametrize(
        "method", ["bots", "fake_accounts", "hijacked_accounts", "unknown", ""]
    )
    async def test_a_method_that_is_not_lawful_cannot_be_attested(
        self, method: str, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service(attested=False)

        answer = await call(
            client,
            operator,
            "PUT",
            f"/services/{service.id}/attestation",
            {"method": method, "document": "d"},
        )

        assert pointers(problem(answer, 422, "validation-failed")) == ["/method"]

    async def test_a_second_attestation_takes_the_place_of_the_first(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        path = f"/services/{service.id}"

        await call(
            client,
            operator,
            "PUT",
            f"{path}/attestation",
            {"method": "creators", "document": "contract 8"},
        )

        read = (await call(client, operator, "GET", path)).json()
        assert read["attestation"]["method"] == "creators"
        assert read["state"] == "on_sale"
        assert await world.count("service_attestations") == 2

    @pytest.mark.refuses("operatorCreateService", "invalid-input")
    @pytest.mark.parametrize(
        ("fields", "blamed"),
        [
            ({"min_quantity": 11, "max_quantity": 10}, "/max_quantity"),
            ({"delivery_hours_min": 9, "delivery_hours_max": 8}, "/delivery_hours_max"),
            ({"bulk_units": 1, "bulk_hours": 1, "max_quantity": 100_000}, "/bulk_hours"),
            ({"type": "package"}, "/price_unit"),
            ({"price_unit": 1}, "/price_unit"),
            ({"package_units": 5}, "/package_units"),
            ({"rate": "0"}, "/rate"),
            ({"rate": "-0.90"}, "/rate"),
            ({"rate": "9000000000", "max_quantity": 100_000_000}, "/rate"),
        ],
    )
    async def test_a_service_that_contradicts_itself_is_refused(
        self, fields: dict[str, Any], blamed: str, client: httpx.AsyncClient, world: World
    ) -> None:
        body = BODIES["operatorCreateService"] | fields

        answer = await call(client, await world.operator(), "POST", "/services", body)

        assert pointers(problem(answer, 422, "invalid-input")) == [blamed]

    @pytest.mark.refuses("operatorChangeService", "invalid-input")
    @pytest.mark.parametrize(
        ("fields", "blamed"),
        [
            ({"min_quantity": 100_001}, "/max_quantity"),
            ({"rate": "0.00"}, "/rate"),
            ({"package_units": 7}, "/package_units"),
        ],
    )
    async def test_a_change_that_contradicts_the_rest_is_refused(
        self, fields: dict[str, Any], blamed: str, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()

        answer = await call(client, operator, "PATCH", f"/services/{service.id}", fields)

        assert pointers(problem(answer, 422, "invalid-input")) == [blamed]
        read = (await call(client, operator, "GET", f"/services/{service.id}")).json()
        assert read["min_quantity"] == 10

    @pytest.mark.parametrize(
        "fields",
        [
            {"rate": 0.9},
            {"rate": "NaN"},
            {"price_unit": 10},
            {"type": "bots"},
            {"tier": "gold"},
            {"max_quantity": 100_000_001},
            {"min_quantity": 0},
            {"markup_basis_points": -10_001},
            {"markup_basis_points": 10**400},
            {"delivery_hours_max": 0},
            {"description": "d" * 4001},
            {"description": "a\u0000b"},
            {"refill": "yes"},
            {"id": 7},
            {"state": "on_sale"},
        ],
    )
    async def test_a_field_out_of_its_bounds_is_refused(
        self, fields: dict[str, Any], client: httpx.AsyncClient, world: World
    ) -> None:
        body = BODIES["operatorCreateService"] | fields

        answer = await call(client, await world.operator(), "POST", "/services", body)

        assert pointers(problem(answer, 422, "validation-failed")) == [f"/{next(iter(fields))}"]
        assert await world.count("services") == 0

    async def test_every_field_can_be_changed(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        package = await world.service(type=ServiceType.PACKAGE, rate="6.00")
        fields = {
            "name": "Starter",
            "description": "Everything\nyou need",
            "category": "Packages",
            "rate": "7.50",
            "markup_basis_points": 2500,
            "package_units": 1000,
            "below_cost_allowed": True,
            "refill": True,
            "cancel": False,
            "delivery_hours_min": 2,
            "delivery_hours_max": 48,
            "risk_notice": "May drop.",
            "state": "off_sale",
        }

        changed = await call(client, operator, "PATCH", f"/services/{package.id}", fields)

        assert changed.status_code == 200, changed.text
        expected = fields | {"rate": {"amount": "7.50", "currency": "USD"}}
        assert {name: changed.json()[name] for name in fields} == expected

    @pytest.mark.parametrize(
        ("type_", "given"),
        [
            (ServiceType.DEFAULT, {"bulk_units": 1000, "bulk_hours": 3}),
            (ServiceType.PACKAGE, {"package_units": 500}),
        ],
    )
    async def test_what_a_service_need_not_have_is_taken_away_by_null(
        self, type_: ServiceType, given: dict[str, Any], client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service(type=type_, **given)
        path, nothing = f"/services/{service.id}", dict.fromkeys(given)

        other = (await call(client, operator, "PATCH", path, {"name": None, "refill": True})).json()
        changed = (await call(client, operator, "PATCH", path, nothing)).json()

        assert {name: other[name] for name in given} == given
        assert {name: changed[name] for name in given} == nothing

    async def test_services_are_listed_page_by_page_on_sale_or_not(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        ids = [(await world.service(attested=attested)).id for attested in (True, False, True)]

        listed = await walk(client, operator, "/v1/operator/services", 1)

        assert [one["id"] for one in listed] == ids[::-1]
        assert [one["attestation"] is not None for one in listed] == [True, False, True]


class TestRoutes:
    @pytest.mark.refuses("operatorCreateRoute", "route-exists")
    @pytest.mark.refuses("operatorCreateRoute", "invalid-input")
    async def test_a_route_is_added_once_and_changed(
        self, client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operator, service = await world.operator(), await world.service(routes=[])
        provider = supply.public_provider_id((await world.provider()).id)
        path = f"/services/{service.id}/routes"
        body = {"provider_id": provider, "provider_service": "101", "cost": "0.50"}

        made = await call(client, operator, "POST", path, body)
        assert made.status_code == 201
        problem(await call(client, operator, "POST", path, body), 409, "route-exists")
        changed = await call(
            client,
            operator,
            "PATCH",
            f"{path}/{made.json()['id']}",
            {"cost": "0.60", "priority": 1, "state": "closed"},
        )
        assert changed.status_code == 200, changed.text
        assert changed.json() == made.json() | {
            "cost": "0.60",
            "priority": 1,
            "state": "closed",
            "closed_reason": "operator",
        }

        monkeypatch.setattr("app.catalog.service_routes.ROUTES_PER_SERVICE_MAX", 1)
        one_more = await call(client, operator, "POST", path, body | {"provider_service": "102"})
        assert pointers(problem(one_more, 422, "invalid-input")) == ["/provider_service"]

    async def test_a_subscription_is_routed_only_to_a_provider_that_can_run_it(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        service = await world.service(type=ServiceType.SUBSCRIPTIONS, routes=[])
        for adapter, status in (("manual", 422), ("smoservice", 422), ("panel_v2", 201)):
            provider = await world.provider(adapter=adapter)
            body = BODIES["operatorCreateRoute"]
            body = body | {"provider_id": supply.public_provider_id(provider.id)}
            answer = await call(client, operator, "POST", f"/services/{service.id}/routes", body)
            assert answer.status_code == status, answer.text
            if status == 422:
                assert pointers(problem(answer, 422, "invalid-input")) == ["/provider_id"]

    async def test_an_absent_provider_or_service_has_no_route(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        provider = supply.public_provider_id((await world.provider()).id)
        body = BODIES["operatorCreateRoute"]

        for path, fields in (
            (f"/services/{service.id}/routes", {}),
            ("/services/999999999/routes", {"provider_id": provider}),
        ):
            answer = await call(client, operator, "POST", path, body | fields)
            problem(answer, 404, "not-found")

    @pytest.mark.parametrize("cost", ["-0.01", "c4n4ry", 5])
    async def test_a_cost_below_nothing_is_refused(
        self, cost: object, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, service = await world.operator(), await world.service()
        provider = supply.public_provider_id((await world.provider()).id)
        route = await call(client, operator, "GET", f"/services/{service.id}")
        path = f"/services/{service.id}/routes"
        body = {"provider_id": provider, "provider_service": "101", "cost": cost}

        made = await call(client, operator, "POST", path, body)
        changed = await call(
            client, operator, "PATCH", f"{path}/{route.json()['routes'][0]['id']}", {"cost": cost}
        )

        for answer in (made, changed):
            assert answer.status_code == 422, answer.text
            assert pointers(answer.json()) == ["/cost"]
            assert "c4n4ry" not in answer.text
