"""The ledger check: each thing that must never be is planted once, and found under its own name."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core import audit
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.core.uow import now_of
from app.ledger import service as ledger
from app.ledger.service import Violation
from app.schedules.starting import SCHEDULE
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import World

GUARDED = (
    *("journal", "postings", "audit_log", "order_events", "orders"),
    *("schedules", "schedule_events"),
)


class Undone(Exception):
    """Ends a transaction whose doings are not to stay."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One order of each life and a drip-feed under way, and the means to corrupt them a moment."""

    runtime: Runtime
    queued: int
    running: int
    completed: int
    schedule: int

    async def found_after(
        self, *statements: str, since: timedelta | None = None
    ) -> list[Violation]:
        """What the check finds in a database corrupted so; afterwards it is as it was."""
        found: list[Violation] = []
        with suppress(Undone):
            async with self.runtime.uow.begin() as session:
                connection = await session.connection()
                for table in GUARDED:
                    await connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                for statement in statements:
                    await connection.exec_driver_sql(self._filled(statement))
                since_at = None if since is None else now_of(session) - since
                found = await ledger.violations(session, since_at)
                raise Undone
        return found

    def _filled(self, statement: str) -> str:
        for name in ("queued", "running", "completed", "schedule"):
            statement = statement.replace(f":{name}", str(getattr(self, name)))
        return statement


def codes(found: list[Violation]) -> set[str]:
    return {one.code for one in found}


@pytest.fixture
async def scene(
    runtime: Runtime, world: World, worker: Worker, simulator: Simulator, clock: Clock
) -> Scene:
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[provider])
    reseller = await world.reseller()
    completed = await world.order(reseller, service)
    await worker.until_ended()
    await simulator.speed(units_per_second=0)
    running = await world.order(reseller, service)
    await worker.dispatch(provider)
    queued = await world.order(reseller, service)
    schedule = await world.order(reseller, service, runs=3, interval_minutes=60)
    await worker.drain(SCHEDULE)
    async with runtime.uow.begin() as session:
        for action in ("one", "two", "three"):
            await audit.record(session, Actor("operator", "opr_1"), action, "s", {"a": 1})
    made = Scene(runtime, queued["id"], running["id"], completed["id"], schedule["id"])
    assert (await world.row(made.completed)).state == "completed"
    assert (await world.row(made.running)).state == "in_progress"
    assert await made.found_after() == []
    return made


REFILL = (
    "INSERT INTO refills (order_id, book_id, provider_id, state, requested_by, created_at)"
    " SELECT id, book_id, provider_id, 'requested', 'r', clock_timestamp() FROM orders"
    " WHERE id = :completed"
)
UNKNOWN_REFILL = REFILL.replace("'requested'", "'unknown'")

CLAIM = (
    "INSERT INTO refund_claims (id, order_id, book_id, reason, description, state, filed_by,"
    " opens_at, closes_at, deadline, due_at, rule, clause, words, refund, paid_by, version,"
    " created_at, closed_at) SELECT gen_random_uuid(), id, book_id, 'not-delivered', 'd', {}, 'r',"
    " now(), now(), now(), now(), 'r', 'c', 'w', {}, 1, now(), {} FROM orders"
    " WHERE id = :completed"
)
WAITING_CLAIM = CLAIM.format("'awaiting_deadline'", "NULL, NULL", "NULL")
OPEN_CLAIM = CLAIM.format("'with_operator'", "NULL, NULL", "NULL")
PAID_CLAIM = CLAIM.format("'approved'", "charge, 'refund_claim'", "now()")

LIVE_ATTEMPT = (
    "INSERT INTO attempts (id, order_id, number, route_id, provider_id, provider_service, state,"
    " lease_token, cost_micros, cost_currency, rate_to_ours_micros, started_at)"
    " SELECT gen_random_uuid(), :queued, 1, route_id, provider_id, provider_service, 'sending',"
    " lease_token, cost_micros, cost_currency, rate_to_ours_micros, started_at FROM attempts"
    " WHERE order_id = :running"
)

