"""The pretend provider: its oracle, its delivery, its faults, and its death."""

import json
from pathlib import Path

import httpx
import pytest

from app.simulator.application import create_app
from app.simulator.catalog import SERVICES, WireType, money_text
from app.simulator.journal import Journal
from app.simulator.provider import FIRST_ORDER_ID, Provider
from tests.simulator.conftest import LINK, Simulator


async def test_the_catalogue_has_stable_ids_and_every_type(simulator: Simulator) -> None:
    listed = {service["service"]: service for service in await simulator.call("services")}
    assert listed[101] == {
        "service": 101,
        "name": "Instagram Followers",
        "type": "Default",
        "category": "Instagram",
        "rate": "0.90",
        "min": "50",
        "max": "100000",
        "refill": True,
        "cancel": True,
        "dripfeed": True,
    }
    types = {service_id: service["type"] for service_id, service in listed.items()}
    assert (types[102], types[103], types[201], types[301]) == (
        "Default",
        "Default",
        "Package",
        "Custom Comments",
    )
    assert set(listed) == set(SERVICES)
    assert set(types.values()) == set(WireType)


async def test_what_was_accepted_is_in_the_oracle_and_paid_for(simulator: Simulator) -> None:
    await simulator.control("PUT", "balance", {"balance": "10.00"})
    order_id = await simulator.order(quantity=150)
    (accepted,) = await simulator.oracle()
    assert accepted == {
        "provider_order": int(order_id),
        "service": 102,
        "link": LINK,
        "quantity": 150,
        "at": "2027-01-15T08:00:00+00:00",
    }
    assert await simulator.balance() == "9.955"


async def test_delivery_is_a_function_of_time(simulator: Simulator) -> None:
    order_id = await simulator.order(quantity=100)
    waiting = await simulator.status(order_id)
    assert (waiting["status"], waiting["remains"], waiting["charge"]) == ("Pending", "100", "0.03")
    simulator.time += 5 + 4
    running = await simulator.status(order_id)
    assert (running["status"], running["remains"]) == ("In progress", "60")
    assert running == await simulator.status(order_id)
    simulator.time += 6
    done = await simulator.status(order_id)
    assert (done["status"], done["remains"], done["currency"]) == ("Completed", "0", "USD")
    assert done["start_count"] == waiting["start_count"]


async def test_a_new_speed_holds_from_now_on_and_takes_nothing_back(simulator: Simulator) -> None:
    order_id = await simulator.order(quantity=100)
    simulator.time += 5 + 4
    await simulator.control("PUT", "speed", {"units_per_second": 1})
    assert (await simulator.status(order_id))["remains"] == "60"
    simulator.time += 10
    assert (await simulator.status(order_id))["remains"] == "50"
    await simulator.control("PUT", "speed", {"units_per_second": 1000})
    simulator.time += 1
    assert (await simulator.status(order_id))["status"] == "Completed"


async def test_a_package_is_one_order_of_many_units(simulator: Simulator) -> None:
    order_id = str((await simulator.call("add", service=201, link=LINK))["order"])
    status = await simulator.status(order_id)
    assert (status["charge"], status["remains"]) == ("4.50", "1000")
    assert (await simulator.oracle())[0]["quantity"] == 1


async def test_comments_are_counted_by_their_lines(simulator: Simulator) -> None:
    comments = "one\r\ntwo\n\nthree\nfour\nfive\n"
    await simulator.call("add", service=301, link=LINK, comments=comments)
    assert (await simulator.oracle())[0]["quantity"] == 5


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"service": 999}, "Incorrect service ID"),
        ({"service": "1 or 1"}, "Incorrect service ID"),
        ({"link": "nonsense"}, "Bad link"),
        ({"quantity": 9}, "Quantity less than minimal 10"),
        ({"quantity": 100_001}, "Quantity more than maximum 100000"),
        ({"quantity": "many"}, "Incorrect request"),
        ({"quantity": "-5"}, "Incorrect request"),
        ({"action": "explode"}, "Incorrect request"),
        ({"key": ""}, "Invalid API key"),
    ],
)
async def test_an_impossible_order_is_refused_in_the_standards_words(
    simulator: Simulator, fields: dict[str, object], error: str
) -> None:
    form = {"key": "k", "action": "add", "service": 102, "link": LINK, "quantity": 100} | fields
    assert (await simulator.http.post("/api/v2", data=form)).json() == {"error": error}
    assert await simulator.oracle() == []


