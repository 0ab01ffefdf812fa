"""What a worker does to refills, with the provider's words given by the test; none is a guess."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from app.catalog.models import Service
from app.core.clock import Clock
from app.core.metrics import PROVIDER_STATUS_UNKNOWN
from app.core.runtime import Runtime
from app.orders import refill_asking, refill_following, refills, restored
from app.orders.refill_asking import ASKED_FOR_MAX, RefillBatch, RefillOutcome
from app.orders.refill_following import FOLLOWED_FOR_MAX, RefillPoll
from app.orders.refill_models import Refill
from app.orders.refill_moves import POLL_MAX, POLL_MIN, REFILL, REFILL_FOLLOW, next_poll
from app.providers.aftercare import RefillProgress, RefillRefused, RefillState, RefillTaken
from app.providers.protocol import (
    IdUnknown,
    ProviderState,
    ProviderUnreachable,
    RefillStatusAnswer,
    TroubleKind,
    Unconfirmed,
    Unreadable,
)
from app.supply import protection
from app.supply.models import Provider
from app.supply.protection import BREAKER_FAILURES_MAX, Closed
from tests.fixtures.supplying import Worker
from tests.fixtures.world import ResellerCaller, World
from tests.orders.conftest import RESELLER, Desk, progress

UNREACHABLE = ProviderUnreachable(TroubleKind.TRANSPORT, "nobody listens")
LOST = Unconfirmed("no answer came", "half an ans")


@dataclass(frozen=True, slots=True)
class Counter:
    """Asks for refills of delivered orders, and says what their provider answers."""

    runtime: Runtime
    desk: Desk
    provider: Provider
    service: Service
    reseller: ResellerCaller

    async def requested(self) -> int:
        """A refill of a new order that was delivered in full."""
        order_id = await self.desk.running(self.provider, self.service, self.reseller)
        await self.desk.hear(self.provider, progress(ProviderState.COMPLETED))
        async with self.runtime.uow.begin() as session:
            refill = await refills.request(session, self.reseller.book_id, order_id, actor=RESELLER)
        return refill.id

    async def lease(self) -> RefillBatch | Closed | None:
        async with self.runtime.uow.begin() as session:
            return await refill_asking.lease_refills(
                session, self.runtime.keys, self.provider.id, time_scale=1.0
            )

    async def send(self) -> RefillBatch:
        batch = await self.lease()
        assert isinstance(batch, RefillBatch)
        return batch

    async def record(
        self, batch: RefillBatch, said: RefillOutcome | Mapping[int, RefillOutcome]
    ) -> None:
        outcomes = said if isinstance(said, Mapping) else dict.fromkeys(batch.orders, said)
        async with self.runtime.uow.begin() as session:
            await refill_asking.record_refills(session, batch, outcomes)

    async def running(self, provider_refill_id: str = "r1") -> int:
        """A refill that the provider has taken."""
        refill_id = await self.requested()
        await self.record(await self.send(), RefillTaken(provider_refill_id))
        return refill_id

    async def hear(self, said: RefillStatusAnswer, *, after: timedelta = POLL_MAX) -> None:
        """Let time pass until the next poll is due, and hear this."""
        self.runtime.clock.move(after)
        async with self.runtime.uow.begin() as session:
            poll = await refill_following.lease_refill_poll(
                session, self.runtime.keys, self.provider.id, time_scale=1.0
            )
        assert isinstance(poll, RefillPoll)
        async with self.runtime.uow.begin() as session:
            await refill_following.record_refill_answers(
                session, poll, dict.fromkeys(poll.refills, said)
            )

    async def row(self, refill_id: int) -> Refill:
        async with self.runtime.uow.begin() as session:
            [found] = await refills.page(session, book_id=None, after=refill_id + 1, limit=1)
        assert found.id == refill_id
        return found

    async def state(self, refill_id: int) -> str:
        return (await self.row(refill_id)).state

    async def kinds(self, refill_id: int) -> set[str]:
        return set(await self.desk.work_of(refill_id))


@pytest.fixture
async def counter(runtime: Runtime, desk: Desk, world: World) -> Counter:
    provider = await world.provider()
    service = await world.service(routes=[provider], refill=True)
    return Counter(runtime, desk, provider, service, await world.reseller(balance="100.00"))


def said(state: RefillState, word: str = "a word") -> RefillProgress:
    return RefillProgress(state, word)


class TestAsking:
    async def test_one_that_is_taken_is_followed(self, counter: Counter) -> None:
        refill_id = await counter.requested()
        assert await counter.kinds(refill_id) == {REFILL}
        batch = await counter.send()
        assert await counter.state(refill_id) == "sending"
        await counter.record(batch, RefillTaken("r1"))
        row = await counter.row(refill_id)
        assert (row.state, row.provider_refill_id) == ("pending", "r1")
        assert await counter.kinds(refill_id) == {REFILL_FOLLOW}

    async def test_a_refusal_is_told_without_naming_who_refused(self, counter: Counter) -> None:
        refill_id = await counter.requested()
        reason = f"{counter.provider.name}: too old, write to help@panel.example"
        await counter.record(await counter.send(), RefillRefused(reason))
        row = await counter.row(refill_id)
        assert (row.state, row.reason) == ("rejected", "…: too old, write to …")
        assert await counter.kinds(refill_id) == set()

    async def test_a_lost_answer_leaves_it_unknown_and_nothing_to_do(
        self, counter: Counter
    ) -> None:
        refill_id = await counter.requested()
        await counter.record(await counter.send(), LOST)
        row = await counter.row(refill_id)
        assert (row.state, row.ended_at) == ("unknown", None)
        assert await counter.kinds(refill_id) == set()
        last = (await counter.desk.events(row.order_id))[-1]
        assert (last.type, last.public) == ("refill_unknown", False)
        assert last.data["answer"] == "half an ans"

    async def test_a_provider_out_of_reach_is_asked_again_later_each_time_longer(
        self, counter: Counter, clock: Clock
    ) -> None:
        refill_id = await counter.requested()
        waits = []
        for _ in range(3):
            await counter.record(await counter.send(), UNREACHABLE)
            due = (await counter.desk.work_of(refill_id))[REFILL].due_at
            wait = due - clock.now()
            waits.append(round(wait.total_seconds()))
            assert await counter.state(refill_id) == "requested"
            clock.move(wait)
        assert waits == [60, 120, 240]

    async def test_a_provider_that_says_when_to_come_back_is_believed(
        self, counter: Counter, clock: Clock
    ) -> None:
        refill_id = await counter.requested()
        busy = ProviderUnreachable(TroubleKind.RATE_LIMITED, "slow down", retry_after_seconds=7200)
        await counter.record(await counter.send(), busy)
        due = (await counter.desk.work_of(refill_id))[REFILL].due_at
        assert round((due - clock.now()).total_seconds()) == 7200

    async def test_a_provider_out_of_reach_for_three_days_has_failed_it(
        self, counter: Counter, clock: Clock
    ) -> None:
        refill_id = await counter.requested()
        clock.move(ASKED_FOR_MAX)
        await counter.record(await counter.send(), UNREACHABLE)
        row = await counter.row(refill_id)
        assert (row.state, row.reason) == ("failed", "It could not be asked for in time.")
        assert await counter.kinds(refill_id) == set()

    async def test_a_dialect_that_has_lost_the_call_has_failed_it_at_once(
        self, counter: Counter
    ) -> None:
        refill_id = await counter.requested()
        unoffered = ProviderUnreachable(TroubleKind.NOT_OFFERED, "has no refill")
        await counter.record(await counter.send(), unoffered)
        assert await counter.state(refill_id) == "failed"

    @pytest.mark.parametrize("together", [True, False])
    async def test_an_id_that_two_were_given_is_believed_of_neither_or_the_first(
        self, counter: Counter, *, together: bool
    ) -> None:
        first = await counter.requested()
        if not together:
            await counter.record(await counter.send(), RefillTaken("r1"))
        second = await counter.requested()
        await counter.record(await counter.send(), RefillTaken("r1"))
        states = [await counter.state(one) for one in (first, second)]
        assert states == ["unknown" if together else "pending", "unknown"]

    async def test_a_breaker_is_never_tried_with_a_refill(
        self, counter: Counter, runtime: Runtime, clock: Clock
    ) -> None:
        await counter.requested()
        async with runtime.uow.begin() as session:
            await protection.record_read_failures(
                session, counter.provider.id, BREAKER_FAILURES_MAX, time_scale=1.0
            )
        assert await counter.lease() is Closed.BREAKER
        clock.move(timedelta(hours=1))
        assert await counter.lease() is Closed.BREAKER

    async def test_silence_counts_against_the_provider_and_calls_are_counted(
        self, counter: Counter
    ) -> None:
        await counter.requested()
        await counter.requested()
        before = (await counter.desk.provider(counter.provider)).budget_reads
        batch = await counter.send()
        provider = await counter.desk.provider(counter.provider)
        assert provider.budget_reads - before == 2
        # As after a COMMIT that was cut off, of which nobody knows that it was made.
        for _ in range(2):
            await counter.record(batch, LOST)
            provider = await counter.desk.provider(counter.provider)
            assert provider.breaker_read_failures == 2


class TestALostWorker:
    async def test_what_it_was_sending_is_unknown(self, counter: Counter, worker: Worker) -> None:
        refill_id = await counter.requested()
        await counter.send()
        await worker.lose_leases()
        await worker.upkeep()
        assert await counter.state(refill_id) == "unknown"
        assert await counter.kinds(refill_id) == set()
        assert await counter.lease() is None

    async def test_its_late_answer_is_still_the_answer(
        self, counter: Counter, worker: Worker
    ) -> None:
        refill_id = await counter.requested()
        batch = await counter.send()
        await worker.lose_leases()
        await worker.upkeep()
        await counter.record(batch, RefillTaken("r1"))
        assert await counter.state(refill_id) == "pending"
        assert await counter.kinds(refill_id) == {REFILL_FOLLOW}

    async def test_its_late_word_that_nothing_was_sent_has_it_asked_for_again(
        self, counter: Counter, worker: Worker
    ) -> None:
        refill_id = await counter.requested()
        batch = await counter.send()
        await worker.lose_leases()
        await worker.upkeep()
        await counter.record(batch, UNREACHABLE)
        assert await counter.state(refill_id) == "requested"
        assert await counter.kinds(refill_id) == {REFILL}

    async def test_another_question_gets_no_answer_from_it(self, counter: Counter) -> None:
        refill_id = await counter.requested()
        batch = await counter.send()
        stale = replace(batch, lease=replace(batch.lease, token=counter.provider.id))
        await counter.record(stale, RefillTaken("r9"))
        assert await counter.state(refill_id) == "sending"
        await counter.record(batch, RefillTaken("r1"))
        await counter.record(batch, RefillRefused("said twice"))
        assert await counter.state(refill_id) == "pending"


class TestFollowing:
    @pytest.mark.parametrize(
        ("word", "state"),
        [
            (RefillState.PENDING, "pending"),
            (RefillState.IN_PROGRESS, "in_progress"),
            (RefillState.COMPLETED, "completed"),
            (RefillState.REJECTED, "rejected"),
            (RefillState.ERROR, "failed"),
        ],
    )
    async def test_what_the_provider_says_is_where_it_stands(
        self, counter: Counter, word: RefillState, state: str
    ) -> None:
        refill_id = await counter.running()
        await counter.hear(said(word))
        row = await counter.row(refill_id)
        goes_on = state in {"pending", "in_progress"}
        assert (row.state, row.ended_at is None) == (state, goes_on)
        assert await counter.kinds(refill_id) == ({REFILL_FOLLOW} if goes_on else set())

    async def test_a_word_nobody_knows_keeps_the_last_state_and_is_counted(
        self, counter: Counter
    ) -> None:
        counted = PROVIDER_STATUS_UNKNOWN.labels(counter.provider.name)
        before = counted._value.get()
        refill_id = await counter.running()
        await counter.hear(said(RefillState.IN_PROGRESS))
        await counter.hear(said(RefillState.UNKNOWN, "Sulking"))
        await counter.hear(Unreadable("an array"))
        assert await counter.state(refill_id) == "in_progress"
        assert counted._value.get() == before + 1

    async def test_an_id_unknown_three_times_in_a_row_is_looked_at_by_a_person(
        self, counter: Counter
    ) -> None:
        refill_id = await counter.running()
        for answer in (IdUnknown(), IdUnknown(), said(RefillState.PENDING)):
            await counter.hear(answer)
        for _ in range(2):
            await counter.hear(IdUnknown())
        assert await counter.state(refill_id) == "pending"
        await counter.hear(IdUnknown())
        assert await counter.state(refill_id) == "unknown"
        assert await counter.kinds(refill_id) == set()

    async def test_one_without_an_end_for_a_month_is_looked_at_by_a_person(
        self, counter: Counter
    ) -> None:
        refill_id = await counter.running()
        await counter.hear(said(RefillState.PENDING), after=FOLLOWED_FOR_MAX)
        assert await counter.state(refill_id) == "unknown"

    async def test_polls_come_from_half_an_hour_to_six_hours(self, counter: Counter) -> None:
        row = await counter.row(await counter.running())
        assert row.taken_at is not None
        waits = {
            age: next_poll(row, row.taken_at + age, 1.0) - row.taken_at - age
            for age in (timedelta(0), timedelta(hours=10), timedelta(days=20))
        }
        assert list(waits.values()) == [POLL_MIN, timedelta(hours=1), POLL_MAX]

    async def test_a_call_that_gave_nothing_changes_none_and_is_made_again(
        self, counter: Counter, runtime: Runtime, clock: Clock
    ) -> None:
        refill_id = await counter.running()
        clock.move(POLL_MIN)
        async with runtime.uow.begin() as session:
            poll = await refill_following.lease_refill_poll(
                session, runtime.keys, counter.provider.id, time_scale=1.0
            )
        assert isinstance(poll, RefillPoll)
        for _ in range(2):  # recorded again, it counts once
            async with runtime.uow.begin() as session:
                await refill_following.record_refill_failure(
                    session, poll, retry_after_seconds=None, answered=False
                )
        assert await counter.state(refill_id) == "pending"
        due = (await counter.desk.work_of(refill_id))[REFILL_FOLLOW].due_at
        assert round((due - clock.now()).total_seconds()) == POLL_MIN.total_seconds()
        provider = await counter.desk.provider(counter.provider)
        assert provider.breaker_read_failures == 1


async def test_after_a_restore_all_that_were_to_be_asked_for_are_unknown_however_many(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restored, "REFILLS_AT_ONCE_MAX", 1)
    asked = [await counter.requested() for _ in range(3)]
    async with counter.runtime.uow.begin() as session:
        doubted = await restored.doubt_waiting(session, since=None, actor=RESELLER)
    assert doubted.refills == 3
    assert {await counter.state(one) for one in asked} == {"unknown"}
