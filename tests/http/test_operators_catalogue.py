"""Operators and what providers sell: mirror, import, findings, mark-up rules, price history."""

from typing import Any

import httpx
import pytest

from app.catalog import mirror
from app.catalog.listing import Part, read_list
from app.catalog.mirror import SYNC
from app.core import work
from app.core.runtime import Runtime
from app.operators.permissions import Role
from app.providers.protocol import CatalogEntry, ServiceType
from app.supply import service as supply
from app.supply.models import Provider
from tests.fixtures.world import OperatorCaller, RouteTo, World
from tests.http.problems import pointers, problem
from tests.http.routes import ABSENT, BODIES
from tests.http.test_operators_supply import call
from tests.http.test_reads import walk


def entry(service: str, rate_micros: int = 500_000, **fields: Any) -> CatalogEntry:
    facts: dict[str, Any] = {
        "service": service,
        "name": f"Service {service}",
        "service_type": "Default",
        "category": "Growth",
        "rate_micros": rate_micros,
        "min": 10,
        "max": 1000,
        "refill": True,
        "cancel": False,
        "dripfeed": False,
    }
    return CatalogEntry(**(facts | fields))


async def sync(runtime: Runtime, provider: Provider, *entries: CatalogEntry) -> None:
    """A sync of this list, as a worker makes it."""
    listing = read_list(entries)
    async with runtime.uow.begin() as session:
        run = await mirror.begin(session, provider.id)
        part = Part(single=listing.single, repeated=tuple(listing.repeated.values()))
        applied = await mirror.apply(session, run, part)
        await mirror.end(session, run, failure=None, remark=None, counts=applied.counts)


def public(provider: Provider) -> str:
    return supply.public_provider_id(provider.id)


def wanted(provider: Provider, service: str = "7", **fields: Any) -> dict[str, Any]:
    item = {"provider_id": public(provider), "provider_service": service}
    words = {"platform": "example", "kind": "followers", "markup": {"percent_basis_points": 3000}}
    return item | words | fields


@pytest.fixture
async def operator(world: World) -> OperatorCaller:
    """One who has the catalogue's role and no other."""
    return await world.operator(roles=[Role.CATALOGUE])