async def test_an_order_beyond_the_balance_is_refused(simulator: Simulator) -> None:
    await simulator.control("PUT", "balance", {"balance": "0.05"})
    assert "order" in await simulator.add()
    assert await simulator.add() == {"error": "Not enough funds on balance"}
    assert await simulator.balance() == "0.02"


async def test_a_batch_answers_an_object_by_id_and_at_most_a_hundred(simulator: Simulator) -> None:
    order_id = await simulator.order()
    answer = await simulator.call("status", orders=f"{order_id},7")
    assert answer[order_id]["status"] == "Pending"
    assert answer["7"] == {"error": "Incorrect order ID"}
    assert await simulator.call("status", order=f"{order_id},7") == answer
    too_many = ",".join(map(str, range(101)))
    assert await simulator.call("status", orders=too_many) == {"error": "Incorrect request"}


async def test_calls_are_counted_by_action(simulator: Simulator) -> None:
    await simulator.add()
    await simulator.call("status", orders="1,2,3")
    await simulator.call("nonsense")
    calls = (await simulator.control("GET", "calls")).json()
    assert calls == {"add": 1, "status": 1, "other": 1}


async def test_a_partial_order_stops_short_and_gives_the_rest_back(simulator: Simulator) -> None:
    await simulator.control("PUT", "balance", {"balance": "1"})
    await simulator.script("partial")
    order_id = await simulator.order(quantity=1000)
    assert await simulator.balance() == "0.70"
    simulator.time += 5 + 100
    status = await simulator.status(order_id)
    remains = int(status["remains"])
    assert status["status"] == "Partial"
    assert 0 < remains < 1000
    assert status["charge"] == money_text(300 * (1000 - remains))
    assert await simulator.balance() == money_text(700_000 + 300 * remains)


async def test_a_canceled_order_delivers_nothing_and_gives_all_back(simulator: Simulator) -> None:
    await simulator.script("cancel")
    before = await simulator.balance()
    order_id = await simulator.order()
    assert (await simulator.status(order_id))["status"] == "Pending"
    simulator.time += 5
    status = await simulator.status(order_id)
    assert (status["status"], status["remains"], status["charge"]) == ("Canceled", "100", "0.00")
    assert await simulator.balance() == before


async def test_a_cancel_that_is_asked_for_ends_the_order_where_it_stands(
    simulator: Simulator,
) -> None:
    order_id = await simulator.order(quantity=100)
    views = await simulator.order(quantity=100, service=103)
    simulator.time += 5 + 4
    answer = await simulator.call("cancel", orders=f"{order_id},{views},7")
    assert answer == [
        {"order": int(order_id), "cancel": 1},
        {"order": int(views), "cancel": {"error": "Order cannot be canceled"}},
        {"order": "7", "cancel": {"error": "Incorrect order ID"}},
    ]
    status = await simulator.status(order_id)
    assert (status["status"], status["remains"]) == ("Partial", "60")
    assert (await simulator.call("cancel", orders=order_id))[0]["cancel"] == 1
    assert await simulator.status(order_id) == status


async def test_a_wrong_id_belongs_to_another_order(simulator: Simulator) -> None:
    first = await simulator.order()
    await simulator.script("wrong_id")
    assert await simulator.order(link=f"{LINK}/2") == first
    taken = [order["provider_order"] for order in await simulator.oracle()]
    assert taken == [FIRST_ORDER_ID, FIRST_ORDER_ID + 1]


async def test_nonsense_progress_is_nonsense_until_the_order_ends(simulator: Simulator) -> None:
    order_id = await simulator.order(quantity=100)
    simulator.time += 5 + 4
    await simulator.faults(seed=7, nonsense_progress=1)
    told = {(await simulator.status(order_id))["remains"] for _ in range(30)}
    assert told == {"1100", "-5", "71"}
    simulator.time += 6
    done = await simulator.status(order_id)
    assert (done["status"], done["remains"]) == ("Completed", "0")


async def test_a_live_order_can_be_denied(simulator: Simulator) -> None:
    order_id = await simulator.order()
    await simulator.faults(status_unknown_id=1)
    assert await simulator.status(order_id) == {"error": "Incorrect order ID"}
    await simulator.control("DELETE", "faults")
    assert (await simulator.status(order_id))["status"] == "Pending"


