"""Pauses: the stronger reason stands, and want of funds is disproved by money, or tried again."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from app.core import work
from app.core.clock import Clock
from app.core.money import Money
from app.core.runtime import Runtime
from app.core.work import MAIN_LANE
from app.providers.protocol import ProviderBalance
from app.supply import pausing, probing, protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.protection import Grant
from app.supply.service import PROBE, PROBE_EVERY
from tests.fixtures.pace import GIVE_UP_SECONDS
from tests.fixtures.world import World

R = PauseReason


class Till:
    """One provider, its pauses, and probes that learn what the test says."""

    def __init__(self, runtime: Runtime, provider: Provider) -> None:
        self._runtime = runtime
        self.id = provider.id

    async def pause(self, reason: PauseReason, *, minutes: int | None = None) -> None:
        until = None
        if minutes is not None:
            until = self._runtime.clock.now() + timedelta(minutes=minutes)
        async with self._runtime.uow.begin() as session:
            await pausing.pause(session, self.id, reason, until=until)

    async def probe(self, balance: str | None) -> Provider:
        """Take the next probe as if it were due, and record this balance (None: no answer)."""
        async with self._runtime.uow.begin() as session:
            await work.put(session, PROBE, str(self.id))
            lease = await work.lease(
                session, PROBE, MAIN_LANE, limit=1, in_flight_max=1, seconds=60
            )
        learned = None
        if balance is not None:
            learned = ProviderBalance(amount_micros=Money.parse(balance).micros, currency="USD")
        async with self._runtime.uow.begin() as session:
            await probing.record_probe(session, lease, self.id, learned, time_scale=1.0)
        return await self.now()

    async def now(self) -> Provider:
        async with self._runtime.uow.begin() as session:
            return await supply.get(session, self.id)

    async def next_probe_in(self) -> timedelta:
        async with self._runtime.uow.begin() as session:
            due = await session.scalar(
                text("SELECT due_at FROM work WHERE kind = 'probe' AND ref = :ref"),
                {"ref": str(self.id)},
            )
        waits: timedelta = due - self._runtime.clock.now()
        return waits


@pytest.fixture
async def till(runtime: Runtime, world: World) -> Till:
    return Till(runtime, await world.provider())


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(PauseReason)))
async def test_a_weaker_reason_never_takes_the_place_of_a_stronger_one(
    till: Till, weaker: PauseReason, stronger: PauseReason
) -> None:
    await till.pause(weaker)
    await till.pause(stronger)
    assert (await till.now()).pause_reason == stronger
    await till.pause(weaker, minutes=10)
    now = await till.now()
    assert (now.pause_reason, now.pause_until) == (stronger, None)


def test_the_order_of_reasons_is_the_one_that_operators_are_told() -> None:
    assert list(PauseReason) == [
        R.RATE_LIMITED,
        R.MAINTENANCE,
        R.NO_FUNDS,
        R.CREDENTIALS,
        R.OPERATOR,
    ]


async def test_the_same_reason_again_only_moves_the_end_further_away(
    till: Till, clock: Clock
) -> None:
    await till.pause(R.MAINTENANCE, minutes=10)
    first = await till.now()
    await till.pause(R.MAINTENANCE, minutes=5)
    await till.pause(R.MAINTENANCE)
    assert (await till.now()).pause_until == first.pause_until
    clock.move(timedelta(minutes=3))
    await till.pause(R.MAINTENANCE, minutes=10)
    now = await till.now()
    assert now.pause_until is not None
    assert first.pause_until is not None
    assert now.pause_until > first.pause_until
    assert now.paused_at == first.paused_at


class TestWantOfFunds:
    """No operator is needed because our figures were off."""

    async def test_a_pause_for_want_of_funds_is_probed_at_once(self, till: Till) -> None:
        await till.probe("5.00")
        assert await till.next_probe_in() > timedelta(minutes=9)
        await till.pause(R.NO_FUNDS)
        assert await till.next_probe_in() <= timedelta(0)

    async def test_a_top_up_below_what_we_knew_before_the_pause_lifts_it(
        self, till: Till, clock: Clock
    ) -> None:
        await till.probe("100.00")  # and then we spent it
        await till.pause(R.NO_FUNDS)
        assert (await till.probe("0.40")).state == "paused"
        clock.move(PROBE_EVERY)
        assert (await till.probe("0.40")).state == "paused"
        clock.move(PROBE_EVERY)
        now = await till.probe("20.00")
        assert (now.state, now.pause_reason, now.pause_balance_micros) == ("active", None, None)

    async def test_the_lowest_balance_since_the_pause_is_what_a_top_up_must_exceed(
        self, till: Till
    ) -> None:
        await till.pause(R.NO_FUNDS)
        assert (await till.probe("3.00")).state == "paused"
        assert (await till.probe("0.50")).state == "paused"  # a charge that came late
        assert (await till.probe("2.00")).state == "active"

    async def test_a_debt_that_shrinks_is_no_money(self, till: Till) -> None:
        await till.pause(R.NO_FUNDS)
        for balance in ("-5.00", "-1.00", "0.00"):
            assert (await till.probe(balance)).state == "paused"
        assert (await till.probe("0.01")).state == "active"

    async def test_refusals_that_come_after_the_pause_began_do_not_begin_it_anew(
        self, till: Till, clock: Clock
    ) -> None:
        await till.pause(R.NO_FUNDS)
        began = await till.probe("0.40")
        clock.move(timedelta(minutes=1))
        await till.pause(R.NO_FUNDS)
        now = await till.now()
        assert (now.paused_at, now.pause_balance_micros) == (began.paused_at, 400_000)

    async def test_a_balance_that_never_rose_is_tried_after_an_hour_then_ever_later(
        self, till: Till, clock: Clock
    ) -> None:
        for hours in (1, 2, 4, 8, 16, 24, 24):
            await till.pause(R.NO_FUNDS)
            await till.probe("50.00")
            clock.move(timedelta(hours=hours) - timedelta(minutes=1))
            assert (await till.probe("50.00")).state == "paused", f"before {hours} hours"
            clock.move(timedelta(minutes=1))
            assert (await till.probe("50.00")).state == "active", f"after {hours} hours"
            clock.move(timedelta(minutes=5))  # and the orders are refused again

    async def test_without_a_positive_balance_there_is_no_trial(
        self, till: Till, clock: Clock
    ) -> None:
        await till.pause(R.NO_FUNDS)
        for balance in ("0.00", None, "-1.00"):
            clock.move(timedelta(hours=30))
            assert (await till.probe(balance)).state == "paused"

    @pytest.mark.parametrize("ended_by", ["a rise", "an operator", "orders that flowed"])
    async def test_a_trial_that_was_right_leaves_no_trace(
        self, till: Till, clock: Clock, runtime: Runtime, ended_by: str
    ) -> None:
        await till.pause(R.NO_FUNDS)
        await till.probe("50.00")
        clock.move(timedelta(hours=1))
        assert (await till.probe("50.00")).funds_trials == 1
        if ended_by == "a rise":
            await till.pause(R.NO_FUNDS)
            await till.probe("50.00")
            await till.probe("51.00")
        elif ended_by == "an operator":
            async with runtime.uow.begin() as session:
                await pausing.resume(session, till.id)
        else:
            clock.move(timedelta(hours=2))
        await till.pause(R.NO_FUNDS)
        assert (await till.now()).funds_trials == 0


class TestTooManyCalls:
    """A provider that asks us to wait is left alone for that time, and no longer."""

    async def test_the_pause_is_over_with_its_time_without_any_probe(
        self, till: Till, clock: Clock, runtime: Runtime
    ) -> None:
        await till.pause(R.RATE_LIMITED, minutes=2)
        for minutes, admitted in ((1, False), (1, True)):
            clock.move(timedelta(minutes=minutes))
            async with runtime.uow.begin() as session:
                grant = await protection.admit_submits(session, till.id)
            assert isinstance(grant, Grant) is admitted
        assert (await till.now()).pause_reason is None

    async def test_a_probe_without_an_answer_ends_it_too_once_its_time_is_up(
        self, till: Till, clock: Clock
    ) -> None:
        await till.pause(R.RATE_LIMITED, minutes=2)
        assert (await till.probe(None)).pause_reason == R.RATE_LIMITED
        clock.move(timedelta(minutes=2))
        assert (await till.probe(None)).pause_reason is None

    async def test_reads_go_on_meanwhile(self, till: Till, runtime: Runtime) -> None:
        await till.pause(R.RATE_LIMITED, minutes=2)
        async with runtime.uow.begin() as session:
            assert isinstance(await protection.admit_reads(session, till.id), Grant)

    async def test_a_long_pause_puts_no_probe_off(self, till: Till) -> None:
        await till.probe("5.00")
        await till.pause(R.RATE_LIMITED, minutes=600)
        assert await till.next_probe_in() <= PROBE_EVERY

    async def test_a_short_pause_is_probed_at_its_end_and_so_is_one_that_began_during_a_probe(
        self, till: Till
    ) -> None:
        await till.probe("5.00")
        await till.pause(R.RATE_LIMITED, minutes=1)
        assert await till.next_probe_in() <= timedelta(minutes=1)
        await till.probe("5.00")
        assert await till.next_probe_in() <= timedelta(minutes=1)


async def test_a_pause_that_is_lifted_leaves_the_trial_of_submits_as_it_is(
    till: Till, runtime: Runtime, clock: Clock
) -> None:
    async with runtime.uow.begin() as session:
        await protection.record_failures(session, till.id, 5, time_scale=1.0)
    await till.pause(R.MAINTENANCE, minutes=10)
    clock.move(timedelta(minutes=11))
    now = await till.probe("5.00")
    assert (now.state, now.breaker_open_until, now.breaker_opens) == ("active", None, 1)
    assert now.breaker_closed_at is not None


async def test_a_probe_that_was_promised_anew_meanwhile_records_nothing(
    till: Till, runtime: Runtime
) -> None:
    async with runtime.uow.begin() as session:
        lease = await work.lease(session, PROBE, MAIN_LANE, limit=1, in_flight_max=1, seconds=60)
    await till.pause(R.NO_FUNDS)
    async with runtime.uow.begin() as session:
        late = ProviderBalance(amount_micros=5, currency="USD")
        await probing.record_probe(session, lease, till.id, late, time_scale=1.0)
    now = await till.now()
    assert (now.balance_micros, now.pause_balance_micros) == (None, None)
    assert await till.next_probe_in() <= timedelta(0)


@pytest.mark.committing
async def test_a_pause_and_the_record_of_a_probe_never_wait_for_each_other(
    till: Till, runtime: Runtime
) -> None:
    async with runtime.uow.begin() as session:
        lease = await work.lease(session, PROBE, MAIN_LANE, limit=1, in_flight_max=1, seconds=60)

    async def record() -> None:
        async with runtime.uow.begin() as session:
            learned = ProviderBalance(amount_micros=5, currency="USD")
            await probing.record_probe(session, lease, till.id, learned, time_scale=1.0)

    async with runtime.uow.begin() as session:
        # As outcomes do: judge the provider's silence, then pause it, which promises a probe.
        await protection.record_failures(session, till.id, 1, time_scale=1.0)
        recording = asyncio.create_task(record())
        await until_someone_waits(runtime)
        await pausing.pause(session, till.id, R.NO_FUNDS)
    await recording
    now = await till.now()
    assert (now.breaker_failures, now.pause_reason) == (1, R.NO_FUNDS)
    # What the probe asked was asked before the pause: the one promised at once is the one.
    assert (now.balance_micros, await till.next_probe_in() <= timedelta(0)) == (None, True)


async def until_someone_waits(runtime: Runtime) -> None:
    """Until another connection to this database stands before a lock."""
    waiting = text(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            async with runtime.uow.begin() as session:
                if await session.scalar(waiting):
                    return
