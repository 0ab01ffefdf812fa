"""`smmos providers reconcile`: what a provider accepted after the backup that we came back to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.accepted_list import Columns, ask_simulator, read_export
from app.cli.context import actor, opened
from app.cli.inputs import ProviderId
from app.cli.output import print_table
from app.cli.refusals import CommandFailed, refusal_line
from app.core import audit, lineage
from app.core.clock import rfc3339
from app.core.errors import AppError
from app.core.money import Money
from app.core.runtime import Runtime
from app.orders import provider_lists, restored
from app.orders.errors import TooEarlyToProve
from app.orders.provider_lists import Listed, Reading
from app.supply import service as supply
from app.supply.models import Provider

SHOWN_MAX: Final = 1000
COLUMNS: Final = ["provider order", "ours", "service", "quantity", "charge", "at"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be done with what the list tells; `matches` is, by its order id, ours."""

    apply: bool
    complete: bool
    matches: dict[str, int]


def reconcile(
    provider_id: ProviderId,
    accepted: Annotated[
        Path | None,
        typer.Option(help="Its export of orders, as CSV; a simulator is asked.", exists=True),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Of strangers show those from then on, UTC; by default since the backup.",
            formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(help="Your word for one: our number and its order id, as 1234=9876."),
    ] = None,
    order_column: Annotated[str, typer.Option(help="What holds its order id.")] = "order",
    link_column: Annotated[str, typer.Option(help="What holds the link or user.")] = "link",
    quantity_column: Annotated[str, typer.Option(help="What holds the quantity.")] = "quantity",
    service_column: Annotated[str, typer.Option(help="What holds its service.")] = "service",
    charge_column: Annotated[str, typer.Option(help="What holds its charge.")] = "charge",
    date_column: Annotated[
        str, typer.Option(help="What holds the time, in UTC unless it names its zone.")
    ] = "date",
    apply: Annotated[
        bool, typer.Option("--apply", help="Let found orders go on; else they are only shown.")
    ] = False,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="With --apply: the list has all that it accepted since the backup, so that what"
            " is not in it was not sent there, and is queued again.",
        ),
    ] = False,
) -> None:
    """After a restore: compare a provider's own list of orders with what this database knows."""
    if complete and not apply:
        raise CommandFailed("--complete says what may be done; it needs --apply.")
    columns = Columns(
        order_column, link_column, quantity_column, service_column, charge_column, date_column
    )
    listed = None if accepted is None else read_export(accepted, columns)
    moment = None if since is None else since.replace(tzinfo=UTC)
    asked = Asked(apply, complete, _read_matches(match or []))
    asyncio.run(_reconcile(provider_id, listed, moment, asked))


def _read_matches(given: Sequence[str]) -> dict[str, int]:
    matches = {}
    for one in given:
        ours, separator, its = one.partition("=")
        if not (ours.isdecimal() and separator and its):
            raise CommandFailed(
                f"--match: {one!r} is not our number and its order id, as 1234=9876."
            )
        matches[its] = int(ours)
    return matches


async def _reconcile(
    provider_id: str, listed: Sequence[Listed] | None, since: datetime | None, asked: Asked
) -> None:
    async with opened() as runtime:
        async with runtime.uow.begin() as session:
            if await lineage.is_restored(session):
                raise CommandFailed("Say `smmos restored` first: see `smmos restored --help`.")
            provider = await supply.get_public(session, provider_id)
            restore = await lineage.last_restore(session)
        if listed is None:
            if not provider.simulated:
                raise CommandFailed("--accepted: its own list of orders is needed, as a CSV file.")
            listed = await ask_simulator(provider.base_url)
        since = since or (restore.since if restore else None)
        async with runtime.uow.begin() as session:
            reading = await provider_lists.read_list(
                session, runtime.keys, provider, listed, since=since
            )
        reading = _with_matches(reading, asked.matches)
        _show(provider, reading, since)
        if asked.apply:
            await _apply(runtime, provider, reading, complete=asked.complete)


