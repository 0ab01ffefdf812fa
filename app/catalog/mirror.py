"""A sync of one provider, part by part: what it lists becomes what we go by, or a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.catalog import (
    finding_repository,
    mirror_repository,
    price_repository,
    repricing,
    sync_repository,
)
from app.catalog.comparison import (
    PRICE_JUMP_BASIS_POINTS,
    Use,
    Verdict,
    judge_absent,
    judge_listed,
    judge_repeated,
)
from app.catalog.errors import SyncRunning
from app.catalog.listing import Part
from app.catalog.mirror_models import (
    ProviderService,
    ProviderServiceChange,
    SyncOutcome,
    SyncRun,
)
from app.catalog.repricing import NewPrice
from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.ids import new_id, public_id
from app.core.uow import now_of

SYNC: Final = "sync"
SYNC_EVERY: Final = timedelta(hours=6)
RUN_PREFIX: Final = "syn"
RUN_LOST_AFTER: Final = timedelta(minutes=5)
PROMISED_AT_ONCE_MAX: Final = 100
THE_SYNC: Final = Actor("system", "sync")


class SyncLost(Exception):
    """The run was given up for lost meanwhile: it changes nothing any more."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sync under way, and how far it lets prices move."""

    id: UUID
    provider_id: UUID
    started_at: datetime
    jump_basis_points: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What was made of one part: a verdict on each service, and the prices that followed; `priced`
    are the services of ours whose cost is another now, whatever became of their price.
    """

    verdicts: list[Verdict]
    prices: list[NewPrice]
    priced: set[int]

    @property
    def counts(self) -> Counter[str]:
        """How often what happened."""
        return counted(self.verdicts) + Counter(repriced=len(self.prices))


def public_run_id(run_id: UUID) -> str:
    return public_id(RUN_PREFIX, run_id)


async def promise(session: Session) -> None:
    """See that every active provider is synced again and again; those that are keep their time."""
    lost = await work.lock_expired(session, SYNC, limit=PROMISED_AT_ONCE_MAX)
    if lost:
        await work.put_back(session, SYNC, lost, due_at=now_of(session))
    for provider_id in await sync_repository.providers_without(
        session, SYNC, limit=PROMISED_AT_ONCE_MAX
    ):
        await work.put_if_absent(session, SYNC, [str(provider_id)], lane=str(provider_id))


async def ask(session: Session, provider_id: UUID) -> None:
    """Have a provider synced as soon as a worker can."""
    await work.put(session, SYNC, str(provider_id), lane=str(provider_id))


async def hasten(session: Session, provider_id: UUID) -> None:
    """Bring a provider's next sync forward; one that is under way is left alone."""
    await work.hasten(session, SYNC, [str(provider_id)], due_at=now_of(session))


async def begin(session: Session, provider_id: UUID) -> Run:
    """Begin a run. Raises SyncRunning while another one of this provider is under way."""
    now = now_of(session)
    await sync_repository.give_up_lost(
        session, provider_id, begun_before=now - RUN_LOST_AFTER, why="its worker died", now=now
    )
    run = await _run_of(session, provider_id)
    if not await sync_repository.begin(session, run.id, provider_id, now=now):
        raise SyncRunning
    return run


async def _run_of(session: Session, provider_id: UUID) -> Run:
    rule = await sync_repository.find_rule(session, provider_id)
    jump = rule.price_jump_basis_points if rule else PRICE_JUMP_BASIS_POINTS
    return Run(new_id(), provider_id, now_of(session), jump)


async def listed_before(session: Session, provider_id: UUID) -> set[str]:
    """The services that a provider's list should have, as far as we know."""
    return await mirror_repository.listed_services(session, provider_id)


async def _judge(session: Session, run: Run, part: Part) -> list[Verdict]:
    """What to make of each service of a part."""
    known = await mirror_repository.lock_known(session, run.provider_id, part.services)
    uses = await mirror_repository.uses(session, run.provider_id, part.services)
    nothing = Use()
    verdicts = [
        judge_listed(
            entry,
            known.get(entry.service),
            uses.get(entry.service, nothing),
            jump_basis_points=run.jump_basis_points,
        )
        for entry in part.single
    ]
    verdicts += [
        judge_repeated(entries, uses.get(entries[0].service, nothing)) for entries in part.repeated
    ]
    absent = (
        judge_absent(known[service], uses.get(service, nothing), sync_started_at=run.started_at)
        for service in part.absent
        if service in known
    )
    return verdicts + [verdict for verdict in absent if verdict is not None]


