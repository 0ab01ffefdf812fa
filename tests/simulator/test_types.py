"""Orders of every type at the pretend provider: its own count, and the lives that types bring."""

from pathlib import Path
from typing import Any

import pytest

from app.simulator.catalog import SERVICES, WireType, money_text
from tests.simulator.conftest import LINK, Simulator

LINES = "one\r\ntwo\n\n three \nfour\nfive\n"

# Each type's service, the fields that it needs, the quantity of one run, and the charge.
ORDERS: dict[WireType, tuple[int, dict[str, Any], int, str]] = {
    WireType.DEFAULT: (102, {"link": LINK, "quantity": 100}, 100, "0.03"),
    WireType.PACKAGE: (201, {"link": LINK}, 1, "4.50"),
    WireType.SEO: (701, {"link": LINK, "quantity": 100, "keywords": LINES}, 100, "0.50"),
    WireType.CUSTOM_COMMENTS: (301, {"link": LINK, "comments": LINES}, 5, "0.04"),
    WireType.CUSTOM_COMMENTS_PACKAGE: (303, {"link": LINK, "comments": LINES}, 1, "3.00"),
    WireType.MENTIONS: (401, {"link": LINK, "quantity": 100, "usernames": LINES}, 100, "0.20"),
    WireType.MENTIONS_WITH_HASHTAGS: (
        402,
        {"link": LINK, "quantity": 100, "usernames": LINES, "hashtags": LINES},
        100,
        "0.21",
    ),
    WireType.MENTIONS_CUSTOM_LIST: (403, {"link": LINK, "usernames": LINES}, 5, "0.011"),
    WireType.MENTIONS_HASHTAG: (
        404,
        {"link": LINK, "quantity": 100, "hashtag": "#a"},
        100,
        "0.23",
    ),
    WireType.MENTIONS_USER_FOLLOWERS: (
        405,
        {"link": LINK, "quantity": 100, "username": LINK},
        100,
        "0.24",
    ),
    WireType.MENTIONS_MEDIA_LIKERS: (
        406,
        {"link": LINK, "quantity": 100, "media": LINK},
        100,
        "0.25",
    ),
    WireType.COMMENT_LIKES: (305, {"link": LINK, "quantity": 100, "username": "u"}, 100, "0.07"),
    WireType.COMMENT_REPLIES: (
        304,
        {"link": LINK, "username": "u", "comments": LINES},
        5,
        "0.045",
    ),
    WireType.POLL: (501, {"link": LINK, "quantity": 100, "answer_number": 0}, 100, "0.08"),
    WireType.INVITES_FROM_GROUPS: (
        407,
        {"link": LINK, "quantity": 100, "groups": LINES},
        100,
        "0.35",
    ),
    WireType.SUBSCRIPTIONS: (601, {"username": "u", "min": 10, "max": 20, "delay": 0}, 20, "0.00"),
    WireType.WEB_TRAFFIC: (
        702,
        {"link": LINK, "quantity": 100, "country": "US", "device": 1, "type_of_traffic": 3},
        100,
        "0.015",
    ),
}
SUBSCRIBE = {"service": 601, "username": "u", "min": 10, "max": 20, "delay": 5}


@pytest.mark.parametrize("wire_type", WireType)
async def test_an_order_of_every_type_is_counted_and_charged(
    simulator: Simulator, wire_type: WireType
) -> None:
    service, fields, quantity, charge = ORDERS[wire_type]
    assert SERVICES[service].type is wire_type
    order_id = str((await simulator.call("add", service=service, **fields))["order"])
    [accepted] = await simulator.oracle()
    assert (accepted["service"], accepted["quantity"]) == (service, quantity)
    assert (await simulator.status(order_id))["charge"] == charge


@pytest.mark.parametrize("wire_type", WireType)
async def test_an_order_that_lacks_a_field_of_its_type_is_not_taken(
    simulator: Simulator, wire_type: WireType
) -> None:
    service, fields, _, _ = ORDERS[wire_type]
    for field in fields:
        lacking = {name: value for name, value in fields.items() if name != field}
        answer = await simulator.call("add", service=service, **lacking)
        assert answer == {"error": "Bad link" if field == "link" else "Incorrect request"}
    assert await simulator.oracle() == []


