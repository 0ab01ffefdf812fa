"""`./run faults [ROW…]`: break real processes on purpose, row by row of the catalogue."""

import argparse
import sys
from collections.abc import Sequence

import pytest

from tests.faults.reporting import FaultReport, untested
from tests.faults.rows import ROWS, rows_with_tests


def main(arguments: Sequence[str]) -> int:
    """Run the rows named, or all; 1 when one of them is red or has no test."""
    parser = argparse.ArgumentParser(prog="./run faults", description=__doc__)
    parser.add_argument("rows", metavar="ROW", nargs="*", type=int)
    wanted: list[int] = parser.parse_args(arguments).rows or list(ROWS)
    if strange := sorted(set(wanted) - set(ROWS)):
        parser.error(f"there is no row {', '.join(map(str, strange))}; they are 1 to {max(ROWS)}")
    tested = rows_with_tests()
    report = FaultReport(wanted)
    files = sorted({path for number in wanted for path in tested.get(number, ())})
    if not files:
        report.pytest_terminal_summary()
        return 1 if untested(wanted, tested) else 0
    how = ("-q", "--no-header", "--tb=short", "-m", "fault or slow_fault")
    ended = pytest.main([*how, *map(str, files)], plugins=[report])
    return int(ended) or (1 if untested(wanted, tested) else 0)


sys.exit(main(sys.argv[1:]))
