"""Sync: ask a provider what it sells, outside of any transaction, and take it over part by part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

from app.catalog import mirror, repricing
from app.catalog.comparison import Verdict
from app.catalog.errors import SyncRunning
from app.catalog.listing import Part, objection, parts, read_list
from app.catalog.mirror import SYNC, SYNC_EVERY, THE_SYNC, Applied, Run
from app.catalog.repricing import NewPrice
from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import PROVIDER_CALLS, PROVIDER_SECONDS
from app.core.runtime import Runtime
from app.core.uow import Transaction, now_of
from app.core.work import Lease
from app.providers.protocol import CatalogEntry, ProviderUnreachable
from app.providers.registry import get_adapter
from app.providers.wire import Wire
from app.supply import protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import Closed
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)

LEASE_SECONDS: Final = 300.0
RETRY_EVERY: Final = timedelta(minutes=15)
BUSY_WAIT: Final = timedelta(minutes=1)
REPRICING_ROUNDS_MAX: Final = 1_000

Round: TypeAlias = tuple[int | None, list[NewPrice]]
"""Where to go on, None at the end, and the prices that changed."""


@dataclass(slots=True)
class Synced:
    """How a sync went: what was counted, why it failed if it did, and what is to be said of it."""

    counts: Counter[str] = field(default_factory=Counter)
    failure: str | None = None
    remark: str | None = None


async def drain_sync(context: WorkerContext, lane: str) -> None:
    """Sync the provider of this lane, if that is due."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set():
            return

        async def lease(session: Session) -> Lease:
            return await work.lease(
                session, SYNC, lane, limit=1, in_flight_max=1, seconds=LEASE_SECONDS
            )

        leased = await context.runtime.uow.run(lease)
        if not leased.refs:
            return
        for ref in leased.refs:
            wait = await _sync_if_admitted(context, UUID(ref))
            await _put_back(context.runtime, leased, ref, wait)


async def _sync_if_admitted(context: WorkerContext, provider_id: UUID) -> timedelta:
    """Sync where the provider may be called now; how long to wait until the next time."""

    async def admit(session: Session) -> Closed | None:
        grant = await protection.admit_reads(session, provider_id)
        if isinstance(grant, Closed):
            return grant
        await protection.spend_reads(session, grant.provider, 1)
        return None

    closed = await context.runtime.uow.run(admit)
    if closed is not None:
        log.info("sync_put_off", provider_id=str(provider_id), why=closed)
        return BUSY_WAIT
    try:
        synced = await sync_provider(context.runtime, context.wire, provider_id)
    except SyncRunning:
        return BUSY_WAIT
    return RETRY_EVERY if synced.failure else SYNC_EVERY


async def _put_back(runtime: Runtime, leased: Lease, ref: str, wait: timedelta) -> None:
    async def transaction(session: Session) -> None:
        # One that was asked for again meanwhile keeps the time that it was given.
        held = await work.lock_held(session, leased, [ref])
        await work.put_back(session, SYNC, held, due_at=now_of(session) + wait)

    await runtime.uow.run(transaction)


async def sync_provider(
    runtime: Runtime, wire: Wire, provider_id: UUID, *, may_shrink: bool = False
) -> Synced:
    """One sync of one provider, on record from its beginning to its end.

    Raises SyncRunning while another is under way. `may_shrink` believes a list that lost most of
    what it had.
    """

    async def begin(session: Session) -> tuple[Provider, Run]:
        provider = await supply.get(session, provider_id)
        return provider, await mirror.begin(session, provider_id)

    provider, run = await runtime.uow.run(begin)
    synced = Synced()
    try:
        await _sync(runtime, wire, provider, run, synced, may_shrink=may_shrink)
    except BaseException as error:
        # Also one that is cut off by a worker's end: it must not pass for a sync that went well.
        synced.failure = f"unexpected: {type(error).__name__}"
        raise
    finally:
        await _end(runtime, run, synced)
    log.info(
        "catalogue_synced",
        provider=provider.name,
        why=synced.failure or synced.remark,
        **synced.counts,
    )
    return synced


