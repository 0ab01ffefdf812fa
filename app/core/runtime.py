"""What every process is made of, put together once: settings, database, clock, keys, doorbell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.clock import Clock, FollowingClock
from app.core.crypto import KeyRing
from app.core.cursors import Cursors
from app.core.db import create_engine, create_sessions
from app.core.doorbell import ArqDoorbell, Doorbell, SilentDoorbell, connect_arq
from app.core.settings import Settings
from app.core.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Runtime:
    """The composition of one process."""

    settings: Settings
    engine: AsyncEngine
    health_engine: AsyncEngine
    """A connection by itself, so that a pool in full use is not taken for a database away."""

    keys: KeyRing
    cursors: Cursors
    uow: UnitOfWork

    @property
    def clock(self) -> Clock:
        return self.uow.clock


def key_ring(settings: Settings) -> KeyRing:
    return KeyRing([key.get_secret_value() for key in settings.master_keys])


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, name: str, with_doorbell: bool = True, clock: Clock | None = None
) -> AsyncIterator[Runtime]:
    """Connect lazily to the database and, where asked, to the doorbell; close both at the end.

    Without a `clock` of the caller's it goes by the database's, once `hear_the_time` was called.
    """
    engine = create_engine(settings, application_name=f"smmos-{name}")
    health_engine = create_engine(settings, application_name="smmos-health", pool_size=1)
    arq_doorbell: ArqDoorbell | None = None
    if with_doorbell:
        arq_doorbell = ArqDoorbell(connect_arq(settings.redis_url.get_secret_value()))
        arq_doorbell.start()
    doorbell: Doorbell = arq_doorbell or SilentDoorbell()
    keys = key_ring(settings)
    try:
        yield Runtime(
            settings=settings,
            engine=engine,
            health_engine=health_engine,
            keys=keys,
            cursors=Cursors(keys),
            uow=UnitOfWork(create_sessions(engine), clock or FollowingClock(), doorbell),
        )
    finally:
        if arq_doorbell is not None:
            await arq_doorbell.stop()
        await health_engine.dispose()
        await engine.dispose()
