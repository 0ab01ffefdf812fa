"""A subscription: its cap is held, its provider runs it, and what it reports settles it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.catalog.models import Service
from app.core.clock import Clock
from app.core.money import ZERO, Money
from app.orders import canceling, runs
from app.orders.endings import EXPIRED, Bought, Decision, End, Review, settle
from app.orders.models import Order
from app.orders.states import Move, OrderState
from app.providers.aftercare import CancelRefused
from app.providers.forms import ServiceType
from app.providers.protocol import Progress, ProviderState
from app.supply.models import Provider
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import ResellerCaller, RouteTo, World
from tests.orders.conftest import Desk, progress

S = ProviderState
CAP, POST = Money(1_000), Money(100)
BOUGHT = Bought(CAP, units=None, cost_micros=50, doubts=0, cost_currency="USD", post=POST)


def said(
    state: S, posts: int | None = None, charge: int | None = None, currency: str | None = "USD"
) -> Progress:
    return replace(progress(state, charge_micros=charge, posts=posts), currency=currency)


def done(refunded: int, reason: str | None = None) -> End:
    return End(Move.COMPLETE, OrderState.COMPLETED, Money(refunded), None, reason)


def short(target: OrderState, refunded: int) -> End:
    return End(Move.END_SHORT, target, Money(refunded), None)


UNTOLD = Review("subscription_untold")
TABLE: list[tuple[Progress, Decision]] = [
    # By posts alone, each at the price of the largest; never above the cap.
    (said(S.COMPLETED, posts=3), done(700)),
    (said(S.COMPLETED, posts=10), done(0)),
    (said(S.COMPLETED, posts=11), done(0)),
    (said(S.COMPLETED, posts=0), done(1_000)),
    # By the provider's charge, with the margin at which it was sold, rounded up.
    (said(S.COMPLETED, charge=50), done(900)),
    (said(S.COMPLETED, charge=1), done(998)),
    (said(S.COMPLETED, charge=5_000), done(0)),
    (said(S.COMPLETED, charge=50, currency=None), done(900)),
    # By the lesser of both, for it is certain.
    (said(S.COMPLETED, posts=3, charge=75), done(850)),
    (said(S.COMPLETED, posts=3, charge=400), done(700)),
    # A charge in another currency tells nothing.
    (said(S.COMPLETED, posts=3, charge=1, currency="EUR"), done(700)),
    (said(S.COMPLETED, charge=1, currency="EUR"), UNTOLD),
    (said(S.COMPLETED), UNTOLD),
    (said(S.COMPLETED, posts=-1, charge=-1), UNTOLD),
    (said(S.COMPLETED, posts=0, charge=1), Review("subscription_charged_without_posts")),
    # Nothing charged for posts, or for who knows how many, is not told rather than free.
    (said(S.COMPLETED, posts=3, charge=0), Review("subscription_charge_untold")),
    (said(S.COMPLETED, charge=0), Review("subscription_charge_untold")),
    (said(S.EXPIRED, posts=3), done(700, EXPIRED)),
    (said(S.EXPIRED, posts=0), done(1_000, EXPIRED)),
    (said(S.EXPIRED), UNTOLD),
    (said(S.CANCELED, posts=3), short(OrderState.PARTIAL, 700)),
    (said(S.CANCELED, posts=0, charge=0), short(OrderState.CANCELED, 1_000)),
    (said(S.CANCELED), UNTOLD),
    # Canceled once all that the cap pays for has come: nothing is missing.
    (said(S.CANCELED, posts=10), done(0)),
    (said(S.CANCELED, posts=10, charge=400), done(200)),
    (said(S.CANCELED, posts=12, charge=500), done(0)),
    (said(S.PARTIAL, posts=1), short(OrderState.PARTIAL, 900)),
    (said(S.FAILED, posts=3), Review("provider_failed")),
]


@pytest.mark.parametrize(("told", "decision"), TABLE)
def test_what_a_subscription_earns_is_the_least_that_was_told(
    told: Progress, decision: Decision
) -> None:
    assert settle(BOUGHT, told) == decision


@pytest.mark.parametrize("state", [S.PENDING, S.IN_PROGRESS, S.PAUSED, S.UNKNOWN])
def test_a_subscription_that_goes_on_is_not_settled(state: S) -> None:
    with pytest.raises(ValueError, match="not a final status"):
        settle(BOUGHT, said(state, posts=1))


def test_where_the_cost_is_not_known_a_charge_tells_nothing() -> None:
    assert settle(replace(BOUGHT, cost_micros=0), said(S.COMPLETED, charge=1)) == UNTOLD


ASKED: dict[str, Any] = {"username": "ada", "min": 100, "max": 200, "delay": 0}


async def service_of(world: World, provider: Provider, **columns: Any) -> Service:
    return await world.service(
        type=ServiceType.SUBSCRIPTIONS, rate="2.00", routes=[provider], **columns
    )


async def get(
    client: httpx.AsyncClient, reseller: ResellerCaller, order: dict[str, Any], more: str = ""
) -> Any:
    answer = await client.get(f"/v1/orders/{order['id']}{more}", headers=reseller.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.policy("TOS-2a")
async def test_the_cap_is_held_and_what_posts_did_not_use_goes_back_at_the_end(
    world: World, worker: Worker, simulator: Simulator, client: httpx.AsyncClient
) -> None:
    reseller = await world.reseller()
    service = await service_of(world, await world.provider(simulator=simulator))
    placed = await world.order(reseller, service, **ASKED, posts=3, spend_cap="5.00")
    assert (placed["charge"]["amount"], placed["link"], placed["remains"]) == ("5.00", None, None)
    assert str((await world.balance(reseller)).held) == "5.00"

    await worker.until_ended(step=timedelta(hours=1))

    seen = await get(client, reseller, placed)
    assert seen["status"] == "completed"
    paid = Money.parse("5.00") - Money.parse(seen["refunded"]["amount"])
    assert ZERO < paid <= Money.parse("1.20")  # three of the largest posts
    balance = await world.balance(reseller)
    assert (balance.available, balance.held) == (Money.parse("10.00") - paid, ZERO)
    assert len(await simulator.accepted()) == 1


async def test_a_subscription_that_expires_says_so(
    world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    placed = await world.order(
        reseller, await service_of(world, provider), **ASKED, spend_cap="5.00"
    )
    await desk.submit(provider)
    await desk.hear(provider, progress(S.PAUSED, posts=1))
    assert (await get(client, reseller, placed))["reason"] == "paused_by_provider"
    await desk.hear(provider, progress(S.IN_PROGRESS, posts=1))
    assert (await get(client, reseller, placed))["reason"] is None
    await desk.hear(provider, progress(S.EXPIRED, posts=2))

    seen = await get(client, reseller, placed)
    assert (seen["status"], seen["reason"]) == ("completed", "expired")
    assert seen["refunded"]["amount"] == "4.20"
    assert seen["ended_at"]


async def test_a_plain_order_does_not_end_by_a_word_for_subscriptions(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    await desk.hear(provider, progress(S.EXPIRED))
    assert (await world.row(order_id)).state == OrderState.IN_PROGRESS


async def test_a_subscription_of_which_nothing_is_told_waits_for_a_person(
    world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    placed = await world.order(
        reseller, await service_of(world, provider), **ASKED, spend_cap="5.00"
    )
    await desk.submit(provider)
    await desk.hear(provider, progress(S.COMPLETED))
    seen = await get(client, reseller, placed)
    assert (seen["status"], seen["refunded"]["amount"]) == ("processing", "0.00")
    assert str((await world.balance(reseller)).held) == "5.00"


async def test_a_subscription_is_canceled_by_its_provider_where_it_can(
    world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    for cancel, status in ((True, 200), (False, 409)):
        service = await service_of(world, provider, cancel=cancel)
        asked = ASKED | {"username": f"ada-{status}", "spend_cap": "2.00"}
        placed = await world.order(reseller, service, **asked)
        await desk.submit(provider)
        answer = await client.post(f"/v1/orders/{placed['id']}/cancel", headers=reseller.headers)
        assert answer.status_code == status, answer.text
    assert str((await world.balance(reseller)).held) == "4.00"


async def test_a_subscription_that_was_not_handed_on_is_taken_back_at_once(
    world: World, client: httpx.AsyncClient
) -> None:
    reseller, provider = await world.reseller(), await world.provider()
    placed = await world.order(
        reseller, await service_of(world, provider), **ASKED, spend_cap="5.00"
    )
    answer = await client.post(f"/v1/orders/{placed['id']}/cancel", headers=reseller.headers)
    assert (answer.json()["status"], answer.json()["refunded"]["amount"]) == ("canceled", "5.00")
    assert str((await world.balance(reseller)).available) == "10.00"


async def test_a_subscription_cannot_be_paused_by_us(
    world: World, client: httpx.AsyncClient
) -> None:
    reseller, provider = await world.reseller(), await world.provider()
    placed = await world.order(
        reseller, await service_of(world, provider), **ASKED, spend_cap="5.00"
    )
    answer = await client.post(f"/v1/orders/{placed['id']}/pause", headers=reseller.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "order-not-pausable")


async def run_of(desk: Desk, placed: dict[str, Any]) -> Order:
    async with desk.runtime.uow.begin() as session:
        return (await runs.firsts(session, [placed["id"]]))[placed["id"]]


async def test_a_subscription_is_late_until_it_has_begun_and_not_while_it_runs(
    world: World, desk: Desk, worker: Worker, clock: Clock
) -> None:
    provider = await world.provider()
    service = await service_of(world, provider)
    begun = await world.order(service=service, **ASKED, spend_cap="5.00")
    await desk.submit(provider)
    waiting = await world.order(service=service, **(ASKED | {"username": "b"}), spend_cap="5.00")
    clock.move(timedelta(hours=service.deliver_hours_max, seconds=1))
    await worker.upkeep()
    assert [(await run_of(desk, one)).late_at is None for one in (begun, waiting)] == [True, False]
    await desk.hear(provider, progress(ProviderState.COMPLETED, posts=2, charge_micros=1))
    row = await run_of(desk, begun)
    assert (row.state, row.late_at) == ("completed", None)


async def test_what_a_subscription_must_say_is_told_by_field(
    world: World, client: httpx.AsyncClient, clock: Clock
) -> None:
    reseller, provider = await world.reseller(), await world.provider()
    service = await service_of(world, provider)
    good = {"service_id": service.id, **ASKED, "spend_cap": "5.00"}
    today = clock.now().date().isoformat()
    for wrong, field in (
        ({"spend_cap": "0.39"}, "/spend_cap"),
        ({"spend_cap": "1.19", "posts": 2, "old_posts": 1}, "/spend_cap"),
        ({"spend_cap": "1.19", "old_posts": 2}, "/spend_cap"),
        ({"spend_cap": "0"}, "/spend_cap"),
        ({"max": service.max_quantity + 1}, "/max"),
        ({"min": 0}, "/min"),
        ({"min": 201}, "/max"),
        ({"delay": 7}, "/delay"),
        ({"expiry": today}, "/expiry"),
        ({"expiry": 1_893_456_000}, "/expiry"),
        ({"expiry": "1893456000"}, "/expiry"),
        ({"expiry": "2030-01-01T00:00:00Z"}, "/expiry"),
        ({"expiry": "9999-12-31"}, "/expiry"),
    ):
        answer = await client.post(
            "/v1/orders", json=good | wrong, headers=reseller.headers | {"Idempotency-Key": "k"}
        )
        assert answer.status_code == 422, answer.text
        assert [one["pointer"] for one in answer.json()["errors"]] == [field], wrong
    without = {name: value for name, value in good.items() if name != "spend_cap"}
    answer = await client.post(
        "/v1/orders", json=without, headers=reseller.headers | {"Idempotency-Key": "k"}
    )
    assert answer.status_code == 422
    assert "spend_cap" in answer.text
    assert await world.count("schedules") == 0


async def test_a_subscription_is_never_handed_on_where_a_post_would_cost_more_than_it_brings(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await service_of(world, provider), **ASKED, spend_cap="5.00")
    async with desk.runtime.uow.begin() as session:
        await session.execute(text("UPDATE service_routes SET cost_micros = 3000000"))
    await desk.lease(provider)
    async with desk.runtime.uow.begin() as session:
        [run] = await runs.page(session, placed["id"], after=0, limit=1)
    assert run.state == OrderState.QUEUED


@pytest.mark.parametrize(
    ("asked", "posts"),
    [
        ({"spend_cap": "5.00"}, 12),
        ({"spend_cap": "5.00", "old_posts": 2}, 10),
        ({"spend_cap": "5.00", "posts": 3, "old_posts": 2}, 3),
        ({"spend_cap": "1.20", "posts": 2, "old_posts": 1}, 2),
    ],
)
async def test_a_provider_is_told_no_more_posts_than_the_cap_pays_for(
    asked: dict[str, Any], posts: int, world: World, desk: Desk
) -> None:
    provider = await world.provider()
    await world.order(service=await service_of(world, provider), **ASKED, **asked)
    [handover] = (await desk.submit(provider)).handovers
    assert handover.submission.form.posts == posts
    assert handover.submission.form.old_posts == asked.get("old_posts")


async def cancel_requests(desk: Desk, order: int) -> int:
    return (await desk.event_types(order)).count("cancel_requested")


@pytest.mark.parametrize("told", [{"posts": 12}, {"charge_micros": 1_200_000}])
async def test_a_provider_that_goes_on_with_the_cap_used_up_is_asked_once_to_cancel(
    told: dict[str, int], world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    service = await service_of(world, provider, cancel=False)
    placed = await world.order(reseller, service, **ASKED, spend_cap="5.00")
    [run] = (await desk.submit(provider)).handovers
    await desk.hear(provider, progress(S.IN_PROGRESS, posts=11, charge_micros=1_100_000))
    assert await cancel_requests(desk, run.order_id) == 0

    await desk.hear(provider, progress(S.IN_PROGRESS, **told))
    await desk.hear(provider, progress(S.IN_PROGRESS, **told))

    assert await cancel_requests(desk, run.order_id) == 1
    assert "cancel" in await desk.work_of(run.order_id)
    assert str((await world.balance(reseller)).held) == "5.00"
    await desk.hear(provider, progress(S.CANCELED, **told))
    seen = await get(client, reseller, placed)
    assert (seen["status"], seen["refunded"]["amount"]) == ("completed", "0.20")


async def test_a_provider_that_refused_to_cancel_is_asked_anew_while_it_goes_on(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    await world.order(reseller, await service_of(world, provider), **ASKED, spend_cap="5.00")
    [run] = (await desk.submit(provider)).handovers
    await desk.hear(provider, progress(S.IN_PROGRESS, posts=12))
    async with desk.runtime.uow.begin() as session:
        batch = await canceling.lease_cancels(
            session, desk.runtime.keys, provider.id, time_scale=1.0
        )
        assert isinstance(batch, canceling.CancelBatch)
        answers = dict.fromkeys(batch.orders, CancelRefused("not now"))
        await canceling.record_cancel_answers(session, batch, answers)

    await desk.hear(provider, progress(S.IN_PROGRESS, posts=12))
    assert await cancel_requests(desk, run.order_id) == 1
    clock.move(canceling.ASK_AGAIN_AFTER)
    await desk.hear(provider, progress(S.IN_PROGRESS, posts=13))

    assert await cancel_requests(desk, run.order_id) == 2
    assert "cancel" in await desk.work_of(run.order_id)


async def test_what_is_delivered_beyond_the_cap_is_the_houses_loss_and_is_told(
    world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    provider, reseller = await world.provider(), await world.reseller()
    placed = await world.order(
        reseller, await service_of(world, provider), **ASKED, spend_cap="2.00"
    )
    [run] = (await desk.submit(provider)).handovers
    for _ in range(2):
        await desk.hear(provider, progress(S.IN_PROGRESS, posts=7))
    await desk.hear(provider, progress(S.COMPLETED, posts=8))

    seen = await get(client, reseller, placed)
    assert (seen["status"], seen["refunded"]["amount"]) == ("completed", "0.00")
    told = [one.data for one in await desk.events(run.order_id) if one.type == "observation"]
    assert [(one["why"], one["posts"]) for one in told] == [
        ("delivered_beyond_spend_cap", posts) for posts in (7, 8)
    ]


async def people_take_over(desk: Desk, provider: Provider) -> None:
    """As a route stands that was made before anybody asked what its provider can do."""
    async with desk.runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE providers SET adapter = 'manual' WHERE id = :id"), {"id": provider.id}
        )


async def test_a_subscription_is_not_given_to_a_provider_that_cannot_run_it(
    world: World, desk: Desk, client: httpx.AsyncClient
) -> None:
    first, second, reseller = await world.provider(), await world.provider(), await world.reseller()
    routes = [RouteTo(one, priority=place) for place, one in enumerate((first, second))]
    service = await world.service(type=ServiceType.SUBSCRIPTIONS, rate="2.00", routes=routes)
    await people_take_over(desk, first)

    await world.order(reseller, service, **ASKED, spend_cap="5.00")
    assert await desk.lease(first) is None
    [taken] = (await desk.submit(second)).handovers
    told = [one.data for one in await desk.events(taken.order_id) if one.type == "take"]
    assert "type_not_taken" in str(told)

    await people_take_over(desk, second)
    body = {"service_id": service.id, **ASKED, "spend_cap": "5.00"}
    answer = await client.post(
        "/v1/orders", json=body, headers=reseller.headers | {"Idempotency-Key": "k"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "service-unavailable")


async def test_a_subscription_that_nobody_can_follow_is_no_work_for_people_but_for_a_person(
    world: World, desk: Desk, worker: Worker, client: httpx.AsyncClient, clock: Clock
) -> None:
    provider, operator = await world.provider(), await world.operator()
    await world.order(service=await service_of(world, provider), **ASKED, spend_cap="5.00")
    [run] = (await desk.submit(provider)).handovers
    await people_take_over(desk, provider)

    listed = await client.get("/v1/operator/work-list", headers=operator.headers)
    clock.move(timedelta(minutes=1))
    await worker.follow(provider)

    assert listed.json()["data"] == []
    assert (await world.row(run.order_id)).state == OrderState.NEEDS_REVIEW
