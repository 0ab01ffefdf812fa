"""Upkeep: sweep lost leases, check the ledger, keep gauges, forget what is old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.catalog import gauges as catalogue_gauges
from app.core import gauges, idempotency, lineage, work
from app.core.db import Session
from app.core.gauges import Sample
from app.core.logging import get_logger
from app.core.uow import now_of
from app.core.work import Lease
from app.files.service import COLLECT
from app.ledger import service as ledger
from app.orders import estimates, lateness, link_locks, resolving, sweeping
from app.orders import gauges as order_gauges
from app.orders.canceling import CANCEL
from app.orders.refill_asking import sweep_refills
from app.orders.refill_moves import REFILL_FOLLOW
from app.orders.service import FOLLOW, RECONCILE
from app.panel import adding
from app.refunds import evidence
from app.refunds import gauges as claim_gauges
from app.refunds.deciding import CLAIM
from app.schedules.starting import SCHEDULE
from app.supply import gauges as provider_gauges
from app.supply import sampling
from app.supply import service as supply
from workers.context import WorkerContext
from workers.draining import LEASE_SECONDS, drain_each

log = get_logger(__name__)

UPKEEP: Final = "upkeep"
RETRY_AFTER: Final = timedelta(minutes=1)
SWEEP_LEASE_SECONDS: Final = 20.0
"""Short: all that a dead worker had leased waits for the sweeper, and two at once do no harm."""
CHECK_LEASE_SECONDS: Final = 1900.0
"""A ledger check ends by its own time-out before this: it is never begun twice."""
LEARN_LEASE_SECONDS: Final = 700.0
"""What reads weeks of orders, twice."""
CHECK_OVERLAP: Final = timedelta(minutes=5)

Act = Callable[[WorkerContext, Session], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done again and again, and how long after the last time.

    A task that may take long has a lane of its own, so that no other waits for it, and a lease
    longer than it can take.
    """

    act: Act
    every: timedelta
    lane: str = work.MAIN_LANE
    lease_seconds: float = LEASE_SECONDS


async def sweep(_context: WorkerContext, session: Session) -> None:
    """Judge the orders of workers that lost their lease, and free all other expired leases."""
    swept = await sweeping.sweep_dispatch(session)
    swept += await sweep_refills(session, limit=sweeping.SWEEP_MAX)
    for kind in (FOLLOW, RECONCILE, supply.PROBE, CANCEL, REFILL_FOLLOW, SCHEDULE, COLLECT, CLAIM):
        refs = await work.lock_expired(session, kind, limit=sweeping.SWEEP_MAX)
        await work.put_back(session, kind, refs, due_at=now_of(session))
        swept += len(refs)
    if swept:
        log.warning("leases_swept", leases=swept)


async def cancel_stale(context: WorkerContext, session: Session) -> None:
    """Give back the money of orders that waited too long."""
    days = context.settings.queued_days_max
    canceled = await sweeping.cancel_stale(session, queued_days_max=days)
    if canceled:
        log.warning("stale_orders_canceled", orders=canceled, after_days=days)


async def stop_told_late(_context: WorkerContext, session: Session) -> None:
    """Have providers stop what was given up before they told that they have it."""
    stopped = await resolving.stop_told_late(session)
    if stopped:
        log.warning("given_up_orders_were_taken", orders=stopped)


async def free_links(_context: WorkerContext, session: Session) -> None:
    """Let others have the links of orders of which nothing is known for a day."""
    freed = await link_locks.release_doubtful(session)
    if freed:
        log.warning("links_of_doubtful_orders_freed", orders=freed)


async def flag_late(_context: WorkerContext, session: Session) -> None:
    """Tell the resellers whose orders are later than was promised."""
    flagged = await lateness.flag_late(session)
    if flagged:
        log.info("orders_are_late", orders=flagged)


async def measure(_context: WorkerContext, session: Session) -> None:
    """Compute the gauges over tables, so that a scrape only reads them."""
    if await lineage.is_restored(session):
        log.error("database_restored", told="nothing is sent until `smmos restored` is said")
    samples: list[Sample] = []
    for kind, lane, count, age in await work.queue_ages(session):
        labels = f'kind="{kind}",lane="{lane}"'
        samples.append(Sample("smmos_work_due", labels, count))
        samples.append(Sample("smmos_work_age_seconds", labels, float(age)))
    samples += await order_gauges.samples(session)
    samples += await order_gauges.lost_samples(session)
    samples += await provider_gauges.samples(session)
    samples += await catalogue_gauges.samples(session)
    samples += await claim_gauges.counts(session)
    names = {"smmos_work_due", "smmos_work_age_seconds"}
    names |= order_gauges.NAMES | provider_gauges.NAMES | catalogue_gauges.NAMES
    names |= claim_gauges.COUNTS
    await gauges.replace(session, names, samples)


async def measure_claims(_context: WorkerContext, session: Session) -> None:
    """Compute how often orders are claimed on, which reads a month of them."""
    await gauges.replace(session, claim_gauges.RATES, await claim_gauges.rates(session))


async def learn_estimates(_context: WorkerContext, session: Session) -> None:
    """Learn how long each service takes in truth."""
    await estimates.learn(session)


