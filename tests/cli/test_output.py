"""Rows away from a terminal: aligned, plain, and made for other programs."""

import pytest

from app.cli.output import print_table


def test_columns_stand_under_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("People", ["id", "name"], [["1", "Ann"], ["1000", "Bo"]])

    assert capsys.readouterr().out == "People\nid    name\n1     Ann\n1000  Bo\n"


def test_what_people_wrote_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ["name"], [["[bold]x[/bold]"]])

    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_no_rows_are_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Attempts", ["number"], [])

    assert capsys.readouterr().out == "Attempts: none\n"


def test_a_text_of_several_lines_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["reseller:key_1", "Nothing came.\noperator:opr_1  Give it back."]]
    print_table("Messages", ["from", "text"], rows)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "reseller:key_1  Nothing came. operator:opr_1  Give it back."
    ]
