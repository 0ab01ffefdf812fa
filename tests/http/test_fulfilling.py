"""Orders that people fulfil: the list to work through, and progress that an operator tells."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import Clock
from app.core.money import Money
from app.operators.permissions import Role
from app.orders.follow import UNPOLLED_EVERY
from app.orders.service import FOLLOW
from app.providers.protocol import ServiceType
from app.supply.models import Provider
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import LINK, OperatorCaller, ResellerCaller, World
from tests.http.problems import pointers, problem
from tests.http.test_reads import walk

WORK_LIST = "/v1/operator/work-list"


@dataclass(frozen=True, slots=True)
class Bench:
    """A service that people fulfil, a reseller who buys it, and an operator who works."""

    client: httpx.AsyncClient
    world: World
    worker: Worker
    provider: Provider
    reseller: ResellerCaller
    operator: OperatorCaller

    async def order(self, link: str = LINK, **fields: Any) -> dict[str, Any]:
        """An order that was taken for people to fulfil."""
        service = await self.world.service(routes=[self.provider], **fields)
        placed = await self.world.order(self.reseller, service, link=link)
        await self.worker.dispatch(self.provider)
        return placed

    async def tell(self, order: dict[str, Any], **body: Any) -> httpx.Response:
        return await self.client.post(
            f"/v1/operator/orders/{order['id']}/progress",
            json=body,
            headers=self.operator.headers,
        )

    async def read(self, order: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/orders/{order['id']}"
        found: dict[str, Any] = (await self.client.get(path, headers=self.reseller.headers)).json()
        return found


@pytest.fixture
async def bench(client: httpx.AsyncClient, world: World, worker: Worker) -> Bench:
    return Bench(
        client,
        world,
        worker,
        await world.provider(adapter="manual"),
        await world.reseller(balance="10.00"),
        await world.operator(),
    )


class TestTheList:
    async def test_it_shows_what_people_fulfil_oldest_first_and_nothing_else(
        self, bench: Bench, simulator: Simulator
    ) -> None:
        orders = [await bench.order(f"{LINK}/{number}") for number in range(3)]
        await simulator.speed(units_per_second=0)
        polled = await bench.world.provider(simulator=simulator)
        await bench.world.order(bench.reseller, await bench.world.service(routes=[polled]))
        await bench.worker.dispatch(polled)
        assert (await bench.tell(orders[1], status="completed")).status_code == 200

        listed = await walk(bench.client, bench.operator, WORK_LIST, 1)

        assert [one["order"]["id"] for one in listed] == [orders[0]["id"], orders[2]["id"]]
        assert listed[0]["form"] == {"link": f"{LINK}/0", "quantity": 1000}
        assert listed[0]["service"].startswith("Service ")

    async def test_who_may_not_work_on_orders_sees_no_link(self, bench: Bench) -> None:
        await bench.order()
        finance = await bench.world.operator(roles=[Role.FINANCE])
        answer = await bench.client.get(WORK_LIST, headers=finance.headers)
        [entry] = answer.json()["data"]
        assert entry["form"] is None
        assert LINK not in answer.text


class TestProgress:
    async def test_what_is_told_is_shown_and_the_order_goes_on(self, bench: Bench) -> None:
        order = await bench.order()
        answer = await bench.tell(order, status="in_progress", start_count=120, remains=400)
        assert (answer.status_code, answer.json()["state"]) == (200, "in_progress")
        read = await bench.read(order)
        assert (read["start_count"], read["remains"]) == (120, 400)
        assert (await bench.world.row(order)).held == (await bench.world.row(order)).charge

    @pytest.mark.parametrize(
        ("told", "status", "refunded", "remains"),
        [
            ({"status": "completed"}, "completed", "0.00", 0),
            ({"status": "partial", "remains": 250}, "partial", "0.225", 250),
            ({"status": "partial", "remains": 0}, "completed", "0.00", 0),
            ({"status": "partial", "remains": 1000}, "canceled", "0.90", 1000),
            ({"status": "canceled"}, "canceled", "0.90", 1000),
        ],
        ids=str,
    )
    async def test_an_end_is_settled_as_if_a_provider_had_told_it(
        self, bench: Bench, told: dict[str, Any], status: str, refunded: str, remains: int
    ) -> None:
        order = await bench.order()
        answer = await bench.tell(order, start_count=7, **told)
        assert answer.status_code == 200, answer.text
        read = await bench.read(order)
        assert (read["status"], read["remains"], read["start_count"]) == (status, remains, 7)
        assert read["refunded"]["amount"] == refunded
        paid = Money.parse("0.90") - Money.parse(refunded)
        balance = await bench.world.balance(bench.reseller)
        assert balance.available == Money.parse("10.00") - paid

    async def test_who_told_it_is_in_the_timeline_and_the_audit_log(self, bench: Bench) -> None:
        order = await bench.order()
        rows = await bench.world.count("audit_log")
        await bench.tell(order, status="completed")
        path = f"/v1/operator/orders/{order['id']}"
        detail = (await bench.client.get(path, headers=bench.operator.headers)).json()
        assert detail["events"][-1]["type"] == "complete"
        assert detail["events"][-1]["actor"] == f"operator:{bench.operator.id}"
        assert await bench.world.count("audit_log") == rows + 1

    @pytest.mark.refuses("operatorTellProgress", "invalid-input")
    @pytest.mark.parametrize(
        ("told", "pointer"),
        [
            ({"status": "partial"}, "/remains"),
            ({"status": "partial", "remains": 1001}, "/remains"),
            ({"status": "in_progress", "remains": 1001}, "/remains"),
            ({"status": "in_progress", "remains": 401}, "/remains"),
        ],
        ids=str,
    )
    async def test_figures_that_are_no_fact_are_refused_and_change_nothing(
        self, bench: Bench, told: dict[str, Any], pointer: str
    ) -> None:
        order = await bench.order()
        await bench.tell(order, status="in_progress", remains=400)
        before = await bench.read(order)
        refused = problem(await bench.tell(order, start_count=5, **told), 422, "invalid-input")
        assert pointers(refused) == [pointer]
        assert await bench.read(order) == before

    @pytest.mark.parametrize(
        ("told", "pointer"),
        [
            ({"status": "partial", "remains": 1}, "/status"),
            ({"status": "in_progress", "remains": 1}, "/remains"),
        ],
        ids=str,
    )
    async def test_a_package_without_units_has_no_part(
        self, bench: Bench, told: dict[str, Any], pointer: str
    ) -> None:
        order = await bench.order(type=ServiceType.PACKAGE, rate="6.00")
        refused = problem(await bench.tell(order, **told), 422, "invalid-input")
        assert pointers(refused) == [pointer]

    @pytest.mark.refuses("operatorTellProgress", "order-state-conflict")
    async def test_an_order_that_has_ended_is_told_nothing(self, bench: Bench) -> None:
        order = await bench.order()
        await bench.tell(order, status="completed")
        problem(await bench.tell(order, status="completed"), 409, "order-state-conflict")

    @pytest.mark.refuses("operatorTellProgress", "order-is-polled")
    async def test_what_a_provider_tells_is_not_for_people_to_tell(
        self, bench: Bench, simulator: Simulator
    ) -> None:
        await simulator.speed(units_per_second=0)
        polled = await bench.world.provider(simulator=simulator)
        order = await bench.world.order(bench.reseller, await bench.world.service(routes=[polled]))
        await bench.worker.dispatch(polled)
        problem(await bench.tell(order, status="completed"), 409, "order-is-polled")


class TestTheWorkers:
    async def test_what_cannot_be_polled_is_looked_at_once_a_day(
        self, bench: Bench, clock: Clock
    ) -> None:
        await bench.order()
        clock.move(timedelta(minutes=1))
        lane = str(bench.provider.id)
        assert await bench.worker.due_lanes(FOLLOW) == [lane]
        await bench.worker.follow(bench.provider)
        clock.move(UNPOLLED_EVERY - timedelta(seconds=10))
        assert await bench.worker.due_lanes(FOLLOW) == []
        clock.move(timedelta(seconds=10))
        assert await bench.worker.due_lanes(FOLLOW) == [lane]

    async def test_a_provider_without_a_balance_is_not_asked_for_one(self, bench: Bench) -> None:
        await bench.worker.probe()
        assert await bench.worker.due_lanes("probe") == []
