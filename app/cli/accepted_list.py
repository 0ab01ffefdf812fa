"""A provider's own list of the orders that it accepted: its export, or a simulator's word."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from app.cli.refusals import CommandFailed
from app.core.http import Bounds, HTTPError, bounded_client, read_bounded
from app.core.money import Money
from app.orders.provider_lists import Listed

ROWS_MAX: Final = 500_000
_BYTES_MAX: Final = 32 * 1024 * 1024
_BOUNDS: Final = Bounds(connect_seconds=5.0, read_seconds=30.0, connections_max=1, keep_alive=False)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of an export are called. All but the first may be missing."""

    order: str
    link: str
    quantity: str
    service: str
    charge: str
    date: str


def read_export(file: Path, columns: Columns) -> list[Listed]:
    """Raises CommandFailed naming the line and the column that cannot be read."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = csv.DictReader(opened)
        if columns.order not in (rows.fieldnames or ()):
            raise CommandFailed(
                f"{file} has no column {columns.order!r}: name it with --order-column."
            )
        listed: list[Listed] = []
        for row in rows:
            if len(listed) == ROWS_MAX:
                raise CommandFailed(f"{file} has more than {ROWS_MAX} rows: cut it by date.")
            listed.append(_read(row, columns, f"{file}, line {rows.line_num}"))
    return listed


def _read(row: Mapping[str, str | None], columns: Columns, where: str) -> Listed:
    def told(column: str) -> str | None:
        return (row.get(column) or "").strip() or None

    order = told(columns.order)
    if order is None:
        raise CommandFailed(f"{where}: {columns.order} is empty.")
    quantity, charge, date = told(columns.quantity), told(columns.charge), told(columns.date)
    try:
        return Listed(
            provider_order_id=order,
            link=told(columns.link),
            quantity=None if quantity is None else int(quantity),
            service=told(columns.service),
            charge_micros=None if charge is None else Money.parse(charge).micros,
            at=None if date is None else _moment(date),
        )
    except ValueError as error:
        raise CommandFailed(
            f"{where}: a quantity is a whole number, a charge a plain decimal, a date like"
            " 2026-11-23 08:15:30, in UTC unless it says otherwise."
        ) from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def ask_simulator(base_url: str) -> list[Listed]:
    """What only a simulator tells: all that it ever accepted."""
    parts = urlsplit(base_url)
    url = f"{parts.scheme}://{parts.netloc}/control/accepted"
    try:
        async with bounded_client(_BOUNDS) as client, client.stream("GET", url) as answer:
            body = await read_bounded(answer, _BYTES_MAX)
    except HTTPError as error:
        raise CommandFailed(f"The simulator does not answer: {error}.") from error
    said: list[dict[str, Any]] = orjson.loads(body)
    return [
        Listed(
            provider_order_id=str(one["provider_order"]),
            link=one["link"],
            quantity=one["quantity"],
            service=str(one["service"]),
            at=datetime.fromisoformat(one["at"]),
        )
        for one in said
    ]