class TestImport:
    async def test_an_imported_service_is_routed_priced_and_off_sale(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider = await world.provider()
        pack = entry("8", 4_500_000, service_type="package", min=1, max=1)
        await sync(runtime, provider, entry("7", min=0, max=10**12), pack)
        body = {
            "services": [
                wanted(provider, name="Ours", category="Growth+", tier="premium"),
                wanted(provider, "8", markup={"percent_basis_points": 0, "step": "0.99"}),
            ]
        }

        made = await call(client, operator, "POST", "/provider-services/import", body)

        assert made.status_code == 201, made.text
        first, second = made.json()["data"]
        assert first == {
            "service_id": first["service_id"],
            "name": "Ours",
            "type": "default",
            "rate": {"amount": "0.65", "currency": "USD"},
            "min_quantity": 1,
            "max_quantity": 100_000_000,
        }
        assert (second["type"], second["rate"]["amount"]) == ("package", "4.95")
        read = await call(client, operator, "GET", f"/services/{first['service_id']}")
        service = read.json()
        assert (service["state"], service["attestation"]) == ("off_sale", None)
        assert (service["markup_basis_points"], service["refill"]) == (3000, True)
        [route] = service["routes"]
        assert (route["provider_service"], route["cost"], route["state"]) == ("7", "0.50", "open")
        again = await call(client, operator, "POST", "/provider-services/import", body)
        assert pointers(problem(again, 422, "invalid-input")) == [
            "/services/0/provider_service",
            "/services/1/provider_service",
        ]
        assert await world.count("services") == 2

    @pytest.mark.refuses("operatorImportServices", "invalid-input")
    @pytest.mark.parametrize(
        ("fields", "blamed"),
        [
            ({"provider_service": "8"}, "provider_service"),
            ({"provider_id": ABSENT["provider_id"]}, "provider_service"),
            ({"provider_id": "nobody"}, "provider_service"),
            ({"provider_service": "odd"}, "provider_service"),
            ({"provider_service": "twice"}, "provider_service"),
            ({"provider_service": "none"}, "provider_service"),
            ({"provider_service": "heaps"}, "provider_service"),
            ({"markup": None}, "markup"),
        ],
    )
    async def test_what_cannot_be_imported_is_refused_by_name_and_nothing_is_made(
        self,
        fields: dict[str, Any],
        blamed: str,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider = await world.provider()
        twice = (entry("twice"), entry("twice"))
        unsold = (entry("none", min=0, max=0), entry("heaps", min=10**9, max=10**10))
        odd = entry("odd", service_type="Odd")
        await sync(runtime, provider, entry("7"), entry("9"), odd, *unsold)
        await sync(runtime, provider, *twice)
        body = {"services": [wanted(provider, "9"), wanted(provider, **fields)]}

        answer = await call(client, operator, "POST", "/provider-services/import", body)

        assert pointers(problem(answer, 422, "invalid-input")) == [f"/services/1/{blamed}"]
        assert await world.count("services") == 0

    async def test_a_service_is_imported_once_and_only_at_a_known_rate(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider = await world.provider(currency="EUR")
        await sync(runtime, provider, entry("7"))
        body = {"services": [wanted(provider), wanted(provider)]}

        answer = await call(client, operator, "POST", "/provider-services/import", body)
        assert pointers(problem(answer, 422, "invalid-input")) == [
            "/services/0/provider_id",
            "/services/1/provider_service",
        ]
        await call(client, operator, "PUT", "/exchange-rates/EUR", {"rate": "2.00"})
        await call(client, operator, "PUT", "/markup-rules/default", {"percent_basis_points": 0})
        body = {"services": [wanted(provider, markup=None)]}
        made = await call(client, operator, "POST", "/provider-services/import", body)

        assert made.json()["data"][0]["rate"]["amount"] == "1.00"


class TestMirror:
    async def test_what_providers_sell_is_listed_with_its_history(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider, other = await world.provider(), await world.provider(currency="EUR")
        await sync(runtime, other, entry("1"))
        await sync(runtime, provider, *(entry(str(n)) for n in range(5)))
        await sync(runtime, provider, entry("3", 600_000))
        mine = {"provider_id": public(provider)}

        listed = await walk(client, operator, "/v1/operator/provider-services", 2, **mine)
        gone = await walk(client, operator, "/v1/operator/provider-services", 2, gone=True)
        changes = await walk(
            client,
            operator,
            "/v1/operator/provider-service-changes",
            1,
            provider_service="3",
            **mine,
        )

        assert [one["provider_service"] for one in listed] == ["4", "3", "2", "1", "0"]
        assert listed[1]["rate"] == {"amount": "0.60", "currency": "USD"}
        assert gone == []
        assert [(one["what"], one["before"], one["after"].get("rate")) for one in changes] == [
            ("price", {"rate": "0.50"}, "0.60"),
            ("new", {}, "0.50"),
        ]

    @pytest.mark.parametrize(
        ("path", "filters", "blamed"),
        [
            ("provider-service-changes", {"provider_service": "a\u0000"}, "provider_service"),
            ("provider-service-changes", {"provider_id": "prv_1"}, "provider_id"),
            ("provider-services", {"gone": "perhaps"}, "gone"),
            ("catalogue-findings", {"state": "lost"}, "state"),
        ],
    )
    async def test_a_filter_that_breaks_its_rule_is_refused_by_its_name(
        self,
        path: str,
        filters: dict[str, str],
        blamed: str,
        client: httpx.AsyncClient,
        operator: OperatorCaller,
    ) -> None:
        answer = await client.get(f"/v1/operator/{path}", params=filters, headers=operator.headers)

        assert pointers(problem(answer, 422, "validation-failed")) == [blamed]

    async def test_an_operator_has_a_provider_synced_now(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider = await world.provider()

        asked = await call(client, operator, "POST", f"/providers/{public(provider)}/sync")

        assert (asked.status_code, asked.json()["provider_id"]) == (202, public(provider))
        async with runtime.uow.begin() as session:
            assert await work.due_lanes(session, SYNC) == [str(provider.id)]

    async def test_syncs_are_listed_with_what_they_found(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider, other = await world.provider(), await world.provider()
        await sync(runtime, other, entry("1"))
        for _ in range(3):
            await sync(runtime, provider, entry("1"), entry("2"))
        mine = {"provider_id": public(provider)}

        runs = await walk(client, operator, "/v1/operator/catalogue-syncs", 2, **mine)

        assert [(run["outcome"], run["counts"]) for run in runs] == [
            ("ok", {}),
            ("ok", {}),
            ("ok", {"new": 2}),
        ]

    async def test_a_provider_may_have_a_threshold_of_its_own(
        self, client: httpx.AsyncClient, world: World, operator: OperatorCaller
    ) -> None:
        path = f"/providers/{public(await world.provider())}/sync-rule"

        before = await call(client, operator, "GET", path)
        put = await call(client, operator, "PUT", path, {"price_jump_basis_points": 500})
        after = await call(client, operator, "GET", path)

        assert before.json()["price_jump_basis_points"] == 2000
        assert put.json() == after.json()
        assert after.json()["price_jump_basis_points"] == 500


class TestFindings:
    async def open_finding(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
    ) -> tuple[dict[str, Any], int]:
        provider = await world.provider()
        service = await world.service(routes=[RouteTo(provider)], max_quantity=1000)
        await sync(runtime, provider, entry("101", 5_000_000))
        listed = await walk(client, operator, "/v1/operator/catalogue-findings", 1, state="open")
        [finding] = listed
        return finding, service.id

    async def test_an_accepted_finding_opens_the_route_and_is_in_the_audit_log(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        finding, service_id = await self.open_finding(client, world, runtime, operator)
        assert (finding["kind"], finding["before"], finding["after"]) == (
            "price_jump",
            {"rate": "0.50"},
            {"rate": "5.00"},
        )

        path = f"/catalogue-findings/{finding['id']}/accept"
        accepted = await call(client, operator, "POST", path, {"note": "talked to them"})

        assert accepted.status_code == 200, accepted.text
        assert accepted.json()["state"] == "accepted"
        assert accepted.json()["decided_by"] == f"operator:{operator.id}"
        service = (await call(client, operator, "GET", f"/services/{service_id}")).json()
        assert [(one["state"], one["cost"]) for one in service["routes"]] == [("open", "5.00")]
        log = await call(client, await world.operator(), "GET", "/audit-log")
        [act, *_] = log.json()["data"]
        assert (act["action"], act["subject"]) == ("finding.accept", f"finding:{finding['id']}")

    @pytest.mark.refuses("operatorAcceptFinding", "finding-decided")
    @pytest.mark.refuses("operatorRejectFinding", "finding-decided")
    async def test_a_finding_is_decided_once(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        finding, _ = await self.open_finding(client, world, runtime, operator)
        path = f"/catalogue-findings/{finding['id']}"
        rejected = await call(client, operator, "POST", f"{path}/reject", {})
        assert rejected.json()["state"] == "rejected"

        again = await call(client, operator, "POST", f"{path}/reject", {})
        problem(again, 409, "finding-decided")
        await call(client, operator, "POST", f"{path}/accept", {})
        again = await call(client, operator, "POST", f"{path}/accept", {})
        problem(again, 409, "finding-decided")

    @pytest.mark.refuses("operatorAcceptFinding", "nothing-to-accept")
    async def test_of_an_id_that_is_listed_twice_nothing_can_be_accepted(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        provider = await world.provider()
        await sync(runtime, provider, entry("7"), entry("7", 600_000))
        [finding] = await walk(client, operator, "/v1/operator/catalogue-findings", 1)
        assert [one["rate"] for one in finding["after"]["entries"]] == ["0.50", "0.60"]

        path = f"/catalogue-findings/{finding['id']}/accept"
        problem(await call(client, operator, "POST", path, {}), 409, "nothing-to-accept")

    @pytest.mark.parametrize(
        ("listed", "ours", "rules"),
        [
            ({}, {}, []),
            ({"service_type": "Zauberei"}, {}, []),
            ({"service_type": "comment_likes"}, {}, ["is of the type comment_likes"]),
            ({"min": 11}, {}, ["takes 11 to 1000"]),
            ({"max": 999}, {}, ["takes 10 to 999"]),
            ({"max": 999, "service_type": "Poll"}, {}, ["is of the type poll", "takes 10 to 999"]),
            (
                {"service_type": "Package", "max": 5, "min": 0},
                {"type": ServiceType.PACKAGE, "max_quantity": 1},
                [],
            ),
        ],
    )
    async def test_a_route_to_what_its_provider_is_known_to_sell_otherwise_is_refused(
        self,
        listed: dict[str, Any],
        ours: dict[str, Any],
        rules: list[str],
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[], **({"max_quantity": 1000} | ours))
        await sync(runtime, provider, entry("7", **listed))
        body = {"provider_id": public(provider), "provider_service": "7", "cost": "0.50"}

        answer = await call(
            client, await world.operator(), "POST", f"/services/{service.id}/routes", body
        )

        if not rules:
            assert answer.status_code == 201, answer.text
            return
        errors = problem(answer, 422, "invalid-input")["errors"]
        assert [one["pointer"] for one in errors] == ["/provider_service"] * len(rules)
        assert all(one["detail"].startswith(rule) for one, rule in zip(errors, rules, strict=True))

    async def test_a_service_is_not_sold_beyond_what_its_open_routes_take(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[], min_quantity=10, max_quantity=1000)
        path = f"/services/{service.id}"
        await sync(runtime, provider, entry("7"))
        route = {"provider_id": public(provider), "provider_service": "7", "cost": "0.50"}
        await call(client, operator, "POST", f"{path}/routes", route)
        [made] = (await call(client, operator, "GET", path)).json()["routes"]
        beyond = {"min_quantity": 9, "max_quantity": 1001}

        answer = await call(client, operator, "PATCH", path, beyond)
        errors = problem(answer, 422, "invalid-input")["errors"]
        assert [(one["pointer"], one["detail"]) for one in errors] == [
            ("/min_quantity", f"must be at least 10, which is what its route {made['id']} takes"),
            ("/max_quantity", f"must be at most 1000, which is what its route {made['id']} takes"),
        ]
        kept = (await call(client, operator, "GET", path)).json()
        assert (kept["min_quantity"], kept["max_quantity"]) == (10, 1000)
        within = await call(client, operator, "PATCH", path, {"max_quantity": 500})
        assert within.status_code == 200, within.text

        # A closed route binds nobody, and is not opened over what it does not take.
        route_path = f"{path}/routes/{made['id']}"
        await call(client, operator, "PATCH", route_path, {"state": "closed"})
        assert (await call(client, operator, "PATCH", path, beyond)).status_code == 200
        refused = await call(client, operator, "PATCH", route_path, {"state": "open"})
        [error] = problem(refused, 422, "invalid-input")["errors"]
        assert error == {
            "pointer": "/state",
            "detail": "takes 10 to 1000 at this provider, and the service sells 9 to 1001",
        }

    async def test_accepted_bounds_are_sold_as_far_as_every_route_takes_them(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
    ) -> None:
        wide, narrow = await world.provider(), await world.provider()
        service = await world.service(
            routes=[RouteTo(wide), RouteTo(narrow)], min_quantity=100, max_quantity=1000
        )
        await sync(runtime, wide, entry("101", min=100))
        await sync(runtime, narrow, entry("101", min=50, max=5000))
        await sync(runtime, wide, entry("101", min=1, max=9000))
        [finding] = await walk(client, operator, "/v1/operator/catalogue-findings", 1)

        path = f"/catalogue-findings/{finding['id']}/accept"
        accepted = await call(client, operator, "POST", path, {})

        assert accepted.status_code == 200, accepted.text
        sold = (await call(client, operator, "GET", f"/services/{service.id}")).json()
        assert (sold["min_quantity"], sold["max_quantity"]) == (50, 5000)

    async def test_what_was_sold_before_its_provider_was_ever_synced_is_held_against_its_list(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
    ) -> None:
        provider = await world.provider()
        service = await world.service(
            routes=[RouteTo(provider)], min_quantity=50, max_quantity=5000
        )
        await sync(runtime, provider, entry("101"))
        [finding] = await walk(client, operator, "/v1/operator/catalogue-findings", 1)
        assert (finding["kind"], finding["before"]["max"]) == ("bounds", 5000)
        path = f"/services/{service.id}"
        [route] = (await call(client, operator, "GET", path)).json()["routes"]
        assert route["closed_reason"] == "quarantine"

        await call(client, operator, "POST", f"/catalogue-findings/{finding['id']}/accept", {})

        sold = (await call(client, operator, "GET", path)).json()
        assert (sold["min_quantity"], sold["max_quantity"]) == (50, 1000)
        assert sold["routes"][0]["state"] == "open"

    async def test_a_route_in_quarantine_binds_what_is_sold_as_it_opens_by_itself(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[RouteTo(provider)], max_quantity=1000)
        await sync(runtime, provider, entry("101"))
        await sync(runtime, provider, entry("101", 5_000_000))
        path = f"/services/{service.id}"

        answer = await call(client, operator, "PATCH", path, {"max_quantity": 2000})

        [error] = problem(answer, 422, "invalid-input")["errors"]
        assert error["pointer"] == "/max_quantity"

    @pytest.mark.refuses("operatorChangeRoute", "route-quarantined")
    async def test_a_route_is_not_opened_past_a_finding(
        self,
        client: httpx.AsyncClient,
        world: World,
        runtime: Runtime,
        operator: OperatorCaller,
    ) -> None:
        _, service_id = await self.open_finding(client, world, runtime, operator)
        service = (await call(client, operator, "GET", f"/services/{service_id}")).json()
        [route] = service["routes"]
        assert (route["state"], route["closed_reason"]) == ("closed", "quarantine")

        path = f"/services/{service_id}/routes/{route['id']}"
        answer = await call(client, operator, "PATCH", path, {"state": "open"})

        problem(answer, 409, "route-quarantined")


class TestPrices:
    async def test_rules_are_put_listed_and_taken_away(
        self, client: httpx.AsyncClient, world: World, operator: OperatorCaller
    ) -> None:
        provider, service = await world.provider(), await world.service()
        subjects = ["default", public(provider), str(service.id)]
        rule = {"percent_basis_points": 3000, "fixed": "0.10", "step": "0.01", "floor": "0.50"}
        for subject in subjects * 2:
            put = await call(client, operator, "PUT", f"/markup-rules/{subject}", rule)
            assert put.status_code == 200, put.text
            assert put.json() == rule | {
                "subject": subject,
                "automatic": True,
                "changed_at": put.json()["changed_at"],
            }

        listed = await walk(client, operator, "/v1/operator/markup-rules", 2)
        assert [one["subject"] for one in listed] == subjects[::-1]
        for subject in subjects:
            path = f"/markup-rules/{subject}"
            assert (await call(client, operator, "DELETE", path)).status_code == 204
            problem(await call(client, operator, "DELETE", path), 404, "not-found")

    @pytest.mark.parametrize(
        "fields",
        [
            {"percent_basis_points": -10_001},
            {"percent_basis_points": 1_000_001},
            {"percent_basis_points": 0.5},
            {"fixed": "-0.01"},
            {"step": "0"},
            {"floor": 1},
            {"automatic": "yes"},
        ],
    )
    async def test_a_rule_out_of_its_bounds_is_refused(
        self, fields: dict[str, Any], client: httpx.AsyncClient, operator: OperatorCaller
    ) -> None:
        body = BODIES["operatorPutMarkupRule"] | fields

        answer = await call(client, operator, "PUT", "/markup-rules/default", body)

        assert pointers(problem(answer, 422, "validation-failed")) == [f"/{next(iter(fields))}"]

    @pytest.mark.parametrize("subject", ["nobody", "0", "9" * 30, "٣"])
    async def test_a_rule_for_nothing_is_refused(
        self, subject: str, client: httpx.AsyncClient, operator: OperatorCaller
    ) -> None:
        body = BODIES["operatorPutMarkupRule"]

        answer = await call(client, operator, "PUT", f"/markup-rules/{subject}", body)

        problem(answer, 404, "not-found")

    async def test_every_price_of_a_service_is_told_with_who_set_it(
        self, client: httpx.AsyncClient, world: World, operator: OperatorCaller
    ) -> None:
        service = await world.service(rate="0.90")
        await call(client, operator, "PATCH", f"/services/{service.id}", {"rate": "1.00"})

        path = f"/v1/operator/services/{service.id}/prices"
        prices = await walk(client, operator, path, 1)

        assert [(one["rate"]["amount"], one["cost"], one["reason"]) for one in prices] == [
            ("1.00", None, "changed"),
            ("0.90", None, "created"),
        ]
        assert prices[0]["actor"] == f"operator:{operator.id}"
