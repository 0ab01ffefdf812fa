"""Claims by the public door: what is filed, what is refused, what people write and decide."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.core import gauges, idempotency
from app.core.runtime import Runtime
from app.operators.permissions import Role
from app.orders import dispatch
from app.orders.states import OrderState
from app.refunds import desk
from app.schedules.starting import SCHEDULE
from tests.fixtures.world import OperatorCaller, World, order_body
from tests.http.problems import pointers, problem
from tests.http.test_bad_input import everything_in
from tests.http.test_reads import walk
from tests.refunds.conftest import DAY, WEEK, OpenShop, Shop, open_shop, shop

__all__ = ["open_shop", "shop"]

SECOND = timedelta(seconds=1)
CARD = "4111 1111 1111 1111"


class TestFiling:
    @pytest.mark.policy("REF-2")
    @pytest.mark.policy("REF-6")
    async def test_a_claim_on_a_running_order_waits_and_is_told_everywhere(
        self, shop: Shop
    ) -> None:
        order_id = await shop.running()

        answer = await shop.file(order_id)

        claim = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/v1/refund-claims/{claim['id']}"
        placed_at = (await shop.world.row(order_id)).created_at
        assert claim == {
            "id": claim["id"],
            "order_id": order_id,
            "reason": "not-delivered",
            "description": "Nothing came.",
            "status": "awaiting_deadline",
            "decision": {
                "rule": "awaits-its-deadline",
                "clause": "REF-6",
                "words": claim["decision"]["words"],
            },
            "refund": None,
            "deadline": claim["deadline"],
            "created_at": claim["created_at"],
            "closed_at": None,
        }
        assert datetime.fromisoformat(claim["deadline"]) == placed_at + WEEK
        told = [(e["type"], e["reason"]) for e in await shop.timeline(order_id)]
        assert told[-2:] == [
            ("claim_filed", "not-delivered"),
            ("claim_waits", "awaits-its-deadline"),
        ]
        events = (await shop.read(claim))["events"]
        assert [event["type"] for event in events] == ["filed", "waits"]
        assert events[1]["figures"]["charge"] == "0.90"

    @pytest.mark.policy("REF-5")
    @pytest.mark.parametrize(
        ("reason", "rule"), [("drop", "drop-after-delivery"), ("changed-mind", "sale-is-final")]
    )
    async def test_what_is_no_ground_is_answered_with_its_clause(
        self, reason: str, rule: str, shop: Shop
    ) -> None:
        order_id = await shop.completed()
        before = await shop.balance()

        claim = await shop.filed(order_id, reason)

        assert (claim["status"], claim["decision"]["clause"]) == ("refused", "REF-5")
        assert claim["decision"]["rule"] == rule
        [told] = [e for e in await shop.timeline(order_id) if e["type"] == "claim_refused"]
        assert (told["reason"], told["words"]) == (rule, claim["decision"]["words"])
        assert await shop.balance() == before

    @pytest.mark.policy("REF-5")
    async def test_canceling_is_free_before_an_order_is_handed_on(self, shop: Shop) -> None:
        order_id = await shop.order()
        claim = await shop.filed(order_id, "changed-mind")
        assert "canceling it is free" in claim["decision"]["words"]
        path = f"/v1/orders/{order_id}/cancel"
        assert (await shop.client.post(path, headers=shop.reseller.headers)).status_code == 200
        assert await shop.balance() == "10.00"

    @pytest.mark.policy("REF-1")
    async def test_a_delivered_order_is_refused_at_once(self, shop: Shop) -> None:
        claim = await shop.filed(await shop.completed())
        assert await shop.decided(claim) == ("refused", "REF-6", None)

    @pytest.mark.policy("REF-1")
    async def test_another_reason_is_told_those_that_there_are(self, shop: Shop) -> None:
        refused = await shop.file(await shop.order(), "too-slow")
        assert pointers(problem(refused, 422, "validation-failed")) == ["/reason"]
        assert "not-delivered" in refused.text

    @pytest.mark.policy("REF-2")
    @pytest.mark.refuses("createRefundClaim", "claim-window-closed")
    async def test_the_window_is_168_hours_and_its_edge_is_inside(self, shop: Shop) -> None:
        order_id = await shop.completed()
        placed_at = (await shop.world.row(order_id)).created_at
        shop.clock.move(placed_at + WEEK + SECOND - shop.clock.now())
        problem(await shop.file(order_id, "drop"), 422, "claim-window-closed")
        shop.clock.move(-SECOND)
        assert (await shop.file(order_id, "drop")).status_code == 201

    @pytest.mark.policy("REF-4")
    @pytest.mark.refuses("createRefundClaim", "not-found")
    async def test_a_claim_belongs_to_an_account_and_its_order(
        self, shop: Shop, world: World
    ) -> None:
        claim = await shop.filed(await shop.order())
        other = await world.reseller()
        for path in (f"/v1/refund-claims/{claim['id']}", "/v1/refund-claims"):
            answer = await shop.client.get(path, headers=other.headers)
            assert answer.status_code == 404 or answer.json()["data"] == []
        body = {"order_id": claim["order_id"], "reason": "drop", "description": "Gone."}
        refused = await shop.client.post("/v1/refund-claims", json=body, headers=other.headers)
        problem(refused, 404, "not-found")
        nobody = await shop.client.post("/v1/refund-claims", json=body)
        problem(nobody, 401, "unauthorized")

    @pytest.mark.refuses("createRefundClaim", "claim-open")
    async def test_there_is_one_open_claim_on_an_order(self, shop: Shop) -> None:
        order_id = await shop.order()
        claim = await shop.filed(order_id)
        problem(await shop.file(order_id, "not-as-described"), 409, "claim-open")
        await withdraw(shop, claim)
        assert (await shop.file(order_id)).status_code == 201

    @pytest.mark.refuses("createRefundClaim", "claim-needs-run")
    async def test_a_drip_feed_is_claimed_on_by_run_and_a_subscription_as_it_is(
        self, shop: Shop
    ) -> None:
        parent = await shop.order(runs=2, interval_minutes=60)
        await shop.worker.drain(SCHEDULE)
        refused = await shop.file(parent)
        assert pointers(problem(refused, 422, "claim-needs-run")) == ["/order_id"]
        path = f"/v1/orders/{parent}/runs"
        [run] = (await shop.client.get(path, headers=shop.reseller.headers)).json()["data"]
        claim = await shop.filed(run["id"])
        assert claim["order_id"] == run["id"]

    @pytest.mark.policy("SEC-2")
    async def test_a_card_number_in_the_text_is_refused_and_a_link_is_not(self, shop: Shop) -> None:
        order_id = await shop.order()
        refused = await shop.file(order_id, description=f"My card is {CARD}, pay there.")
        assert pointers(problem(refused, 422, "validation-failed")) == ["/description"]
        assert CARD not in refused.text
        link = f"See https://example.com/p/{CARD.replace(' ', '')}"
        assert (await shop.file(order_id, description=link)).status_code == 201

    @pytest.mark.refuses("createRefundClaim", "idempotency-key-reused")
    @pytest.mark.refuses("createRefundClaim", "idempotency-answer-expired")
    async def test_a_key_stands_for_one_claim_and_its_answer_is_kept_for_three_days(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        body = {"order_id": await shop.order(), "reason": "drop", "description": "Fewer."}
        headers = shop.reseller.headers | {"Idempotency-Key": "a-key"}

        async def ask(**fields: str) -> httpx.Response:
            path = "/v1/refund-claims"
            return await shop.client.post(path, json=body | fields, headers=headers)

        assert (await ask()).status_code == 201
        problem(await ask(description="Other."), 422, "idempotency-key-reused")
        await forget_answers(shop, runtime)
        problem(await ask(), 409, "idempotency-answer-expired")

    @pytest.mark.parametrize("key", [None, "same"])
    async def test_repeated_under_a_key_it_is_the_same_claim(
        self, key: str | None, shop: Shop
    ) -> None:
        order_id = await shop.order()
        body = {"order_id": order_id, "reason": "not-delivered", "description": "Nothing."}
        headers = shop.reseller.headers | ({"Idempotency-Key": key} if key else {})
        first, second = [
            await shop.client.post("/v1/refund-claims", json=body, headers=headers)
            for _ in range(2)
        ]
        assert first.status_code == 201
        if key is None:
            problem(second, 409, "claim-open")
        else:
            assert (second.status_code, second.content) == (201, first.content)
            assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.refuses("createRefundClaimMessage", "idempotency-key-reused")
@pytest.mark.refuses("createRefundClaimMessage", "idempotency-answer-expired")
async def test_a_message_is_written_once_under_a_key(shop: Shop, runtime: Runtime) -> None:
    claim = await shop.filed(await shop.order(), "not-as-described")
    path = f"/v1/refund-claims/{claim['id']}/messages"
    headers = shop.reseller.headers | {"Idempotency-Key": "a-key"}

    async def write(body: str = "See this.") -> httpx.Response:
        return await shop.client.post(path, json={"body": body}, headers=headers)

    first, second = await write(), await write()
    assert (second.status_code, second.content) == (201, first.content)
    problem(await write("See that."), 422, "idempotency-key-reused")
    said = await shop.client.get(path, headers=shop.reseller.headers)
    assert len(said.json()["data"]) == 1
    await forget_answers(shop, runtime)
    problem(await write(), 409, "idempotency-answer-expired")


async def forget_answers(shop: Shop, runtime: Runtime) -> None:
    """Three days later, answers are kept no more."""
    shop.clock.move(timedelta(hours=73))
    async with runtime.uow.begin() as session:
        await idempotency.forget_old(session)


async def withdraw(shop: Shop, claim: dict[str, Any]) -> httpx.Response:
    path = f"/v1/refund-claims/{claim['id']}/withdraw"
    return await shop.client.post(path, headers=shop.reseller.headers)


class TestWhileItIsOpen:
    async def test_both_sides_write_and_read_what_was_said(self, shop: Shop, world: World) -> None:
        claim = await shop.filed(await shop.completed(), "not-as-described")
        path = f"/v1/refund-claims/{claim['id']}/messages"
        said = await shop.client.post(
            path, json={"body": "They are all from elsewhere."}, headers=shop.reseller.headers
        )
        assert said.status_code == 201
        support = await world.operator(roles=[Role.SUPPORT])
        answer = await shop.act(support, claim, "messages", body="Please send a picture.")
        # The body of a message has no reason.
        assert answer.status_code == 422
        answered = await shop.client.post(
            f"/v1/operator/claims/{claim['id']}/messages",
            json={"body": "Please send a picture."},
            headers=support.headers,
        )
        assert answered.status_code == 201
        listed = await walk(shop.client, shop.reseller, path, 1)
        assert [(one["by"], one["body"]) for one in listed] == [
            ("you", "They are all from elsewhere."),
            ("operator", "Please send a picture."),
        ]
        assert support.id not in str(listed)

    @pytest.mark.refuses("withdrawRefundClaim", "claim-state-conflict")
    @pytest.mark.refuses("createRefundClaimMessage", "claim-state-conflict")
    @pytest.mark.refuses("operatorCreateClaimMessage", "claim-state-conflict")
    async def test_a_claim_that_was_withdrawn_is_over(self, shop: Shop, world: World) -> None:
        order_id = await shop.running()
        claim = await shop.filed(order_id)
        assert (await withdraw(shop, claim)).json()["status"] == "withdrawn"

        problem(await withdraw(shop, claim), 409, "claim-state-conflict")
        operator = await world.operator()
        for path, caller in (
            (f"/v1/refund-claims/{claim['id']}/messages", shop.reseller),
            (f"/v1/operator/claims/{claim['id']}/messages", operator),
        ):
            refused = await shop.client.post(path, json={"body": "Hello?"}, headers=caller.headers)
            problem(refused, 409, "claim-state-conflict")
        shop.clock.move(WEEK)
        await shop.decide()
        assert (await shop.read(claim))["status"] == "withdrawn"
        assert await shop.balance() == "9.10"

    async def test_a_card_number_in_a_message_is_refused(self, shop: Shop) -> None:
        claim = await shop.filed(await shop.order())
        path = f"/v1/refund-claims/{claim['id']}/messages"
        refused = await shop.client.post(path, json={"body": CARD}, headers=shop.reseller.headers)
        assert pointers(problem(refused, 422, "validation-failed")) == ["/body"]

    async def test_a_text_that_is_too_long_is_told_how_long_it_may_be(self, shop: Shop) -> None:
        refused = await shop.file(await shop.order(), description="a" * 4001)
        [told] = problem(refused, 422, "validation-failed")["errors"]
        assert told == {
            "pointer": "/description",
            "detail": "must have at most 4000 characters",
        }

    @pytest.mark.policy("PRI-4")
    async def test_what_is_written_about_a_claim_stands_nowhere_in_plain_text(
        self, shop: Shop, runtime: Runtime, world: World
    ) -> None:
        written = f"Nothing came to {uuid4().hex}"
        claim = (await shop.file(await shop.order(), description=written)).json()
        path = f"/v1/refund-claims/{claim['id']}/messages"
        sent = await shop.client.post(path, json={"body": written}, headers=shop.reseller.headers)
        await shop.act(await world.operator(), claim, "refuse")

        assert (sent.json()["body"], claim["description"]) == (written, written)
        assert (await shop.read(claim))["description"] == written
        kept = await everything_in(runtime)
        assert written not in kept
        assert written.encode().hex() not in kept

    async def test_the_list_shows_each_claim_once_newest_first(self, shop: Shop) -> None:
        claims = [await shop.filed(await shop.order()) for _ in range(3)]
        await withdraw(shop, claims[1])
        path = "/v1/refund-claims"
        listed = await walk(shop.client, shop.reseller, path, 1)
        assert [one["id"] for one in listed] == [one["id"] for one in reversed(claims)]
        waiting = await walk(shop.client, shop.reseller, path, 2, status="awaiting_deadline")
        assert [one["id"] for one in waiting] == [claims[2]["id"], claims[0]["id"]]
        of_order = await walk(shop.client, shop.reseller, path, 1, order_id=claims[0]["order_id"])
        assert [one["id"] for one in of_order] == [claims[0]["id"]]

    async def test_those_on_an_order_are_those_on_its_runs_too(self, open_shop: OpenShop) -> None:
        shop = await open_shop(type="subscriptions")
        placed = await shop.client.post(
            "/v1/orders",
            json=order_body(shop.service),
            headers=shop.reseller.headers | {"Idempotency-Key": "a-year"},
        )
        number = placed.json()["id"]
        claim = await shop.filed(number)
        assert claim["order_id"] != number

        for order_id in (number, claim["order_id"]):
            listed = await walk(
                shop.client, shop.reseller, "/v1/refund-claims", 1, order_id=order_id
            )
            assert [one["id"] for one in listed] == [claim["id"]]


class TestTheDesk:
    @pytest.fixture
    async def finance(self, world: World) -> OperatorCaller:
        return await world.operator(roles=[Role.FINANCE])

    @pytest.mark.policy("REF-1")
    async def test_a_person_sees_the_facts_and_gives_part_of_an_ended_order_back(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        order_id = await shop.completed()
        claim = await shop.filed(order_id, "not-as-described")
        assert (claim["status"], claim["decision"]["clause"]) == ("under_review", "REF-1")
        path = f"/v1/operator/claims/{claim['id']}"
        sheet = (await shop.client.get(path, headers=finance.headers)).json()
        assert sheet["proposal"]["outcome"] == "hand_over"
        assert (sheet["facts"]["left"], sheet["order"]["state"]) == ("0.90", "completed")

        answer = await shop.act(finance, claim, "approve", amount="0.25")

        assert answer.json()["state"] == "approved"
        assert await shop.decided(claim) == ("approved", "REF-1", "0.25")
        assert await shop.balance() == "9.35"
        row = await shop.world.row(order_id)
        assert (row.state, row.earned, row.refunded) == ("completed", 650_000, 250_000)
        [told] = [e for e in await shop.timeline(order_id) if e["type"] == "claim_approved"]
        assert (told["refunded"], told["by"]) == ("0.25", "operator")
        moved = await walk(shop.client, shop.reseller, "/v1/transactions", 1)
        assert (moved[0]["kind"], moved[0]["amount"]["amount"]) == ("refund_claim", "0.25")

    async def test_a_person_sees_the_last_that_was_said_however_much_there_is(
        self, shop: Shop, finance: OperatorCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desk, "MESSAGES_SHOWN_MAX", 2)
        claim = await shop.filed(await shop.completed(), "not-as-described")
        for body in ("first", "second", "third"):
            path = f"/v1/refund-claims/{claim['id']}/messages"
            await shop.client.post(path, json={"body": body}, headers=shop.reseller.headers)

        path = f"/v1/operator/claims/{claim['id']}"
        shown = (await shop.client.get(path, headers=finance.headers)).json()["messages"]

        assert [one["body"] for one in shown] == ["second", "third"]

    async def test_approving_without_an_amount_gives_back_all_that_is_left(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        order_id = await shop.completed()
        await shop.act(
            finance, await shop.filed(order_id, "not-as-described"), "approve", amount="0.25"
        )
        second = await shop.filed(order_id, "not-as-described")
        await shop.act(finance, second, "approve")
        assert await shop.decided(second) == ("approved", "REF-1", "0.65")
        assert await shop.balance() == "10.00"

    @pytest.mark.parametrize(
        ("amount", "state", "balance"), [("0.90", "canceled", "10.00"), ("0.40", "partial", "9.50")]
    )
    async def test_approving_ends_a_running_order(
        self, amount: str, state: str, balance: str, shop: Shop, finance: OperatorCaller
    ) -> None:
        order_id = await shop.running(delivered=0)
        claim = await shop.filed(order_id)
        await shop.act(finance, claim, "approve", amount=amount)
        row = await shop.world.row(order_id)
        assert (row.state, row.cancel_state) == (state, "requested")
        assert await shop.balance() == balance

    @pytest.mark.refuses("operatorApproveClaim", "invalid-input")
    @pytest.mark.policy("REF-3")
    async def test_never_more_than_is_left_of_the_charge(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        claim = await shop.filed(await shop.completed(), "not-as-described")
        for amount in ("0.900001", "0", "-0.10"):
            refused = await shop.act(finance, claim, "approve", amount=amount)
            assert pointers(problem(refused, 422, "invalid-input")) == ["/amount"]

    @pytest.mark.refuses("operatorApproveClaim", "second-approver-needed")
    async def test_a_large_sum_takes_two_people(
        self,
        shop: Shop,
        finance: OperatorCaller,
        world: World,
        runtime: Runtime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(runtime.settings.__dict__, "claim_two_above", "0.50")
        claim = await shop.filed(await shop.completed(), "not-as-described")
        first = await shop.act(finance, claim, "approve", amount="0.60")
        assert (first.json()["state"], first.json()["first_approver"]) == (
            "awaiting_second",
            f"operator:{finance.id}",
        )
        assert (await shop.read(claim))["status"] == "under_review"
        problem(await shop.act(finance, claim, "approve"), 409, "second-approver-needed")
        assert await shop.balance() == "9.10"

        second = await shop.act(await world.operator(roles=[Role.FINANCE]), claim, "approve")

        assert second.json()["state"] == "approved"
        assert await shop.balance() == "9.70"

    async def test_who_has_left_the_staff_is_none_of_the_two(
        self, shop: Shop, world: World, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(runtime.settings.__dict__, "claim_two_above", "0.50")
        claim = await shop.filed(await shop.completed(), "not-as-described")
        gone, second, third = [await world.operator() for _ in range(3)]
        await shop.act(gone, claim, "approve")
        await shop.client.delete(f"/v1/operator/operators/{gone.id}", headers=second.headers)

        approved = await shop.act(second, claim, "approve")

        assert approved.json()["state"] == "awaiting_second"
        assert approved.json()["first_approver"] == f"operator:{second.id}"
        assert await shop.balance() == "9.10"
        assert (await shop.act(third, claim, "approve")).json()["state"] == "approved"

    async def test_a_large_sum_in_small_parts_takes_two_people_too(
        self,
        shop: Shop,
        finance: OperatorCaller,
        runtime: Runtime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(runtime.settings.__dict__, "claim_two_above", "0.50")
        order_id = await shop.completed()
        first = await shop.filed(order_id, "not-as-described")
        approved = await shop.act(finance, first, "approve", amount="0.50")
        assert approved.json()["state"] == "approved"
        second = await shop.filed(order_id, "not-as-described")

        more = await shop.act(finance, second, "approve", amount="0.01")

        assert more.json()["state"] == "awaiting_second"
        assert await shop.balance() == "9.60"

    @pytest.mark.refuses("operatorApproveClaim", "claim-state-conflict")
    @pytest.mark.refuses("operatorRefuseClaim", "claim-state-conflict")
    @pytest.mark.refuses("operatorReopenClaim", "claim-state-conflict")
    async def test_a_refusal_is_told_with_its_reason_and_can_be_reopened(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        order_id = await shop.completed()
        claim = await shop.filed(order_id, "not-as-described")
        problem(await shop.act(finance, claim, "reopen"), 409, "claim-state-conflict")
        await shop.act(finance, claim, "refuse", reason="The picture shows another page.")
        found = await shop.read(claim)
        assert found["status"] == "refused"
        assert found["decision"]["words"] == "The picture shows another page."
        for verb in ("approve", "refuse"):
            problem(await shop.act(finance, claim, verb), 409, "claim-state-conflict")

        reopened = await shop.act(finance, claim, "reopen", reason="A better picture came.")

        assert reopened.json()["state"] == "with_operator"
        await shop.act(finance, claim, "approve", amount="0.10")
        assert await shop.decided(claim) == ("approved", "REF-1", "0.10")
        problem(await shop.act(finance, claim, "reopen"), 409, "claim-state-conflict")

    @pytest.mark.parametrize(
        "verb",
        [
            pytest.param(
                verb,
                marks=[
                    pytest.mark.refuses(f"operator{verb.title()}Claim", f"idempotency-{code}")
                    for code in ("key-reused", "answer-expired")
                ],
            )
            for verb in ("approve", "refuse")
        ],
    )
    async def test_a_decision_is_made_once_and_its_answer_kept_for_three_days(
        self, verb: str, shop: Shop, finance: OperatorCaller, runtime: Runtime
    ) -> None:
        claim = await shop.filed(await shop.completed(), "not-as-described")

        first, again = [await shop.act(finance, claim, verb, key="a-key") for _ in range(2)]
        other = await shop.act(finance, claim, verb, key="a-key", reason="another")

        assert (again.status_code, again.content) == (200, first.content)
        problem(other, 422, "idempotency-key-reused")
        await forget_answers(shop, runtime)
        late = await shop.act(finance, claim, verb, key="a-key")
        problem(late, 409, "idempotency-answer-expired")

    @pytest.mark.refuses("operatorReopenClaim", "claim-open")
    async def test_a_claim_is_not_reopened_beside_an_open_one(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        order_id = await shop.completed()
        refused = await shop.filed(order_id, "drop")
        await shop.filed(order_id, "not-as-described")
        problem(await shop.act(finance, refused, "reopen"), 409, "claim-open")

    @pytest.mark.refuses("operatorApproveClaim", "order-state-conflict")
    async def test_an_order_that_is_being_handed_over_is_left_alone(
        self, shop: Shop, finance: OperatorCaller, runtime: Runtime
    ) -> None:
        order_id = await shop.order()
        claim = await shop.filed(order_id)
        async with runtime.uow.begin() as session:
            await dispatch.lease_batch(session, runtime.keys, shop.provider.id, time_scale=1.0)
        assert (await shop.world.row(order_id)).state == OrderState.SUBMITTING
        problem(await shop.act(finance, claim, "approve"), 409, "order-state-conflict")
        shop.clock.move(WEEK)
        await shop.decide()
        found = await shop.read(claim)
        assert (found["status"], found["decision"]["rule"]) == (
            "awaiting_deadline",
            "being-handed-over",
        )

    @pytest.mark.parametrize("verb", ["approve", "refuse", "reopen"])
    async def test_support_reads_and_writes_and_does_not_decide(
        self, verb: str, shop: Shop, world: World
    ) -> None:
        claim = await shop.filed(await shop.completed(), "not-as-described")
        support = await world.operator(roles=[Role.SUPPORT])
        assert len(await walk(shop.client, support, "/v1/operator/claims", 1)) == 1
        problem(await shop.act(support, claim, verb), 403, "scope-missing")

    async def test_the_queue_is_ordered_by_when_somebody_is_to_look(
        self, shop: Shop, finance: OperatorCaller
    ) -> None:
        first = await shop.filed(await shop.completed(), "not-as-described")
        shop.clock.move(DAY)
        second = await shop.filed(await shop.running(), "technical-failure")
        waiting = await shop.filed(await shop.order())
        path = "/v1/operator/claims"
        queue = await walk(shop.client, finance, path, 1)
        assert [one["id"] for one in queue] == [first["id"], second["id"]]
        listed = await walk(shop.client, finance, path, 1, state="awaiting_deadline")
        assert [one["id"] for one in listed] == [waiting["id"]]

    async def test_claims_are_counted_by_provider_and_service(
        self, shop: Shop, runtime: Runtime
    ) -> None:
        await shop.filed(await shop.completed(), "drop")
        await shop.filed(await shop.completed(), "not-as-described")
        shop.clock.move(2 * DAY)
        await shop.worker.upkeep()
        async with runtime.uow.begin() as session:
            values = {(one.name, one.labels): one.value for one in await gauges.read(session)}
        labels = f'provider="{shop.provider.name}",service="{shop.service.id}"'
        assert values["smmos_claim_rate", labels] == 1
        assert values["smmos_claims_filed_last_month", f'{labels},state="refused"'] == 1
        assert values["smmos_claims", 'state="with_operator"'] == 1
        assert values["smmos_claims_overdue", ""] == 1


@pytest.mark.parametrize("reason", ["not-delivered", "technical-failure"])
async def test_a_package_that_nobody_counts_goes_to_a_person(
    reason: str, open_shop: OpenShop
) -> None:
    shop = await open_shop(type="package", rate="0.90")
    order_id = await shop.running()
    claim = await shop.filed(order_id, reason)
    shop.clock.move(WEEK)
    await shop.decide()
    found = await shop.read(claim)
    assert (found["status"], found["decision"]["rule"]) == ("under_review", "share-unknown")
