"""A backup made mid-load and brought back: nothing is sent again, and what was lost is listed."""

import asyncio
import csv
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.catalog.models import Service
from app.core import lineage
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.db import Session
from app.core.runtime import Runtime, open_runtime
from app.core.settings import Settings
from app.orders import dispatch, holding, number_repository, restored
from app.orders import service as orders
from app.orders.errors import OrderNotCancelable, TooEarlyToProve
from app.orders.restored import Doubted
from app.providers.wire import Wire
from app.schedules.starting import SCHEDULE
from app.supply import service as supply
from app.supply.models import Provider
from tests.cli.conftest import Shell
from tests.cli.test_orders_verbs import refuse, run
from tests.fixtures.database import emptied
from tests.fixtures.running import assert_ledger_is_clean, settings_of
from tests.fixtures.servers import Servers
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import LINK, ResellerCaller, World
from workers.context import WorkerContext

pytestmark = pytest.mark.committing

DESK = Actor("operator", "opr_1")


def link(name: str) -> str:
    return f"{LINK}/{name}"


@pytest.fixture
async def elsewhere(servers: Servers, clock: Clock) -> AsyncIterator[tuple[str, Runtime]]:
    """Another database, still empty, and a process's parts on it."""
    async with emptied(servers) as url:
        settings = settings_of(servers, url)
        async with open_runtime(settings, name="restored", with_doorbell=False, clock=clock) as its:
            yield url, its


def write_export(file: Path, accepted: list[dict[str, Any]]) -> None:
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["ID", "Link", "Quantity", "Service", "Created", "Charge"])
        for one in accepted:
            told = [one[name] for name in ("provider_order", "link", "quantity", "service", "at")]
            rows.writerow([*told, "0.5"])


async def states(runtime: Runtime) -> dict[str, str]:
    """Of each order its state, by what it was called when it was placed."""
    async with runtime.uow.begin() as session:
        rows = await session.execute(text("SELECT reference, state FROM orders"))
        return {row.reference: row.state for row in rows}


@dataclass(frozen=True, slots=True)
class Shop:
    """A reseller whose orders are called by a name: their reference, and the end of their link."""

    world: World
    worker: Worker
    provider: Provider
    simulator: Simulator
    reseller: ResellerCaller
    service: Service

    @property
    def runtime(self) -> Runtime:
        return self.worker.context.runtime

    async def place(self, name: str) -> int:
        placed = await self.world.order(
            self.reseller, self.service, link=link(name), reference=name
        )
        return int(placed["id"])

    async def hold(self, order_id: int) -> None:
        async with self.runtime.uow.begin() as session:
            await holding.put_on_hold(
                session, order_id, source="case", source_id="1", reason="looked at", actor=DESK
            )

    async def release(self, order_id: int) -> None:
        async with self.runtime.uow.begin() as session:
            await holding.release_hold(session, order_id, source="case", actor=DESK)

    async def sent(self) -> dict[str, str]:
        """What the provider calls the orders that it has, by link."""
        accepted = await self.simulator.accepted()
        assert max(Counter(one["link"] for one in accepted).values()) == 1
        return {one["link"]: str(one["provider_order"]) for one in accepted}


@pytest.fixture
async def shop(world: World, worker: Worker, simulator: Simulator) -> Shop:
    await simulator.speed(units_per_second=1)
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[provider])
    reseller = await world.reseller(balance="100.00")
    return Shop(world, worker, provider, simulator, reseller, service)


async def fill(shop: Shop) -> dict[str, int]:
    """One order is delivered, one leased, and three wait, of which one on hold."""
    placed = {"running": await shop.place("running")}
    await shop.worker.dispatch(shop.provider)
    placed["leased"] = await shop.place("leased")
    async with shop.runtime.uow.begin() as session:
        await dispatch.lease_batch(session, shop.runtime.keys, shop.provider.id, time_scale=1.0)
    placed |= {name: await shop.place(name) for name in ("queued", "held", "unsent")}
    await shop.hold(placed["held"])
    return placed


async def go_on(shop: Shop, placed: dict[str, int], clock: Clock) -> None:
    """All that waited but one is sent, and so are two more that come now."""
    await shop.release(placed["held"])
    await shop.hold(placed["unsent"])
    await shop.place("lost-1")
    await shop.place("lost-2")
    await shop.worker.lose_leases()
    await shop.worker.upkeep()
    clock.move(timedelta(minutes=1))
    await shop.worker.dispatch(shop.provider)


