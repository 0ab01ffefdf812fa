"""What a person may tell of an order under review that counts no units, and what money it moves."""

from typing import Any

import httpx
import pytest

from app.core.money import ZERO, Money
from app.ledger.service import Balance
from app.providers.forms import ServiceType
from app.providers.protocol import ProviderState, RefusalKind
from tests.fixtures.world import ResellerCaller, World
from tests.orders.conftest import Desk, progress, refused

TEN = Money.parse("10.00")


async def subscription(world: World, desk: Desk, reseller: ResellerCaller) -> int:
    """A cap of 5.00 for posts of 0.40 each, of which its provider tells nothing at the end."""
    provider = await world.provider()
    service = await world.service(type=ServiceType.SUBSCRIPTIONS, rate="2.00", routes=[provider])
    asked = {"username": "ada", "min": 100, "max": 200, "spend_cap": "5.00"}
    await world.order(reseller, service, **asked)
    [run] = (await desk.submit(provider)).handovers
    await desk.hear(provider, progress(ProviderState.COMPLETED))
    return run.order_id


async def package(world: World, desk: Desk, reseller: ResellerCaller) -> int:
    """A package for 6.00 that does not state its units."""
    provider = await world.provider()
    service = await world.service(type=ServiceType.PACKAGE, rate="6.00", routes=[provider])
    placed = await world.order(reseller, service)
    await desk.submit(provider, refused(RefusalKind.UNSEEN))
    number: int = placed["id"]
    return number


async def counted(world: World, desk: Desk, reseller: ResellerCaller) -> int:
    """1000 units for 0.90."""
    provider = await world.provider()
    placed = await world.order(reseller, await world.service(routes=[provider]))
    await desk.submit(provider, refused(RefusalKind.UNSEEN))
    number: int = placed["id"]
    return number


MAKE = {"subscription": subscription, "package": package, "counted": counted}


async def resolve(
    client: httpx.AsyncClient, world: World, order_id: int, body: dict[str, Any]
) -> httpx.Response:
    operator = await world.operator()
    return await client.post(
        f"/v1/operator/orders/{order_id}/resolve",
        json={"reason": "asked them"} | body,
        headers=operator.headers | {"Idempotency-Key": "k"},
    )


@pytest.mark.parametrize(
    ("kind", "body", "earned"),
    [
        ("subscription", {"outcome": "completed", "posts": 3}, "1.20"),
        ("subscription", {"outcome": "completed", "posts": 12}, "4.80"),
        ("subscription", {"outcome": "completed", "refunded": "1.50"}, "3.50"),
        ("subscription", {"outcome": "completed"}, "5.00"),
        ("subscription", {"outcome": "partial", "posts": 12}, "4.80"),
        ("subscription", {"outcome": "partial", "refunded": "4.999999"}, "0.000001"),
        ("subscription", {"outcome": "canceled"}, "0.00"),
        ("package", {"outcome": "partial", "refunded": "2.00"}, "4.00"),
        ("package", {"outcome": "completed"}, "6.00"),
    ],
)
async def test_an_order_that_counts_no_units_is_settled_by_posts_or_by_an_amount(
    kind: str,
    body: dict[str, Any],
    earned: str,
    world: World,
    desk: Desk,
    client: httpx.AsyncClient,
) -> None:
    reseller = await world.reseller()
    order_id = await MAKE[kind](world, desk, reseller)

    answer = await resolve(client, world, order_id, body)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["earned"]["amount"]) == (body["outcome"], earned)
    assert await world.balance(reseller) == Balance(TEN - Money.parse(earned), ZERO)


@pytest.mark.parametrize(
    ("kind", "body", "field", "rule"),
    [
        ("subscription", {"outcome": "partial"}, "refunded", "or give posts"),
        ("subscription", {"outcome": "partial", "posts": 13}, "posts", "must be 1 to 12"),
        ("subscription", {"outcome": "completed", "posts": 13}, "posts", "must be 1 to 12"),
        ("subscription", {"outcome": "partial", "refunded": "5.00"}, "refunded", "less than"),
        ("subscription", {"outcome": "partial", "refunded": "0.00"}, "refunded", "above 0"),
        ("subscription", {"outcome": "completed", "refunded": "-0.01"}, "refunded", "0 or more"),
        ("subscription", {"outcome": "completed", "refunded": "5.00"}, "refunded", "less than"),
        ("subscription", {"outcome": "partial", "remains": 1}, "remains", "does not state"),
        ("subscription", {"outcome": "canceled", "posts": 1}, "posts", "not taken with"),
        (
            "subscription",
            {"outcome": "partial", "posts": 1, "refunded": "1.00"},
            "refunded",
            "together with posts",
        ),
        ("package", {"outcome": "partial", "refunded": "6.00"}, "refunded", "less than"),
        ("package", {"outcome": "partial", "posts": 1}, "posts", "for subscriptions"),
        ("package", {"outcome": "completed", "refunded": "1.00"}, "refunded", "not taken with"),
        ("counted", {"outcome": "partial", "refunded": "0.10"}, "refunded", "give remains"),
        ("counted", {"outcome": "partial", "posts": 1}, "posts", "give remains"),
    ],
)
async def test_a_figure_that_cannot_be_is_refused_by_its_name(
    kind: str,
    body: dict[str, Any],
    field: str,
    rule: str,
    world: World,
    desk: Desk,
    client: httpx.AsyncClient,
) -> None:
    order_id = await MAKE[kind](world, desk, await world.reseller())

    answer = await resolve(client, world, order_id, body)

    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["errors"]
    assert problem["pointer"] == f"/{field}"
    assert rule in problem["detail"]
    assert (await world.row(order_id)).state == "needs_review"
