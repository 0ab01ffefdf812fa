"""Which route an order takes, and that one order in trouble keeps no other from its turn."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.catalog import service as catalog
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders import dispatch, resolving
from app.orders.dispatch import Batch
from app.providers.protocol import RefusalKind, Unconfirmed
from app.supply import pausing, protection
from app.supply import service as supply
from app.supply.pausing import PauseReason
from app.supply.protection import Closed
from tests.fixtures.world import RouteTo, World
from tests.orders.conftest import Desk, accepted, refused


async def _set_cost(runtime: Runtime, provider_id: object, micros: int) -> None:
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE service_routes SET cost_micros = :micros WHERE provider_id = :id"),
            {"micros": micros, "id": provider_id},
        )


async def test_a_refused_order_never_goes_on_to_a_route_that_costs_more_than_it_brought(
    world: World, desk: Desk
) -> None:
    cheap, dear = await world.provider(), await world.provider()
    routes = [RouteTo(cheap, priority=1), RouteTo(dear, cost="5000.00", priority=2)]
    placed = await world.order(service=await world.service(routes=routes))
    await desk.submit(cheap, refused(RefusalKind.PERMANENT))
    order = await world.row(placed)
    assert (order.state, order.refunded) == ("failed", order.charge)


async def test_a_route_below_cost_is_taken_where_an_operator_allows_it(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    cheap, dear = await world.provider(), await world.provider()
    routes = [RouteTo(cheap, priority=1), RouteTo(dear, cost="5000.00", priority=2)]
    service = await world.service(routes=routes)
    async with runtime.uow.begin() as session:
        await catalog.change(session, service.id, {"below_cost_allowed": True})
    placed = await world.order(service=service)
    await desk.submit(cheap, refused(RefusalKind.PERMANENT))
    await desk.submit(dear)
    assert (await world.row(placed)).provider_id == dear.id


async def test_an_order_is_sold_by_the_first_route_that_does_not_cost_more_than_it_brings(
    world: World, desk: Desk
) -> None:
    dear, cheap = await world.provider(), await world.provider()
    routes = [RouteTo(dear, cost="5000.00", priority=1), RouteTo(cheap, priority=2)]
    placed = await world.order(service=await world.service(routes=routes))
    assert (await desk.work_of(placed["id"]))["dispatch"].lane == str(cheap.id)


async def test_an_order_whose_only_route_became_too_dear_waits_and_says_so(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    await _set_cost(runtime, provider.id, 5_000_000_000)
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    assert batch.handovers == ()
    order = await world.row(placed)
    assert (order.state, order.wait_reason) == ("queued", "no_route")
    await _set_cost(runtime, provider.id, 500_000)
    clock.move(timedelta(seconds=31))
    await desk.submit(provider)
    assert (await world.row(placed)).state == "in_progress"


async def test_an_order_whose_form_cannot_be_opened_goes_to_a_person_and_holds_up_no_other(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    spoiled, sound = await world.order(service=service), await world.order(service=service)
    async with runtime.uow.begin() as session:
        await session.execute(
            text("UPDATE order_inputs SET sealed = :sealed WHERE order_id = :id"),
            {"sealed": b"nobody's", "id": spoiled["id"]},
        )
    batch = await desk.send(provider)
    assert [h.order_id for h in batch.handovers] == [sound["id"]]
    await desk.record(batch, accepted)
    assert (await world.row(sound)).state == "in_progress"
    order = await world.row(spoiled)
    assert (order.state, order.held) == ("needs_review", order.charge)
    assert (await desk.attempt(order.id)).state == "absent"
    assert await desk.work_of(order.id) == {}


async def test_an_order_may_be_tried_more_often_than_a_small_number_counts(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]))
    await desk.submit(provider, refused(RefusalKind.RATE_LIMITED))
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE attempts SET number = 40000"))
    runtime.clock.move(timedelta(minutes=2))
    await desk.submit(provider)
    assert [one.number for one in await desk.attempts(placed["id"])] == [40_000, 40_001]


async def test_orders_beyond_the_minutes_budget_say_why_they_wait(world: World, desk: Desk) -> None:
    provider = await world.provider(calls_per_minute=4)
    service = await world.service(routes=[provider])
    placed = [await world.order(service=service) for _ in range(5)]
    while isinstance(await desk.lease(provider), Batch):
        pass
    assert await desk.lease(provider) is Closed.BUDGET
    waiting = [row for one in placed if (row := await world.row(one)).state == "queued"]
    assert waiting
    assert {row.wait_reason for row in waiting} == {"provider_busy"}


async def test_all_orders_of_a_paused_provider_go_to_the_next_route_at_one_look(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    paused, other = await world.provider(), await world.provider()
    routes = [RouteTo(paused, priority=1), RouteTo(other, priority=2)]
    reseller = await world.reseller(balance="1000.00")
    placed = await desk.place_many(reseller, await world.service(routes=routes), 80)
    async with runtime.uow.begin() as session:
        await pausing.pause(session, paused.id, PauseReason.OPERATOR)
    assert await desk.lease(paused) is Closed.PAUSED
    lanes = {(await desk.work_of(order_id))["dispatch"].lane for order_id in placed}
    assert lanes == {str(other.id)}


@pytest.mark.violates("attempt-contradicts-order")
async def test_marking_as_sending_may_be_repeated_and_never_wakes_what_the_sweeper_judged(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    await world.order(service=await world.service(routes=[provider]))
    batch = await desk.send(provider)
    async with runtime.uow.begin() as session:
        assert await dispatch.mark_sending(session, batch) == batch.handovers
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE attempts SET state = 'unknown'"))
    async with runtime.uow.begin() as session:
        assert await dispatch.mark_sending(session, batch) == ()


async def test_a_service_routed_by_cost_takes_the_cheapest_in_our_currency(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    euro, dollar = await world.provider(currency="EUR"), await world.provider()
    async with runtime.uow.begin() as session:
        await supply.set_rate(session, "EUR", 1_500_000, valid_from=runtime.clock.now())
    routes = [
        RouteTo(euro, cost="0.40", priority=1),  # 0.60 in ours
        RouteTo(dollar, cost="0.50", priority=2),
    ]
    by_cost = await world.service(routes=routes, routing="cost")
    by_priority = await world.service(routes=routes)
    placed = await world.order(service=by_cost), await world.order(service=by_priority)
    lanes = [(await desk.work_of(one["id"]))["dispatch"].lane for one in placed]
    assert lanes == [str(dollar.id), str(euro.id)]


async def test_of_routes_that_cost_the_same_priority_decides(world: World, desk: Desk) -> None:
    later, first = await world.provider(), await world.provider()
    routes = [RouteTo(later, priority=2), RouteTo(first, priority=1)]
    placed = await world.order(service=await world.service(routes=routes, routing="cost"))
    assert (await desk.work_of(placed["id"]))["dispatch"].lane == str(first.id)


async def test_the_trail_keeps_which_routes_were_passed_over_and_why(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    refusing, broke, silent, dear, last = [await world.provider() for _ in range(5)]
    routes = [
        RouteTo(refusing, priority=1),
        RouteTo(broke, priority=2),
        RouteTo(silent, priority=3),
        RouteTo(dear, priority=4, cost="5000.00"),
        RouteTo(last, priority=5),
    ]
    placed = await world.order(service=await world.service(routes=routes))
    async with runtime.uow.begin() as session:
        await pausing.pause(session, broke.id, PauseReason.NO_FUNDS)
        await protection.record_failures(
            session, silent.id, protection.BREAKER_FAILURES_MAX, time_scale=1.0
        )
    await desk.submit(refusing, refused(RefusalKind.PERMANENT))
    await desk.submit(last)
    assert (await world.row(placed)).provider_id == last.id
    first, second = [one for one in await desk.events(placed["id"]) if one.type == "take"]
    assert first.data == {}
    assert second.data["attempt"] == 2
    assert [(one["provider_id"], one["why"]) for one in second.data["skipped"]] == [
        (supply.public_provider_id(refusing.id), "refused"),
        (supply.public_provider_id(broke.id), "no_funds"),
        (supply.public_provider_id(silent.id), "no_answer"),
        (supply.public_provider_id(dear.id), "below_cost"),
    ]


async def test_an_order_that_may_have_been_taken_is_given_to_no_other_route(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    first, second = await world.provider(), await world.provider()
    routes = [RouteTo(first, priority=1), RouteTo(second, priority=2)]
    placed = await world.order(service=await world.service(routes=routes))
    await desk.submit(first, Unconfirmed("ReadTimeout"))
    async with runtime.uow.begin() as session:
        await pausing.pause(session, first.id, PauseReason.NO_FUNDS)
    clock.move(timedelta(days=2))
    assert await desk.lease(first) is Closed.PAUSED
    assert await desk.lease(second) is None
    assert (await world.row(placed)).state == "unknown"
    async with runtime.uow.begin() as session:
        await resolving.prove_absent(
            session, placed["id"], actor=Actor("operator", "opr_1"), reason="not there"
        )
    await desk.submit(second)
    assert [(one.provider_id, one.state) for one in await desk.attempts(placed["id"])] == [
        (first.id, "absent"),
        (second.id, "accepted"),
    ]
