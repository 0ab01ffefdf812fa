"""`smmos demo`: hundreds of mixed orders from resellers' shops to settled money, and the proof."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.context import opened
from app.cli.demo.claims import claim_some
from app.cli.demo.office import (
    BOUNDS,
    SeenOrder,
    accepted_targets,
    call_counts,
    misbehave,
    see_orders,
    see_wallet,
)
from app.cli.demo.screen import Screen
from app.cli.demo.shop import Receipts, place_all
from app.cli.demo.shopping import schedules, shopping_list
from app.cli.demo.stage import Stage, data_folder, stage
from app.cli.demo.summary import print_summary, print_verdict
from app.cli.demo.verdict import Facts, problems
from app.cli.demo.world import MISCHIEF
from app.cli.refusals import CommandFailed
from app.cli.stack.interrupts import interruptible
from app.core.http import AsyncClient, HTTPError, bounded_client
from app.core.logging import configure_logging
from app.ledger import service as ledger
from app.ledger.service import Violation

SECONDS_MAX: Final = 60.0
SECONDS_MAX_AFTER_A_DEATH: Final = 240.0
"""What a killed process had in its hands is judged when its lease has run out."""
_LOOK_EVERY_SECONDS: Final = 0.25
_WATCH_EVERY_SECONDS: Final = 0.05
_ORDERS_MIN: Final = 2 * len(MISCHIEF)
"""Half of the orders meet the second provider, and all of its mischief is to be seen."""

commands = typer.Typer()


@commands.command()
def demo(
    orders: Annotated[
        int, typer.Option(help="How many orders are placed.", min=_ORDERS_MIN, max=5000)
    ] = 300,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="A new folder to keep everything in; none is kept by default."),
    ] = None,
    restart_servers: Annotated[
        bool, typer.Option(help="Kill PostgreSQL, then Redis, midway: both are started again.")
    ] = False,
) -> None:
    """Show the main job: place, deliver, settle and check hundreds of orders."""
    configure_logging("warning", "console")
    with (
        interruptible(),
        data_folder(data_dir) as servers,
        stage(servers, orders=orders) as running,
    ):
        print(f"two resellers place {orders} orders at {running.base_url}")
        print(f"try to break it: kill -9 {running.worker_pid} is the worker", flush=True)
        passed = asyncio.run(_perform(running, orders, restart_servers=restart_servers))
    raise typer.Exit(0 if passed else 1)


async def _perform(running: Stage, orders: int, *, restart_servers: bool) -> bool:
    """Place and watch until all is settled or the time is up; print what came of it."""
    began = time.monotonic()
    receipts = Receipts()
    resellers = len(running.world.accounts)
    errands = [
        *schedules(resellers=resellers),
        *shopping_list(orders, resellers=resellers, seed=1),
    ]
    bodies = [body for errand in errands for body in errand.orders]
    runs = sum(body.get("runs", 1) for body in bodies)
    async with bounded_client(BOUNDS) as client:
        await misbehave(client, running.providers[-1], MISCHIEF)
        watching = asyncio.create_task(_look_after(running), name="watch")
        placing = asyncio.create_task(
            place_all(running.base_url, running.world.accounts, errands, receipts), name="place"
        )
        tasks = [placing]
        if restart_servers:
            killing = _kill_servers(running, receipts, orders=len(bodies))
            tasks.append(asyncio.create_task(killing, name="kill"))
        try:
            async with asyncio.timeout(SECONDS_MAX) as limit:
                await _watch_orders(running, client, tasks, runs, limit)
        except TimeoutError:
            print(f"not all orders were settled within {time.monotonic() - began:.0f} s")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        facts = await _facts(running, client, receipts, wanted=len(bodies), runs=runs)
        calls = {one.name: await call_counts(client, one) for one in running.providers}
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    found = problems(facts)
    print_summary(facts, calls)
    print_verdict(facts, found, seconds=time.monotonic() - began)
    return not found


async def _look_after(running: Stage) -> None:
    """Children are started again by whoever looks at them: here, for as long as the demo lasts."""
    while True:
        running.look_after()
        await asyncio.sleep(_WATCH_EVERY_SECONDS)


async def _kill_servers(running: Stage, receipts: Receipts, *, orders: int) -> None:
    """kill -9 of PostgreSQL when a third of the orders is placed, and of Redis at two thirds."""
    await _until_placed(receipts, orders // 3)
    _kill(running.servers.postgres_pid)
    await _until_placed(receipts, 2 * orders // 3)
    _kill(running.servers.redis_pid)


async def _until_placed(receipts: Receipts, orders: int) -> None:
    while len(receipts.placed) < orders:  # noqa: ASYNC110 - another task counts
        await asyncio.sleep(_WATCH_EVERY_SECONDS)


def _kill(pid: int | None) -> None:
    if pid is None:
        raise CommandFailed("A server was down already when it was to be killed.")
    os.kill(pid, signal.SIGKILL)


async def _watch_orders(
    running: Stage,
    client: AsyncClient,
    tasks: Sequence[asyncio.Task[None]],
    runs: int,
    limit: asyncio.Timeout,
) -> None:
    """Show where the orders stand, until they are all placed and settled."""
    began, given_longer = asyncio.get_running_loop().time(), False
    with Screen(runs) as screen:
        while True:
            if running.restarts and not given_longer:
                limit.reschedule(began + SECONDS_MAX_AFTER_A_DEATH)
                given_longer = True
            seen = await _see(running, client, runs)
            if seen is not None:
                screen.show(seen, restarts=running.restarts)
            if all(task.done() for task in tasks):
                for task in tasks:
                    task.result()
                settled = seen is not None and all(
                    order.has_ended or order.waits_for_operator for order in seen
                )
                if settled and seen is not None and len(seen) == runs:
                    return
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _see(running: Stage, client: AsyncClient, runs: int) -> list[SeenOrder] | None:
    """None while the API is away: somebody may have killed it."""
    try:
        return await see_orders(client, running.base_url, running.world.operator_key, at_most=runs)
    except HTTPError:
        return None


async def _facts(
    running: Stage, client: AsyncClient, receipts: Receipts, *, wanted: int, runs: int
) -> Facts:
    url, operator = running.base_url, running.world.operator_key
    before = await see_orders(client, url, operator, at_most=runs)
    claims = await claim_some(client, url, running.world, receipts.placed, before)
    accepted: Counter[str] = Counter()
    for provider in running.providers:
        accepted += await accepted_targets(client, provider)
    return Facts(
        wanted=wanted,
        receipts=receipts,
        seen=await see_orders(client, url, operator, at_most=runs),
        accounts=running.world.accounts,
        wallets=[await see_wallet(client, url, account) for account in running.world.accounts],
        accepted=accepted,
        claims=claims,
        violations=await _check_ledger(running),
        restarts=running.restarts,
    )


async def _check_ledger(running: Stage) -> list[Violation]:
    async with opened(running.settings) as runtime, runtime.uow.begin() as session:
        return await ledger.violations(session)
