"""One run: a stack, load and blows side by side, then quiet, then the verdict."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx

from tests.chaos.blows import Assailant
from tests.chaos.load import Resellers
from tests.chaos.naive import PROGRAM as NAIVE
from tests.chaos.plan import Blow, plan
from tests.chaos.victims import Family
from tests.faults.facts import facts_of
from tests.faults.oracle import verdict
from tests.faults.stacks import RunningStack, running_stack

WORKERS: Final = 2
API_PROCESSES: Final = 2
MISCHIEF_LASTS_SECONDS: Final = 5.0
QUIET_SECONDS_MAX: Final = 120.0
"""By then every lease of the dead has run out, every breaker was probed, every order has ended."""
TOLD_SECONDS_MAX: Final = 90.0
SENT_TWICE: Final = frozenset({"taken-twice", "taken-and-to-be-sent"})
"""What the oracle calls an order that its provider has once more than we know of."""
_LOOK_SECONDS: Final = 0.5
# One that waits for its link, which an order has whose fate nobody knows yet, waits for that.
_RUNNING: Final = """
    SELECT (SELECT count(*) FROM schedules WHERE state = 'active') + (
        SELECT count(*) FROM orders o
        WHERE o.state IN ('queued', 'submitting', 'in_progress') AND NOT EXISTS (
            SELECT 1 FROM orders h
            WHERE o.state = 'queued' AND o.wait_reason = 'link_busy' AND h.link_hash = o.link_hash
              AND h.state IN ('unknown', 'needs_review')))
"""
_STILL_RUNNING: Final = (
    "SELECT o.id, o.state, o.wait_reason, w.kind, w.due_at, w.lease_until, p.state AS provider,"
    " p.pause_reason, p.breaker_open_until FROM orders o"
    " LEFT JOIN work w ON w.ref = o.id::text LEFT JOIN providers p ON p.id::text = w.lane"
    " WHERE o.state IN ('queued', 'submitting', 'in_progress') ORDER BY o.id LIMIT 20"
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to."""

    seed: int
    blows: int
    acknowledged: int
    answers: dict[int, int]
    """By status; 0 is a connection that broke."""
    states: dict[str, int]
    duplicates: int
    found: list[str]
    """Every promise that was not kept."""
    recovered_seconds: float
    """From the last blow until nothing was running any more."""

    @property
    def passed(self) -> bool:
        return not self.found


def run_seed(seed: int, seconds: float, *, naive: bool, say: Say) -> Outcome:
    """Start a stack, hurt it for so long, and judge what is left."""
    options = ("--api-processes", str(API_PROCESSES), "--workers", str(WORKERS))
    with running_stack(*options, program=NAIVE if naive else "app.cli") as stack:
        return asyncio.run(_Run(stack, seed, seconds, say).performed())


