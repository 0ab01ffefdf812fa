"""Handing over: what each answer of a provider does to the order, its money and the provider."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import text

from app.catalog import mirror, service_routes
from app.catalog import service as catalog
from app.catalog.mirror import SYNC
from app.core import work
from app.core.clock import Clock
from app.core.money import ZERO, Money
from app.core.runtime import Runtime
from app.ledger.service import Balance
from app.orders import dispatch, sweeping
from app.orders.dispatch import Batch
from app.providers.forms import FIELDS, OrderForm, billable_quantity
from app.providers.protocol import (
    Accepted,
    NotSent,
    RefusalKind,
    Refused,
    ServiceType,
    SubmitOutcome,
    Unconfirmed,
)
from app.supply import pausing, protection
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.protection import Closed
from tests.fixtures.world import RouteTo, World, order_body
from tests.orders.conftest import Desk, accepted, refused

K = RefusalKind


@dataclass(frozen=True, slots=True)
class After:
    """What is so once an answer was recorded; `due` is when it is tried or looked at again."""

    state: str
    attempt: str
    work: str | None
    due_seconds: float = 0
    wait: str | None = None
    reason: str | None = None
    pause: str | None = None
    breaker_failures: int = 0


AFTER: list[tuple[SubmitOutcome, After]] = [
    (Accepted("77", "{}"), After("in_progress", "accepted", "follow", 30)),
    (Unconfirmed("ReadTimeout"), After("unknown", "unknown", "reconcile", 60, breaker_failures=1)),
    (
        NotSent("ConnectError"),
        After("queued", "absent", "dispatch", 2, "provider_unreachable", breaker_failures=1),
    ),
    (refused(K.PERMANENT), After("failed", "refused", None, reason="refused")),
    (refused(K.SERVICE_GONE), After("failed", "refused", None, reason="refused")),
    (
        refused(K.NO_FUNDS),
        After("queued", "refused", "dispatch", 30, "provider_paused", pause="no_funds"),
    ),
    (
        refused(K.MAINTENANCE),
        After("queued", "refused", "dispatch", 30, "provider_paused", pause="maintenance"),
    ),
    (
        refused(K.CREDENTIALS),
        After("queued", "refused", "dispatch", 30, "provider_paused", pause="credentials"),
    ),
    (refused(K.LINK_BUSY), After("queued", "refused", "dispatch", 60, "link_busy")),
    (NotSent("PoolTimeout", ours=True), After("queued", "absent", "dispatch", 2)),
    (
        refused(K.RATE_LIMITED),
        After("queued", "refused", "dispatch", 30, "provider_busy", pause="rate_limited"),
    ),
    (
        refused(K.RATE_LIMITED, retry_after_seconds=86_400.0),
        After("queued", "refused", "dispatch", 30, "provider_busy", pause="rate_limited"),
    ),
    (
        refused(K.RATE_LIMITED, retry_after_seconds=7.0),
        After("queued", "refused", "dispatch", 7, "provider_busy", pause="rate_limited"),
    ),
    (refused(K.UNSEEN), After("needs_review", "unknown", None)),
]


@pytest.mark.parametrize(
    ("said", "after"),
    AFTER,
    ids=lambda case: case.kind if isinstance(case, Refused) else type(case).__name__,
)
async def test_an_answer_moves_order_attempt_work_and_provider_as_the_table_says(
    world: World, desk: Desk, clock: Clock, said: SubmitOutcome, after: After
) -> None:
    provider = await world.provider()
    reseller = await world.reseller(balance="10.00")
    placed = await world.order(reseller, await world.service(routes=[provider]))
    began = clock.now()
    await desk.submit(provider, said)

    order, attempt = await world.row(placed), await desk.attempt(placed["id"])
    assert (order.state, attempt.state) == (after.state, after.attempt)
    assert (order.wait_reason, order.reason) == (after.wait, after.reason)
    promised = await desk.work_of(order.id)
    assert list(promised) == ([after.work] if after.work else [])
    for row in promised.values():
        assert abs((row.due_at - began).total_seconds() - after.due_seconds) < 3
        assert row.lease_token is None
    now = await desk.provider(provider)
    assert (now.pause_reason, now.breaker_failures) == (after.pause, after.breaker_failures)
    assert (now.state == "paused") is (after.pause is not None)
    ten, charge = Money.parse("10.00"), Money.parse("0.90")
    failed = after.state == "failed"
    expected = Balance(ten, ZERO) if failed else Balance(ten - charge, charge)
    assert await world.balance(reseller) == expected


def test_the_table_has_every_kind_of_answer() -> None:
    assert {type(said) for said, _ in AFTER} == set(get_args(SubmitOutcome))
    assert {said.kind for said, _ in AFTER if isinstance(said, Refused)} == set(RefusalKind)
    pausing = {
        said.kind for said, after in AFTER if isinstance(said, Refused) and after.pause is not None
    }
    assert pausing == {
        RefusalKind.NO_FUNDS,
        RefusalKind.MAINTENANCE,
        RefusalKind.CREDENTIALS,
        RefusalKind.RATE_LIMITED,
    }


async def test_taking_an_order_writes_the_attempt_with_its_cost_before_any_byte(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), quantity=2000)
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    [handover] = batch.handovers
    assert (await world.row(placed)).state == "submitting"
    attempt = await desk.attempt(placed["id"])
    assert (attempt.state, attempt.number, attempt.sending_at) == ("leased", 1, None)
    assert (attempt.cost_micros, attempt.cost_currency) == (1_000_000, "USD")
    assert handover.submission.form.link == placed["link"]
    assert handover.submission.form.quantity == 2000
    assert batch.send_within_seconds <= 45
    await desk.runtime.uow.run(lambda session: dispatch.mark_sending(session, batch))
    assert (await desk.attempt(placed["id"])).state == "sending"
    await desk.record(batch, accepted)


async def test_an_attempt_that_was_swept_before_sending_is_not_sent(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE work SET lease_until = clock_timestamp() - interval '1 second'")
        )
    async with runtime.uow.begin() as session:
        assert await sweeping.sweep_dispatch(session) == 1
    async with runtime.uow.begin() as session:
        assert await dispatch.mark_sending(session, batch) == ()
    assert (await world.row(placed)).state == "queued"


async def test_a_permanent_refusal_goes_on_to_the_next_route_and_then_to_the_end(
    world: World, desk: Desk
) -> None:
    first, second = await world.provider(), await world.provider()
    reseller = await world.reseller(balance="10.00")
    routes = [RouteTo(first, priority=1), RouteTo(second, priority=2)]
    placed = await world.order(reseller, await world.service(routes=routes))
    await desk.submit(first, refused(K.PERMANENT))
    order = await world.row(placed)
    assert order.state == "queued"
    assert (await desk.work_of(order.id))["dispatch"].lane == str(second.id)
    assert await desk.lease(first) is None
    await desk.submit(second, refused(K.PERMANENT))
    order = await world.row(placed)
    assert (order.state, order.refunded, order.held) == ("failed", order.charge, 0)
    assert await world.balance(reseller) == Balance(Money.parse("10.00"), ZERO)
    assert [one.provider_id for one in await desk.attempts(order.id)] == [first.id, second.id]
    assert await desk.event_types(order.id) == [
        "place",
        "take",
        "put_back",
        "take",
        "refuse",
    ]


async def test_a_refused_order_is_delivered_by_the_next_route(world: World, desk: Desk) -> None:
    first, second = await world.provider(), await world.provider()
    routes = [RouteTo(first, priority=1), RouteTo(second, priority=2)]
    placed = await world.order(service=await world.service(routes=routes))
    await desk.submit(first, refused(K.PERMANENT))
    await desk.submit(second)
    order = await world.row(placed)
    assert (order.state, order.provider_id) == ("in_progress", second.id)


async def test_a_service_that_is_gone_closes_its_route_for_all_orders(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    first, second = await world.provider(), await world.provider()
    routes = [RouteTo(first, priority=1), RouteTo(second, priority=2)]
    service = await world.service(routes=routes)
    await world.order(service=service)
    await desk.submit(first, refused(K.SERVICE_GONE))
    async with runtime.uow.begin() as session:
        states = {
            one.provider_id: one for one in await service_routes.routes_of(session, service.id)
        }
    assert (states[first.id].state, states[second.id].state) == ("closed", "open")
    assert states[first.id].closed_reason == "said service_gone"
    later = await world.order(service=service)
    assert (await desk.work_of(later["id"]))["dispatch"].lane == str(second.id)


async def test_what_is_gone_is_synced_soon_and_goes_off_sale_with_its_last_route(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    first, second = await world.provider(), await world.provider()
    routes = [RouteTo(first, priority=1), RouteTo(second, priority=2)]
    service = await world.service(routes=routes)
    async with runtime.uow.begin() as session:
        await mirror.promise(session)
        later = {"due_at": runtime.clock.now() + timedelta(hours=6)}
        await session.execute(text("UPDATE work SET due_at = :due_at WHERE kind = 'sync'"), later)
    await world.order(service=service)
    on_sale = []
    for provider in (first, second):
        await desk.submit(provider, refused(K.SERVICE_GONE))
        async with runtime.uow.begin() as session:
            assert str(provider.id) in await work.due_lanes(session, SYNC)
            on_sale.append((await catalog.get(session, service.id)).state)
    assert on_sale == ["on_sale", "off_sale"]


async def test_an_order_id_that_another_order_has_is_an_unknown_outcome(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    first = await world.order(service=service)
    await desk.submit(provider, Accepted("5", "{}"))
    second = await world.order(service=service)
    await desk.submit(provider, Accepted("5", "{}"))
    assert (await world.row(first)).provider_order_id == "5"
    order = await world.row(second)
    assert (order.state, order.provider_order_id) == ("unknown", None)
    assert (await desk.attempt(order.id)).outcome == "order id 5 is in use already"


async def test_two_orders_given_one_id_in_one_batch_are_both_unknown(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    placed = [await world.order(service=service) for _ in range(3)]
    odd = placed[2]["id"]
    await desk.submit(provider, lambda h: accepted(h) if h.order_id == odd else Accepted("5", "{}"))
    states = [(await world.row(one)).state for one in placed]
    assert states == ["unknown", "unknown", "in_progress"]


async def test_two_providers_may_use_the_same_order_id(world: World, desk: Desk) -> None:
    for _ in range(2):
        provider = await world.provider()
        placed = await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, Accepted("5", "{}"))
        assert (await world.row(placed)).state == "in_progress"


async def test_what_was_not_sent_is_tried_again_a_little_later_each_time(
    world: World, desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    waits = []
    for _ in range(9):
        began = clock.now()
        await desk.submit(provider, NotSent("ConnectError"))
        due = (await desk.work_of(placed["id"]))["dispatch"].due_at
        waits.append(round((due - began).total_seconds()))
        clock.move(due - clock.now())
        async with runtime.uow.begin() as session:  # the breaker has its own test
            await protection.record_answers(session, provider.id)
    assert waits == [2, 4, 8, 16, 32, 64, 120, 120, 120]
    assert {one.state for one in await desk.attempts(placed["id"])} == {"absent"}
    assert [one.number for one in await desk.attempts(placed["id"])] == list(range(1, 10))


async def test_five_silent_calls_open_the_breaker_and_orders_wait_for_a_probe(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    reseller = await world.reseller()
    placed = [await world.order(reseller, service) for _ in range(5)]
    await desk.submit(provider, Unconfirmed("ReadTimeout"))
    assert (await desk.provider(provider)).breaker_open_until is not None
    waiting = await world.order(reseller, service)
    assert await desk.lease(provider) is Closed.BREAKER
    order = await world.row(waiting)
    assert (order.state, order.wait_reason) == ("queued", "provider_unreachable")
    # Time alone never lets an order be the thing to try with.
    clock.move(timedelta(hours=1))
    assert await desk.lease(provider) is Closed.BREAKER
    assert {(await world.row(one)).state for one in placed} == {"unknown"}


async def test_one_answer_among_silence_keeps_the_breaker_closed(world: World, desk: Desk) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    placed = [await world.order(service=service) for _ in range(6)]
    answered = placed[0]["id"]
    await desk.submit(
        provider, lambda h: accepted(h) if h.order_id == answered else NotSent("reset")
    )
    now = await desk.provider(provider)
    assert (now.breaker_failures, now.breaker_open_until) == (0, None)


async def pause(runtime: Runtime, provider: Provider) -> None:
    async with runtime.uow.begin() as session:
        await pausing.pause(session, provider.id, PauseReason.OPERATOR)


async def test_orders_of_a_paused_provider_go_to_another_route_where_there_is_one(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    first, second = await world.provider(), await world.provider()
    both = await world.service(routes=[RouteTo(first, priority=1), RouteTo(second, priority=2)])
    only = await world.service(routes=[first])
    moves, waits = await world.order(service=both), await world.order(service=only)
    await pause(runtime, first)
    assert await desk.lease(first) is Closed.PAUSED
    assert (await desk.work_of(moves["id"]))["dispatch"].lane == str(second.id)
    assert (await desk.work_of(waits["id"]))["dispatch"].lane == str(first.id)
    assert (await world.row(waits)).wait_reason == "provider_paused"
    await desk.submit(second)
    assert (await world.row(moves)).state == "in_progress"
    # Placed while it is paused, an order starts in the lane that is open.
    later = await world.order(service=both)
    assert (await desk.work_of(later["id"]))["dispatch"].lane == str(second.id)


async def test_a_resumed_provider_gets_the_orders_that_waited(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    await pause(runtime, provider)
    assert await desk.lease(provider) is Closed.PAUSED
    async with runtime.uow.begin() as session:
        await pausing.resume(session, provider.id)
    clock.move(dispatch.WAIT_WHILE_CLOSED)
    await desk.submit(provider)
    order = await world.row(placed)
    assert (order.state, order.wait_reason) == ("in_progress", None)


async def test_calls_beyond_the_minutes_budget_wait_for_the_next_minute(
    world: World, desk: Desk, clock: Clock
) -> None:
    clock.move(timedelta(seconds=60 - clock.now().second))  # a whole minute lies ahead
    provider = await world.provider(calls_per_minute=2)
    service = await world.service(routes=[provider])
    placed = [await world.order(service=service) for _ in range(3)]
    batch = await desk.submit(provider)
    assert len(batch.handovers) == 2
    assert await desk.lease(provider) is Closed.BUDGET
    left = [one for one in placed if (await world.row(one)).state == "queued"]
    assert len(left) == 1
    clock.move(timedelta(minutes=1))
    await desk.submit(provider)
    assert (await world.row(left[0])).state == "in_progress"


async def test_no_more_orders_are_in_flight_than_the_provider_may_have(
    world: World, desk: Desk
) -> None:
    provider = await world.provider(in_flight_max=2)
    service = await world.service(routes=[provider])
    for _ in range(5):
        await world.order(service=service)
    batch = await desk.send(provider)
    assert len(batch.handovers) == 2
    assert await desk.lease(provider) is None
    await desk.record(batch, accepted)
    assert len((await desk.submit(provider)).handovers) == 2


async def test_an_order_without_any_open_route_waits_and_says_so(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    placed = await world.order(service=service)
    async with runtime.uow.begin() as session:
        [route] = await service_routes.routes_of(session, service.id)
        await service_routes.close_route(session, route.id, reason="test")
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    assert batch.handovers == ()
    order = await world.row(placed)
    assert (order.state, order.wait_reason) == ("queued", "no_route")
    async with runtime.uow.begin() as session:
        await service_routes.change_route(
            session, service.id, service_routes.public_route_id(route.id), {"state": "open"}
        )
    clock.move(dispatch.WAIT_WHILE_CLOSED)
    await desk.submit(provider)
    assert (await world.row(placed)).state == "in_progress"


async def test_each_type_of_service_is_handed_over_with_what_it_needs(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    for type_ in set(ServiceType) - {ServiceType.SUBSCRIPTIONS}:
        service = await world.service(type=type_, routes=[provider])
        body = order_body(service)
        placed = await world.order(service=service, **body)
        [handover] = (await desk.submit(provider)).handovers
        said = handover.submission
        form = OrderForm.of({name: body[name] for name in FIELDS if name in body})
        assert (said.service_type, said.form) == (type_, form)
        assert said.reference == str(handover.attempt_id)
        assert (await world.row(placed)).quantity == billable_quantity(type_, form)


async def test_recording_the_same_answers_twice_changes_nothing(world: World, desk: Desk) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    placed = [await world.order(service=service) for _ in range(4)]
    kinds: list[Callable[[Any], SubmitOutcome]] = [
        accepted,
        lambda _: refused(K.PERMANENT),
        lambda _: Unconfirmed("x"),
        lambda _: NotSent("x"),
    ]
    say = {one["id"]: kind for one, kind in zip(placed, kinds, strict=True)}
    batch = await desk.submit(provider, lambda h: say[h.order_id](h))
    before = [vars(await world.row(one)) for one in placed]
    await desk.record(batch, lambda h: say[h.order_id](h))
    after = [vars(await world.row(one)) for one in placed]
    for one, other in zip(before, after, strict=True):
        del one["_sa_instance_state"], other["_sa_instance_state"]
        assert one == other


async def test_what_a_provider_said_is_kept_for_every_answer_it_gave(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    said: list[SubmitOutcome] = [
        Accepted("5", '{"order": 5}'),
        refused(K.PERMANENT),
        Unconfirmed("HTTP 502", "<html>"),
        NotSent("ConnectError"),
    ]
    kept = []
    for outcome in said:
        await world.order(service=service)
        await desk.submit(provider, outcome)
        async with runtime.uow.begin() as session:
            rows = await session.execute(
                text("SELECT provider_order_id, answer FROM provider_evidence ORDER BY id")
            )
            kept = [tuple(row) for row in rows]
    assert kept == [("5", '{"order": 5}'), (None, "{}"), (None, "<html>")]