async def _sync(
    runtime: Runtime, wire: Wire, provider: Provider, run: Run, synced: Synced, *, may_shrink: bool
) -> None:
    slices = await _ask(runtime, wire, provider, synced, may_shrink=may_shrink)
    for part in slices:

        async def transaction(session: Session, part: Part = part) -> Counter[str]:
            return (await mirror.apply(session, run, part)).counts

        synced.counts["listed"] += len(part.listed)
        synced.counts += await runtime.uow.run(transaction)
    if synced.failure is None:
        repriced = await reprice(runtime, provider.id, by=THE_SYNC)
        synced.counts += Counter(repriced=repriced)


async def _end(runtime: Runtime, run: Run, synced: Synced) -> None:
    async def transaction(session: Session) -> None:
        await mirror.end(
            session,
            run,
            failure=synced.failure,
            remark=synced.remark,
            counts=synced.counts,
        )

    await runtime.uow.run(transaction)


async def _ask(
    runtime: Runtime, wire: Wire, provider: Provider, synced: Synced, *, may_shrink: bool
) -> Sequence[Part]:
    """The provider's list in parts; none of it, with the failure noted, where it is no good."""
    try:
        entries = await _call(runtime, wire, provider)
    except ProviderUnreachable as trouble:
        synced.failure = f"the provider did not answer as it should: {trouble.kind}"
        return ()
    async with runtime.uow.begin() as session:
        before = await mirror.listed_before(session, provider.id)
        selling = runtime.settings.currency
        rate = await supply.rate_to_ours(session, provider.currency, selling)
    if rate is None:
        synced.remark = f"{provider.currency} has no exchange rate: nothing is priced"
    listing = read_list(entries)
    synced.failure = objection(listing, known=len(before), may_shrink=may_shrink)
    return () if synced.failure else tuple(parts(listing, before))


async def _call(runtime: Runtime, wire: Wire, provider: Provider) -> Sequence[CatalogEntry]:
    account = supply.account_of(provider, runtime.keys, time_scale=runtime.settings.time_scale)
    started = time.monotonic()
    outcome = "answered"
    try:
        return await get_adapter(account.adapter, wire).services(account)
    except ProviderUnreachable as trouble:
        outcome = trouble.kind
        raise
    finally:
        PROVIDER_CALLS.labels(provider.name, "services", outcome).inc()
        PROVIDER_SECONDS.labels(provider.name, "services").observe(time.monotonic() - started)


async def reprice(runtime: Runtime, provider_id: UUID | None, *, by: Actor) -> int:
    """Reprice what has a route to this provider, or to any; how many prices changed."""
    return len(await _reprice(runtime.uow.run, provider_id, by=by))


async def _reprice(
    run: Callable[[Transaction[Round]], Awaitable[Round]], provider_id: UUID | None, *, by: Actor
) -> list[NewPrice]:
    """Round by round, each in a transaction that `run` runs; the prices that changed."""
    changed: list[NewPrice] = []
    after = 0
    for _ in range(REPRICING_ROUNDS_MAX):

        async def transaction(session: Session, after: int = after) -> Round:
            return await repricing.reprice_some(session, provider_id, after=after, by=by)

        last, some = await run(transaction)
        changed += some
        if last is None:
            break
        after = last
    return changed


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a sync would make of each service listed, and of the prices of ours."""

    verdicts: list[Verdict]
    prices: list[NewPrice]


async def foresee(
    runtime: Runtime, wire: Wire, provider_id: UUID, *, may_shrink: bool = False
) -> tuple[Synced, Foreseen]:
    """What a sync would do now: each of its steps is tried out, and nothing of it is done.

    Raises SyncRunning while one is under way.
    """
    async with runtime.uow.begin() as session:
        provider = await supply.get(session, provider_id)
    synced = Synced()
    foreseen = Foreseen([], [])
    priced: set[int] = set()
    for part in await _ask(runtime, wire, provider, synced, may_shrink=may_shrink):

        async def step(session: Session, part: Part = part) -> Applied:
            return await mirror.apply(session, await mirror.begin(session, provider_id), part)

        applied = await runtime.uow.try_out(step)
        foreseen.verdicts.extend(applied.verdicts)
        foreseen.prices.extend(applied.prices)
        priced |= applied.priced
        synced.counts += Counter(listed=len(part.listed)) + applied.counts
    if synced.failure is None:
        # It knows only what the others cost: the new costs have been taken back.
        others = await _reprice(runtime.uow.try_out, provider_id, by=THE_SYNC)
        changed = [price for price in others if price.service_id not in priced]
        foreseen.prices.extend(changed)
        synced.counts += Counter(repriced=len(changed))
    return synced, foreseen