@dataclass(frozen=True, slots=True)
class _Run:
    stack: RunningStack
    seed: int
    seconds: float
    say: Say

    async def performed(self) -> Outcome:
        ready = self.stack.ready()
        resellers = Resellers(
            ready["base_urls"], ready["reseller_key"], self.stack.heard, self.seed
        )
        assailant = Assailant(Family(self.stack.process.pid), ready)
        blows = plan(self.seed, self.seconds)
        shopping = asyncio.create_task(resellers.shop(self.seconds))
        try:
            await self._strike(assailant, blows)
        finally:
            await assailant.healed()
        began = time.monotonic()
        found = await self._told_for_good(shopping, resellers)
        # Not before: what was ordered while all was down meets the provider's mischief too.
        await asyncio.sleep(MISCHIEF_LASTS_SECONDS)
        await assailant.behave()
        found += await self._quiet()
        recovered = time.monotonic() - began
        self.say(f"quiet after {recovered:.1f} s; every request is sent once more")
        found += await resellers.replay()
        await self._resolve(ready)
        found += await self._quiet()
        judged = await asyncio.to_thread(lambda: verdict(facts_of(self.stack)))
        violations = await self._sql("SELECT * FROM violations()")
        states = await self._sql("SELECT state, count(*) FROM orders GROUP BY state")
        return Outcome(
            seed=self.seed,
            blows=len(blows),
            acknowledged=resellers.acknowledged,
            answers={0: resellers.broken, **self.stack.heard.statuses},
            states={row[0]: row[1] for row in states},
            duplicates=sum(finding.code in SENT_TWICE for finding in judged),
            found=[
                *resellers.troubles,
                *found,
                *(f"{finding.code}: {finding.ref}, {finding.detail}" for finding in judged),
                *(f"ledger check: {' '.join(map(str, row))}" for row in violations),
            ],
            recovered_seconds=recovered,
        )

    async def _strike(self, assailant: Assailant, blows: Sequence[Blow]) -> None:
        began = time.monotonic()
        for blow in blows:
            await asyncio.sleep(max(0.0, began + blow.at - time.monotonic()))
            done = await assailant.strike(blow)
            self.say(f"{blow.at:6.1f} s  {blow.injury}: {done}")
        await asyncio.sleep(max(0.0, began + self.seconds - time.monotonic()))

    async def _told_for_good(self, shopping: asyncio.Task[None], resellers: Resellers) -> list[str]:
        """Every request must have been answered for good soon after the trouble is over."""
        done, _ = await asyncio.wait([shopping], timeout=TOLD_SECONDS_MAX)
        if done:
            shopping.result()
            return []
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
        late = f"{TOLD_SECONDS_MAX:.0f} s after the trouble"
        return [f"unanswered: {len(resellers.unanswered)} requests, {late}"]

    async def _quiet(self) -> list[str]:
        """Wait until nothing runs. Orders that hang may stay: they wait for an operator."""
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        while running := (await self._sql(_RUNNING))[0][0]:
            if time.monotonic() > deadline:
                rows = await self._sql(_STILL_RUNNING)
                late = f"unfinished after {QUIET_SECONDS_MAX:.0f} s of quiet"
                return [f"{late}: {dict(row)}" for row in rows] or [f"{late}: {running}"]
            await asyncio.sleep(_LOOK_SECONDS)
        return []

    async def _resolve(self, ready: dict[str, Any]) -> None:
        """What an operator does: look up at the provider under which id it has an order, and say
        so; write off what it never took. What cannot be told apart stays, with its money held.
        """
        taken: dict[str, set[str]] = {}
        for one in await asyncio.to_thread(self.stack.accepted):
            taken.setdefault(one["link"], set()).add(str(one["provider_order"]))
        hanging = await self._sql(
            "SELECT id, parent_id, (SELECT array_agg(k.provider_order_id) FROM orders k"
            " WHERE k.link_hash = o.link_hash AND k.provider_order_id IS NOT NULL) AS known,"
            " (SELECT count(*) FROM orders k WHERE k.link_hash = o.link_hash"
            " AND k.state IN ('unknown', 'needs_review')) AS on_its_link"
            " FROM orders o WHERE state IN ('unknown', 'needs_review') ORDER BY id"
        )
        reseller = {"Authorization": f"Bearer {ready['reseller_key']}"}
        operator = {"Authorization": f"Bearer {ready['operator_key']}"}
        async with httpx.AsyncClient(base_url=ready["base_url"], trust_env=False) as client:
            for row in hanging:
                order = (await client.get(f"/v1/orders/{row['id']}", headers=reseller)).json()
                unclaimed = taken.get(order["link"], set()) - set(row["known"] or ())
                if unclaimed and (len(unclaimed) > 1 or row["on_its_link"] > 1):
                    continue
                said = {"outcome": "written_off", "reason": "chaos: the provider has no such order"}
                if unclaimed:
                    said = {
                        "outcome": "accepted",
                        "provider_order_id": unclaimed.pop(),
                        "reason": "chaos: the provider has it under this id",
                    }
                answer = await client.post(
                    f"/v1/operator/orders/{row['id']}/resolve",
                    json=said,
                    headers=operator | {"Idempotency-Key": str(uuid4())},
                )
                # Found by our own evidence meanwhile: the verdict will tell.
                if answer.status_code != HTTPStatus.CONFLICT:
                    answer.raise_for_status()

    async def _sql(self, query: str) -> list[asyncpg.Record]:
        url = self.stack.ready()["database_url"].replace("+asyncpg", "")
        connection = await asyncpg.connect(url, timeout=10)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()
