"""Where the machine plays: people, providers and services set up once, each play undone."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from app.catalog.models import Service
from app.core.clock import Clock
from app.core.db import Session, create_engine
from app.core.errors import AppError
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.providers.forms import ServiceType
from app.supply.models import Provider
from tests.fixtures.running import one_connection, runtime_on
from tests.fixtures.world import World
from tests.orders.conftest import Desk

Result = TypeVar("Result")

OPENING = 5_000_000
"""What each wallet has at first, in micros: enough for some orders, not for all."""


class StillClock(Clock):
    """Time passes only where a step lets it: a play goes the same way on a busy machine."""

    def __init__(self) -> None:
        super().__init__()
        self._began = super().now()

    def now(self) -> datetime:
        return self._began + self._ahead


@dataclass(frozen=True, slots=True)
class Props:
    """What stands on the stage before a play begins."""

    books: tuple[UUID, ...]
    providers: tuple[Provider, ...]
    services: tuple[Service, ...]


@dataclass(slots=True)
class Play:
    """One play: its clock, and its transactions, which its end undoes."""

    stage: "Stage"
    runtime: Runtime
    clock: Clock
    desk: Desk
    savepoint: AsyncTransaction

    def do(self, verb: Callable[[Session], Awaitable[Result]]) -> Result:
        """Run a verb in a transaction of its own, as an edge would."""

        async def transaction() -> Result:
            async with self.runtime.uow.begin() as session:
                return await verb(session)

        return self.stage.run(transaction())

    def attempt(self, verb: Callable[[Session], Awaitable[Result]]) -> Result | AppError:
        """The same; a refusal is an answer."""
        try:
            return self.do(verb)
        except AppError as refusal:
            return refusal

    def end(self) -> None:
        self.stage.run(self.savepoint.rollback())


class Stage:
    """A connection to a migrated database, driven from code that is not asynchronous."""

    def __init__(
        self, runner: asyncio.Runner, settings: Settings, engine: AsyncEngine, on: AsyncConnection
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._engine = engine
        self._connection = on
        self.props = self.run(self._set_up())

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(doing)

    def play(self) -> Play:
        """Begin a play; whoever begins it ends it."""
        savepoint = self.savepoint()
        clock = StillClock()
        runtime = self._runtime(clock)
        return Play(self, runtime, clock, Desk(runtime, self._world(runtime)), savepoint)

    def savepoint(self) -> AsyncTransaction:
        """All that follows can be undone."""
        return self.run(self._begin())

    async def _begin(self) -> AsyncTransaction:
        return await self._connection.begin_nested()

    def _runtime(self, clock: Clock) -> Runtime:
        return runtime_on(self._connection, self._settings, clock, self._engine)

    def _world(self, runtime: Runtime) -> World:
        # No request is made: the verbs are called themselves.
        return World(runtime, httpx.AsyncClient())

    async def _set_up(self) -> Props:
        world = self._world(self._runtime(Clock()))
        books = [await world.reseller(balance="5.00") for _ in range(2)]
        providers = [await world.provider(in_flight_max=4) for _ in range(2)]
        # Who delivers which is told to the model by PROVIDER_OF.
        services = [
            await world.service(routes=[providers[0]], rate="0.90"),
            # A rate that no quantity makes a whole number of micros of, bought elsewhere.
            await world.service(routes=[providers[1]], rate="0.777777", max_quantity=3_000),
            await world.service(routes=[providers[1]], rate="0.75", type=ServiceType.PACKAGE),
        ]
        return Props(tuple(book.book_id for book in books), tuple(providers), tuple(services))


@contextmanager
def raised(settings: Settings) -> Iterator[Stage]:
    """A stage on this database, which is as it was at the end."""
    with asyncio.Runner() as runner:
        held = AsyncExitStack()

        async def connect() -> tuple[AsyncEngine, AsyncConnection]:
            engine = create_engine(settings, application_name="smmos-model")
            held.push_async_callback(engine.dispose)
            return engine, await held.enter_async_context(one_connection(engine))

        engine, connection = runner.run(connect())
        try:
            yield Stage(runner, settings, engine, connection)
        finally:
            runner.run(held.aclose())