async def test_after_a_restore_all_that_was_accepted_since_is_found_or_listed_and_none_is_resent(
    shop: Shop,
    clock: Clock,
    shell: Shell,
    elsewhere: tuple[str, Runtime],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = await fill(shop)
    backup = tmp_path / "backup.dump"
    assert "written to" in await run(shell, "backup", str(backup))
    assert oct(backup.stat().st_mode & 0o777) == "0o600"
    await go_on(shop, placed, clock)
    sent = await shop.sent()
    assert set(sent) == {
        link(name) for name in ("running", "leased", "queued", "held", "lost-1", "lost-2")
    }

    url, its = elsewhere
    monkeypatch.setenv("SMMOS_DATABASE_URL", url)
    told = await run(shell, "restore", str(backup))
    assert "4 orders were waiting and may have been sent since" in told
    doubted = dict.fromkeys(("leased", "queued", "held", "unsent"), "needs_review")
    assert await states(its) == {"running": "in_progress"} | doubted
    async with Wire(clock=clock) as wire:
        worker = Worker(WorkerContext(its, wire, asyncio.Event()))
        await worker.until_idle()
        await worker.upkeep()
        assert await shop.sent() == sent

        export = tmp_path / "export.csv"
        write_export(export, await shop.simulator.accepted())
        reading = reconcile_by(export, shop.provider)
        read_as_it_should_be(await run(shell, *reading), sent)
        assert await states(its) == {"running": "in_progress"} | doubted

        told = await run(shell, *reading, "--apply", "--complete")
        assert "Absence can be proven only 15 minutes after the restore" in told
        assert "3 orders go on under its ids, 0 are queued again, 1 are in doubt" in told
        await rule_out(its, shop.provider, placed["unsent"], clock)
        await worker.until_ended(step=timedelta(minutes=10))

    assert set((await states(its)).values()) == {"completed"}
    assert set(await shop.sent()) == {*sent, link("unsent")}
    await assert_ledger_is_clean(its)
    async with its.uow.begin() as session:
        next_number = await session.scalar(text("SELECT nextval('order_numbers')"))
    assert int(next_number or 0) > placed["running"] + number_repository.NUMBERS_SKIPPED


def reconcile_by(export: Path, provider: Provider) -> list[str]:
    names = {"order": "ID", "date": "Created"} | {
        name.lower(): name for name in ("Link", "Quantity", "Service", "Charge")
    }
    columns = [f"--{column}-column={name}" for column, name in names.items()]
    public = supply.public_provider_id(provider.id)
    return ["providers", "reconcile", public, "--accepted", str(export), *columns]


def read_as_it_should_be(told: str, sent: dict[str, str]) -> None:
    """What is ours stands under what is ours, what was lost under what was lost, and no link."""
    ours, lost = told.split("Unknown here")
    assert [name for name in ("leased", "queued", "held") if sent[link(name)] not in ours] == []
    assert [name for name in ("lost-1", "lost-2") if sent[link(name)] not in lost] == []
    assert sent[link("running")] not in told
    assert LINK not in told
    assert "it charged 1.00 USD for what is unknown here" in lost
    assert "1 orders that may have been sent to it are not in its list" in lost


async def rule_out(runtime: Runtime, provider: Provider, order_id: int, clock: Clock) -> None:
    """What `--complete` does for one order, 15 minutes after the restore."""
    with pytest.raises(TooEarlyToProve):
        async with runtime.uow.begin() as session:
            await restored.rule_out(session, provider, order_id, time_scale=1.0, actor=DESK)
    clock.move(timedelta(minutes=15))
    async with runtime.uow.begin() as session:
        assert await restored.rule_out(session, provider, order_id, time_scale=1.0, actor=DESK)


async def test_on_the_word_of_a_copy_nothing_is_sent_or_paid_back_until_somebody_vouches(
    world: World, runtime: Runtime, worker: Worker, simulator: Simulator, shell: Shell
) -> None:
    provider = await world.provider(simulator=simulator)
    reseller = await world.reseller(balance="10.00")
    service = await world.service(routes=[provider])
    order = await world.order(reseller, service)
    # As it is in a database that was recovered to a point in time, or restored by other means.
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE database_lineage SET identity = 'where it was before'"))
        assert await lineage.is_restored(session)

    await worker.dispatch(provider)
    await worker.upkeep()

    assert await simulator.accepted() == []
    waiting = await world.row(order)
    assert (waiting.state, waiting.wait_reason) == ("queued", "database_restored")
    with pytest.raises(OrderNotCancelable):
        async with runtime.uow.begin() as session:
            await orders.cancel(session, order["id"], actor=DESK, reason="asked")
    early = await refuse(shell, "providers", "reconcile", supply.public_provider_id(provider.id))
    assert early.startswith("Say `smmos restored` first")

    assert "work goes on" in await run(shell, "restored", "--nothing-lost")
    await worker.dispatch(provider)
    assert len(await simulator.accepted()) == 1


async def test_runs_of_a_drip_feed_that_fell_due_since_the_backup_are_doubted_too(
    world: World, runtime: Runtime, worker: Worker, simulator: Simulator, shell: Shell
) -> None:
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[provider])
    await world.order(service=service, runs=5, interval_minutes=10)
    await worker.until_idle()
    # Half an hour has passed since, by the clock of the command, which cannot be moved.
    async with runtime.uow.begin() as session:
        for statement in (
            "UPDATE schedules SET next_at = next_at - interval '35 minutes'",
            "UPDATE work SET due_at = due_at - interval '35 minutes' WHERE kind = 'schedule'",
            "UPDATE database_lineage SET identity = 'elsewhere'",
        ):
            await session.execute(text(statement))
    await worker.drain(SCHEDULE)
    await worker.dispatch(provider)
    assert len(await simulator.accepted()) == 1

    told = await run(shell, "restored")

    assert "3 orders were waiting" in told
    await worker.until_idle()
    assert len(await simulator.accepted()) == 1


