"""Operators who change one service at once: the second is judged by what the first has done."""

import asyncio
from typing import Any

import httpx
import pytest

from app.catalog import importing, mirror, service_routes
from app.catalog import service as catalog
from app.catalog.importing import Wanted
from app.catalog.listing import Part
from app.catalog.markup import MarkupRule
from app.catalog.models import DeliveryMethod, Service
from app.core.audit import Actor
from app.core.db import Session
from app.core.money import Money
from app.core.runtime import Runtime
from app.operators.permissions import Role
from app.providers.protocol import ServiceType
from app.supply.models import Provider
from tests.fixtures.world import OperatorCaller, RouteTo, World
from tests.http.problems import problem
from tests.http.routes import BODIES
from tests.http.test_operators_catalogue import entry, public, sync, wanted
from tests.http.test_operators_supply import call
from tests.orders.test_lock_order import until_somebody_waits

pytestmark = pytest.mark.committing

BOSS = Actor("operator", "opr_1")


@pytest.fixture
async def operator(world: World) -> OperatorCaller:
    return await world.operator(roles=[Role.CATALOGUE, Role.TRUST])


async def route_to(session: Session, provider: Provider, service: Service) -> None:
    await service_routes.add_route(
        session,
        service.id,
        provider_id=provider.id,
        provider_service="7",
        cost=Money.parse("0.50"),
        priority=1,
    )


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        ({"outreach_allowed": False}, {"state": "on_sale"}, (409, "outreach-not-allowed")),
        ({"min_quantity": 500}, {"max_quantity": 400}, (422, "invalid-input")),
        ({"deliver_hours_min": 20}, {"delivery_hours_max": 10}, (422, "invalid-input")),
    ],
)
async def test_a_change_is_judged_by_what_another_has_just_changed(
    first: dict[str, Any],
    second: dict[str, Any],
    refusal: tuple[int, str],
    client: httpx.AsyncClient,
    world: World,
    runtime: Runtime,
    operator: OperatorCaller,
) -> None:
    service = await world.service(type=ServiceType.COMMENT_LIKES, on_sale=False)
    path = f"/services/{service.id}"
    async with runtime.uow.begin() as session:
        await catalog.change(session, service.id, first)
        asked = asyncio.create_task(call(client, operator, "PATCH", path, second))
        await until_somebody_waits(runtime)

    problem(await asked, *refusal)


async def test_bounds_are_held_against_a_route_that_has_just_been_made(
    client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[], max_quantity=1000)
    await sync(runtime, provider, entry("7"))
    path = f"/services/{service.id}"
    async with runtime.uow.begin() as session:
        await route_to(session, provider, service)
        asked = asyncio.create_task(call(client, operator, "PATCH", path, {"max_quantity": 2000}))
        await until_somebody_waits(runtime)

    problem(await asked, 422, "invalid-input")


async def test_of_two_who_make_the_same_route_one_is_told_that_it_is_there(
    client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
) -> None:
    provider, service = await world.provider(), await world.service(routes=[])
    path = f"/services/{service.id}/routes"
    body = {"provider_id": public(provider), "provider_service": "7", "cost": "0.50"}
    async with runtime.uow.begin() as session:
        await route_to(session, provider, service)
        asked = asyncio.create_task(call(client, operator, "POST", path, body))
        await until_somebody_waits(runtime)

    problem(await asked, 409, "route-exists")


async def test_of_two_who_import_the_same_one_makes_a_service_of_it(
    client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
) -> None:
    provider = await world.provider()
    await sync(runtime, provider, entry("7"))
    path, body = "/provider-services/import", {"services": [wanted(provider)]}
    this = Wanted(public(provider), "7", "example", "followers", "standard", rule=MarkupRule(0))
    async with runtime.uow.begin() as session:
        await importing.import_services(session, [this], selling_currency="USD", by=BOSS)
        asked = asyncio.create_task(call(client, operator, "POST", path, body))
        await until_somebody_waits(runtime)

    problem(await asked, 422, "invalid-input")


async def test_of_two_who_attest_a_service_the_second_takes_the_place_of_the_first(
    client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
) -> None:
    service = await world.service(attested=False)
    path = f"/services/{service.id}/attestation"
    body = {"method": "creators", "document": "contract 2"}
    async with runtime.uow.begin() as session:
        await catalog.attest(
            session,
            service.id,
            method=DeliveryMethod.CREATORS,
            document="contract 1",
            operator_id=operator.operator_id,
        )
        asked = asyncio.create_task(call(client, operator, "PUT", path, body))
        await until_somebody_waits(runtime)

    assert (await asked).status_code == 200
    read = (await call(client, operator, "GET", f"/services/{service.id}")).json()
    assert read["attestation"]["document"] == "contract 2"


async def test_of_two_who_open_an_account_under_one_name_one_is_told_that_it_is_taken(
    client: httpx.AsyncClient, world: World
) -> None:
    admin, body = await world.operator(), BODIES["operatorCreateProvider"]
    asked = [call(client, admin, "POST", "/providers", body) for _ in range(4)]

    answers = await asyncio.gather(*asked)

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_route_is_not_opened_past_a_finding_that_a_sync_is_about_to_open(
    client: httpx.AsyncClient, world: World, runtime: Runtime, operator: OperatorCaller
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[RouteTo(provider)], max_quantity=1000)
    await sync(runtime, provider, entry("101"))
    path = f"/services/{service.id}"
    [route] = (await call(client, operator, "GET", path)).json()["routes"]
    route_path = f"{path}/routes/{route['id']}"
    await call(client, operator, "PATCH", route_path, {"state": "closed"})
    async with runtime.uow.begin() as session:
        run = await mirror.begin(session, provider.id)
        await mirror.apply(session, run, Part(single=(entry("101", 5_000_000),)))
        asked = asyncio.create_task(call(client, operator, "PATCH", route_path, {"state": "open"}))
        await until_somebody_waits(runtime)

    problem(await asked, 409, "route-quarantined")
