"""`smmos secrets`: making a master key, and sealing everything under the newest one."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import typer

from app.cli.context import actor, opened
from app.cli.refusals import CommandFailed
from app.core import audit
from app.core.crypto import KeyRing, Undecryptable, new_master_key
from app.core.db import Session
from app.core.runtime import Runtime
from app.core.settings import load_settings
from app.orders import resealing
from app.refunds import resealing as claim_resealing
from app.schedules import service as scheduling
from app.supply import service as supply

BATCH: Final = 500
_STATEMENT_SECONDS_MAX: Final = 600


class Reseal(Protocol):
    """Seals up to `limit` rows anew and says how many; zero when none is left."""

    async def __call__(self, session: Session, keys: KeyRing, *, limit: int) -> int: ...


commands = typer.Typer()
secret_commands = typer.Typer(help="Master keys.", no_args_is_help=True)
commands.add_typer(secret_commands, name="secrets")


@secret_commands.command("new-key")
def new_key() -> None:
    """Print a fresh master key. Put it first in SMMOS_MASTER_KEYS, then run `secrets rotate`."""
    print(new_master_key())


@secret_commands.command("rotate")
def rotate() -> None:
    """Seal anew, under the first master key, all that an older one sealed. May be run again."""
    try:
        asyncio.run(_rotate())
    except Undecryptable as error:
        raise CommandFailed(
            "Something was sealed with a master key that SMMOS_MASTER_KEYS does not hold any more:"
            " put it back at the end of the list."
        ) from error


async def _rotate() -> None:
    # Counting reads every order once.
    settings = load_settings().model_copy(
        update={"statement_timeout_seconds": _STATEMENT_SECONDS_MAX}
    )
    async with opened(settings) as runtime:
        providers = await _reseal_all(runtime, supply.reseal_credentials)
        orders = await _reseal_orders(runtime)
        schedules = await _reseal_schedules(runtime)
        claims = await _reseal_all(runtime, claim_resealing.reseal_texts)
        async with runtime.uow.begin() as session:
            await audit.record(
                session,
                actor(),
                "secrets.rotate",
                f"master_key:{runtime.keys.current_id}",
                {
                    "providers": providers,
                    "orders": orders,
                    "schedules": schedules,
                    "claims": claims,
                },
            )
    print(
        f"sealed anew: the credentials of {providers} providers, the inputs of {orders} orders and"
        f" {schedules} schedules, {claims} texts of claims"
    )
    print("Keep the older keys in the list while API keys made under them are in use.")


async def _reseal_all(runtime: Runtime, reseal: Reseal) -> int:
    """Batch after batch, each in a transaction of its own, until none is left; how many."""
    done = 0
    while True:
        async with runtime.uow.begin() as session:
            count = await reseal(session, runtime.keys, limit=BATCH)
        done += count
        if not count:
            return done


async def _reseal_orders(runtime: Runtime) -> int:
    """In short transactions, so that no worker waits for a lock; each says how far it came."""
    async with runtime.uow.begin() as session:
        total = await resealing.count_to_reseal(session, runtime.keys)
    done = after = 0
    while True:
        async with runtime.uow.begin() as session:
            count, after = await resealing.reseal_inputs(
                session, runtime.keys, after=after, limit=BATCH
            )
        if not count:
            return done
        done += count
        print(f"{done} of {max(done, total)} orders", flush=True)


async def _reseal_schedules(runtime: Runtime) -> int:
    done = after = 0
    while True:
        async with runtime.uow.begin() as session:
            count, after = await scheduling.reseal(session, runtime.keys, after=after, limit=BATCH)
        if not count:
            return done
        done += count
