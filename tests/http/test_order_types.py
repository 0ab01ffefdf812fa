"""Orders of every service type through the public door, and what each type refuses."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.catalog import service as catalog
from app.core.runtime import Runtime
from app.providers.forms import FORMS, ServiceType, Unit
from tests.fixtures.world import LINK, STATED_TYPES, ResellerCaller, World, order_body
from tests.http.problems import pointers, problem

TYPES = sorted(set(ServiceType) - {ServiceType.SUBSCRIPTIONS})
REACHING = [type_ for type_ in TYPES if FORMS[type_].reaches_others]


async def place(
    client: httpx.AsyncClient, reseller: ResellerCaller, body: dict[str, Any]
) -> httpx.Response:
    headers = reseller.headers | {"Idempotency-Key": uuid4().hex}
    return await client.post("/v1/orders", json=body, headers=headers)


class TestEveryType:
    """Each type takes its own fields, with its type stated or not, and refuses the rest."""

    @pytest.mark.policy("TOS-2a")
    @pytest.mark.parametrize("kind", TYPES)
    @pytest.mark.parametrize("stated", [True, False])
    async def test_an_order_says_what_its_type_needs_and_is_charged_by_it(
        self, kind: ServiceType, stated: bool, client: httpx.AsyncClient, world: World
    ) -> None:
        service, reseller = await world.service(type=kind), await world.reseller(balance="100.00")
        body = order_body(service) | ({"type": str(kind)} if stated else {})

        answer = await place(client, reseller, body)

        assert answer.status_code == 201, answer.text
        billable = FORMS[kind].billable
        counted = 1 if billable is Unit.ONE else body.get("quantity", service.min_quantity)
        assert answer.json()["quantity"] == counted

    @pytest.mark.parametrize("kind", TYPES)
    async def test_a_field_that_is_missing_is_named(
        self, kind: ServiceType, client: httpx.AsyncClient, world: World
    ) -> None:
        service, reseller = await world.service(type=kind), await world.reseller()
        for field in FORMS[kind].required:
            body = order_body(service) | {"type": str(kind)}
            del body[field]
            refused = problem(await place(client, reseller, body), 422, "validation-failed")
            assert pointers(refused) == [f"/{field}"]
        assert await world.count("orders") == 0

    @pytest.mark.parametrize("stated", [{"type": "mentions_user_followers"}, {}])
    async def test_a_user_who_is_named_by_an_address_is_named_by_nothing_else(
        self, stated: dict[str, str], client: httpx.AsyncClient, world: World
    ) -> None:
        service = await world.service(type=ServiceType.MENTIONS_USER_FOLLOWERS)
        body = {"service_id": service.id, "link": LINK, "quantity": 1000, "username": "ada"}

        answer = await place(client, await world.reseller(), body | stated)

        refused = problem(answer, 422, "validation-failed" if stated else "invalid-input")
        assert pointers(refused) == ["/username"]

    @pytest.mark.parametrize("kind", TYPES)
    async def test_a_field_of_another_type_is_named(
        self, kind: ServiceType, client: httpx.AsyncClient, world: World
    ) -> None:
        service, reseller = await world.service(type=kind), await world.reseller()
        other = "keywords" if kind is not ServiceType.SEO else "answer_number"
        body = order_body(service) | {"type": str(kind), other: 1}
        refused = problem(await place(client, reseller, body), 422, "validation-failed")
        assert pointers(refused) == [f"/{other}"]

    async def test_a_type_that_nobody_knows_is_refused_with_those_there_are(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        service, reseller = await world.service(), await world.reseller()
        for odd in ("likes", "", 7, ["default"]):
            body = order_body(service) | {"type": odd}
            refused = problem(await place(client, reseller, body), 422, "validation-failed")
            assert pointers(refused) == ["/type"]
            assert "web_traffic" in refused["errors"][0]["detail"]

    async def test_an_item_of_a_batch_is_blamed_where_it_stands(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        service, reseller = await world.service(), await world.reseller()
        good = order_body(service)
        for odd, blamed in ((good | {"quantity": "many"}, "/orders/1/quantity"), (1, "/orders/1")):
            answer = await client.post(
                "/v1/orders/batch",
                json={"orders": [good, odd]},
                headers=reseller.headers | {"Idempotency-Key": uuid4().hex},
            )
            assert pointers(problem(answer, 422, "validation-failed")) == [blamed]

    def test_the_fields_of_an_order_tell_its_type_or_it_must_be_stated(self) -> None:
        forms: dict[frozenset[str], list[ServiceType]] = {}
        for kind in TYPES:
            forms.setdefault(frozenset(FORMS[kind].required), []).append(kind)
        doubtful = {kind for kinds in forms.values() for kind in kinds[1:]}
        assert doubtful == STATED_TYPES


class TestTraffic:
    """Where visitors come from decides what else must be told."""

    @pytest.mark.parametrize(
        ("fields", "blamed"),
        [
            ({"type_of_traffic": 1}, "/google_keyword"),
            ({"type_of_traffic": 2}, "/referring_url"),
            ({"type_of_traffic": 3, "google_keyword": "shoes"}, "/google_keyword"),
        ],
    )
    async def test_a_source_without_its_field_or_with_anothers_is_refused(
        self, fields: dict[str, Any], blamed: str, client: httpx.AsyncClient, world: World
    ) -> None:
        service = await world.service(type=ServiceType.WEB_TRAFFIC)
        answer = await place(client, await world.reseller(), order_body(service, **fields))
        assert pointers(problem(answer, 422, "invalid-input")) == [blamed]

    async def test_a_source_with_its_field_is_taken(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        service = await world.service(type=ServiceType.WEB_TRAFFIC)
        for fields in (
            {"type_of_traffic": 1, "google_keyword": "shoes"},
            {"type_of_traffic": 2, "referring_url": LINK},
        ):
            answer = await place(client, await world.reseller(), order_body(service, **fields))
            assert answer.status_code == 201


class TestOutreach:
    """What reaches people who did not ask is sold only where an operator allows it."""

    @pytest.mark.policy("AUP-2")
    @pytest.mark.refuses("operatorChangeService", "outreach-not-allowed")
    @pytest.mark.parametrize("kind", REACHING)
    async def test_it_is_not_put_on_sale_before_an_operator_allows_it(
        self, kind: ServiceType, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        service = await world.service(type=kind, on_sale=False, outreach_allowed=False)
        path = f"/v1/operator/services/{service.id}"
        refused = await client.patch(path, json={"state": "on_sale"}, headers=operator.headers)
        problem(refused, 409, "outreach-not-allowed")
        allowed = {"state": "on_sale", "outreach_allowed": True}
        answer = await client.patch(path, json=allowed, headers=operator.headers)
        assert (answer.status_code, answer.json()["state"]) == (200, "on_sale")

    async def test_it_goes_off_sale_when_it_is_not_allowed_any_more(
        self, world: World, runtime: Runtime
    ) -> None:
        service = await world.service(type=ServiceType.MENTIONS)
        async with runtime.uow.begin() as session:
            await catalog.change(session, service.id, {"outreach_allowed": False})
        async with runtime.uow.begin() as session:
            assert (await catalog.get(session, service.id)).state == "off_sale"

    async def test_what_only_counts_needs_no_leave(self, world: World) -> None:
        service = await world.service(outreach_allowed=False)
        assert service.state == "on_sale"