PLANTS: dict[str, list[tuple[str, ...]]] = {
    "journal-unbalanced": [
        ("UPDATE postings SET amount = amount + 1 WHERE order_id = :queued AND line = 2",)
    ],
    "journal-empty": [
        (
            "INSERT INTO journal (id, kind, ref_type, ref_id, created_at)"
            " VALUES (gen_random_uuid(), 'credit', 'credit', 'x', clock_timestamp())",
        )
    ],
    "ledger-not-zero": [("DELETE FROM postings WHERE order_id = :queued AND line = 2",)],
    "balance-drift": [("UPDATE accounts SET balance = balance + 1 WHERE kind = 'wallet'",)],
    "held-drift": [
        ("UPDATE accounts SET held = held + 1 WHERE kind = 'wallet'",),
        ("UPDATE schedules SET held = held - 1, allocated = allocated + 1",),
    ],
    "wallet-negative": [
        (
            "ALTER TABLE accounts DROP CONSTRAINT ck_accounts_balance",
            "UPDATE accounts SET balance = -1 WHERE kind = 'wallet'",
        )
    ],
    "order-not-charged-once": [
        (
            "DELETE FROM postings WHERE order_id = :queued",
            "DELETE FROM journal j WHERE NOT EXISTS"
            " (SELECT 1 FROM postings p WHERE p.journal_id = j.id)",
        ),
        (
            "INSERT INTO journal (id, kind, ref_type, ref_id, created_at) VALUES"
            " ('00000000-0000-0000-0000-0000000000ff', 'order_hold', 'order', 'x',"
            " clock_timestamp())",
            "INSERT INTO postings SELECT '00000000-0000-0000-0000-0000000000ff', line, account_id,"
            " amount, balance_after, order_id FROM postings WHERE order_id = :queued",
        ),
        # Held for by itself, and for a run.
        ("UPDATE orders SET parent_id = :schedule, run_number = 3 WHERE id = :queued",),
    ],
    "money-without-order": [
        (
            "DELETE FROM order_events WHERE order_id = :queued",
            "DELETE FROM order_inputs WHERE order_id = :queued",
            "DELETE FROM orders WHERE id = :queued",
        )
    ],
    "money-of-another-book": [
        (
            "INSERT INTO accounts (id, kind, book_id, balance, held) SELECT"
            " '00000000-0000-0000-0000-0000000000ab', 'wallet', id, 0, 0 FROM books"
            " WHERE mode = 'test'",
            "UPDATE postings SET account_id = '00000000-0000-0000-0000-0000000000ab'"
            " WHERE order_id = :completed AND balance_after IS NOT NULL",
        )
    ],
    "answer-without-order": [
        (
            "INSERT INTO idempotency_keys (owner, key, request_hash, status, location, created_at)"
            " VALUES ('book:x', 'k', '', 201, '/v1/orders/5', clock_timestamp())",
        )
    ],
    "order-money-drift": [
        ("UPDATE orders SET earned = earned - 1, refunded = refunded + 1 WHERE id = :completed",)
    ],
    "order-arithmetic": [
        ("UPDATE orders SET held = held - 1, earned = earned + 1 WHERE id = :queued",),
        (
            "ALTER TABLE orders DROP CONSTRAINT ck_orders_arithmetic",
            "UPDATE orders SET earned = earned - 1 WHERE id = :completed",
        ),
    ],
    "order-remains": [
        ("UPDATE orders SET remains = 5 WHERE id = :completed",),
        ("UPDATE orders SET state = 'partial', remains = NULL WHERE id = :completed",),
        ("UPDATE orders SET state = 'partial', remains = units WHERE id = :completed",),
    ],
    "order-events-missing": [
        ("UPDATE orders SET version = version + 1 WHERE id = :running",),
        ("DELETE FROM order_events WHERE order_id = :completed AND seq = 2",),
    ],
    "attempts-two-live": [
        (
            "DROP INDEX uq_attempts_possibly_live",
            "INSERT INTO attempts SELECT gen_random_uuid(), order_id, 2, route_id, provider_id,"
            " provider_service, 'sending', lease_token, cost_micros, cost_currency,"
            " rate_to_ours_micros, outcome, started_at FROM attempts WHERE order_id = :running",
        )
    ],
    "order-taken-twice": [
        (
            LIVE_ATTEMPT.replace(":queued, 1", ":running, 2").replace("'sending'", "'absent'"),
            "INSERT INTO provider_evidence (attempt_id, provider_order_id, answer, at)"
            " SELECT id, 'x', '{}', started_at FROM attempts WHERE order_id = :running"
            " AND number = 2",
        )
    ],
    "order-without-attempt": [("UPDATE attempts SET state = 'absent' WHERE order_id = :running",)],
    "attempt-contradicts-order": [
        (LIVE_ATTEMPT,),
        ("UPDATE attempts SET state = 'unknown' WHERE order_id = :running",),
        ("UPDATE attempts SET provider_order_id = 'x' WHERE order_id = :running",),
        ("UPDATE attempts SET state = 'sending' WHERE order_id = :completed",),
    ],
    "order-without-input": [("DELETE FROM order_inputs WHERE order_id = :queued",)],
    "order-without-provider-id": [
        ("UPDATE orders SET provider_order_id = NULL WHERE id = :running",)
    ],
    "order-forgotten": [
        ("DELETE FROM work WHERE ref = ':queued'",),
        ("DELETE FROM work WHERE ref = ':running'",),
        ("UPDATE orders SET state = 'unknown' WHERE id = :running",),
        ("UPDATE work SET kind = 'follow' WHERE ref = ':queued'",),
        (LIVE_ATTEMPT, "UPDATE orders SET state = 'submitting' WHERE id = :queued"),
    ],
    "cancel-forgotten": [
        (
            "UPDATE orders SET cancel_state = 'requested', cancel_at = clock_timestamp()"
            " WHERE id = :running",
        )
    ],
    "refill-forgotten": [
        (REFILL,),
        (
            REFILL,
            "UPDATE refills SET state = 'pending'",
            "INSERT INTO work (kind, lane, ref, due_at) SELECT 'refill', 'main', id::text, now()"
            " FROM refills",
        ),
    ],
    "refill-without-provider-id": [(REFILL.replace("'requested'", "'pending'"),)],
    "refills-two-open": [("DROP INDEX uq_refills_open", UNKNOWN_REFILL, UNKNOWN_REFILL)],
    "claim-not-paid": [
        (PAID_CLAIM,),
        (PAID_CLAIM.replace("'refund_claim'", "'order_end'"),),
    ],
    "claim-paid-unapproved": [
        (
            "INSERT INTO journal (id, kind, ref_type, ref_id, created_at)"
            " VALUES (gen_random_uuid(), 'refund_claim', 'claim', 'x', clock_timestamp())",
        )
    ],
    "claims-over-charge": [(PAID_CLAIM,)],
    "claims-two-open": [("DROP INDEX uq_refund_claims_open", OPEN_CLAIM, OPEN_CLAIM)],
    "claim-forgotten": [(WAITING_CLAIM,), (OPEN_CLAIM.replace(":completed", ":running"),)],
    "claim-events-missing": [(OPEN_CLAIM,)],
    "link-two-running": [
        (
            # The completed order is made to run again, on the link of the one that runs.
            "UPDATE orders SET state = 'in_progress', ended_at = NULL, link_hash ="
            " (SELECT link_hash FROM orders WHERE id = :running) WHERE id = :completed",
        )
    ],
    "link-lock-idle": [
        (
            "INSERT INTO link_locks (provider_id, provider_service, link_hash, order_id, taken_at)"
            " SELECT provider_id, 'x', link_hash, id, clock_timestamp() FROM orders"
            " WHERE id = :completed",
        )
    ],
    "schedule-not-charged-once": [
        (
            "DELETE FROM postings WHERE journal_id IN"
            " (SELECT id FROM journal WHERE kind = 'schedule_hold')",
            "DELETE FROM journal WHERE kind = 'schedule_hold'",
        ),
        (
            "INSERT INTO journal (id, kind, ref_type, ref_id, created_at) VALUES"
            " ('00000000-0000-0000-0000-0000000000ff', 'schedule_hold', 'schedule', 'x',"
            " clock_timestamp())",
            "INSERT INTO postings SELECT '00000000-0000-0000-0000-0000000000ff', line, account_id,"
            " amount, balance_after, order_id FROM postings JOIN journal j ON j.id = journal_id"
            " WHERE j.kind = 'schedule_hold'",
        ),
    ],
    "schedule-money-drift": [("UPDATE schedules SET held = held - 1, allocated = allocated + 1",)],
    "schedule-arithmetic": [
        (
            "ALTER TABLE schedules DROP CONSTRAINT ck_schedules_arithmetic",
            "UPDATE schedules SET held = held - 1",
        ),
    ],
    "schedule-runs-drift": [
        ("UPDATE schedules SET started = 2",),
        ("UPDATE orders SET parent_id = NULL, run_number = NULL WHERE parent_id = :schedule",),
    ],
    "run-twice": [
        (
            "DROP INDEX uq_orders_run",
            "UPDATE orders SET parent_id = :schedule, run_number = 1 WHERE id = :queued",
        )
    ],
    "schedule-forgotten": [("DELETE FROM work WHERE kind = 'schedule'",)],
    "schedule-events-missing": [
        ("UPDATE schedules SET version = version + 1",),
        ("DELETE FROM schedule_events WHERE seq = 2",),
    ],
    "hold-without-stop": [
        (
            "INSERT INTO order_holds (id, order_id, source, source_id, reason, created_at)"
            " VALUES (gen_random_uuid(), :queued, 'operator', '1', 'r', clock_timestamp())",
        )
    ],
    "stop-without-hold": [("UPDATE orders SET state = 'on_hold' WHERE id = :queued",)],
    "lease-not-freed": [
        (
            "UPDATE work SET lease_token = gen_random_uuid(),"
            " lease_until = clock_timestamp() - interval '6 minutes' WHERE kind = 'dispatch'",
        ),
        (
            "UPDATE work SET lease_token = gen_random_uuid(),"
            " lease_until = clock_timestamp() + interval '2 hours' WHERE kind = 'dispatch'",
        ),
        ("UPDATE work SET lease_token = gen_random_uuid() WHERE kind = 'dispatch'",),
    ],
    "work-in-wrong-lane": [
        ("UPDATE work SET lane = 'nobody' WHERE kind = 'dispatch'",),
        ("UPDATE work SET lane = gen_random_uuid()::text WHERE kind = 'follow'",),
        (
            UNKNOWN_REFILL,
            "INSERT INTO work (kind, lane, ref, due_at) SELECT 'refill', 'main', id::text, now()"
            " FROM refills",
        ),
    ],
    "work-overdue": [
        ("UPDATE work SET due_at = clock_timestamp() - interval '2 hours' WHERE kind = 'follow'",),
        (
            "UPDATE work SET due_at = clock_timestamp() - interval '2 hours'"
            " WHERE kind = 'schedule'",
        ),
    ],
    "audit-chain-broken": [
        ("UPDATE audit_log SET body = '{\"a\":2}' WHERE seq = 2",),
        ("UPDATE audit_log SET actor = 'operator:x' WHERE seq = 3",),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE seq = 1",),
        ("DELETE FROM audit_log WHERE seq = 1",),
        ("DELETE FROM audit_log WHERE seq = 2",),
    ],
}