async def apply(session: Session, run: Run, part: Part) -> Applied:
    """Judge one part and store what follows: mirror, history, findings, routes, costs, prices.

    Raises SyncLost for a run that has been given up.
    """
    if await sync_repository.lock_running(session, run.id) is None:
        raise SyncLost
    verdicts = await _judge(session, run, part)
    await _store_facts(session, run, part, verdicts)
    now = now_of(session)
    withdrawn = [finding for verdict in verdicts for finding in verdict.withdrawn]
    await mirror_repository.write_history(session, run.provider_id, verdicts, now=now)
    await finding_repository.withdraw_findings(session, withdrawn, now=now)
    await finding_repository.open_findings(session, run.provider_id, verdicts, now=now)
    settled = [one.service for one in verdicts if one.opened or one.withdrawn]
    if settled:
        await finding_repository.settle_routes(session, run.provider_id, settled)
    costs = {
        one.service: one.route_cost_micros for one in verdicts if one.route_cost_micros is not None
    }
    concerned = await price_repository.set_costs(session, run.provider_id, costs)
    prices = await repricing.reprice(session, concerned, by=THE_SYNC) if concerned else []
    return Applied(verdicts, prices, concerned)


async def _store_facts(session: Session, run: Run, part: Part, verdicts: Sequence[Verdict]) -> None:
    now, provider_id = now_of(session), run.provider_id
    absent = set(part.absent)
    listed = [one for one in verdicts if one.service not in absent and one.known]
    added = [one.known for one in listed if one.known and one.is_new]
    changed = [one.known for one in listed if one.known and one.changes and not one.is_new]
    away = [one for one in verdicts if one.service in absent and one.known]
    gone = [one.service for one in away if one.known and one.known.gone and one.changes]
    missing = [one.service for one in away if one.known and not one.known.gone]
    if added:
        await mirror_repository.insert(session, provider_id, added, now=now)
    if changed:
        await mirror_repository.update(session, provider_id, changed, now=now)
    if part.listed:
        await mirror_repository.note_seen(session, provider_id, part.listed, now=now)
    if missing:
        await mirror_repository.note_missing(session, provider_id, missing, since=run.started_at)
    if gone:
        await mirror_repository.note_gone(session, provider_id, gone, now=now)


def counted(verdicts: Sequence[Verdict]) -> Counter[str]:
    """How often what happened."""
    counts: Counter[str] = Counter()
    for verdict in verdicts:
        counts.update(str(change.what) for change in verdict.changes)
        counts["quarantined"] += len(verdict.opened)
        counts["withdrawn"] += len(verdict.withdrawn)
        counts["missing"] += bool(
            verdict.known and verdict.known.missing_since and not verdict.known.gone
        )
    return +counts


async def end(
    session: Session,
    run: Run,
    *,
    failure: str | None,
    remark: str | None,
    counts: Mapping[str, int],
) -> None:
    """End a run: failed where there is a failure to tell, else well, perhaps with a remark."""
    await sync_repository.end(
        session,
        run.id,
        SyncOutcome.FAILED if failure else SyncOutcome.OK,
        why=failure or remark,
        counts=counts,
        now=now_of(session),
    )


async def page(
    session: Session, *, provider_id: UUID | None, gone: bool | None, after: int | None, limit: int
) -> Sequence[ProviderService]:
    """What providers sell, the newest to us first."""
    return await mirror_repository.page(
        session, provider_id=provider_id, gone=gone, after=after, limit=limit
    )


async def history_page(
    session: Session,
    *,
    provider_id: UUID | None,
    provider_service: str | None,
    after: int | None,
    limit: int,
) -> Sequence[ProviderServiceChange]:
    """How what providers sell has changed, newest first."""
    return await mirror_repository.history_page(
        session,
        provider_id=provider_id,
        provider_service=provider_service,
        after=after,
        limit=limit,
    )


async def run_page(
    session: Session, *, provider_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[SyncRun]:
    """The syncs there were, newest first."""
    return await sync_repository.page(session, provider_id=provider_id, after=after, limit=limit)


async def price_jump_of(session: Session, provider_id: UUID) -> int:
    """How far a price of this provider may move by itself, in basis points."""
    return (await _run_of(session, provider_id)).jump_basis_points


async def set_price_jump(session: Session, provider_id: UUID, basis_points: int) -> None:
    """Let prices of this provider move so far by themselves from the next sync on."""
    await sync_repository.put_rule(
        session, provider_id, price_jump_basis_points=basis_points, now=now_of(session)
    )
