"""The table of the bench: figures, ratios, and the least that each ratio must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Final

from bench import intake
from bench.dispatch import ORDERS, WARM_UP, Dispatch
from bench.intake import Intake
from bench.isolation import Isolation
from bench.load import Load
from bench.memory import Memory
from bench.sync import SERVICES, Sync

INTAKE_RATIO_MIN: Final = 0.5
DISPATCH_RATIO_MIN: Final = 0.5
SYNC_RATIO_MIN: Final = 0.05
ISOLATION_RATIO_MIN: Final = 0.7


@dataclass(frozen=True, slots=True)
class Line:
    """One row: a title alone, a figure, or a ratio with its limit."""

    what: str
    value: str = ""
    at_least: float | None = None
    measured: float | None = None


@dataclass(slots=True)
class Table:
    """Everything that was measured."""

    lines: list[Line] = field(default_factory=list)

    def add(self, *lines: Line) -> None:
        self.lines.extend(lines)

    def missed(self) -> list[Line]:
        """The ratios below their limits."""
        return [
            line
            for line in self.lines
            if line.at_least is not None and (line.measured or 0) < line.at_least
        ]

    def text(self) -> str:
        width = max(len(line.what) for line in self.lines)
        return "\n".join(self._row(line, width) for line in self.lines)

    @staticmethod
    def _row(line: Line, width: int) -> str:
        limit = "" if line.at_least is None else f"   at least {line.at_least}"
        return f"{line.what:<{width}}  {line.value}{limit}".rstrip()


def add_intake(table: Table, measured: Intake) -> None:
    table.add(Line(f"Intake: POST /v1/orders, rounds of {intake.REQUESTS}"))
    for pairs in measured.levels:
        limit = INTAKE_RATIO_MIN if pairs.connections == intake.COMPARED else None
        table.add(
            Line(f"  with {pairs.connections} connections, {len(pairs.product)} rounds"),
            Line("    product", _speed(pairs.product)),
            Line("    bare FastAPI + asyncpg, one statement", _speed(pairs.bare)),
            _ratio(pairs.ratio, limit),
        )
    table.add(Line("  memory of the API process", _memory(measured.api_memory)))


def add_dispatch(table: Table, measured: Dispatch) -> None:
    title = (
        f"Dispatch: {len(measured.product)} rounds of {ORDERS} after {WARM_UP} to warm up,"
        f" {measured.at_once} calls at once"
    )
    table.add(
        Line(title),
        Line("  one worker", _rates(measured.product)),
        Line("  bare httpx loop, a connection per order", _rates(measured.bare)),
        Line("  bare httpx loop, kept connections (not compared)", _rates([measured.bare_kept])),
        _ratio(measured.ratio, DISPATCH_RATIO_MIN),
        Line("  memory of the worker process", _memory(measured.worker_memory)),
    )


def add_isolation(table: Table, measured: Isolation) -> None:
    table.add(
        Line(f"Isolation: {len(measured.alone)} rounds of {ORDERS} orders to a sound provider"),
        Line("  by themselves", _rates(measured.alone)),
        Line(
            f"  while {measured.hanging_calls} calls of the same worker hang at another",
            _rates(measured.beside),
        ),
        _ratio(measured.ratio, ISOLATION_RATIO_MIN),
    )


def add_sync(table: Table, measured: Sync) -> None:
    table.add(
        Line(f"Catalogue sync: {len(measured.product)} rounds of {SERVICES} changed prices"),
        Line("  one sync", _seconds(measured.product)),
        Line("  bare upsert in one statement, nothing judged", _seconds(measured.bare)),
        _ratio(measured.ratio, SYNC_RATIO_MIN),
    )


def _ratio(measured: float, at_least: float | None) -> Line:
    return Line("    ratio, median of rounds", f"{measured:.2f}", at_least, measured)


def _speed(loads: list[Load]) -> str:
    cuts = quantiles([one for load in loads for one in load.latencies], n=100)
    shown = "  ".join(f"p{n} {cuts[n - 1] * 1000:.1f} ms" for n in (50, 95, 99))
    return f"{median(load.per_second for load in loads):7.0f}/s   {shown}"


def _rates(rates: list[float]) -> str:
    return f"{median(rates):7.0f}/s"


def _seconds(times: list[float]) -> str:
    return f"{median(times):7.2f} s"


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return "not told by this system"
    return f"{memory.resident:7.0f} MB resident, {memory.own:.0f} MB its own"