async def test_the_same_seed_strikes_the_same_orders(simulator: Simulator) -> None:
    async def strike(seed: int) -> list[bool]:
        await simulator.faults(seed=seed, refuse=0.5)
        return ["error" in await simulator.add() for _ in range(40)]

    seven = await strike(7)
    assert seven == await strike(7)
    assert seven != await strike(8)
    assert 5 < sum(seven) < 35


async def test_a_script_strikes_exactly_the_next_adds(simulator: Simulator) -> None:
    await simulator.script("refuse", None, "refuse_funds")
    answers = [await simulator.add() for _ in range(4)]
    assert [answer.get("error") for answer in answers] == [
        "Bad link",
        None,
        "Not enough funds on balance",
        None,
    ]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("faults", {"explode": 0.1}, "explode"),
        ("faults", {"refuse": 1.1}, "refuse"),
        ("faults", {"refuse": -0.1}, "refuse"),
        ("faults", {"refuse": "often"}, "refuse"),
        ("faults", {"refuse": True}, "refuse"),
        ("faults", {"seed": "x"}, "seed"),
        ("faults", {"refuse": 0.6, "html": 0.6}, "html"),
        ("faults", [], "body"),
        ("script", {"next": ["explode"]}, "next"),
        ("script", {"next": ["status_500"]}, "next"),
        ("script", {"next": ["refill_reject"]}, "next"),
        ("manners", {"manners": ["polite"]}, "manners"),
        ("manners", {"manners": "numbers"}, "manners"),
        ("manners", {}, "manners"),
        ("script", {"next": "refuse"}, "next"),
        ("speed", {"units_per_minute": 1}, "units_per_minute"),
        ("speed", {"units_per_second": -1}, "units_per_second"),
        ("speed", {"units_per_second": "fast"}, "units_per_second"),
        ("balance", {"balance": "NaN"}, "balance"),
        ("balance", {"balance": "-1"}, "balance"),
        ("balance", {}, "balance"),
    ],
)
async def test_an_impossible_wish_is_422_and_names_the_field(
    simulator: Simulator, name: str, body: object, field: str
) -> None:
    before = (await simulator.control("GET", "faults")).json()
    answer = await simulator.control("PUT", name, body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert (await simulator.control("GET", "faults")).json() == before


async def test_the_faults_that_are_on_can_be_read(simulator: Simulator) -> None:
    await simulator.faults(seed=7, accept_then_timeout=0.1)
    await simulator.script(None, "html")
    described = (await simulator.control("GET", "faults")).json()
    assert described == {"seed": 7, "accept_then_timeout": 0.1, "next": [None, "html"]}


async def test_a_restart_goes_on_where_the_journal_ends(tmp_path: Path) -> None:
    state_file = tmp_path / "sim" / "state.jsonl"
    before = Simulator(state_file)
    async with before.http:
        await before.control("PUT", "balance", {"balance": "5"})
        await before.script(None, "partial", "cancel")
        ids = [await before.order(quantity=100 + i) for i in range(3)]
        before.time += 7
        await before.control("PUT", "speed", {"units_per_second": 3})
        await before.call("cancel", orders=ids[0])
        before.time += 50
        before.provider.close()
        state_file.write_bytes(state_file.read_bytes() + b'{"kind": "accep')

        after = Simulator(state_file)
        after.time = before.time
        async with after.http:
            assert await after.oracle() == await before.oracle()
            for order_id in ids:
                assert await after.status(order_id) == await before.status(order_id)
            assert await after.balance() == await before.balance()
            assert await after.order() == str(FIRST_ORDER_ID + 3)
        after.provider.close()
        kinds = [json.loads(line)["kind"] for line in state_file.read_text().splitlines()]
    assert kinds == [
        *("pace", "balance", "balance", "accepted", "accepted", "accepted"),
        *("pace", "cut", "accepted"),
    ]


async def test_a_simulator_with_a_key_takes_no_other() -> None:
    provider = Provider(Journal(None), key="right")
    form = {"key": "k", "action": "add", "service": "102", "link": LINK, "quantity": "100"}
    transport = httpx.ASGITransport(app=create_app(provider))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as http:
        wrong = await http.post("/api/v2", data=form)
        right = await http.post("/api/v2", data=form | {"key": "right"})
    assert wrong.json() == {"error": "Invalid API key"}
    assert right.json() == {"order": FIRST_ORDER_ID}
