"""How commands show rows: a drawn table on a terminal, aligned plain text anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their column names; without rows it says so."""
    if not rows:
        print(f"{title}: none" if title else "none")
    elif sys.stdout.isatty():
        _print_drawn(title, columns, rows)
    else:
        _print_plain(title, columns, rows)


def _print_drawn(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        # What people wrote must not be read as colours.
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)


def _print_plain(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if title:
        print(title)
    # A text of several lines must not look like rows of its own.
    lines = [[" ".join(cell.splitlines()) for cell in line] for line in (columns, *rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())
