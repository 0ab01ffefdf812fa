"""The life of a schedule as a table, and what its runs make of it to those who look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.orders.endings import EXPIRED, PAUSED_BY_PROVIDER
from app.orders.states import ENDED, V1_STATUS, OrderState


class ScheduleKind(StrEnum):
    """A drip-feed starts its runs itself; a subscription is one run, which its provider runs."""

    DRIP_FEED = "drip_feed"
    SUBSCRIPTION = "subscription"


class ScheduleState(StrEnum):
    """Of the runs yet to start: once there are none, the runs are the whole story."""

    ACTIVE = "active"
    PAUSED = "paused"
    PLACED = "placed"
    """Every run has started."""

    CANCELED = "canceled"


class Move(StrEnum):
    """The verbs of a schedule's life; an event carries the verb as its type."""

    PLACE = "place"
    RUN = "run"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_S = ScheduleState
UNENDED: Final = frozenset({_S.ACTIVE, _S.PAUSED})
MOVES: Final[dict[Move, frozenset[tuple[ScheduleState, ScheduleState]]]] = {
    # A schedule is placed into active, or straight into placed; a run that is not the last one
    # leaves it active: neither is a change of state.
    Move.PLACE: frozenset(),
    Move.RUN: frozenset({(_S.ACTIVE, _S.PLACED)}),
    Move.PAUSE: frozenset({(_S.ACTIVE, _S.PAUSED)}),
    Move.RESUME: frozenset({(_S.PAUSED, _S.ACTIVE)}),
    Move.CANCEL: frozenset((state, _S.CANCELED) for state in UNENDED),
}
PAIRS: Final = frozenset(pair for pairs in MOVES.values() for pair in pairs)
"""Every change of state that there is; the database refuses any other."""


def may_move(move: Move, source: ScheduleState, target: ScheduleState) -> bool:
    return (source, target) in MOVES[move]


def public_status(state: ScheduleState, runs: Mapping[OrderState, int]) -> str:
    """A schedule's v1 `status`, from its own state and how many of its runs are in each."""
    match state:
        case ScheduleState.PAUSED:
            return "on_hold"
        case ScheduleState.ACTIVE:
            return "in_progress" if any(runs.values()) else "queued"
        case ScheduleState.PLACED | ScheduleState.CANCELED:
            return _of_runs(state, {one for one, count in runs.items() if count})


def _of_runs(state: ScheduleState, found: set[OrderState]) -> str:
    if state is ScheduleState.PLACED and len(found) == 1:
        [only] = found
        return V1_STATUS[only]
    if found - ENDED:
        return "in_progress"
    if found & {OrderState.COMPLETED, OrderState.PARTIAL}:
        return "partial"
    return "canceled"


class PanelStatus(StrEnum):
    """What API v2 calls the standing of a subscription."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    EXPIRED = "Expired"
    CANCELED = "Canceled"


def panel_status(state: OrderState, *, reason: str | None, wait_reason: str | None) -> PanelStatus:
    """A subscription's standing in API v2, from the order that its provider runs."""
    match state:
        case OrderState.COMPLETED if reason == EXPIRED:
            return PanelStatus.EXPIRED
        case OrderState.COMPLETED:
            return PanelStatus.COMPLETED
        case OrderState.PARTIAL | OrderState.CANCELED | OrderState.FAILED:
            return PanelStatus.CANCELED
        case _ if wait_reason == PAUSED_BY_PROVIDER:
            return PanelStatus.PAUSED
        case _:
            return PanelStatus.ACTIVE
