"""What a person sees while the demo runs: a live table on a terminal, else a line each second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.cli.demo.office import SeenOrder
from app.orders.states import OrderState

_PLAIN_EVERY_SECONDS: Final = 1.0


class Screen:
    """Shows how many orders stand where, as often as it is told."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False)
        self._began = time.monotonic()
        self._next_line_at = self._began

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, orders: Sequence[SeenOrder], *, restarts: Counter[str]) -> None:
        """Draw the table, or print a line where the last one is a second old."""
        seconds = time.monotonic() - self._began
        counts = Counter(order.state for order in orders)
        if self._console.is_terminal:
            self._live.update(self._table(counts, seconds, restarts), refresh=True)
        elif time.monotonic() >= self._next_line_at:
            self._next_line_at += _PLAIN_EVERY_SECONDS
            told = ", ".join(f"{counts[state]} {state}" for state in OrderState if counts[state])
            again = "".join(f", {name} started again" for name in restarts)
            print(f"{seconds:5.1f} s  {told or 'no order yet'}{again}", flush=True)

    def _table(self, counts: Counter[OrderState], seconds: float, restarts: Counter[str]) -> Table:
        placed = sum(counts.values())
        table = Table(title=f"{placed} of {self._total} orders placed, {seconds:.1f} s")
        table.add_column("state")
        table.add_column("orders", justify="right")
        table.add_column("", width=40)
        for state in OrderState:
            bar = "█" * (counts[state] * 40 // self._total)
            table.add_row(state, str(counts[state]), bar)
        if restarts:
            table.caption = "started again: " + ", ".join(restarts)
        return table
