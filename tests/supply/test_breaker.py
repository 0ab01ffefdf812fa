"""The breaker: submits and reads are judged apart, a probe puts on trial, an answer makes good."""

from datetime import datetime, timedelta

import pytest

from app.core.clock import Clock
from app.core.runtime import Runtime
from app.supply import pausing, protection, repository
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import (
    BREAKER_FAILURES_MAX,
    BREAKER_OPEN_BASE,
    RELAPSE_WITHIN,
    Closed,
    Grant,
)
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import World


class Breaker:
    """One provider, to which things happen, each in a transaction of its own."""

    def __init__(self, runtime: Runtime, provider: Provider) -> None:
        self._runtime = runtime
        self._id = provider.id

    async def silent_submits(self, count: int, *, begun: datetime | None = None) -> None:
        """Leased on the trial that is on now, where none other is named."""
        trial = begun or (await self.now()).breaker_closed_at
        async with self._runtime.uow.begin() as session:
            await protection.record_failures(session, self._id, count, time_scale=1.0, trial=trial)

    async def silent_reads(self, count: int) -> None:
        async with self._runtime.uow.begin() as session:
            await protection.record_read_failures(session, self._id, count, time_scale=1.0)

    async def answered_submit(self, *, begun: datetime | None = None) -> None:
        trial = begun or (await self.now()).breaker_closed_at
        async with self._runtime.uow.begin() as session:
            await protection.record_answers(session, self._id, trial=trial)

    async def answered_read(self) -> None:
        async with self._runtime.uow.begin() as session:
            await protection.record_read_answers(session, self._id)

    async def answered_probe(self) -> None:
        async with self._runtime.uow.begin() as session:
            provider = await repository.lock(session, self._id)
            assert provider is not None
            await protection.record_probe_answer(session, provider)

    async def now(self) -> Provider:
        async with self._runtime.uow.begin() as session:
            return await supply.get(session, self._id)

    async def counts(self) -> tuple[int, int]:
        """The failures of submits, and of reads."""
        provider = await self.now()
        return provider.breaker_failures, provider.breaker_read_failures

    async def opening(self) -> timedelta | None:
        """For how long it is open from now; None where it is closed."""
        until = (await self.now()).breaker_open_until
        return None if until is None else until - self._runtime.clock.now()

    async def admitted(self) -> int | Closed:
        """How many orders may be handed over now, or why none."""
        async with self._runtime.uow.begin() as session:
            grant = await protection.admit_submits(session, self._id)
        return grant.calls if isinstance(grant, Grant) else grant


@pytest.fixture
async def breaker(runtime: Runtime, world: World) -> Breaker:
    return Breaker(runtime, await world.provider(calls_per_minute=1000))


async def assert_opens_for(breaker: Breaker, seconds: int) -> None:
    opening = await breaker.opening()
    assert opening is not None
    assert timedelta(0) <= timedelta(seconds=seconds) - opening < timedelta(seconds=5)


async def test_an_answered_read_does_not_forget_the_silence_of_submits(breaker: Breaker) -> None:
    for silent in range(1, BREAKER_FAILURES_MAX):
        await breaker.silent_submits(1)
        await breaker.answered_read()
        assert await breaker.counts() == (silent, 0)
    await breaker.silent_submits(1)
    assert await breaker.admitted() is Closed.BREAKER


async def test_five_silent_reads_in_a_row_open_the_breaker_for_submits_too(
    breaker: Breaker,
) -> None:
    await breaker.silent_reads(BREAKER_FAILURES_MAX - 1)
    await breaker.answered_read()
    await breaker.silent_reads(BREAKER_FAILURES_MAX - 1)
    assert await breaker.opening() is None
    await breaker.silent_reads(1)
    await assert_opens_for(breaker, 30)
    assert await breaker.admitted() is Closed.BREAKER


async def test_silent_submits_and_silent_reads_do_not_add_up(breaker: Breaker) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX - 1)
    await breaker.silent_reads(BREAKER_FAILURES_MAX - 1)
    assert await breaker.opening() is None


