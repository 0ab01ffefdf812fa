"""Links at the public door: what a service refuses, and how orders on one place are found."""

from uuid import uuid4

import httpx
import pytest

from tests.fixtures.world import World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import BODIES


@pytest.mark.parametrize(
    ("link", "rule"),
    [
        ("https://www.instagram.com/p/CxYz_12-aB/", "must point at an Instagram profile"),
        ("https://www.tiktok.com/@ann", "must be an Instagram link"),
    ],
)
async def test_a_link_that_does_not_fit_its_service_is_refused_and_costs_nothing(
    client: httpx.AsyncClient, world: World, link: str, rule: str
) -> None:
    reseller = await world.reseller(balance="10.00")
    service = await world.service(platform="instagram", kind="followers")

    answer = await client.post(
        "/v1/orders",
        json=order_body(service, link=link),
        headers=reseller.headers | {"Idempotency-Key": uuid4().hex},
    )

    refused = problem(answer, 422, "invalid-input")
    assert pointers(refused) == ["/link"]
    assert refused["errors"][0]["detail"] == rule
    balance = await client.get("/v1/balance", headers=reseller.headers)
    assert balance.json()["balance"]["amount"] == "10.00"


@pytest.mark.parametrize("link", ["https://m.instagram.com/Ann/?igsh=x", "https://short.example/a"])
async def test_a_link_that_fits_or_cannot_be_told_is_taken_as_it_was_sent(
    client: httpx.AsyncClient, world: World, link: str
) -> None:
    service = await world.service(platform="instagram", kind="followers")

    order = await world.order(await world.reseller(), service, link=link)

    assert order["link"] == link


async def test_orders_are_found_by_any_spelling_of_their_link(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    service = await world.service(platform="youtube", kind="views")
    video = await world.order(reseller, service, link="https://youtu.be/dQw4w9WgXcQ?si=x")
    await world.order(reseller, service, link="https://youtu.be/dqw4w9wgxcq")

    found = await client.get(
        "/v1/orders",
        params={"link": "https://m.youtube.com/shorts/dQw4w9WgXcQ/"},
        headers=reseller.headers,
    )

    assert [order["id"] for order in found.json()["data"]] == [video["id"]]


async def test_a_service_is_kept_under_the_one_name_of_its_platform(
    client: httpx.AsyncClient, world: World
) -> None:
    operator = await world.operator()
    body = BODIES["operatorCreateService"] | {"platform": "X", "kind": "Live_Views"}

    answer = await client.post("/v1/operator/services", json=body, headers=operator.headers)

    assert answer.status_code == 201
    assert (answer.json()["platform"], answer.json()["kind"]) == ("twitter", "live views")
