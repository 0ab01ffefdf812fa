"""What may be under way to a provider at once: halved in trouble, regained slowly, kept apart."""

import asyncio
from datetime import timedelta

import pytest

from app.core import work
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.core.work import MAIN_LANE, Lease
from app.orders import follow
from app.orders.follow import POLL_MIN, Poll
from app.providers.protocol import (
    Accepted,
    NotSent,
    RefusalKind,
    SubmitOutcome,
    Unconfirmed,
)
from app.supply import bounds, pausing, probing, protection
from app.supply import service as supply
from app.supply.bounds import REGAINED_BY, STATUS_CALLS_MAX
from app.supply.gauges import samples
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.probing import CALL_MARGIN_SECONDS, Probe
from app.supply.protection import BREAKER_FAILURES_MAX, BREAKER_OPEN_BASE, Closed, Grant
from app.supply.service import PROBE
from tests.fixtures.world import World
from tests.orders.conftest import Desk, accepted, refused

SILENT = Unconfirmed("ReadTimeout")
RATE_LIMITED = refused(RefusalKind.RATE_LIMITED, retry_after_seconds=1.0)


@pytest.fixture
def desk(runtime: Runtime, world: World) -> Desk:
    return Desk(runtime, world)


async def at_once(desk: Desk, provider: Provider) -> int:
    return bounds.bound_of(await desk.provider(provider)).at_once


async def regain(desk: Desk, world: World, provider: Provider, answered: int) -> None:
    """So many orders go well, one after the other."""
    service, reseller = await world.service(routes=[provider]), await world.reseller()
    await desk.place_many(reseller, service, answered)
    while answered:
        answered -= len((await desk.submit(provider)).handovers)