async def test_an_answered_read_opens_no_door_that_silent_submits_closed(
    breaker: Breaker, clock: Clock
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    clock.move(timedelta(hours=1))
    await breaker.answered_read()
    assert await breaker.admitted() is Closed.BREAKER


async def test_a_probe_that_finds_the_breaker_closed_forgets_no_silent_submit(
    breaker: Breaker,
) -> None:
    await breaker.silent_submits(3)
    await breaker.silent_reads(3)
    await breaker.answered_probe()
    assert await breaker.counts() == (3, 0)


async def test_a_probe_that_is_answered_with_an_error_is_an_answer(
    world: World, runtime: Runtime, worker: Worker, simulator: Simulator, clock: Clock
) -> None:
    provider = await world.provider(base_url=simulator.url, key="revoked-since")
    breaker = Breaker(runtime, provider)
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    clock.move(BREAKER_OPEN_BASE)
    await worker.probe()
    assert await breaker.admitted() == 1


async def test_after_a_probe_one_order_at_a_time_is_tried_until_one_is_answered(
    breaker: Breaker,
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    await breaker.answered_probe()
    assert await breaker.admitted() == 1
    await breaker.answered_read()
    assert await breaker.admitted() == 1
    await breaker.answered_submit()
    assert await breaker.admitted() == 750


async def test_what_was_leased_on_an_earlier_trial_says_nothing_of_this_one(
    breaker: Breaker,
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    await breaker.answered_probe()
    earlier = (await breaker.now()).breaker_closed_at
    await breaker.silent_submits(1)
    await breaker.answered_probe()
    this = (await breaker.now()).breaker_closed_at
    await breaker.silent_submits(1, begun=earlier)
    assert await breaker.admitted() == 1
    await breaker.answered_submit(begun=earlier)
    assert await breaker.admitted() == 1
    await breaker.answered_submit(begun=this)
    assert await breaker.admitted() == 750


async def test_a_provider_that_answers_probes_and_never_submits_is_left_alone_ever_longer(
    breaker: Breaker, clock: Clock
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    for seconds in (30, 60, 120, 240, 480, 600, 600):
        await assert_opens_for(breaker, seconds)
        clock.move(timedelta(seconds=seconds))
        await breaker.answered_probe()
        assert await breaker.opening() is None
        await breaker.silent_submits(1)  # on trial, one order lost is enough


async def test_one_answered_submit_makes_good_all_that_was_held_against_it(
    breaker: Breaker,
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    await breaker.answered_probe()
    await breaker.silent_submits(1)
    await assert_opens_for(breaker, 60)
    await breaker.answered_probe()
    await breaker.silent_reads(2)
    await breaker.answered_submit()
    now = await breaker.now()
    assert (now.breaker_opens, now.breaker_closed_at, await breaker.counts()) == (0, None, (0, 0))
    await breaker.silent_submits(BREAKER_FAILURES_MAX - 1)
    assert await breaker.opening() is None
    await breaker.silent_submits(1)
    await assert_opens_for(breaker, 30)


async def test_silence_long_after_the_probe_is_a_new_trouble(
    breaker: Breaker, clock: Clock
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    await breaker.answered_probe()
    clock.move(RELAPSE_WITHIN + timedelta(seconds=5))
    await breaker.silent_submits(1)
    await assert_opens_for(breaker, 30)


async def test_reads_that_fail_again_after_the_probe_also_lengthen_the_opening(
    breaker: Breaker, clock: Clock
) -> None:
    await breaker.silent_reads(BREAKER_FAILURES_MAX)
    clock.move(BREAKER_OPEN_BASE)
    await breaker.answered_probe()
    await breaker.silent_reads(BREAKER_FAILURES_MAX)
    await assert_opens_for(breaker, 60)


async def test_an_operator_who_resumes_a_provider_also_closes_its_breaker(
    breaker: Breaker, runtime: Runtime
) -> None:
    await breaker.silent_submits(BREAKER_FAILURES_MAX)
    await breaker.silent_reads(2)
    provider = await breaker.now()
    async with runtime.uow.begin() as session:
        await pausing.resume(session, provider.id)
    assert await breaker.counts() == (0, 0)
    assert await breaker.admitted() == 750
