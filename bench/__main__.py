"""`./run bench`: measure, print the table, and end with 1 when a ratio is below its limit."""

from __future__ import annotations

import argparse
import sys

import uvloop

from bench import dispatch, intake, isolation, report, sync
from bench.report import Line, Table
from bench.stage import Stage, raised


def main() -> int:
    options = _options()
    table = Table()
    # Dispatch first: its worker must find its own orders in the queue, and no others.
    with raised() as stage:
        if options.only in {None, "dispatch"}:
            report.add_dispatch(table, uvloop.run(dispatch.measure(stage)))
        if options.only in {None, "isolation"}:
            report.add_isolation(table, uvloop.run(isolation.measure(stage)))
        if options.only in {None, "intake"}:
            report.add_intake(table, uvloop.run(intake.measure(stage)))
        if options.only in {None, "sync"}:
            report.add_sync(table, uvloop.run(sync.measure(stage)))
        table.add(Line("ledger check", _ledger_verdict(stage)))
    print(table.text())
    missed = table.missed()
    for line in missed:
        print(f"below its limit: {line.what} is {line.value}, the least is {line.at_least}")
    return 1 if missed and not options.no_limits else 0


def _ledger_verdict(stage: Stage) -> str:
    """Speed that lost or made money would be worth nothing."""
    found = uvloop.run(stage.violations())
    if found:
        raise SystemExit(f"The ledger check found {len(found)} violations, first: {found[0]}")
    return "clean"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--no-limits", action="store_true", help="print only, and exit 0")
    parser.add_argument(
        "--only", choices=["dispatch", "isolation", "intake", "sync"], help="measure one of them"
    )
    return parser.parse_args()


sys.exit(main())