def _with_matches(reading: Reading, matches: Mapping[str, int]) -> Reading:
    """What a person has matched counts as found."""
    unplaced = {one.provider_order_id: one for one in reading.lost} | {
        one.provider_order_id: one for _, one in reading.ambiguous
    }
    if strangers := matches.keys() - unplaced.keys():
        raise CommandFailed(f"--match: {', '.join(sorted(strangers))} is nothing that is unknown.")
    ours = set(matches.values())
    return Reading(
        known=reading.known,
        found=(*reading.found, *((matches[its], unplaced[its]) for its in matches)),
        ambiguous=tuple(
            pair for pair in reading.ambiguous if pair[1].provider_order_id not in matches
        ),
        lost=tuple(one for one in reading.lost if one.provider_order_id not in matches),
        undecided=tuple(order_id for order_id in reading.undecided if order_id not in ours),
        unlisted=tuple(order_id for order_id in reading.unlisted if order_id not in ours),
    )


def _show(provider: Provider, reading: Reading, since: datetime | None) -> None:
    told = "" if since is None else f", strangers since {rfc3339(since)}"
    print(f"{provider.name}: {reading.known} orders of its list are known here{told}")
    print_table(
        "Ours, believed waiting: it has them",
        COLUMNS,
        [_row(one, str(order_id)) for order_id, one in reading.found[:SHOWN_MAX]],
    )
    print_table(
        "Perhaps ours: say which with --match",
        COLUMNS,
        [_row(one, " or ".join(map(str, ids))) for ids, one in reading.ambiguous[:SHOWN_MAX]],
    )
    print_table(
        "Unknown here: placed after the backup, and lost",
        COLUMNS,
        [_row(one, "") for one in reading.lost[:SHOWN_MAX]],
    )
    charged = sum(one.charge_micros or 0 for one in reading.lost)
    if charged:
        print(f"it charged {Money(charged)} {provider.currency} for what is unknown here")
    if reading.undecided:
        print(
            f"{len(reading.undecided)} orders may be among what is unknown here, which has their"
            " link, or no link at all: say which with --match"
        )
    print(f"{len(reading.unlisted)} orders that may have been sent to it are not in its list")


def _row(one: Listed, ours: str) -> list[str]:
    """Without the link: it is private, and stands in the list by the provider's order id."""
    return [
        one.provider_order_id,
        ours,
        one.service or "",
        "" if one.quantity is None else str(one.quantity),
        "" if one.charge_micros is None else str(Money(one.charge_micros)),
        rfc3339(one.at) if one.at else "",
    ]


async def _apply(runtime: Runtime, provider: Provider, reading: Reading, *, complete: bool) -> None:
    """Each order in a transaction of its own: one that cannot be moved keeps no other from it."""
    adopted = 0
    for order_id, listed in reading.found:
        adopted += await _told_if_refused(order_id, _adopt(runtime, provider, order_id, listed))
    queued = await _rule_out_all(runtime, provider, reading.unlisted) if complete else 0
    async with runtime.uow.begin() as session:
        public = supply.public_provider_id(provider.id)
        data = {"adopted": adopted, "queued": queued, "lost": len(reading.lost)}
        await audit.record(session, actor(), "provider.reconcile", f"provider:{public}", data)
        left = (await restored.doubts(session)).get(provider.id, 0)
    print(f"{adopted} orders go on under its ids, {queued} are queued again, {left} are in doubt")


async def _adopt(runtime: Runtime, provider: Provider, order_id: int, listed: Listed) -> bool:
    async with runtime.uow.begin() as session:
        await restored.adopt(session, provider, order_id, listed, actor=actor())
    return True


async def _rule_out_all(runtime: Runtime, provider: Provider, order_ids: Sequence[int]) -> int:
    queued = 0
    for order_id in order_ids:
        try:
            queued += await _told_if_refused(order_id, _rule_out(runtime, provider, order_id))
        except TooEarlyToProve as early:
            # It is too early for all of them.
            print(refusal_line(early))
            break
    return queued


async def _rule_out(runtime: Runtime, provider: Provider, order_id: int) -> bool:
    async with runtime.uow.begin() as session:
        return await restored.rule_out(
            session, provider, order_id, time_scale=runtime.settings.time_scale, actor=actor()
        )


async def _told_if_refused(order_id: int, doing: Awaitable[bool]) -> bool:
    """Raises TooEarlyToProve."""
    try:
        return await doing
    except TooEarlyToProve:
        raise
    except AppError as refusal:
        print(f"order {order_id}: {refusal_line(refusal)}")
        return False
