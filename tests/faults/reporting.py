"""A pytest plugin that tells the fault catalogue row by row, and as a table at the end."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from tests.faults.rows import MARK, ROWS, Row, Standing


@dataclass(slots=True)
class Course:
    """How the tests of one row went so far."""

    left: int = 0
    seconds: float = 0.0
    is_red: bool = False


class FaultReport:
    """Runs the tests of the wanted rows only, and says how each row went."""

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = sorted(wanted)
        self._courses: dict[int, Course] = defaultdict(Course)
        self._rows_of: dict[str, list[int]] = {}
        self._terminal: pytest.TerminalReporter | None = None
        self._ended = 0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._terminal = session.config.pluginmanager.get_plugin("terminalreporter")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if self._choose(item)]

    def _choose(self, item: pytest.Item) -> bool:
        numbers = {number for mark in item.iter_markers(MARK) for number in mark.args}
        rows = sorted(numbers.intersection(self._wanted))
        self._rows_of[item.nodeid] = rows
        for number in rows:
            self._courses[number].left += 1
        return bool(rows)

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """Neither dots nor letters: rows are told instead. A test counts once."""
        if report.when == "collect":
            return None
        counts = report.when == "call" or not report.passed
        return (report.outcome if counts else "", "", "")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for number in self._rows_of[report.nodeid]:
            course = self._courses[number]
            course.seconds += report.duration
            course.is_red = course.is_red or report.failed
            if report.when == "teardown":
                course.left -= 1
                if not course.left:
                    self._tell_end(ROWS[number], course)

    def _tell_end(self, row: Row, course: Course) -> None:
        self._ended += 1
        told = _line(row, _result(row, course), course.seconds)
        self._write(f"{self._ended:>2}/{len(self._courses)}  {told}", is_red=course.is_red)

    def pytest_terminal_summary(self) -> None:
        self._write("")
        results: Counter[str] = Counter()
        for number in self._wanted:
            row, course = ROWS[number], self._courses.get(number)
            result = _result(row, course)
            results[result] += 1
            seconds = course.seconds if course else None
            self._write(_line(row, result, seconds), is_red=result in {"red", "no test"})
        self._write(", ".join(f"{count} {result}" for result, count in sorted(results.items())))

    def _write(self, line: str, *, is_red: bool = False) -> None:
        if self._terminal is None:
            # Nothing was to be run, so that pytest has not opened one.
            sys.stdout.write(f"{line}\n")
        else:
            self._terminal.write_line(line, red=is_red)


def _result(row: Row, course: Course | None) -> str:
    if course is None:
        return "no test" if row.standing is Standing.TESTED else str(row.standing)
    return "red" if course.is_red or course.left else "green"


def _line(row: Row, result: str, seconds: float | None) -> str:
    told = row.name
    if result == Standing.NOT_BUILT:
        told += f" (needs {row.needs})"
    elif result == Standing.DRILL:
        told += " (docs/operate/drills.md)"
    took = "" if seconds is None else f"{seconds:.1f} s"
    return f"{row.number:>3}  {result:<9}  {took:>7}  {told}"


def untested(wanted: Sequence[int], tested: Iterable[int]) -> list[int]:
    """Rows that are to have a test and have none."""
    have = set(tested)
    return [n for n in wanted if n not in have and ROWS[n].standing is Standing.TESTED]
