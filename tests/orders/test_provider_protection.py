"""Orders and a provider in trouble: its trial, our own faults, and what it asks us to wait."""

from datetime import timedelta

import pytest

from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders.dispatch import Batch
from app.providers.protocol import NotSent, RefusalKind, Unconfirmed
from app.supply import protection, repository
from app.supply.models import Provider
from app.supply.protection import BREAKER_FAILURES_MAX, BREAKER_OPEN_BASE, Closed
from tests.fixtures.world import RouteTo, World
from tests.orders.conftest import Desk, Say, accepted, refused

WITHHELD = NotSent("SendWithheld: The deadline for sending has passed.", ours=True)
SILENT = Unconfirmed("ReadTimeout")


async def put_on_trial(runtime: Runtime, provider: Provider) -> None:
    """A probe is answered."""
    async with runtime.uow.begin() as session:
        locked = await repository.lock(session, provider.id)
        assert locked is not None
        await protection.record_probe_answer(session, locked)


async def open_breaker(runtime: Runtime, provider: Provider) -> None:
    async with runtime.uow.begin() as session:
        await protection.record_failures(session, provider.id, BREAKER_FAILURES_MAX, time_scale=1.0)


async def test_on_trial_no_second_order_is_sent_before_the_first_is_answered(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=8)
    service = await world.service(routes=[provider])
    await desk.place_many(await world.reseller(), service, 5)
    await open_breaker(runtime, provider)
    await put_on_trial(runtime, provider)
    first = await desk.send(provider)
    assert len(first.handovers) == 1
    for _ in range(3):
        assert await desk.lease(provider) is None
    await desk.record(first, accepted)
    assert len((await desk.send(provider)).handovers) == 4


@pytest.mark.parametrize("late", [SILENT, accepted], ids=["silence", "an answer"])
async def test_a_call_begun_before_the_breaker_opened_judges_no_trial(
    world: World,
    desk: Desk,
    runtime: Runtime,
    clock: Clock,
    late: Say,
) -> None:
    provider = await world.provider(in_flight_max=50)
    service, reseller = await world.service(routes=[provider]), await world.reseller()
    await desk.place_many(reseller, service, 1)
    hanging = await desk.send(provider)
    await desk.place_many(reseller, service, BREAKER_FAILURES_MAX)
    await desk.submit(provider, SILENT)
    assert (await desk.provider(provider)).breaker_open_until is not None
    clock.move(BREAKER_OPEN_BASE)
    await put_on_trial(runtime, provider)
    trial = (await desk.provider(provider)).breaker_closed_at
    await desk.record(hanging, late)
    now = await desk.provider(provider)
    assert (now.breaker_open_until, now.breaker_closed_at) == (None, trial)
    # The order that is sent on the trial is what judges it.
    await desk.place_many(reseller, service, 1)
    await desk.submit(provider, SILENT)
    assert (await desk.provider(provider)).breaker_opens == 2


async def test_what_we_withheld_ourselves_is_no_silence_of_the_provider(
    world: World, desk: Desk
) -> None:
    provider = await world.provider(in_flight_max=50)
    service = await world.service(routes=[provider])
    await desk.place_many(await world.reseller(), service, 2 * BREAKER_FAILURES_MAX)
    await desk.submit(provider, WITHHELD)
    now = await desk.provider(provider)
    assert (now.breaker_failures, now.breaker_open_until) == (0, None)


async def test_a_provider_that_asks_to_wait_is_sent_no_other_order_meanwhile(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider(in_flight_max=50)
    service = await world.service(routes=[provider])
    first = await world.order(service=service)
    await desk.submit(provider, refused(RefusalKind.RATE_LIMITED, retry_after_seconds=600.0))
    second = await world.order(service=service)
    for _ in range(19):
        assert await desk.lease(provider) is Closed.PAUSED
        clock.move(timedelta(seconds=31))
    clock.move(timedelta(seconds=600 - 19 * 31))
    assert len((await desk.submit(provider)).handovers) == 2
    assert {(await world.row(one)).state for one in (first, second)} == {"in_progress"}


async def test_an_order_waits_for_a_short_pause_no_longer_than_it_lasts(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider(in_flight_max=50)
    service = await world.service(routes=[provider])
    await world.order(service=service)
    await desk.submit(provider, refused(RefusalKind.RATE_LIMITED, retry_after_seconds=5.0))
    await world.order(service=service)
    assert await desk.lease(provider) is Closed.PAUSED
    clock.move(timedelta(seconds=5))
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    assert len(batch.handovers) == 2


async def test_an_order_whose_provider_asks_for_a_day_is_given_to_an_open_route_within_a_minute(
    world: World, desk: Desk, clock: Clock
) -> None:
    busy, other = await world.provider(), await world.provider()
    routes = [RouteTo(busy, priority=1), RouteTo(other, priority=2)]
    service = await world.service(routes=routes)
    placed = await world.order(service=service)
    await desk.submit(busy, refused(RefusalKind.RATE_LIMITED, retry_after_seconds=86_400.0))
    clock.move(timedelta(seconds=31))
    assert await desk.lease(busy) is Closed.PAUSED
    assert (await desk.work_of(placed["id"]))["dispatch"].lane == str(other.id)
    await desk.submit(other)
    assert (await world.row(placed)).state == "in_progress"
    # And one that is placed meanwhile begins there.
    later = await world.order(service=service)
    assert (await desk.work_of(later["id"]))["dispatch"].lane == str(other.id)


async def test_a_provider_that_asks_to_wait_is_still_asked_about_its_orders(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    running = await desk.running(provider, service)
    await world.order(service=service)
    await desk.submit(provider, refused(RefusalKind.RATE_LIMITED, retry_after_seconds=600.0))
    clock.move(timedelta(minutes=1))
    assert list((await desk.poll(provider)).orders.values()) == [running]
