"""Drip-feed and subscriptions by API v2: one number for the whole purchase, and where it stands."""

from typing import Any

import pytest

from app.catalog.models import Service
from app.core.clock import Clock
from app.providers.forms import ServiceType
from tests.fixtures.world import World
from tests.panel.conftest import Panel, wire_fields

PER_POST = {"username": "ada", "min": "100", "max": "200", "delay": "5"}


def subscription(service: Service, **fields: str) -> dict[str, Any]:
    return {"service": service.id} | PER_POST | fields


async def test_a_drip_feed_is_charged_for_all_its_runs_and_told_as_one(
    panel: Panel, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service(rate="0.90")

    answer = await panel.add(reseller, service, runs=3, interval=60)

    assert answer == {"order": answer["order"]}
    assert await panel(reseller, "status", orders=f"{answer['order']},7") == {
        str(answer["order"]): {
            "charge": "2.70",
            "start_count": "0",
            "status": "Pending",
            "remains": "3000",
            "currency": "USD",
        },
        "7": {"error": "Incorrect order ID"},
    }
    assert (await panel(reseller, "balance"))["balance"] == "7.30"


async def test_a_drip_feed_is_canceled_with_its_money_back(panel: Panel, world: World) -> None:
    reseller, service = await world.reseller(), await world.service(rate="0.90")
    number = (await panel.add(reseller, service, runs=3, interval=60))["order"]

    assert await panel(reseller, "cancel", orders=number) == [{"order": number, "cancel": 1}]

    told = await panel(reseller, "status", order=number)
    assert (told["status"], told["charge"]) == ("Canceled", "0.00")
    assert (await panel(reseller, "balance"))["balance"] == "10.00"


async def test_anothers_drip_feed_is_no_order_of_mine(panel: Panel, world: World) -> None:
    service, stranger = await world.service(), await world.reseller()
    number = (await panel.add(await world.reseller(), service, runs=3, interval=60))["order"]
    bad = {"error": "Incorrect order ID"}
    assert await panel(stranger, "status", order=number) == bad
    assert await panel(stranger, "cancel", orders=number) == [{"order": number, "cancel": bad}]
    assert await panel(stranger, "refill", order=number) == bad


@pytest.mark.parametrize("runs", ["", "0", "1", "null"])
async def test_no_runs_and_one_are_an_order_like_any(runs: str, panel: Panel, world: World) -> None:
    reseller, service = await world.reseller(), await world.service()
    number = (await panel.add(reseller, service, runs=runs, interval="60"))["order"]
    assert (await world.row(number)).parent_id is None
    assert await world.count("schedules") == 0


@pytest.mark.parametrize(
    "fields", [{"runs": 3}, {"runs": 3, "interval": 0}, {"runs": "x", "interval": 5}]
)
async def test_runs_without_a_good_interval_are_an_incorrect_request(
    fields: dict[str, Any], panel: Panel, world: World
) -> None:
    answer = await panel.add(await world.reseller(), await world.service(), **fields)
    assert answer == {"error": "Incorrect request"}


async def test_a_type_that_has_no_runs_refuses_them(panel: Panel, world: World) -> None:
    service = await world.service(type=ServiceType.PACKAGE)
    answer = await panel.add(await world.reseller(), service, runs=3, interval=60)
    assert answer == {"error": "Incorrect request"}


async def test_a_subscription_is_bounded_by_its_posts(panel: Panel, world: World) -> None:
    reseller = await world.reseller()
    service = await world.service(type=ServiceType.SUBSCRIPTIONS, rate="1.00")

    answer = await panel(reseller, "add", **subscription(service, posts="4", old_posts="1"))

    assert answer == {"order": answer["order"]}
    assert await panel(reseller, "status", order=answer["order"]) == {
        "charge": "1.00",
        "start_count": "0",
        "status": "Active",
        "remains": "0",
        "currency": "USD",
    }


async def test_a_subscription_without_a_number_of_posts_names_its_cap(
    panel: Panel, world: World, clock: Clock
) -> None:
    reseller = await world.reseller()
    service = await world.service(type=ServiceType.SUBSCRIPTIONS, rate="1.00")
    next_year = f"31/12/{clock.now().year + 1}"

    unbounded = await panel(reseller, "add", **subscription(service, expiry=next_year))
    capped = await panel(
        reseller, "add", **subscription(service, expiry=next_year, spend_cap="2.50")
    )

    assert unbounded == {"error": "Incorrect request"}
    assert (await panel(reseller, "status", order=capped["order"]))["charge"] == "2.50"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"max": "100001"}, "Quantity more than maximum 100000"),
        ({"min": "9"}, "Quantity less than minimal 10"),
        ({"delay": "7"}, "Incorrect request"),
        ({"expiry": "2030-01-01"}, "Incorrect request"),
        ({"expiry": "01/01/2020"}, "Incorrect request"),
        ({"username": ""}, "Incorrect request"),
    ],
)
async def test_what_is_wrong_with_a_subscription_is_told(
    fields: dict[str, str], sentence: str, panel: Panel, world: World
) -> None:
    service = await world.service(type=ServiceType.SUBSCRIPTIONS)
    wanted = subscription(service, posts="2") | fields
    assert await panel(await world.reseller(balance="100.00"), "add", **wanted) == {
        "error": sentence
    }


async def test_a_drip_feed_that_is_asked_for_again_is_the_same_one(
    panel: Panel, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    wanted = wire_fields(service) | {"runs": "3", "interval": "60", "idempotency_key": "d-1"}
    first = await panel(reseller, "add", **wanted)
    assert await panel(reseller, "add", **wanted) == first
    assert await panel(reseller, "add", **(wanted | {"runs": "4"})) == {
        "error": "Incorrect request"
    }
