"""Every action and every type of API v2: whole answers, with the types that the wire has."""

from typing import Any

import pytest

from app.core.money import Money
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.orders.states import OrderState
from app.panel import actions
from app.panel.words import ORDER_STATUS, TYPE_NAME
from app.providers.forms import ServiceType
from app.providers.protocol import ProviderState
from app.resellers.models import Mode
from app.resellers.scopes import Scope
from tests.fixtures.world import World
from tests.orders.conftest import Desk, progress
from tests.panel.conftest import Panel, said, wire_fields

TYPES = sorted(set(ServiceType) - {ServiceType.SUBSCRIPTIONS})
ONE = {ServiceType.PACKAGE, ServiceType.CUSTOM_COMMENTS_PACKAGE}
LINES = {
    ServiceType.CUSTOM_COMMENTS,
    ServiceType.COMMENT_REPLIES,
    ServiceType.MENTIONS_CUSTOM_LIST,
}
BILLED = {kind: 1 if kind in ONE else 10 if kind in LINES else 1000 for kind in TYPES}
"""What an order of each type is charged for, as the tests write it."""


class TestServices:
    """`services`: numbers, strings and booleans where the wire has them."""

    @pytest.mark.policy("TOS-2a")
    async def test_every_service_on_sale_is_listed_with_its_types(
        self, panel: Panel, world: World
    ) -> None:
        first = await world.service(
            rate="0.90", min_quantity=50, max_quantity=10_000, refill=True, cancel=False
        )
        package = await world.service(type=ServiceType.PACKAGE, rate="6.00", cancel=True)
        await world.service(on_sale=False)

        listed = await panel(await world.reseller(), "services")

        assert listed == [
            {
                "service": first.id,
                "name": first.name,
                "type": "Default",
                "category": first.category,
                "rate": "0.90",
                "min": "50",
                "max": "10000",
                "refill": True,
                "cancel": False,
                "dripfeed": True,
                "description": "",
            },
            {
                "service": package.id,
                "name": package.name,
                "type": "Package",
                "category": package.category,
                "rate": "6.00",
                "min": "1",
                "max": "1",
                "refill": False,
                "cancel": True,
                "dripfeed": False,
                "description": "",
            },
        ]

    async def test_services_are_read_page_by_page_and_never_cut_off(
        self, panel: Panel, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        made = [(await world.service(routes=[provider])).id for _ in range(4)]
        monkeypatch.setattr(actions, "SERVICES_PER_READ", 2)
        assert [one["service"] for one in await panel(reseller, "services")] == made
        monkeypatch.setattr(actions, "READS_MAX", 2)
        form = {"key": reseller.key, "action": "services"}
        answer = await panel.client.post("/api/v2", data=form)
        assert list(said(answer, status=503)) == ["error"]

    def test_every_type_has_its_name(self) -> None:
        assert set(TYPE_NAME) == set(ServiceType)


class TestAdd:
    """`add`: an order of each type, and each known refusal."""

    @pytest.mark.parametrize("kind", TYPES)
    async def test_an_order_of_each_type_is_answered_with_its_number_and_followed(
        self, kind: ServiceType, panel: Panel, world: World
    ) -> None:
        service, reseller = await world.service(type=kind), await world.reseller(balance="100.00")

        answer = await panel.add(reseller, service)

        number = answer["order"]
        assert answer == {"order": number}
        assert type(number) is int
        row = await world.row(number)
        assert (row.service_id, row.quantity) == (service.id, BILLED[kind])
        assert await panel(reseller, "status", order=number) == {
            "charge": str(Money(row.charge)),
            "start_count": "0",
            "status": "Pending",
            "remains": str(BILLED[kind]),
            "currency": "USD",
        }

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"service": "999999"}, "Incorrect service ID"),
            ({"service": ""}, "Incorrect service ID"),
            ({"service": "1; DROP"}, "Incorrect service ID"),
            ({"quantity": "9"}, "Quantity less than minimal 10"),
            ({"quantity": "0"}, "Quantity less than minimal 10"),
            ({"quantity": "100001"}, "Quantity more than maximum 100000"),
            ({"quantity": "ten"}, "Incorrect request"),
            ({"quantity": "10.5"}, "Incorrect request"),
            ({"quantity": "-10"}, "Incorrect request"),
            ({"quantity": ""}, "Incorrect request"),
            ({"link": "not a link"}, "Bad link"),
            ({"link": ""}, "Bad link"),
            ({"link": "ftp://example.com/x"}, "Bad link"),
            ({"link": "https://example.com/" + "x" * 2100}, "Bad link"),
            ({"quantity": "100000"}, "Not enough funds on balance"),
        ],
    )
    async def test_what_is_wrong_is_told_in_the_known_sentence(
        self, fields: dict[str, Any], sentence: str, panel: Panel, world: World
    ) -> None:
        service, reseller = await world.service(), await world.reseller(balance="1.00")
        answer = await panel(reseller, "add", **(wire_fields(service) | fields))
        assert answer == {"error": sentence}
        assert await world.count("orders") == 0

    async def test_a_link_to_another_platform_is_a_bad_link(
        self, panel: Panel, world: World
    ) -> None:
        service = await world.service(platform="instagram")
        answer = await panel.add(await world.reseller(), service, link="https://x.com/ada")
        assert answer == {"error": "Bad link"}

    async def test_fields_of_other_types_are_left_aside(self, panel: Panel, world: World) -> None:
        service = await world.service(type=ServiceType.PACKAGE)
        answer = await panel.add(await world.reseller(), service, quantity=5, comments=["x"])
        assert list(answer) == ["order"]

    async def test_a_service_off_sale_and_one_that_never_was_are_the_same(
        self, panel: Panel, world: World
    ) -> None:
        service = await world.service(on_sale=False)
        answer = await panel.add(await world.reseller(), service)
        assert answer == {"error": "Incorrect service ID"}

    async def test_comments_come_as_lines_and_blank_ones_do_not_count(
        self, panel: Panel, world: World
    ) -> None:
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, min_quantity=2)
        fields = wire_fields(service) | {"comments": "one\r\n\r\n two \n\nthree\n"}
        answer = await panel(await world.reseller(), "add", **fields)
        assert (await world.row(answer["order"])).quantity == 3

    @pytest.mark.parametrize("between", ["\u2028", "\u2029", "\x85"])
    async def test_what_only_some_take_for_a_line_break_is_not_charged_as_two_lines(
        self, between: str, panel: Panel, world: World
    ) -> None:
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, min_quantity=1)
        fields = wire_fields(service) | {"comments": f"Lovely.{between}Where is it?\r\nNice"}
        answer = await panel(await world.reseller(), "add", **fields)
        assert answer == {"error": "Incorrect request"}  # as v1 refuses it

    async def test_a_test_key_places_nothing(self, panel: Panel, world: World) -> None:
        service, reseller = await world.service(), await world.reseller(mode=Mode.TEST)
        answer = await panel.add(reseller, service)
        assert answer == {"error": "Orders cannot be placed with a test key yet"}

    async def test_a_link_that_is_busy_is_told_in_the_known_sentence(
        self, panel: Panel, world: World, desk: Desk
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider], busy_link="refuse")
        reseller = await world.reseller()
        await panel.add(reseller, service)
        await desk.submit(provider)

        assert await panel.add(await world.reseller(), service) == {
            "error": "You have active order with this link."
            " Please wait until order being completed."
        }

    async def test_a_service_that_nobody_can_deliver_now_is_an_incorrect_request(
        self, panel: Panel, world: World
    ) -> None:
        service = await world.service(routes=[])
        assert await panel.add(await world.reseller(), service) == {"error": "Incorrect request"}

    async def test_comments_are_bounded_by_their_number(self, panel: Panel, world: World) -> None:
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, min_quantity=2)
        answer = await panel(
            await world.reseller(), "add", **(wire_fields(service) | {"comments": "one\n\n"})
        )
        assert answer == {"error": "Quantity less than minimal 2"}

    async def test_an_account_that_may_not_spend_has_no_funds(
        self, panel: Panel, world: World, runtime: Runtime
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        async with runtime.uow.begin() as session:
            await ledger.set_spendable(session, reseller.book_id, spendable=False)
        assert await panel.add(reseller, service) == {"error": "Not enough funds on balance"}


class TestStatus:
    """`status`: all strings, of one order or of an object by id."""

    async def test_a_new_order_is_pending_with_all_still_to_do(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service(), quantity=1000))["order"]
        assert await panel(reseller, "status", order=number) == {
            "charge": "0.90",
            "start_count": "0",
            "status": "Pending",
            "remains": "1000",
            "currency": "USD",
        }

    def test_every_state_has_its_word(self) -> None:
        assert ORDER_STATUS == {
            OrderState.QUEUED: "Pending",
            OrderState.ON_HOLD: "Pending",
            OrderState.SUBMITTING: "Processing",
            OrderState.UNKNOWN: "Processing",
            OrderState.NEEDS_REVIEW: "Processing",
            OrderState.IN_PROGRESS: "In progress",
            OrderState.COMPLETED: "Completed",
            OrderState.PARTIAL: "Partial",
            OrderState.CANCELED: "Canceled",
            OrderState.FAILED: "Canceled",
        }

    async def test_an_order_that_ended_short_tells_what_was_paid_and_what_is_missing(
        self, panel: Panel, world: World, desk: Desk
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        service = await world.service(routes=[provider], rate="0.90")
        number = (await panel.add(reseller, service))["order"]
        await desk.submit(provider)
        await desk.hear(provider, progress(ProviderState.IN_PROGRESS, start_count=3572))
        await desk.hear(provider, progress(ProviderState.PARTIAL, remains=157))
        assert await panel(reseller, "status", order=number) == {
            "charge": "0.7587",
            "start_count": "3572",
            "status": "Partial",
            "remains": "157",
            "currency": "USD",
        }

    async def test_what_remains_paid_is_the_charge(self, panel: Panel, world: World) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service()))["order"]
        await panel(reseller, "cancel", orders=number)
        told = await panel(reseller, "status", order=number)
        assert (told["charge"], told["status"], told["remains"]) == ("0.00", "Canceled", "1000")

    async def test_several_are_an_object_and_one_bad_id_spoils_no_other(
        self, panel: Panel, world: World
    ) -> None:
        reseller, stranger = await world.reseller(), await world.reseller()
        service = await world.service()
        mine = (await panel.add(reseller, service))["order"]
        other = (await panel.add(stranger, service))["order"]
        told = await panel(reseller, "status", orders=f"{mine},{other},77,x")
        assert list(told) == [str(mine), str(other), "77", "x"]
        assert told[str(mine)]["status"] == "Pending"
        bad = {"error": "Incorrect order ID"}
        assert [told[str(other)], told["77"], told["x"]] == [bad, bad, bad]

    @pytest.mark.parametrize("number", ["77", "abc", str(2**53), "1e3"])
    async def test_an_order_that_is_none_of_ours_is_incorrect(
        self, number: str, panel: Panel, world: World
    ) -> None:
        told = await panel(await world.reseller(), "status", order=number)
        assert told == {"error": "Incorrect order ID"}

    async def test_a_hundred_are_told_and_one_more_is_refused_whole(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        ids = [str(n) for n in range(1, 102)]
        assert len(await panel(reseller, "status", orders=",".join(ids[:100]))) == 100
        refused = await panel(reseller, "status", orders=",".join(ids))
        assert refused == {"error": "Incorrect request"}


class TestAftercare:
    """`refill`, `refill_status` and `cancel`: text ids alone, number ids in arrays."""

    async def test_a_refill_is_asked_for_and_its_standing_told(
        self, panel: Panel, world: World, desk: Desk
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        service = await world.service(refill=True, routes=[provider])
        number = (await panel.add(reseller, service))["order"]
        await desk.submit(provider)
        await desk.hear(provider, progress(ProviderState.COMPLETED))
        asked = await panel(reseller, "refill", order=number)
        assert list(asked) == ["refill"]
        assert type(asked["refill"]) is str
        refill = int(asked["refill"])
        assert await panel(reseller, "refill_status", refill=refill) == {"status": "Pending"}
        assert await panel(reseller, "refill_status", refills=f"{refill},7") == [
            {"refill": refill, "status": "Pending"},
            {"refill": 7, "status": {"error": "Refill not found"}},
        ]

    async def test_refills_of_several_are_an_array_with_number_ids(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service(refill=False)))["order"]
        told = await panel(reseller, "refill", orders=f"{number},3")
        assert told == [
            {"order": number, "refill": {"error": "This service has no refill"}},
            {"order": 3, "refill": {"error": "Incorrect order ID"}},
        ]

    async def test_refills_of_a_list_have_number_ids(
        self, panel: Panel, world: World, desk: Desk
    ) -> None:
        reseller, provider = await world.reseller(), await world.provider()
        service = await world.service(refill=True, routes=[provider])
        number = (await panel.add(reseller, service))["order"]
        await desk.submit(provider)
        await desk.hear(provider, progress(ProviderState.COMPLETED))
        [told] = await panel(reseller, "refill", orders=number)
        assert told == {"order": number, "refill": told["refill"]}
        assert type(told["refill"]) is int

    async def test_one_that_is_unknown_is_told_in_its_sentence(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        assert await panel(reseller, "refill", order=3) == {"error": "Incorrect order ID"}
        assert await panel(reseller, "refill_status", refill=3) == {"error": "Refill not found"}

    async def test_a_cancel_is_an_array_and_one_says_that_it_was_asked(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service()))["order"]
        assert await panel(reseller, "cancel", orders=f"9,{number}") == [
            {"order": 9, "cancel": {"error": "Incorrect order ID"}},
            {"order": number, "cancel": 1},
        ]
        assert (await panel(reseller, "status", order=number))["status"] == "Canceled"


class TestBalanceAndKeys:
    """`balance`, and who may ask for what."""

    async def test_the_balance_is_a_string_with_its_currency(
        self, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller(balance="100.84292")
        assert await panel(reseller, "balance") == {"balance": "100.84292", "currency": "USD"}

    @pytest.mark.parametrize("key", ["", "nope", "smm_live_x_y", "смм"])
    async def test_a_key_that_is_none_is_invalid(self, key: str, panel: Panel) -> None:
        assert await panel(key, "balance") == {"error": "Invalid API key"}

    async def test_a_key_without_the_scope_is_told_so(self, panel: Panel, world: World) -> None:
        reader = await world.reseller(scopes=[Scope.ORDERS_READ])
        answer = await panel.add(reader, await world.service())
        assert answer == {"error": "This key may not do that"}
        assert "balance" in await panel(reader, "balance")

    @pytest.mark.parametrize("action", ["", "order", "DROP TABLE", "null"])
    async def test_an_action_that_is_none_is_an_incorrect_request(
        self, action: str, panel: Panel, world: World
    ) -> None:
        assert await panel(await world.reseller(), action) == {"error": "Incorrect request"}
