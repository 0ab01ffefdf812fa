"""What counts at a deadline is what was told since, whoever told it, and no older figure."""

from datetime import timedelta
from typing import Any

import pytest

from app.orders.service import FOLLOW
from app.simulator.manners import Manner
from tests.fixtures.world import OperatorCaller
from tests.refunds.conftest import HOUR, WEEK, OpenShop, Shop

MINUTE = timedelta(minutes=1)
DELIVERED = ("refused", "REF-6", None)
BACK_ALREADY = ("refused", "REF-3", None)


@pytest.mark.policy("REF-6")
class TestOrdersThatPeopleFulfil:
    @pytest.fixture
    async def shop(self, open_shop: OpenShop) -> Shop:
        return await open_shop(adapter="manual")

    @pytest.mark.parametrize(
        ("last_word", "expected", "balance"),
        [
            ({"status": "completed"}, DELIVERED, "9.10"),
            ({"status": "partial", "remains": 100}, BACK_ALREADY, "9.19"),
        ],
    )
    async def test_the_last_word_of_a_person_counts_and_not_what_was_told_before_it(
        self,
        last_word: dict[str, Any],
        expected: tuple[str, str, str | None],
        balance: str,
        shop: Shop,
    ) -> None:
        operator = await shop.world.operator()
        order_id = await self._taken(shop, operator, remains=400)
        claim = await shop.filed(order_id)
        shop.clock.move(WEEK + MINUTE)
        await self._tell(shop, operator, order_id, **last_word)

        await shop.decide()

        assert await shop.decided(claim) == expected
        assert await shop.balance() == balance

    async def test_an_old_figure_decides_nothing_and_a_person_is_asked(self, shop: Shop) -> None:
        operator = await shop.world.operator()
        order_id = await self._taken(shop, operator, remains=1000)
        claim = await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.decide()
        found = await shop.read(claim)
        assert (found["status"], found["decision"]["rule"]) == ("under_review", "share-unknown")

        await self._tell(shop, operator, order_id, status="in_progress", remains=400)
        shop.clock.move(HOUR)
        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")

    async def _taken(self, shop: Shop, operator: OperatorCaller, *, remains: int) -> int:
        order_id = await shop.order()
        await shop.worker.dispatch(shop.provider)
        await self._tell(shop, operator, order_id, status="in_progress", remains=remains)
        return order_id

    async def _tell(self, shop: Shop, operator: OperatorCaller, order_id: int, **body: Any) -> None:
        path = f"/v1/operator/orders/{order_id}/progress"
        answer = await shop.client.post(path, json=body, headers=operator.headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.policy("REF-6")
class TestAProvider:
    async def test_that_tells_no_figure_after_the_deadline_is_not_taken_at_an_older_one(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running()
        shop.clock.move(MINUTE)
        await shop.worker.follow(shop.provider)
        assert (await shop.world.row(order_id)).remains == 1000
        claim = await shop.filed(order_id)
        await shop.delivered(order_id, 999)
        shop.simulator.provider.manners = frozenset({Manner.UNKNOWN_FIGURES})
        shop.clock.move(WEEK)
        await shop.decide()
        found = await shop.read(claim)
        assert (found["status"], found["decision"]["rule"]) == ("under_review", "share-unknown")

        shop.simulator.provider.manners = frozenset()
        shop.clock.move(HOUR)
        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.0009")

    async def test_that_told_it_after_the_deadline_need_not_be_heard_again(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running(delivered=600)
        claim = await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.worker.until_idle(FOLLOW)
        await shop.simulator.faults(status_500=1.0)

        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")
