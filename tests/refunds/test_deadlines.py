"""Claims of non-delivery: they wait, and are decided once, by what was delivered in truth."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.db import Session
from app.core.metrics import CLAIM_LOSSES
from app.core.money import Money, refund_rounded_down
from app.core.runtime import Runtime
from app.orders import attempt_repository, evidence_repository
from app.orders.service import FOLLOW
from app.orders.states import LISTENED_FOR_MAX, OrderState
from app.refunds import clock
from app.refunds.clock import SILENT_AFTER
from app.refunds.deciding import CLAIM
from app.schedules.starting import SCHEDULE
from app.supply import pausing, protection
from tests.fixtures.world import World
from tests.refunds.conftest import DAY, HOUR, WEEK, OpenShop, Shop

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.policy("REF-6")
async def test_what_is_not_delivered_in_a_week_is_refunded_and_the_balance_shows_it(
    shop: Shop,
) -> None:
    order_id = await shop.running()
    shop.clock.move(2 * DAY)
    claim = await shop.filed(order_id)
    assert (claim["status"], claim["refund"]) == ("awaiting_deadline", None)
    assert claim["decision"]["clause"] == "REF-6"
    assert await shop.balance() == "9.10"

    shop.clock.move(5 * DAY - 2 * SECOND)
    await shop.decide()
    assert (await shop.read(claim))["status"] == "awaiting_deadline"

    shop.clock.move(2 * SECOND)
    await shop.decide()

    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")
    assert await shop.balance() == "10.00"
    row = await shop.world.row(order_id)
    assert (row.state, row.reason, row.refunded) == ("canceled", "refund_claim", 900_000)


@pytest.mark.policy("REF-6")
@pytest.mark.policy("REF-3")
@pytest.mark.parametrize(
    ("delivered", "expected", "balance", "state"),
    [
        (0, ("approved", "REF-6", "0.90"), "10.00", "canceled"),
        (600, ("approved", "REF-3", "0.36"), "9.46", "partial"),
        (1000, ("refused", "REF-6", None), "9.10", "completed"),
    ],
)
async def test_after_a_week_of_downtime_it_is_decided_once_and_rightly(
    delivered: int,
    expected: tuple[str, str, str | None],
    balance: str,
    state: str,
    shop: Shop,
) -> None:
    order_id = await shop.running()
    shop.clock.move(2 * DAY)
    claim = await shop.filed(order_id)
    await shop.delivered(order_id, delivered)  # which nobody hears of
    shop.clock.move(7 * DAY)

    await asyncio.gather(shop.decide(), shop.decide())
    await shop.worker.until_idle()
    await shop.decide()

    assert await shop.decided(claim) == expected
    assert await shop.balance() == balance
    assert (await shop.world.row(order_id)).state == state
    events = [event["type"] for event in (await shop.read(claim))["events"]]
    assert events == ["filed", "waits", expected[0]]


@pytest.mark.policy("REF-6")
async def test_an_order_that_nobody_could_hand_over_is_refunded_in_full(
    shop: Shop, runtime: Runtime
) -> None:
    async with runtime.uow.begin() as session:
        await pausing.pause(session, shop.provider.id, pausing.PauseReason.NO_FUNDS)
    claim = await shop.filed(await shop.order())
    shop.clock.move(WEEK)
    await shop.decide()
    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")


@pytest.mark.policy("REF-6")
async def test_a_run_of_a_drip_feed_that_started_late_has_a_clock_of_its_own(shop: Shop) -> None:
    await shop.simulator.speed(units_per_second=0)
    parent = await shop.order(runs=2, interval_minutes=24 * 60)
    await shop.worker.drain(SCHEDULE)
    shop.clock.move(9 * DAY)  # eight days late: by when it was due, its window would be over
    await shop.worker.until_idle(SCHEDULE)
    listed = await shop.client.get(f"/v1/orders/{parent}/runs", headers=shop.reseller.headers)
    first, second = (run["id"] for run in listed.json()["data"])
    bought_at = (await shop.world.row(first)).created_at
    assert (await shop.file(first)).status_code == 422
    started_at = (await shop.world.row(second)).created_at
    claim = await shop.filed(second)

    shop.clock.move(started_at + WEEK - SECOND - shop.clock.now())
    await shop.decide()
    assert (await shop.decided(claim))[0] == "awaiting_deadline"
    shop.clock.move(2 * SECOND)
    await shop.decide()

    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")
    assert started_at - bought_at >= 9 * DAY
    due = (await shop.world.row(second)).due_at
    assert due is not None
    assert due - bought_at < DAY + SECOND


@pytest.mark.policy("REF-6")
async def test_a_custom_order_waits_for_its_promised_date(open_shop: OpenShop) -> None:
    shop = await open_shop(tier="custom")
    promised = shop.clock.now() + 12 * DAY
    order_id = await shop.order(deliver_by=promised.isoformat())
    shop.clock.move(9 * DAY)  # past the week: its own window is still open
    claim = await shop.filed(order_id)
    await shop.decide()
    assert (await shop.read(claim))["status"] == "awaiting_deadline"
    shop.clock.move(3 * DAY)
    await shop.decide()
    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")


@pytest.mark.policy("REF-6")
@pytest.mark.parametrize("reason", ["not-delivered", "technical-failure"])
async def test_a_running_order_claimed_on_at_its_deadline_is_asked_about_first(
    reason: str, shop: Shop
) -> None:
    order_id = await shop.running()
    shop.clock.move(MINUTE)
    await shop.worker.follow(shop.provider)
    order = await shop.world.row(order_id)
    assert order.remains == 1000
    await shop.delivered(order_id, 999)  # which nobody has heard of yet
    # The window is open for a second more, which a slow machine has used up by itself.
    shop.clock.move(order.created_at + WEEK - shop.clock.now())

    claim = await shop.filed(order_id, reason)
    assert (claim["status"], claim["refund"]) == ("awaiting_deadline", None)
    await shop.decide()

    expected = {
        "not-delivered": ("approved", "REF-3", "0.0009"),
        "technical-failure": ("refused", "REF-1", None),
    }
    assert await shop.decided(claim) == expected[reason]


async def test_a_simulators_claim_waits_as_long_as_time_is_scaled(
    shop: Shop, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runtime.settings.__dict__, "time_scale", 168.0)
    claim = await shop.filed(await shop.running())
    shop.clock.move(HOUR)
    await shop.decide()
    assert await shop.decided(claim) == ("approved", "REF-6", "0.90")


class TestAProviderThatCannotBeHeard:
    async def test_it_is_asked_again_and_decided_once_it_answers(self, shop: Shop) -> None:
        order_id = await shop.running(delivered=600)
        claim = await shop.filed(order_id)
        await shop.simulator.faults(status_500=1.0)
        shop.clock.move(WEEK)
        await shop.decide()
        assert (await shop.read(claim))["status"] == "awaiting_deadline"

        await shop.simulator.faults()
        shop.clock.move(2 * HOUR)
        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")

    async def test_after_a_day_a_person_is_asked_and_the_facts_still_may_decide(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running(delivered=600)
        claim = await shop.filed(order_id)
        await shop.simulator.faults(status_500=1.0)
        shop.clock.move(WEEK)
        for _ in range(2):
            await shop.decide()
            shop.clock.move(SILENT_AFTER)
        await shop.decide()
        found = await shop.read(claim)
        assert (found["status"], found["decision"]["rule"]) == ("under_review", "provider-silent")

        await shop.simulator.faults()
        shop.clock.move(2 * HOUR)
        await shop.decide()
        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")

    async def test_a_person_is_asked_too_where_its_credentials_cannot_be_opened(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        claim = await shop.filed(await shop.running(delivered=600))
        async with runtime.uow.begin() as session:
            await session.execute(text(r"UPDATE providers SET credentials = '\x00' || credentials"))
        shop.clock.move(WEEK)
        await shop.decide()
        shop.clock.move(SILENT_AFTER)
        await shop.decide()
        found = await shop.read(claim)
        assert (found["status"], found["decision"]["rule"]) == ("under_review", "provider-silent")


@pytest.mark.policy("REF-6")
async def test_an_unknown_order_is_with_an_operator_until_it_is_known(
    shop: Shop, runtime: Runtime, world: World
) -> None:
    await shop.simulator.faults(accept_then_timeout=1.0)
    order_id = await shop.order()
    await shop.worker.dispatch(shop.provider)
    await shop.simulator.faults()
    assert (await world.row(order_id)).state == OrderState.UNKNOWN
    claim = await shop.filed(order_id)
    shop.clock.move(WEEK)
    await shop.decide()
    found = await shop.read(claim)
    assert (found["status"], found["decision"]["rule"]) == ("under_review", "standing-unknown")

    [taken] = await shop.simulator.accepted()
    operator = await world.operator()
    await shop.client.post(
        f"/v1/operator/orders/{order_id}/resolve",
        json={
            "outcome": "accepted",
            "provider_order_id": str(taken["provider_order"]),
            "reason": "their log",
        },
        headers=operator.headers | {"Idempotency-Key": "found"},
    )
    await shop.worker.until_idle(FOLLOW)
    shop.clock.move(2 * HOUR)
    await shop.decide()

    assert await shop.decided(claim) == ("refused", "REF-6", None)


@pytest.mark.policy("REF-6")
class TestDecidedLateWhileOrdersWereFollowed:
    """As it would have been in time: by what the first word after the deadline told."""

    async def test_what_was_delivered_since_does_not_count(self, shop: Shop) -> None:
        order_id = await shop.running(delivered=600)
        claim = await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.worker.until_idle(FOLLOW)
        await shop.delivered(order_id, 1000)
        shop.clock.move(DAY)
        await shop.worker.until_idle(FOLLOW)
        assert (await shop.world.row(order_id)).state == "completed"

        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")
        assert await shop.balance() == "9.46"
        words = (await shop.read(claim))["decision"]["words"]
        assert "Of 1000 ordered, 400 were not delivered by the deadline." in words

    async def test_what_was_handed_on_after_the_deadline_was_not_delivered(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await pausing.pause(session, shop.provider.id, pausing.PauseReason.NO_FUNDS)
        claim = await shop.filed(await shop.order())
        shop.clock.move(WEEK + MINUTE)
        async with runtime.uow.begin() as session:
            await pausing.resume(session, shop.provider.id)
        await shop.worker.dispatch(shop.provider)
        shop.clock.move(DAY)
        await shop.worker.until_idle(FOLLOW)

        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-6", "0.90")
        assert await shop.balance() == "10.00"

    async def test_what_was_told_before_the_deadline_is_not_that_word(self, shop: Shop) -> None:
        order_id = await shop.running(delivered=600)
        claim = await shop.filed(order_id)
        await shop.worker.until_idle(FOLLOW)
        shop.clock.move(WEEK - MINUTE)
        await shop.worker.until_idle(FOLLOW)
        await shop.delivered(order_id, 1000)
        shop.clock.move(2 * DAY)
        await shop.worker.until_idle(FOLLOW)

        await shop.decide()

        assert await shop.decided(claim) == ("refused", "REF-6", None)


class TestWhatTheProviderDoesAfterwards:
    async def test_it_is_asked_to_stop_and_what_it_charges_is_the_houses_loss(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running()
        claim = await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.decide()
        assert (await shop.read(claim))["status"] == "approved"
        await shop.delivered(order_id, 250)  # before the cancel reaches it

        await shop.worker.until_idle("cancel")
        shop.clock.move(HOUR)
        await shop.worker.until_idle(FOLLOW)

        row = await shop.world.row(order_id)
        assert (row.state, row.refunded, row.cancel_state) == ("canceled", 900_000, "asked")
        assert await shop.balance() == "10.00"
        operator = await shop.world.operator()
        path = f"/v1/operator/orders/{order_id}"
        detail = (await shop.client.get(path, headers=operator.headers)).json()
        [late] = [e for e in detail["events"] if e["type"] == "observation"]
        assert late["data"]["provider"]["remains"] == 750
        assert (
            late["data"]["provider"]["loss"] == detail["attempts"][0]["provider_charge"]["amount"]
        )
        await shop.worker.lose_leases()
        await shop.worker.upkeep()
        assert not await shop.worker.due_lanes(FOLLOW)

    async def test_of_one_that_delivers_on_only_what_was_not_paid_for_is_lost(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running(delivered=600)
        await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.decide()
        assert (await shop.world.row(order_id)).refunded == 360_000
        await shop.delivered(order_id, 1000)
        shop.clock.move(HOUR)
        await shop.worker.until_idle(FOLLOW)

        operator = await shop.world.operator()
        path = f"/v1/operator/orders/{order_id}"
        detail = (await shop.client.get(path, headers=operator.headers)).json()
        [late] = [e for e in detail["events"] if e["type"] == "observation"]
        charged, cost = (
            Money.parse(detail["attempts"][0][figure]["amount"])
            for figure in ("provider_charge", "cost")
        )
        paid_for = refund_rounded_down(charge=cost, undelivered=600, ordered=1000)
        assert late["data"]["provider"]["loss"] == str(charged - paid_for)

    async def test_a_loss_is_counted_once_however_often_its_transaction_is_made(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order_id = await shop.running()
        await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.decide()
        await shop.delivered(order_id, 1000)
        shop.clock.move(HOUR)
        record_read_answers = protection.record_read_answers
        undone: list[bool] = []

        async def undone_once(session: Session, *arguments: Any, **named: Any) -> None:
            if not undone:
                undone.append(True)
                await session.execute(text("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"))
            await record_read_answers(session, *arguments, **named)

        monkeypatch.setattr(protection, "record_read_answers", undone_once)
        await shop.worker.until_idle(FOLLOW)

        operator = await shop.world.operator()
        path = f"/v1/operator/orders/{order_id}"
        detail = (await shop.client.get(path, headers=operator.headers)).json()
        [late] = [e for e in detail["events"] if e["type"] == "observation"]
        counted = CLAIM_LOSSES.labels(shop.provider.name)._value.get()
        assert undone
        assert counted == pytest.approx(float(late["data"]["provider"]["loss"]))

    async def test_one_that_delivers_all_the_same_changes_nothing(self, shop: Shop) -> None:
        order_id = await shop.running()
        await shop.filed(order_id)
        shop.clock.move(WEEK)
        await shop.decide()
        await shop.delivered(order_id, 1000)
        shop.clock.move(HOUR)
        await shop.worker.until_idle(FOLLOW)
        row = await shop.world.row(order_id)
        assert (row.state, row.refunded) == ("canceled", 900_000)
        assert await shop.balance() == "10.00"


async def test_a_claim_whose_worker_died_is_decided_by_another(
    shop: Shop, runtime: Runtime
) -> None:
    claim = await shop.filed(await shop.running())
    shop.clock.move(WEEK)
    async with runtime.uow.begin() as session:
        leased = await clock.lease_due(session, "main")
    assert leased.refs
    await shop.decide()
    assert (await shop.read(claim))["status"] == "awaiting_deadline"
    await shop.worker.lose_leases()
    await shop.worker.upkeep()
    await shop.worker.drain(CLAIM)
    assert (await shop.read(claim))["status"] == "approved"


class TestAnOrderThatAClaimHasEnded:
    async def test_is_stopped_where_only_an_answer_to_its_attempt_gives_it_an_id(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        claim, order_id = await self._lost(shop, runtime)

        answer = await shop.act(await shop.world.operator(), claim, "approve")
        await shop.worker.until_idle("cancel")

        assert answer.status_code == 200
        row = await shop.world.row(order_id)
        assert (row.state, row.reason, row.refunded) == ("canceled", "refund_claim", 900_000)
        assert (row.provider_id, row.cancel_state) == (shop.provider.id, "asked")
        assert await self._is_followed(shop)
        assert await self._searches_on(runtime) == 0

    async def test_is_not_searched_for_any_more(self, shop: Shop, runtime: Runtime) -> None:
        claim, order_id = await self._lost(shop, runtime, told=False)
        await shop.act(await shop.world.operator(), claim, "approve")
        row = await shop.world.row(order_id)
        assert (row.state, row.provider_order_id) == ("canceled", None)
        assert await self._searches_on(runtime) == 0

    async def _lost(
        self, shop: Shop, runtime: Runtime, *, told: bool = True
    ) -> tuple[dict[str, Any], int]:
        """An unknown order with a claim; it may be told which id its provider gave it."""
        await shop.simulator.speed(units_per_second=0)
        await shop.simulator.faults(accept_then_timeout=1.0)
        order_id = await shop.order()
        await shop.worker.dispatch(shop.provider)
        await shop.simulator.faults()
        [taken] = await shop.simulator.accepted()
        async with runtime.uow.begin() as session:
            attempt = await attempt_repository.live_of(session, order_id)
            assert attempt is not None
            said = {attempt.id: (str(taken["provider_order"]), "late")} if told else {}
            await evidence_repository.append_evidence(session, said)
        return await shop.filed(order_id), order_id

    async def _searches_on(self, runtime: Runtime) -> int:
        async with runtime.uow.begin() as session:
            statement = text("SELECT count(*) FROM inquiries WHERE resolved_at IS NULL")
            return int(await session.scalar(statement) or 0)

    async def test_is_not_asked_about_for_ever_where_its_provider_is_silent(
        self, shop: Shop
    ) -> None:
        await shop.filed(await shop.running())
        shop.clock.move(WEEK)
        await shop.decide()
        await shop.simulator.faults(status_500=1.0)
        await self._polled(shop, after=LISTENED_FOR_MAX - HOUR)
        assert await self._is_followed(shop)
        await self._polled(shop, after=HOUR)
        assert not await self._is_followed(shop)

    async def test_nor_where_its_provider_cannot_be_asked_any_more(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        await shop.filed(await shop.running())
        shop.clock.move(WEEK)
        await shop.decide()
        async with runtime.uow.begin() as session:
            await session.execute(text("UPDATE providers SET adapter = 'manual'"))
        await self._polled(shop, after=HOUR)
        assert await self._is_followed(shop)
        await self._polled(shop, after=LISTENED_FOR_MAX)
        assert not await self._is_followed(shop)

    async def _polled(self, shop: Shop, *, after: timedelta) -> None:
        shop.clock.move(after)
        await shop.worker.drain(FOLLOW, str(shop.provider.id))

    async def _is_followed(self, shop: Shop) -> bool:
        shop.clock.move(2 * DAY)  # when whatever is there is due
        found = await shop.worker.due_lanes(FOLLOW)
        shop.clock.move(-2 * DAY)
        return bool(found)

    async def test_what_was_delivered_since_is_not_given_back_by_an_old_figure(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running()
        shop.clock.move(MINUTE)
        await shop.worker.follow(shop.provider)
        assert (await shop.world.row(order_id)).remains == 1000
        claim = await shop.filed(order_id, "not-as-described")
        await shop.act(await shop.world.operator(), claim, "approve", amount="0.10")
        await shop.delivered(order_id, 1000)

        second = await shop.filed(order_id)

        assert second["decision"]["rule"] == "share-unknown"
        assert (second["status"], second["refund"]) == ("under_review", None)
        assert await shop.balance() == "9.20"


async def test_what_was_paid_back_in_full_is_not_refilled_for_nothing(open_shop: OpenShop) -> None:
    shop = await open_shop(refill=True, refill_days=30)
    order_id = await shop.completed()
    claim = await shop.filed(order_id, "not-as-described")
    await shop.act(await shop.world.operator(), claim, "approve")
    assert (await shop.world.row(order_id)).earned == 0

    path = f"/v1/orders/{order_id}/refills"
    refused = await shop.client.post(path, headers=shop.reseller.headers, json={})

    assert (refused.status_code, refused.json()["code"]) == (409, "refill-unavailable")


class TestWhatWaitsForPeople:
    @pytest.mark.policy("REF-6")
    async def test_at_the_deadline_the_facts_decide_and_a_first_approval_lapses(
        self, shop: Shop, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(runtime.settings.__dict__, "claim_two_above", "0.50")
        claim = await shop.filed(await shop.running(delivered=600))
        operator = await shop.world.operator()
        first = await shop.act(operator, claim, "approve", amount="0.80")
        assert first.json()["state"] == "awaiting_second"

        shop.clock.move(WEEK)
        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-3", "0.36")
        path = f"/v1/operator/claims/{claim['id']}"
        told = (await shop.client.get(path, headers=operator.headers)).json()["events"]
        assert [event["type"] for event in told] == [
            *("filed", "waits", "approved_first", "approval_lapsed", "approved")
        ]
        shown = [event["type"] for event in (await shop.read(claim))["events"]]
        assert shown == ["filed", "waits", "approved"]

    async def test_a_first_approval_stands_where_the_facts_decide_nothing(
        self, shop: Shop, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(runtime.settings.__dict__, "claim_two_above", "0.50")
        await shop.simulator.faults(accept_then_timeout=1.0)
        order_id = await shop.order()
        await shop.worker.dispatch(shop.provider)
        claim = await shop.filed(order_id)
        await shop.act(await shop.world.operator(), claim, "approve")

        for _ in range(2):
            shop.clock.move(WEEK)
            await shop.decide()

        second = await shop.act(await shop.world.operator(), claim, "approve")
        assert second.json()["state"] == "approved"
        assert await shop.balance() == "10.00"

    async def test_a_reopened_claim_on_a_running_order_is_decided_at_its_deadline(
        self, shop: Shop
    ) -> None:
        claim = await shop.filed(await shop.running())
        operator = await shop.world.operator()
        await shop.act(operator, claim, "refuse")
        await shop.act(operator, claim, "reopen")

        shop.clock.move(WEEK)
        await shop.decide()

        assert await shop.decided(claim) == ("approved", "REF-6", "0.90")