async def test_what_must_never_be_is_found_under_its_name(
    scene: Scene, subtests: pytest.Subtests
) -> None:
    for code, variants in PLANTS.items():
        for statements in variants:
            with subtests.test(code, statements=statements):
                assert code in codes(await scene.found_after(*statements))


async def test_every_name_that_the_check_knows_is_planted_here(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        source = await session.scalar(
            text("SELECT prosrc FROM pg_proc WHERE proname = 'violations'")
        )
    assert source is not None
    assert set(re.findall(r"SELECT '([a-z-]+)'", source)) == set(PLANTS)


async def test_the_check_since_a_time_sees_what_was_touched_and_what_still_runs(
    scene: Scene, clock: Clock
) -> None:
    clock.move(timedelta(hours=2))
    [on_ended] = PLANTS["order-money-drift"][0]
    on_running = "UPDATE orders SET version = version + 1 WHERE id = :queued"
    for since, seen in ((timedelta(minutes=5), False), (timedelta(days=1), True), (None, True)):
        found = codes(await scene.found_after(on_ended, since=since))
        assert ("order-money-drift" in found) is seen
        assert codes(await scene.found_after(on_running, since=since)) == {"order-events-missing"}
        assert await scene.found_after(since=since) == []


async def test_a_violation_says_what_and_where(scene: Scene) -> None:
    [found] = await scene.found_after("UPDATE orders SET version = version + 1 WHERE id = :queued")
    assert (found.code, found.ref) == ("order-events-missing", str(scene.queued))
    assert found.detail == "2 changes, 1 events"
