"""The catalogue is complete: no row without a proof, no proof without a row."""

import re

import pytest

from tests.faults.rows import REPOSITORY, ROWS, Row, Standing, tested_rows

DOCS = REPOSITORY / "docs" / "operate"
# A line of the page's table: number, name, what proves it.
TOLD = re.compile(r"^\| (\d+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
DRILL = re.compile(r"^## Row (\d+): (.+)$", re.MULTILINE)


def names(rows: list[Row]) -> dict[int, str]:
    return {row.number: row.name for row in rows}


def test_the_catalogue_has_fifty_rows() -> None:
    assert list(ROWS) == list(range(1, 51))


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_a_row_is_tested_drilled_or_waits_for_its_slice(row: Row) -> None:
    is_tested = row.number in tested_rows()
    assert is_tested is (row.standing is Standing.TESTED), row.standing


def test_the_page_of_faults_lists_every_row() -> None:
    told = TOLD.findall((DOCS / "faults.md").read_text(encoding="utf-8"))
    assert {int(number): name.strip() for number, name in told} == names(list(ROWS.values()))


def test_every_drill_is_written_down() -> None:
    written = DRILL.findall((DOCS / "drills.md").read_text(encoding="utf-8"))
    drills = [row for row in ROWS.values() if row.standing is Standing.DRILL]
    assert {int(number): name for number, name in written} == names(drills)