class TestOrders:
    """The bound on orders on their way."""

    @pytest.mark.parametrize(
        ("said", "then"),
        [
            (SILENT, 4),
            (RATE_LIMITED, 4),
            (NotSent("ConnectError"), 4),
            (NotSent("SendWithheld", ours=True), 8),
            (refused(RefusalKind.LINK_BUSY), 8),
            (refused(RefusalKind.MAINTENANCE), 8),
            (Accepted("1", "{}"), 8),
        ],
        ids=[
            "silence",
            "429",
            "unreachable",
            "withheld by us",
            "link busy",
            "maintenance",
            "taken",
        ],
    )
    async def test_is_halved_by_silence_and_by_a_429_and_by_nothing_else(
        self, world: World, desk: Desk, said: SubmitOutcome, then: int
    ) -> None:
        provider = await world.provider(in_flight_max=8)
        await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, said)
        assert await at_once(desk, provider) == then

    async def test_holds_at_the_next_lease_whoever_makes_it(
        self, world: World, desk: Desk, clock: Clock
    ) -> None:
        provider = await world.provider(in_flight_max=8)
        service = await world.service(routes=[provider])
        await desk.place_many(await world.reseller(), service, 20)
        first = await desk.send(provider)
        assert len(first.handovers) == 8
        await desk.record(first, RATE_LIMITED)
        clock.move(timedelta(minutes=1))
        assert len((await desk.send(provider)).handovers) == 4
        assert await desk.lease(provider) is None

    async def test_is_halved_once_for_all_that_was_under_way_together(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider(in_flight_max=64)
        service = await world.service(routes=[provider])
        await desk.place_many(await world.reseller(), service, 64)
        together = [await desk.send(provider) for _ in range(2)]
        for batch in together:
            await desk.record(batch, RATE_LIMITED)
        assert await at_once(desk, provider) == 32

    async def test_an_answer_to_what_was_leased_before_the_trouble_regains_nothing(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider(in_flight_max=64)
        service = await world.service(routes=[provider])
        await desk.place_many(await world.reseller(), service, 64)
        troubled, sound = [await desk.send(provider) for _ in range(2)]
        await desk.record(troubled, RATE_LIMITED)
        await desk.record(sound, accepted)
        now = await desk.provider(provider)
        assert (now.in_flight_bound, now.bound_clean) == (32, 0)

    async def test_never_falls_below_one(self, world: World, desk: Desk, clock: Clock) -> None:
        provider = await world.provider(in_flight_max=3)
        service = await world.service(routes=[provider])
        for expected in (1, 1, 1):
            await world.order(service=service)
            await desk.submit(provider, RATE_LIMITED)
            assert await at_once(desk, provider) == expected
            clock.move(timedelta(minutes=1))

    async def test_regains_one_place_for_twenty_orders_and_never_more_than_is_allowed(
        self, world: World, desk: Desk
    ) -> None:
        provider = await world.provider(in_flight_max=4, calls_per_minute=1000)
        await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, SILENT)
        regained = []
        for answered in (REGAINED_BY - 1, 1, REGAINED_BY, REGAINED_BY):
            await regain(desk, world, provider, answered)
            regained.append(await at_once(desk, provider))
        assert regained == [2, 3, 4, 4]
        assert (await desk.provider(provider)).in_flight_bound is None

    async def test_is_forgotten_by_an_operator_who_resumes_and_by_what_was_leased_under_it(
        self, world: World, desk: Desk, runtime: Runtime
    ) -> None:
        provider = await world.provider(in_flight_max=8)
        service = await world.service(routes=[provider])
        await world.order(service=service)
        await desk.submit(provider, SILENT)
        await world.order(service=service)
        under_way = await desk.send(provider)
        async with runtime.uow.begin() as session:
            await pausing.resume(session, provider.id)
        await desk.record(under_way, SILENT)
        assert await at_once(desk, provider) == 8

    async def test_never_exceeds_what_an_operator_allows_now(
        self, world: World, desk: Desk, runtime: Runtime
    ) -> None:
        provider = await world.provider(in_flight_max=8)
        await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, SILENT)
        async with runtime.uow.begin() as session:
            await supply.change_limits(session, provider, in_flight_max=2, calls_per_minute=None)
        assert await at_once(desk, provider) == 2

    async def test_is_told_as_a_gauge(self, world: World, desk: Desk, runtime: Runtime) -> None:
        provider = await world.provider(in_flight_max=8)
        await world.order(service=await world.service(routes=[provider]))
        await desk.submit(provider, SILENT)
        async with runtime.uow.begin() as session:
            told = {s.name: s.value for s in await samples(session) if provider.name in s.labels}
        assert told["smmos_provider_in_flight_bound"] == 4
        assert told["smmos_provider_in_flight_max"] == 8