@pytest.mark.parametrize(
    ("service", "fields", "error"),
    [
        (702, {"device": 6}, "Incorrect request"),
        (702, {"type_of_traffic": 4}, "Incorrect request"),
        (702, {"type_of_traffic": 1}, "Incorrect request"),
        (702, {"type_of_traffic": 2}, "Incorrect request"),
        (702, {"runs": 2}, "Incorrect request"),
        (702, {"runs": 0, "interval": 5}, "Incorrect request"),
        (401, {"quantity": 9}, "Quantity less than minimal 10"),
        (301, {"comments": "one\ntwo"}, "Quantity less than minimal 5"),
        (601, {"min": 9}, "Quantity less than minimal 10"),
        (601, {"max": 10_001}, "Quantity more than maximum 10000"),
        (601, {"min": 21}, "Incorrect request"),
        (601, {"delay": 601}, "Incorrect request"),
        (601, {"expiry": "2026-12-31"}, "Incorrect request"),
        (601, {"expiry": "31/02/2026"}, "Incorrect request"),
        (601, {"posts": "many"}, "Incorrect request"),
    ],
)
async def test_a_field_out_of_range_is_refused_in_the_standards_words(
    simulator: Simulator, service: int, fields: dict[str, Any], error: str
) -> None:
    good = ORDERS[SERVICES[service].type][1]
    assert await simulator.call("add", service=service, **(good | fields)) == {"error": error}


async def test_a_drip_feed_is_charged_for_all_its_runs_and_only_where_it_is_offered(
    simulator: Simulator,
) -> None:
    drip = {"link": LINK, "quantity": 100, "runs": 3, "interval": 10}
    order_id = str((await simulator.call("add", service=102, **drip))["order"])
    status = await simulator.status(order_id)
    assert (status["charge"], status["remains"]) == ("0.09", "300")
    [accepted] = await simulator.oracle()
    assert accepted["quantity"] == 100
    assert await simulator.call("add", service=105, **drip) == {"error": "Incorrect request"}


class TestSubscriptions:
    async def subscribe(self, simulator: Simulator, **fields: object) -> str:
        return str((await simulator.call("add", **SUBSCRIBE, **fields))["order"])

    async def test_posts_come_one_after_the_other_and_are_paid_as_they_come(
        self, simulator: Simulator
    ) -> None:
        await simulator.control("PUT", "balance", {"balance": "1"})
        order_id = await self.subscribe(simulator, posts=2, old_posts=1)
        new = await simulator.status(order_id)
        assert new == {"charge": "0.00", "status": "Active", "posts": "0", "currency": "USD"}
        simulator.time += 11
        running = await simulator.status(order_id)
        assert (running["status"], running["posts"]) == ("Active", "2")
        assert 2 * 10 * 400 <= float(running["charge"]) * 1e6 <= 2 * 20 * 400
        simulator.time += 100
        done = await simulator.status(order_id)
        assert (done["status"], done["posts"]) == ("Completed", "3")
        assert await simulator.balance() == money_text(
            1_000_000 - round(float(done["charge"]) * 1e6)
        )

    async def test_a_day_that_is_over_ends_it(self, simulator: Simulator) -> None:
        order_id = await self.subscribe(simulator, expiry="15/01/2027")
        simulator.time += 15 * 3600
        assert (await simulator.status(order_id))["status"] == "Active"
        simulator.time += 3600
        ended = await simulator.status(order_id)
        assert ended["status"] == "Expired"
        simulator.time += 3600
        assert await simulator.status(order_id) == ended
        assert "error" in (await simulator.call("cancel", orders=order_id))[0]["cancel"]

    async def test_a_cancel_ends_it_with_the_posts_it_has(self, simulator: Simulator) -> None:
        order_id = await self.subscribe(simulator)
        simulator.time += 11
        assert (await simulator.call("cancel", orders=order_id))[0]["cancel"] == 1
        simulator.time += 100
        ended = await simulator.status(order_id)
        assert (ended["status"], ended["posts"]) == ("Canceled", "2")
        assert (await simulator.call("cancel", orders=order_id))[0]["cancel"] == 1
        assert await simulator.status(order_id) == ended

    async def test_a_balance_that_is_set_anew_pays_only_what_comes_after(
        self, simulator: Simulator
    ) -> None:
        await self.subscribe(simulator)
        simulator.time += 50
        await simulator.control("PUT", "balance", {"balance": "7"})
        assert await simulator.balance() == "7.00"
        simulator.time += 5
        assert 7 - 0.008 <= float(await simulator.balance()) <= 7 - 0.004


