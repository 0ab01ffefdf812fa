"""Checks of what is in the database: currency, secrets, the ledger, the work that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from app.cli.doctor.findings import Finding, fail, ok, warn
from app.core import gauges, lineage, work
from app.core.crypto import Undecryptable
from app.core.db import Session
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.orders import restored
from app.supply import service as supply

_WAIT_SECONDS_MAX: Final = 60


async def check_contents(runtime: Runtime) -> AsyncIterator[Finding]:
    """All of them, in one look at a database that is at this version's schema."""
    async with runtime.uow.begin() as session:
        yield await _check_currency(session, runtime.settings.currency)
        yield await _check_lineage(session)
        yield await _check_keys(session, runtime)
        yield await _check_ledger(session)
        yield await _check_workers(session)


async def _check_currency(session: Session, wanted: str) -> Finding:
    kept = await ledger.selling_currency(session)
    if kept is None:
        return fail("currency", "none is fixed yet. Run `smmos migrate`.")
    if kept != wanted:
        return fail(
            "currency",
            f"this database sells in {kept} and SMMOS_CURRENCY says {wanted}: set it to {kept}.",
        )
    return ok("currency", f"sells in {kept}")


async def _check_lineage(session: Session) -> Finding:
    if await lineage.is_restored(session):
        return fail(
            "lineage",
            "this database was restored, or moved, and nothing is sent on its word."
            " See docs/operate/database-restored.md.",
        )
    waiting = await restored.doubts(session)
    if waiting:
        return warn(
            "lineage",
            f"since the last restore {len(waiting)} providers' lists were not read:"
            " run `smmos providers reconcile`.",
        )
    return ok("lineage", "the database knows all that was done")


async def _check_keys(session: Session, runtime: Runtime) -> Finding:
    """A credential that no key opens means orders that cannot be handed over."""
    accounts = await supply.every(session)
    closed = []
    for provider in accounts:
        try:
            supply.account_of(provider, runtime.keys, time_scale=1)
        except Undecryptable:
            closed.append(provider.name)
    if closed:
        return fail(
            "master keys",
            f"do not open the credentials of {', '.join(closed)}. Put the key that sealed them"
            " back into SMMOS_MASTER_KEYS.",
        )
    if not accounts:
        return ok("master keys", "well-formed; there is no credential yet to try them on")
    return ok("master keys", f"open the credentials of all {len(accounts)} providers")


async def _check_ledger(session: Session) -> Finding:
    found = await ledger.violations(session)
    if found:
        codes = ", ".join(sorted({one.code for one in found}))
        return fail(
            "ledger", f"{len(found)} rows that must never be: {codes}. See `smmos ledger-check`."
        )
    return ok("ledger", "clean")


async def _check_workers(session: Session) -> Finding:
    """Workers show by what they do: measure, and leave nothing due."""
    if not await gauges.read(session):
        return warn("workers", "none has reported yet. Start `smmos worker`.")
    late = [
        (float(age), kind)
        for kind, _lane, _count, age in await work.queue_ages(session)
        if age > _WAIT_SECONDS_MAX
    ]
    if late:
        seconds, kind = max(late)
        return fail(
            "workers",
            f"{kind} work has been due for {seconds:.0f} s. See that `smmos worker` runs and can"
            " reach the providers; if it does, start more of them.",
        )
    return ok("workers", f"no work has been due for more than {_WAIT_SECONDS_MAX} s")