class TestKeptApart:
    """Orders, polls and balance calls each have places of their own."""

    async def test_polls_that_hang_leave_orders_their_places_and_orders_leave_polls_theirs(
        self, world: World, desk: Desk, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider(in_flight_max=2, calls_per_minute=1000)
        service, reseller = await world.service(routes=[provider]), await world.reseller()
        for number in range(STATUS_CALLS_MAX + 1):
            await desk.place_many(reseller, service, 1)
            await desk.submit(provider, lambda _, n=number: Accepted(f"id{n}", "{}"))  # type: ignore[misc]
            clock.move(POLL_MIN)
            if number < STATUS_CALLS_MAX:
                await desk.poll(provider)
        # A third poll is due, of one order only, and must wait for a place all the same.
        async with runtime.uow.begin() as session:
            third = await follow.lease_poll(session, runtime.keys, provider.id, time_scale=1.0)
        assert third is None
        await desk.place_many(reseller, service, 3)
        assert len((await desk.send(provider)).handovers) == 2

        other = await world.provider(in_flight_max=1)
        await desk.running(other, await world.service(routes=[other]))
        await desk.place_many(reseller, await world.service(routes=[other]), 2)
        clock.move(POLL_MIN)
        await desk.send(other)
        assert await desk.lease(other) is None
        assert len((await desk.poll(other)).orders) == 1

    async def test_there_is_one_balance_call_even_where_another_is_promised_meanwhile(
        self, world: World, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        lease, first = await begin_probe(runtime, provider)
        assert first is not None
        async with runtime.uow.begin() as session:
            await pausing.pause(session, provider.id, PauseReason.NO_FUNDS)
        _, second = await begin_probe(runtime, provider)
        assert second is None
        await end_probe(runtime, lease, provider, first)
        clock.move(probing.LOOK_AGAIN_AFTER)
        _, third = await begin_probe(runtime, provider)
        assert third is not None

    async def test_a_probe_whose_worker_died_makes_room_in_time(
        self, world: World, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        _, lost = await begin_probe(runtime, provider)
        assert lost is not None
        clock.move(timedelta(seconds=lost.account.timeouts.total_seconds + CALL_MARGIN_SECONDS))
        _, next_one = await begin_probe(runtime, provider)
        assert next_one is not None


class TestHalfOpen:
    """A breaker that is due lets one call through, and it is never an order."""

    @pytest.fixture
    async def provider(self, world: World, desk: Desk, clock: Clock) -> Provider:
        """Its breaker is open and due, a poll and a probe are too."""
        provider = await world.provider()
        service = await world.service(routes=[provider])
        await desk.running(provider, service)
        await desk.place_many(await world.reseller(), service, BREAKER_FAILURES_MAX)
        await desk.submit(provider, SILENT)
        clock.move(BREAKER_OPEN_BASE)
        return provider

    async def test_while_a_poll_tries_nothing_else_is_called(
        self, world: World, desk: Desk, runtime: Runtime, provider: Provider
    ) -> None:
        await world.order(service=await world.service(routes=[provider]))
        await desk.poll(provider)
        assert await desk.lease(provider) is Closed.BREAKER
        _, probe = await begin_probe(runtime, provider)
        assert probe is None
        async with runtime.uow.begin() as session:
            another = await protection.admit_reads(session, provider.id, may_probe=True)
        assert another is Closed.BREAKER

    async def test_while_a_balance_call_tries_no_poll_does(
        self, runtime: Runtime, provider: Provider
    ) -> None:
        lease, probe = await begin_probe(runtime, provider)
        assert probe is not None
        async with runtime.uow.begin() as session:
            polled = await follow.lease_poll(session, runtime.keys, provider.id, time_scale=1.0)
        assert polled is Closed.BREAKER
        await end_probe(runtime, lease, provider, probe)
        async with runtime.uow.begin() as session:
            assert isinstance(await protection.admit_reads(session, provider.id), Closed)

    async def test_what_a_provider_might_take_is_never_the_call_that_tries(
        self, runtime: Runtime, provider: Provider
    ) -> None:
        async with runtime.uow.begin() as session:
            assert await protection.admit_submits(session, provider.id) is Closed.BREAKER
            assert await protection.admit_reads(session, provider.id) is Closed.BREAKER

    @pytest.mark.parametrize("answered", [True, False])
    async def test_the_poll_that_tries_closes_the_breaker_on_trial_or_opens_it_for_longer(
        self, desk: Desk, runtime: Runtime, provider: Provider, answered: bool
    ) -> None:
        poll = await desk.poll(provider)
        async with runtime.uow.begin() as session:
            await follow.record_failure(session, poll, retry_after_seconds=None, answered=answered)
        now = await desk.provider(provider)
        assert (now.breaker_open_until is None, now.breaker_opens) == (answered, 2 - answered)
        async with runtime.uow.begin() as session:
            grant = await protection.admit_submits(session, provider.id)
        assert (grant.calls if isinstance(grant, Grant) else grant) == (
            1 if answered else Closed.BREAKER
        )

    async def test_a_poll_begun_before_the_breaker_opened_is_not_the_one_that_tries(
        self, world: World, desk: Desk, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        await desk.running(provider, service)
        clock.move(POLL_MIN)
        earlier = await desk.poll(provider)
        await desk.place_many(await world.reseller(), service, BREAKER_FAILURES_MAX)
        await desk.submit(provider, SILENT)
        async with runtime.uow.begin() as session:
            await follow.record_failure(session, earlier, retry_after_seconds=None, answered=True)
        assert (await desk.provider(provider)).breaker_open_until is not None


class TestAskedToWait:
    """A provider that names a time is asked nothing before it, whichever question it answered."""

    async def test_after_a_poll_no_other_question_is_asked_and_orders_flow(
        self, world: World, desk: Desk, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        service = await world.service(routes=[provider])
        await desk.running(provider, service)
        clock.move(POLL_MIN)
        poll = await desk.poll(provider)
        await desk.running(provider, service)
        async with runtime.uow.begin() as session:
            await follow.record_failure(session, poll, retry_after_seconds=120.0, answered=True)
        for seconds, polled in ((60, False), (59, False), (1, True)):
            clock.move(timedelta(seconds=seconds))
            async with runtime.uow.begin() as session:
                leased = await follow.lease_poll(session, runtime.keys, provider.id, time_scale=1.0)
            assert isinstance(leased, Poll) is polled
        await world.order(service=service)
        assert len((await desk.send(provider)).handovers) == 1

    async def test_after_a_balance_call_too_and_the_longest_wait_counts(
        self, world: World, runtime: Runtime, clock: Clock
    ) -> None:
        provider = await world.provider()
        lease, probe = await begin_probe(runtime, provider)
        assert probe is not None
        await end_probe(runtime, lease, provider, probe, retry_after_seconds=3600.0)
        async with runtime.uow.begin() as session:
            await protection.record_asked_to_wait(session, provider.id, 5.0)
        clock.move(timedelta(minutes=59))
        async with runtime.uow.begin() as session:
            assert await protection.admit_reads(session, provider.id) is Closed.BUDGET
        clock.move(timedelta(minutes=1))
        async with runtime.uow.begin() as session:
            assert isinstance(await protection.admit_reads(session, provider.id), Grant)

    async def test_an_operator_who_resumes_does_not_wait(
        self, world: World, runtime: Runtime
    ) -> None:
        provider = await world.provider()
        async with runtime.uow.begin() as session:
            await protection.record_asked_to_wait(session, provider.id, 3600.0)
            assert await protection.admit_reads(session, provider.id) is Closed.BUDGET
        async with runtime.uow.begin() as session:
            await pausing.resume(session, provider.id)
            assert isinstance(await protection.admit_reads(session, provider.id), Grant)


@pytest.mark.committing
async def test_many_workers_that_hear_the_same_trouble_halve_the_bound_once(
    world: World, desk: Desk
) -> None:
    provider = await world.provider(in_flight_max=100, calls_per_minute=1000)
    service = await world.service(routes=[provider])
    await desk.place_many(await world.reseller(), service, 100)
    batches = [await desk.send(provider) for _ in range(4)]
    await asyncio.gather(*(desk.record(batch, SILENT) for batch in batches))
    assert await at_once(desk, provider) == 50


async def begin_probe(runtime: Runtime, provider: Provider) -> tuple[Lease, Probe | None]:
    """Take the probe of this provider, as if it were due, as far as the call."""
    async with runtime.uow.begin() as session:
        await work.put(session, PROBE, str(provider.id))
        lease = await work.lease(session, PROBE, MAIN_LANE, limit=9, in_flight_max=9, seconds=60)
    async with runtime.uow.begin() as session:
        begun = await probing.begin_probe(session, runtime.keys, lease, provider.id, time_scale=1.0)
    return lease, begun


async def end_probe(
    runtime: Runtime,
    lease: Lease,
    provider: Provider,
    probe: Probe,
    *,
    retry_after_seconds: float | None = None,
) -> None:
    """The call is over, and gave no balance."""
    async with runtime.uow.begin() as session:
        await probing.record_probe(
            session,
            lease,
            provider.id,
            None,
            time_scale=1.0,
            call=probe.call,
            retry_after_seconds=retry_after_seconds,
        )