class TestRefills:
    async def delivered(self, simulator: Simulator, service: int = 101) -> str:
        order_id = await simulator.order(service=service)
        simulator.time += 5 + 10
        return order_id

    async def test_a_refill_is_an_id_as_text_and_of_several_as_numbers(
        self, simulator: Simulator
    ) -> None:
        first, second = await self.delivered(simulator), await self.delivered(simulator)
        assert await simulator.call("refill", order=first) == {"refill": "801"}
        assert await simulator.call("refill", orders=f"{second},7,x") == [
            {"order": int(second), "refill": 802},
            {"order": 7, "refill": {"error": "Incorrect order ID"}},
            {"order": "x", "refill": {"error": "Incorrect order ID"}},
        ]
        assert [one["provider_order"] for one in await simulator.oracle("refills")] == [
            int(first),
            int(second),
        ]

    async def test_a_refill_goes_its_way(self, simulator: Simulator) -> None:
        await simulator.call("refill", order=await self.delivered(simulator))
        seen = []
        for seconds in (0, 5, 1):
            simulator.time += seconds
            seen.append((await simulator.call("refill_status", refill=801))["status"])
        assert seen == ["Pending", "In progress", "Completed"]
        assert await simulator.call("refill_status", refills="801,9,x") == [
            {"refill": 801, "status": "Completed"},
            {"refill": 9, "status": {"error": "Refill not found"}},
            {"refill": "x", "status": {"error": "Refill not found"}},
        ]
        assert await simulator.call("refill_status", refill=9) == {"error": "Refill not found"}

    async def test_what_is_not_delivered_not_refillable_or_being_refilled_is_not_refilled(
        self, simulator: Simulator
    ) -> None:
        refused = {"error": "Refill is not available"}
        running = await simulator.order(service=101)
        assert await simulator.call("refill", order=running) == refused
        assert await simulator.call("refill", order=await self.delivered(simulator, 103)) == refused
        done = await self.delivered(simulator)
        assert "refill" in await simulator.call("refill", order=done)
        assert await simulator.call("refill", order=done) == refused
        simulator.time += 10
        assert await simulator.call("refill", order=done) == {"refill": "802"}
        assert await simulator.call("refill", order=9) == {"error": "Incorrect order ID"}
        too_many = ",".join(map(str, range(101)))
        for action, ids in (("refill", "orders"), ("refill_status", "refills")):
            answer = await simulator.call(action, **{ids: too_many})
            assert answer == {"error": "Incorrect request"}

    async def test_a_refill_can_be_rejected(self, simulator: Simulator) -> None:
        await simulator.faults(refill_reject=1)
        await simulator.call("refill", order=await self.delivered(simulator))
        simulator.time += 5
        assert await simulator.call("refill_status", refill=801) == {"status": "Rejected"}


async def test_a_restart_remembers_subscriptions_and_refills(tmp_path: Path) -> None:
    state_file = tmp_path / "state.jsonl"
    before = Simulator(state_file)
    async with before.http:
        done = await before.order(service=101)
        drip = {"link": LINK, "quantity": 10, "runs": 2, "interval": 1}
        dripping = str((await before.call("add", service=102, **drip))["order"])
        before.time += 15
        await before.call("refill", order=done)
        kept = str((await before.call("add", **SUBSCRIBE))["order"])
        left = str((await before.call("add", **SUBSCRIBE))["order"])
        before.time += 11
        await before.call("cancel", orders=left)
        await before.control("PUT", "balance", {"balance": "5"})
        before.time += 11
        before.provider.close()

        after = Simulator(state_file)
        after.time = before.time
        async with after.http:
            assert await after.oracle() == await before.oracle()
            assert await after.oracle("refills") == await before.oracle("refills")
            for order_id in (done, dripping, kept, left):
                assert await after.status(order_id) == await before.status(order_id)
            assert await after.balance() == await before.balance()
        after.provider.close()
