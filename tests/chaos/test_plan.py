"""The plan of a chaos run: replayed by its seed, and made of what the stack and simulator know."""

from itertools import pairwise

import pytest

from app.simulator.faults import Faults
from tests.chaos.blows import _BLOWS
from tests.chaos.plan import PAUSE_SECONDS, Injury, mixture, plan


def test_a_seed_replays_its_plan_and_another_makes_another() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)


@pytest.mark.parametrize("seed", range(20))
def test_each_injury_comes_once_before_any_comes_again(seed: int) -> None:
    blows = plan(seed, 600)
    kinds = len(Injury)
    drawn = [blow.injury for blow in blows[1:]]
    assert set(drawn[:kinds]) == set(drawn[kinds : 2 * kinds]) == set(Injury)


@pytest.mark.parametrize("seed", range(20))
def test_blows_come_in_order_with_a_pause_between_and_end_before_the_load(seed: int) -> None:
    blows = plan(seed, 60)
    assert blows[-1].at < 60
    least, most = PAUSE_SECONDS
    # Times are rounded to hundredths.
    pauses = [after.at - before.at for before, after in pairwise(blows)]
    assert all(least - 0.01 <= pause <= most + 0.01 for pause in pauses)


def test_every_injury_can_be_done() -> None:
    assert set(_BLOWS) == set(Injury)


@pytest.mark.parametrize("seed", range(50))
def test_every_mixture_is_one_that_the_simulator_takes_and_loses_answers(seed: int) -> None:
    wanted = mixture(seed)
    assert wanted == mixture(seed)
    assert wanted["accept_then_timeout"] > 0
    Faults().switch(wanted)