async def check_ledger(_context: WorkerContext, session: Session) -> None:
    """The ledger check over what the last minutes touched."""
    await _check(session, "recent", full=False)


async def check_ledger_in_full(_context: WorkerContext, session: Session) -> None:
    """The ledger check over everything, once a day."""
    await _check(session, "full", full=True)


async def _check(session: Session, scope: str, *, full: bool) -> None:
    since = None if full else now_of(session) - CHECK_OVERLAP
    found = await ledger.violations(session, since)
    name = f"smmos_ledger_violations_{scope}"
    checked = f"smmos_ledger_checked_{scope}_timestamp_seconds"
    counts: dict[str, int] = {}
    for violation in found:
        counts[violation.code] = counts.get(violation.code, 0) + 1
        log.error(
            "ledger_violation", code=violation.code, ref=violation.ref, detail=violation.detail
        )
    samples = [Sample(name, f'code="{code}"', count) for code, count in sorted(counts.items())]
    samples.append(Sample(name, 'code="all"', len(found)))
    samples.append(Sample(checked, "", now_of(session).timestamp()))
    await gauges.replace(session, {name, checked}, samples)


async def forget_keys(_context: WorkerContext, session: Session) -> None:
    """Drop idempotency answers and keys whose time is over."""
    await idempotency.forget_old(session)


async def forget_intakes(_context: WorkerContext, session: Session) -> None:
    """Drop what API v2 kept to know its own repetitions."""
    await adding.forget_intakes(session)


async def forget_samples(_context: WorkerContext, session: Session) -> None:
    """Drop samples of balances that are too old to prove anything."""
    await sampling.forget_old(session)


async def remove_evidence(context: WorkerContext, session: Session) -> None:
    """Delete the files of claims that were closed long ago."""
    days = context.settings.claim_evidence_days
    removed = await evidence.remove_old(session, days=days)
    if removed:
        log.info("evidence_removed", files=removed, after_days=days)


TASKS: Final[dict[str, Task]] = {
    "sweep": Task(sweep, timedelta(seconds=5), "sweep", SWEEP_LEASE_SECONDS),
    "measure": Task(measure, timedelta(seconds=10)),
    "measure_claims": Task(measure_claims, timedelta(hours=1), "learn", LEARN_LEASE_SECONDS),
    "learn_estimates": Task(learn_estimates, timedelta(hours=1), "learn", LEARN_LEASE_SECONDS),
    "check_ledger": Task(check_ledger, timedelta(minutes=1), "check_ledger", CHECK_LEASE_SECONDS),
    "check_ledger_in_full": Task(
        check_ledger_in_full, timedelta(days=1), "check_ledger_in_full", CHECK_LEASE_SECONDS
    ),
    "cancel_stale": Task(cancel_stale, timedelta(minutes=10)),
    "stop_told_late": Task(stop_told_late, timedelta(minutes=1)),
    "flag_late": Task(flag_late, timedelta(minutes=1)),
    "free_links": Task(free_links, timedelta(minutes=1)),
    "forget_keys": Task(forget_keys, timedelta(minutes=10)),
    "forget_intakes": Task(forget_intakes, timedelta(hours=1)),
    "forget_samples": Task(forget_samples, timedelta(hours=1)),
    "remove_evidence": Task(remove_evidence, timedelta(hours=1)),
}
"""All tasks by name. One worker does each."""


async def promise_tasks(session: Session) -> None:
    """See that every task has its row; those that have one keep their time.

    Tasks of a worker that died are freed here: the sweeper may be among them.
    """
    await work.put_if_absent(session, UPKEEP, list(TASKS))
    lost = await work.lock_expired(session, UPKEEP, limit=len(TASKS))
    if lost:
        await work.put_back(session, UPKEEP, lost, due_at=now_of(session))


async def drain_upkeep(context: WorkerContext, lane: str) -> None:
    """Do the tasks that are due, each in a transaction of its own."""

    async def one(leased: Lease, ref: str) -> None:
        task = TASKS.get(ref)
        if task is None:
            # Promised by a newer version of us: one of its workers does it.
            await _put_back(context, ref, RETRY_AFTER)
            return

        async def transaction(session: Session) -> None:
            if leased.lane != task.lane:
                # Tasks are promised in the main lane; it moves once to its own.
                await work.put(session, UPKEEP, ref, lane=task.lane)
                return
            await task.act(context, session)
            await work.put_back(session, UPKEEP, [ref], due_at=now_of(session) + task.every)

        try:
            await context.runtime.uow.run(transaction)
        except Exception:
            # Not left to its lease, which for a long check lasts longer than the check may wait.
            await _put_back(context, ref, task.every)
            raise

    seconds = max(
        (t.lease_seconds for t in TASKS.values() if t.lane == lane), default=LEASE_SECONDS
    )
    await drain_each(context, UPKEEP, lane, one, lease_seconds=seconds)


async def _put_back(context: WorkerContext, ref: str, every: timedelta) -> None:
    async def transaction(session: Session) -> None:
        wait = min(every, RETRY_AFTER)
        await work.put_back(session, UPKEEP, [ref], due_at=now_of(session) + wait)

    await context.persist(transaction)
