"""Providers whose dialect tells no balance: their pauses and their breaker heal by time."""

from datetime import timedelta

import pytest

from app.core import work
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.core.work import MAIN_LANE
from app.supply import pausing, probing, protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.probing import FUNDS_TRIAL_AFTER
from app.supply.protection import BREAKER_FAILURES_MAX, BREAKER_OPEN_BASE, Closed, Grant
from app.supply.service import PROBE
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World

R = PauseReason


@pytest.fixture
async def provider(world: World) -> Provider:
    return await world.provider(adapter="manual")


async def pause(
    runtime: Runtime, provider: Provider, reason: R, *, lasts: timedelta | None = None
) -> None:
    async with runtime.uow.begin() as session:
        until = None if lasts is None else runtime.clock.now() + lasts
        await pausing.pause(session, provider.id, reason, until=until)


async def reason_after_a_probe(runtime: Runtime, worker: Worker, provider: Provider) -> str | None:
    async with runtime.uow.begin() as session:
        await work.put(session, PROBE, str(provider.id))
    await worker.probe()
    async with runtime.uow.begin() as session:
        return (await supply.get(session, provider.id)).pause_reason


@pytest.mark.parametrize("reason", [R.MAINTENANCE, R.RATE_LIMITED])
async def test_a_pause_of_known_length_ends_with_its_time(
    reason: R, runtime: Runtime, worker: Worker, provider: Provider, clock: Clock
) -> None:
    await pause(runtime, provider, reason, lasts=timedelta(minutes=10))
    assert await reason_after_a_probe(runtime, worker, provider) == reason
    clock.move(timedelta(minutes=10))
    assert await reason_after_a_probe(runtime, worker, provider) is None


async def test_want_of_funds_ends_on_trial_each_time_later(
    runtime: Runtime, worker: Worker, provider: Provider, clock: Clock
) -> None:
    for doublings in range(2):
        await pause(runtime, provider, R.NO_FUNDS)
        clock.move(FUNDS_TRIAL_AFTER * 2**doublings - timedelta(seconds=10))
        assert await reason_after_a_probe(runtime, worker, provider) == R.NO_FUNDS
        clock.move(timedelta(seconds=10))
        assert await reason_after_a_probe(runtime, worker, provider) is None


@pytest.mark.parametrize("reason", [R.CREDENTIALS, R.OPERATOR])
async def test_what_only_a_person_lifts_time_does_not(
    reason: R, runtime: Runtime, worker: Worker, provider: Provider, clock: Clock
) -> None:
    await pause(runtime, provider, reason)
    clock.move(timedelta(days=30))
    assert await reason_after_a_probe(runtime, worker, provider) == reason


async def test_an_open_breaker_closes_on_trial_once_it_is_due(
    runtime: Runtime, worker: Worker, provider: Provider, clock: Clock
) -> None:
    async with runtime.uow.begin() as session:
        await protection.record_failures(session, provider.id, BREAKER_FAILURES_MAX, time_scale=1.0)
    await reason_after_a_probe(runtime, worker, provider)
    async with runtime.uow.begin() as session:
        assert await protection.admit_submits(session, provider.id) is Closed.BREAKER
    clock.move(BREAKER_OPEN_BASE)
    await reason_after_a_probe(runtime, worker, provider)
    async with runtime.uow.begin() as session:
        grant = await protection.admit_submits(session, provider.id)
    assert isinstance(grant, Grant)
    assert grant.calls == 1


async def test_a_probe_that_was_promised_anew_records_nothing(
    runtime: Runtime, provider: Provider, clock: Clock
) -> None:
    await pause(runtime, provider, R.MAINTENANCE, lasts=timedelta(minutes=1))
    clock.move(timedelta(minutes=1))
    async with runtime.uow.begin() as session:
        lease = await work.lease(session, PROBE, MAIN_LANE, limit=1, in_flight_max=1, seconds=60)
    async with runtime.uow.begin() as session:
        await work.put(session, PROBE, str(provider.id))
    async with runtime.uow.begin() as session:
        await probing.record_unasked(session, lease, provider.id, time_scale=1.0)
        assert (await supply.get(session, provider.id)).pause_reason == R.MAINTENANCE
