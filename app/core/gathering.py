"""Doing together what is asked for at the same time: while one round runs, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Gathering(Generic[Asked, Answered]):
    """One round at a time, each of everything that waits for it.

    Who asks alone is served at once; under load, what a round costs is shared by many.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        *,
        size_max: int,
    ) -> None:
        """`together` answers each of what it is given, in order; what it raises, all see."""
        self._together = together
        self._size_max = size_max
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._rounds: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answered:
        """Take part in the next round. Who stops waiting is served all the same."""
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._size_max)
                await self._round([self._waiting.popleft() for _ in range(size)])
        finally:
            self._rounds = None
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    async def _round(self, taken: Sequence[tuple[Asked, asyncio.Future[Answered]]]) -> None:
        try:
            answers = await self._together([asked for asked, _ in taken])
        except Exception as error:  # noqa: BLE001 - it is raised again, where each one waits
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(error)
        except BaseException:
            for _, answer in taken:
                answer.cancel()
            raise
        else:
            for (_, answer), said in zip(taken, answers, strict=True):
                if not answer.done():
                    answer.set_result(said)