async def test_vouching_is_repeated_when_the_database_asks_for_it_and_is_done_once(
    world: World, runtime: Runtime, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await world.order()
    doubt_waiting, tries = restored.doubt_waiting, 0

    async def deadlocked_at_first(session: Session, **said: Any) -> Doubted:
        nonlocal tries
        tries += 1
        doubted = await doubt_waiting(session, **said)
        if tries == 1:
            await session.execute(text("DO 'BEGIN RAISE SQLSTATE ''40P01''; END'"))
        return doubted

    monkeypatch.setattr(restored, "doubt_waiting", deadlocked_at_first)
    told = await run(shell, "restored", "--since", "2026-01-01")

    assert tries == 2
    assert "1 orders were waiting" in told
    async with runtime.uow.begin() as session:
        timeline = await orders.events(session, order["id"], public_only=False, after=0, limit=9)
        vouched = await session.scalar(
            text("SELECT count(*) FROM database_lineage WHERE since IS NOT NULL")
        )
    assert [event.type for event in timeline] == ["place", "review"]
    assert vouched == 1


async def test_a_restore_wants_an_empty_database_and_a_backup_a_new_file(
    shell: Shell, settings: Settings, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "backup.dump"
    file.write_text("kept")
    assert await refuse(shell, "backup", str(file)) == f"{file} exists already.\n"
    assert file.read_text() == "kept"
    told = await refuse(shell, "restore", str(file))
    assert told == "The database is not empty. Restore into a new one.\n"


async def test_what_a_list_leaves_open_a_person_says(
    shop: Shop, shell: Shell, tmp_path: Path
) -> None:
    """A simulator is asked itself; here it has taken an order whose link it tells otherwise."""
    order_id = await shop.place("ours")
    at_home = await refuse(shell, "restored")
    assert at_home.startswith("Nothing says that this database was restored.")
    await run(shell, "restored", "--since", "2026-01-01")
    async with httpx.AsyncClient(trust_env=False) as client:
        form = {"key": shop.simulator.key, "action": "add", "service": "101", "quantity": "1000"}
        taken = await client.post(shop.simulator.url, data=form | {"link": link("moved-to")})
    its = str(taken.json()["order"])
    reading = ["providers", "reconcile", supply.public_provider_id(shop.provider.id)]

    told = await run(shell, *reading)
    assert its in told.split("Unknown here")[1]
    await run(shell, *reading, "--apply", "--match", f"{order_id}={its}")

    found = await shop.world.row(order_id)
    assert (found.state, found.provider_order_id) == ("in_progress", its)
    again = await refuse(shell, *reading, "--match", f"{order_id}={its}")
    assert again == f"--match: {its} is nothing that is unknown.\n"
    export = tmp_path / "export.csv"
    for content, complaint in (
        ("number\n1\n", f"{export} has no column 'order'"),
        ("order,quantity\n1,many\n", f"{export}, line 2: a quantity is a whole number"),
        ("order,date\n,2026-11-23\n", f"{export}, line 2: order is empty"),
    ):
        export.write_text(content)
        assert (await refuse(shell, *reading, "--accepted", str(export))).startswith(complaint)
