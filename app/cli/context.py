"""What a command works with: settings, a runtime of its own, and who gave the command."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.audit import Actor
from app.core.clock_watch import hear_the_time
from app.core.db import Session
from app.core.runtime import Runtime, open_runtime
from app.core.settings import Settings, load_settings


def actor() -> Actor:
    """The person at the keyboard, by the account that the command runs under."""
    try:
        return Actor("command", getpass.getuser())
    except (KeyError, OSError):
        # A container may run under a number that no account has.
        return Actor("command", f"uid {os.getuid()}")


@asynccontextmanager
async def opened(settings: Settings | None = None) -> AsyncIterator[Runtime]:
    """A runtime for one command.

    It rings no doorbell: a command ends before its ring is out, and workers find work by
    themselves within seconds.
    """
    async with open_runtime(
        settings or load_settings(), name="command", with_doorbell=False
    ) as runtime:
        await hear_the_time(runtime)
        yield runtime


@asynccontextmanager
async def transaction() -> AsyncIterator[tuple[Runtime, Session]]:
    """A runtime and its one transaction, for commands that are a single verb."""
    async with opened() as runtime, runtime.uow.begin() as session:
        yield runtime, session
