"""What is broken when, drawn from a seed: the same seed and length give the same plan. Pure."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PAUSE_SECONDS: Final = (2.0, 6.0)
"""Between two blows; what one broke is often not whole again by the next."""
QUIET_AT_THE_END_SECONDS: Final = 2.0


class Injury(StrEnum):
    """Every way in which the platform, or the world around it, is hurt."""

    KILL_WORKER = "kill -9 of a worker"
    KILL_API = "kill -9 of an API process"
    STOP_WORKER = "a worker stopped for longer than its leases"
    KILL_BACKENDS = "database connections killed"
    RESTART_POSTGRES = "PostgreSQL shut down fast"
    CRASH_POSTGRES = "kill -9 of PostgreSQL"
    CRASH_REDIS = "kill -9 of Redis"
    HANG_REDIS = "Redis stopped for a while"
    FLUSH_REDIS = "FLUSHALL"
    PROVIDER_FAULTS = "the provider misbehaves"
    PROVIDER_WELL = "the provider behaves"
    ROLL_OUT = "every process replaced, one after the other, by SIGTERM"


@dataclass(frozen=True, slots=True)
class Blow:
    """One injury, `at` seconds after the load began; `seed` decides all that it leaves open."""

    at: float
    injury: Injury
    seed: int


def plan(seed: int, seconds: float) -> tuple[Blow, ...]:
    """All blows of a run of this length, in order: each kind once before any comes again."""
    draw = random.Random(seed)
    blows: list[Blow] = []
    kinds: list[Injury] = []
    # The provider misbehaves from the start, so that all else meets orders in every state.
    at, injury = 0.0, Injury.PROVIDER_FAULTS
    while at < seconds - QUIET_AT_THE_END_SECONDS:
        blows.append(Blow(round(at, 2), injury, draw.getrandbits(32)))
        at += draw.uniform(*PAUSE_SECONDS)
        if not kinds:
            kinds = list(Injury)
            draw.shuffle(kinds)
        injury = kinds.pop()
    return tuple(blows)


FAULTS: Final[dict[str, float]] = {
    "accept_then_timeout": 0.15,
    "lost_reply": 0.10,
    "http_500_after_accept": 0.05,
    "http_500": 0.05,
    "html": 0.05,
    "garbage": 0.05,
    "too_many_requests": 0.05,
    "maintenance": 0.05,
    "slow_bytes": 0.10,
    "refuse": 0.05,
    "refuse_unseen": 0.02,
    "link_busy": 0.05,
    "partial": 0.15,
    "cancel": 0.10,
    "status_html": 0.10,
    "status_500": 0.10,
    "status_unknown_id": 0.02,
    "nonsense_progress": 0.05,
}
"""How likely each fault of the provider can be; a misbehaving one has some of them. Not among them:
an id that is another order's, which nobody can tell from the truth while that order's own answer is
lost; and want of funds, which would keep the provider closed for the rest of a run.
"""


def mixture(seed: int) -> dict[str, float]:
    """The faults of one PROVIDER_FAULTS, as the simulator's control takes them: half of all kinds,
    and always one that loses an answer after the order was taken.
    """
    draw = random.Random(seed)
    chosen = draw.sample(sorted(FAULTS), len(FAULTS) // 2)
    return {"seed": seed} | {name: FAULTS[name] for name in {*chosen, "accept_then_timeout"}}
