"""The odd ways in which the pretend provider can speak, and its second dialect."""

from typing import Any

import httpx
import pytest

from app.simulator.application import create_app
from app.simulator.journal import Journal
from app.simulator.manners import Manner
from app.simulator.provider import FIRST_ORDER_ID, Provider
from tests.simulator.conftest import LINK, Simulator


async def speak(simulator: Simulator, *manners: Manner) -> None:
    answer = await simulator.control("PUT", "manners", {"manners": list(manners)})
    assert answer.json() == {"manners": sorted(manners)}


@pytest.mark.parametrize(
    ("manner", "status"),
    [
        (Manner.NUMBERS, {"charge": 0.03, "status": "Pending", "remains": 100}),
        (Manner.CAPITALS, {"Charge": "0.03", "Status": "Pending", "Remains": "100"}),
        (Manner.LOUD_WORDS, {"charge": "0.03", "status": "PENDING", "remains": "100"}),
        (Manner.OTHER_WORDS, {"charge": "0.03", "status": "Awaiting", "remains": "100"}),
        (Manner.UNKNOWN_FIGURES, {"charge": "0.03", "remains": "Unknown", "start_count": ""}),
    ],
)
async def test_a_status_is_the_same_in_other_words(
    simulator: Simulator, manner: Manner, status: dict[str, Any]
) -> None:
    order_id = await simulator.order()
    await speak(simulator, manner)
    assert (await simulator.status(order_id)).items() >= status.items()
    batch = await simulator.call("status", orders=f"{order_id},7")
    assert batch[order_id].items() >= status.items()


async def test_an_order_is_told_with_a_word_of_success_or_as_text(simulator: Simulator) -> None:
    await speak(simulator, Manner.SUCCESS_ORDER)
    assert await simulator.add() == {"status": "success", "order": FIRST_ORDER_ID}
    await speak(simulator, Manner.TEXTS)
    assert await simulator.add() == {"order": str(FIRST_ORDER_ID + 1)}


async def test_figures_of_an_order_that_has_ended_are_always_told(simulator: Simulator) -> None:
    await simulator.script("cancel")
    order_id = await simulator.order()
    await speak(simulator, Manner.UNKNOWN_FIGURES, Manner.OTHER_WORDS)
    simulator.time += 5
    ended = await simulator.status(order_id)
    assert (ended["status"], ended["remains"]) == ("Cancelled", "100")


async def test_one_bad_id_spoils_a_whole_batch(simulator: Simulator) -> None:
    order_id = await simulator.order()
    await speak(simulator, Manner.WHOLE_ERROR)
    for action in ("status", "cancel", "refill"):
        answer = await simulator.call(action, orders=f"{order_id},7")
        assert answer["error"] in {"Incorrect order ID", "Refill is not available"}
    assert "error" in await simulator.call("refill_status", refills="1,2")
    assert order_id in await simulator.call("status", orders=order_id)


async def test_an_error_may_come_as_http_400_and_json_as_html(simulator: Simulator) -> None:
    await speak(simulator, Manner.HTTP_400, Manner.HTML_TYPE)
    form = {"key": "k", "action": "status", "order": "7"}
    refused = await simulator.http.post("/api/v2", data=form)
    assert (refused.status_code, refused.json()) == (400, {"error": "Incorrect order ID"})
    batch = await simulator.http.post("/api/v2", data=form | {"orders": "7"})
    assert (batch.status_code, batch.json()) == (200, {"7": {"error": "Incorrect order ID"}})
    assert batch.headers["content-type"].startswith("text/html")


async def test_good_manners_come_back(simulator: Simulator) -> None:
    plain = await simulator.call("balance")
    await speak(simulator, Manner.CAPITALS, Manner.NUMBERS)
    assert set(await simulator.call("balance")) == {"Balance", "Currency"}
    await speak(simulator)
    assert await simulator.call("balance") == plain


class TestSmoService:
    async def call(self, simulator: Simulator, action: str, **fields: object) -> Any:
        form = {"user_id": "17", "api_key": "k", "action": action, **fields}
        answer = await simulator.http.post("/smoservice/api/", data=form)
        assert answer.status_code == 200
        return answer.json()

    async def test_an_order_goes_through_in_its_own_words(self, simulator: Simulator) -> None:
        fields = {"service_id": 102, "count": 100, "url": LINK}
        taken = await self.call(simulator, "create_order", **fields)
        assert taken == {
            "type": "success",
            "desc": "Order info",
            "data": {"order_id": str(FIRST_ORDER_ID), "price": "0.03"},
        }
        assert [order["quantity"] for order in await simulator.oracle()] == [100]
        words = []
        for seconds in (0, 5, 10):
            simulator.time += seconds
            told = await self.call(simulator, "check_order", order_id=FIRST_ORDER_ID)
            assert told["data"]["order_id"] == str(FIRST_ORDER_ID)
            words.append(told["data"]["status"])
        assert words == ["new", "in_progress", "completed"]

    @pytest.mark.parametrize(
        ("action", "fields", "desc"),
        [
            ("create_order", {"service_id": 9, "count": 1, "url": LINK}, "Incorrect service ID"),
            ("create_order", {"service_id": 102, "count": 100, "url": "x"}, "Bad link"),
            ("check_order", {"order_id": 7}, "Order not found"),
            ("check_order", {}, "Order not found"),
            ("explode", {}, "Incorrect request"),
            ("balance", {"api_key": ""}, "Invalid API key"),
            ("balance", {"user_id": ""}, "Invalid API key"),
        ],
    )
    async def test_an_error_is_of_type_error(
        self, simulator: Simulator, action: str, fields: dict[str, Any], desc: str
    ) -> None:
        assert await self.call(simulator, action, **fields) == {"type": "error", "desc": desc}

    async def test_prices_are_those_of_one_unit(self, simulator: Simulator) -> None:
        listed = (await self.call(simulator, "services"))["data"]
        prices = {service["id"]: service["price"] for service in listed}
        assert (prices["101"], prices["103"]) == ("0.0009", "0.00002")
        assert "201" not in prices
        balance = await self.call(simulator, "balance")
        assert balance["data"] == {"balance": "1000000.00"}


async def test_a_body_that_is_no_form_is_refused_in_either_dialect() -> None:
    transport = httpx.ASGITransport(app=create_app(Provider(Journal(None))))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as http:
        panel = await http.post("/api/v2", content=b"\xff")
        other = await http.post("/smoservice/api/", content=b"\xff")
    assert panel.json() == {"error": "Incorrect request"}
    assert other.json() == {"type": "error", "desc": "Incorrect request"}
