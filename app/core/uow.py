"""The unit of work: one transaction that edges open, which rings the doorbell once committed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.clock import Clock
from app.core.db import LOCK_NOT_AVAILABLE, Session, Sessions, is_away, is_retryable, sqlstate_of
from app.core.doorbell import Doorbell, Ring
from app.core.errors import OutcomeUnknown, Unavailable
from app.core.gathering import Gathering
from app.core.logging import get_logger

log = get_logger(__name__)

TRIES_MAX: Final = 3
PAUSE_SECONDS_MIN: Final = 0.02
PAUSE_SECONDS_MAX: Final = 0.2

# Nobody listens, no way leads there, its name is unknown, nobody answers in time (all of them
# OSErrors), or all connections are taken.
_NOT_CONNECTED: Final = (PoolTimeout, OSError)

TOGETHER_MAX: Final = 32

Item = TypeVar("Item")
Result = TypeVar("Result")
Transaction = Callable[[Session], Awaitable[Result]]
Together = Callable[[Session, Sequence[Item], bool], Awaitable[Sequence[Result | Exception]]]


class PutAside(Exception):
    """An item's answer where it would keep the others waiting: it goes where one may wait."""


class UnitOfWork:
    """Opens transactions. `run` repeats a transaction that the database asked to repeat."""

    def __init__(self, sessions: Sessions, clock: Clock, doorbell: Doorbell) -> None:
        self._sessions = sessions
        self._doorbell = doorbell
        self._gatherings: dict[tuple[Together[Any, Any], bool], Gathering[Any, Any]] = {}
        self.clock = clock

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Session]:
        """One transaction: commits when the block ends, rolls back when it raises, then rings.

        Raises Unavailable when the database is away, overloaded or asks to try again, and
        OutcomeUnknown when the connection broke while committing.
        """
        try:
            async with self._begin() as session:
                yield session
        except DBAPIError as error:
            if is_retryable(error) or is_away(error):
                raise Unavailable from error
            raise
        except _NOT_CONNECTED as error:
            raise Unavailable from error

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[Session]:
        async with self._sessions() as session:
            session.info["now"] = self.clock.now()
            session.info["rings"] = set()
            session.info["counts"] = []
            yield session
            try:
                await session.commit()
            except DBAPIError as error:
                # A server that goes down may say so before or after it has committed.
                if error.connection_invalidated or is_away(error):
                    raise OutcomeUnknown from error
                raise
            except _NOT_CONNECTED as error:
                raise OutcomeUnknown from error
            rings: set[Ring] = session.info["rings"]
            counts: list[Callable[[], None]] = session.info["counts"]
        for count in counts:
            count()
        if rings:
            self._doorbell.ring(rings)

    async def run(self, transaction: Transaction[Result], *, repeatable: bool = False) -> Result:
        """Run a transaction, again when it was undone by a lock, a deadlock or a lost connection.

        `repeatable` promises that running it after it has in fact committed does no harm (an
        idempotency key or a lease token guards it), so that a COMMIT cut off is tried again too.
        Raises Unavailable once the tries are used up.
        """
        for tried in range(1, TRIES_MAX):
            try:
                async with self._begin() as session:
                    return await transaction(session)
            except OutcomeUnknown:
                if not repeatable:
                    raise
            except DBAPIError as error:
                if not is_retryable(error):
                    if is_away(error):
                        raise Unavailable from error
                    raise
                log.info("transaction_retried", tried=tried, sqlstate=sqlstate_of(error))
            except _NOT_CONNECTED as error:
                # No connection was to be had: waiting longer would only lengthen the queue.
                raise Unavailable from error
            await asyncio.sleep(random.uniform(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX))
        async with self.begin() as session:
            return await transaction(session)

    async def try_out(self, transaction: Transaction[Result]) -> Result:
        """What a transaction would come to now: it is run and undone, and rings for nobody."""
        async with self.begin() as session:
            result = await transaction(session)
            await session.rollback()
            session.info["rings"].clear()
        return result

    async def together(self, transaction: Together[Item, Result], item: Item) -> Result:
        """Run a transaction for everyone who asks for it meanwhile; this item's result.

        `transaction` must be repeatable, as in `run`. Its last argument says whether it may wait
        for locks: first it may not, and answers PutAside for an item that would have to; then that
        item takes part in a slower round, beside the quick ones. It answers each item with a
        result or with the refusal to raise here. When it raises, all is undone and each item gets
        a transaction of its own: nobody fails by the company he is in.
        """
        outcome = await self._gathering(transaction, may_wait=False).ask(item)
        if isinstance(outcome, PutAside):
            outcome = await self._gathering(transaction, may_wait=True).ask(item)
        if isinstance(outcome, PutAside):
            [outcome] = await self._all_of(transaction, [item], may_wait=True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _gathering(
        self, transaction: Together[Item, Result], *, may_wait: bool
    ) -> Gathering[Item, Result | Exception]:
        found = self._gatherings.get((transaction, may_wait))
        if found is None:

            async def all_of(items: Sequence[Item]) -> Sequence[Result | Exception]:
                return await self._all_of(transaction, items, may_wait=may_wait)

            found = self._gatherings[transaction, may_wait] = Gathering(
                all_of, size_max=TOGETHER_MAX
            )
        return found

    async def _all_of(
        self, transaction: Together[Item, Result], items: Sequence[Item], *, may_wait: bool
    ) -> Sequence[Result | Exception]:
        try:
            return await self.run(
                lambda session: transaction(session, items, may_wait), repeatable=True
            )
        except Exception as error:
            # A lock that one of them waited for in vain is no trouble of the others.
            lock_missed = sqlstate_of(error.__cause__) == LOCK_NOT_AVAILABLE
            if len(items) == 1 or (isinstance(error, Unavailable) and not lock_missed):
                raise
            log.info("transaction_split", items=len(items), error=type(error).__name__)
            return [PutAside() for _ in items]


def now_of(session: Session) -> datetime:
    """The time of this transaction, the same for all that it writes."""
    moment: datetime = session.info["now"]
    return moment


def ring_after_commit(session: Session, kind: str, lane: str) -> None:
    """Ask for a ring once, and only if, this transaction commits."""
    session.info["rings"].add(Ring(kind, lane))


def count_after_commit(session: Session, count: Callable[[], None]) -> None:
    """Have something counted once, and only if, this transaction commits."""
    session.info["counts"].append(count)
