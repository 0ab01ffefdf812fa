"""Asks about many ids: one by one, or all at once and in pieces where one of them spoils it."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar

from app.providers.protocol import ProviderUnreachable, TroubleKind, Unreadable

EXTRA_CALLS_MAX: Final = 15
"""Beyond the first call: one bad id of a hundred takes nine at most, two take about these."""

_TURN_SECONDS: Final = 3600

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Spoilt(Generic[Told]):
    """One error for all that was asked; `alone` is what it means to an id that was asked alone."""

    alone: Told
    received_at: datetime


Ask = Callable[[Sequence[str]], Awaitable[Mapping[str, Told] | Spoilt[Told]]]


async def ask_in_pieces(ask: Ask[Told], ids: Sequence[str], *, seconds: float) -> dict[str, Told]:
    """Ask for all at once; where one error answers all, single out the ids that it is about.

    Leaves out the ids that are still open after EXTRA_CALLS_MAX more calls or `seconds`: the next
    time isolates further, for an id that was singled out is soon asked for no more. No more call
    begins after `seconds`. Raises ProviderUnreachable when nothing was told.
    """
    began = time.monotonic()
    answer = await ask(ids)
    if not isinstance(answer, Spoilt):
        return dict(answer)
    if len(ids) == 1:
        return {ids[0]: answer.alone}
    search = _Search(ask, suspects=_in_turn(ids, answer.received_at))
    for _ in range(EXTRA_CALLS_MAX):
        if search.is_over or time.monotonic() - began >= seconds:
            break
        try:
            await search.step()
        except ProviderUnreachable:
            if not search.told:
                raise
            break
    return search.told


@dataclass(slots=True)
class _Search(Generic[Told]):
    """Halves down to one bad id, then asks for all that was left aside, and so on."""

    ask: Ask[Told]
    suspects: tuple[str, ...]
    """At least one of these is bad."""

    aside: tuple[str, ...] = ()
    """Of these nothing is known."""

    told: dict[str, Told] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return not self.suspects and not self.aside

    async def step(self) -> None:
        """One call."""
        if not self.suspects:
            await self._try(self.aside, otherwise=())
            return
        # Also the last suspect is asked alone: what is left over by reasoning is not yet told.
        middle = max(1, len(self.suspects) // 2)
        await self._try(self.suspects[:middle], otherwise=self.suspects[middle:])

    async def _try(self, ids: tuple[str, ...], *, otherwise: tuple[str, ...]) -> None:
        """Ask for `ids`; when they are fine, the suspects are those `otherwise`."""
        answer = await self.ask(ids)
        aside = self.aside if self.suspects else ()
        if not isinstance(answer, Spoilt):
            self.told.update(answer)
            self.suspects, self.aside = otherwise, aside
        elif len(ids) == 1:
            self.told[ids[0]] = answer.alone
            self.suspects, self.aside = (), otherwise + aside
        else:
            self.suspects, self.aside = ids, otherwise + aside


def _in_turn(ids: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The ids in an order that stays the same within an hour and is another in the next.

    The same, so that an id singled out once is singled out again, until whoever counts has
    counted enough; another, so that no id waits for ever behind calls that are too slow.
    """
    turn = int(now.timestamp()) // _TURN_SECONDS

    def place(one: str) -> bytes:
        return hashlib.blake2b(f"{turn} {one}".encode(), digest_size=16).digest()

    return tuple(sorted(ids, key=place))


AskOne = Callable[[str], Awaitable[Told]]


async def ask_each(
    ask: AskOne[Told], ids: Sequence[str], *, seconds: float, at_once: int
) -> dict[str, Told | Unreadable]:
    """One call per id, few at once, in a new order each time.

    No call begins after `seconds`, or after one to which the provider gave no answer: what is left
    is Unreadable this time. Raises ProviderUnreachable when nothing was told.
    """
    round_ = _Round(ask, random.sample(ids, len(ids)), time.monotonic() + seconds)
    async with asyncio.TaskGroup() as askers:
        for _ in range(min(at_once, len(ids))):
            askers.create_task(round_.run())
    if round_.trouble is not None and not round_.told:
        raise round_.trouble
    untold = Unreadable("Not asked this time.")
    return {one: round_.told.get(one, untold) for one in ids}


@dataclass(slots=True)
class _Round(Generic[Told]):
    """The calls of one round: several askers that share what is still to be asked."""

    ask: AskOne[Told]
    left: list[str]
    until: float
    told: dict[str, Told | Unreadable] = field(default_factory=dict)
    trouble: ProviderUnreachable | None = None

    async def run(self) -> None:
        """Ask one id after the other while there are ids, time and answers."""
        while self.left and self.trouble is None and time.monotonic() < self.until:
            one = self.left.pop()
            try:
                self.told[one] = await self.ask(one)
            except ProviderUnreachable as trouble:
                if trouble.kind is TroubleKind.REFUSED:
                    self.told[one] = Unreadable(trouble.reason)
                else:
                    self.trouble = trouble
