"""One bad id that spoils a whole batch: it is found in few calls, and keeps no other waiting."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from app.providers.batches import EXTRA_CALLS_MAX, Spoilt, _in_turn, ask_in_pieces
from app.providers.protocol import ProviderUnreachable, TroubleKind

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HUNDRED = tuple(str(number) for number in range(1, 101))
FINE, BAD = "fine", "bad"


class Provider:
    """Answers a batch with one error when it holds a bad id."""

    def __init__(self, *bad: str, now: datetime = NOW, fails_from: int | None = None) -> None:
        self.bad = set(bad)
        self.now = now
        self.fails_from = fails_from
        self.asked: list[tuple[str, ...]] = []

    async def ask(self, ids: Sequence[str]) -> Mapping[str, str] | Spoilt[str]:
        self.asked.append(tuple(ids))
        if self.fails_from is not None and len(self.asked) >= self.fails_from:
            raise ProviderUnreachable(TroubleKind.RATE_LIMITED, "slow down", retry_after_seconds=9)
        if self.bad & set(ids):
            return Spoilt(BAD, self.now)
        return dict.fromkeys(ids, FINE)

    async def told(self, ids: Sequence[str] = HUNDRED, seconds: float = 60) -> dict[str, str]:
        return await ask_in_pieces(self.ask, ids, seconds=seconds)


async def test_a_batch_without_a_bad_id_is_asked_once() -> None:
    provider = Provider()
    assert await provider.told() == dict.fromkeys(HUNDRED, FINE)
    assert provider.asked == [HUNDRED]


async def test_a_bad_id_asked_alone_is_told_without_another_call() -> None:
    provider = Provider("7")
    assert await provider.told(["7"]) == {"7": BAD}
    assert len(provider.asked) == 1


@pytest.mark.parametrize("bad", HUNDRED)
async def test_one_bad_id_of_a_hundred_is_always_found_and_the_rest_answered(bad: str) -> None:
    provider = Provider(bad)
    told = await provider.told()
    assert told == dict.fromkeys(HUNDRED, FINE) | {bad: BAD}
    assert len(provider.asked) <= 1 + 9


async def test_no_id_is_called_bad_that_was_not_asked_alone() -> None:
    provider = Provider("20", "40", "60", "80")
    told = await provider.told()
    alone = {ids[0] for ids in provider.asked if len(ids) == 1}
    assert {one for one, said in told.items() if said == BAD} <= alone & provider.bad


async def test_the_calls_are_bounded_and_what_is_open_is_left_out() -> None:
    provider = Provider(*HUNDRED)
    told = await provider.told()
    assert len(provider.asked) == 1 + EXTRA_CALLS_MAX
    assert told
    assert set(told.values()) == {BAD}
    assert len(told) < len(HUNDRED)


async def test_within_the_hour_the_same_bad_ids_are_found_until_they_are_asked_no_more() -> None:
    """Three times in an hour an order waits for a person, and its id leaves the batch."""
    left = HUNDRED
    for _ in range(100):
        if not left:
            return
        found = [
            {one for one, said in (await provider.told(left)).items() if said == BAD}
            for provider in (
                Provider(*left),
                Provider(*left, now=NOW + timedelta(minutes=20)),
                Provider(*left, now=NOW + timedelta(minutes=59)),
            )
        ]
        certain = set.intersection(*found)
        assert certain
        left = tuple(one for one in left if one not in certain)
    raise AssertionError("some ids were never found")


def test_an_id_that_leaves_the_batch_does_not_shuffle_the_others() -> None:
    before, after = (_in_turn(ids, NOW) for ids in (HUNDRED, HUNDRED[:50] + HUNDRED[51:]))
    assert after == tuple(one for one in before if one != HUNDRED[50])
    assert set(before) == set(HUNDRED)
    assert before != _in_turn(HUNDRED, NOW + timedelta(hours=1))


async def test_where_calls_are_slow_each_id_has_its_hour() -> None:
    """With time for one more call a batch of which one id is bad is answered all the same."""
    answered: set[str] = set()
    for hour in range(30):
        provider = Provider("50", now=NOW + timedelta(hours=hour))
        ticks = iter([0.0, 0.0] + [99.0] * 99)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", lambda ticks=ticks: next(ticks))
            told = await provider.told()
        assert len(provider.asked) == 2
        answered |= set(told)
    assert answered == set(HUNDRED) - {"50"}


async def test_no_call_begins_when_the_time_is_over() -> None:
    provider = Provider("50")
    assert await provider.told(seconds=0) == {}
    assert len(provider.asked) == 1


async def test_a_call_that_fails_later_takes_nothing_back() -> None:
    provider = Provider("50", fails_from=5)
    told = await provider.told()
    assert 0 < len(told) < len(HUNDRED)


@pytest.mark.parametrize("fails_from", [1, 2])
async def test_when_nothing_was_told_the_failure_is(fails_from: int) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider("50", fails_from=fails_from).told()
    assert raised.value.retry_after_seconds == 9
