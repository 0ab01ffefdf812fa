"""The pages name only what there is: commands, routes, settings, metrics, error codes, files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from app.cli.main import application
from app.core.settings import Settings

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "app" / "providers" / "ADDING.md",
]
DOCUMENTS: Final = [ROOT / "openapi.yaml", ROOT / "openapi-operator.yaml"]
MADE_BY_OPERATORS: Final = {"deploy/.env"}
ROLE_OF_THE_DATABASE: Final = "smmos_app"
_BLOCK: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def text_of(*files: Path) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def sources() -> str:
    return text_of(*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py"))


def code_of(page: Path) -> Iterator[str]:
    """What stands in backticks, and the lines of blocks without their comments."""
    text = text_of(page)
    for span in re.findall(r"`([^`]+)`", _BLOCK.sub("", text)):
        yield " ".join(span.split())
    for block in _BLOCK.findall(text):
        yield from (line.split(" # ")[0] for line in block.splitlines()[1:-1])


def strangers(pattern: str, is_known: Callable[[str], object]) -> set[tuple[str, str]]:
    """What the pages name by this pattern and nobody knows, each with its page."""
    named = {(page.name, name) for page in PAGES for name in re.findall(pattern, text_of(page))}
    assert named, "a pattern that finds nothing proves nothing"
    return {(page, name) for page, name in named if not is_known(name)}


def test_every_setting_on_the_pages_exists() -> None:
    """`…` stands for the rest of a name, or for its beginning."""
    names = {f"SMMOS_{field.upper()}" for field in Settings.model_fields}

    def is_setting(told: str) -> bool:
        if told.endswith("…"):
            return any(name.startswith(told[:-1]) for name in names)
        return told in names or (told[0] == "…" and any(name.endswith(told[1:]) for name in names))

    assert strangers(r"SMMOS_[A-Z0-9_]+…?|…_[A-Z][A-Z0-9_]*", is_setting) == set()


def metrics() -> set[str]:
    written = set(re.findall(r'"(smmos_[a-z0-9_{}]+)"', sources()))
    return {name.replace("{scope}", scope) for name in written for scope in ("recent", "full")}


def test_every_metric_is_on_a_page() -> None:
    told = set(re.findall(r"\bsmmos_[a-z0-9_]+|…_[a-z][a-z0-9_]*", text_of(*PAGES)))
    ends = tuple(name[1:] for name in told if name[0] == "…")
    assert {name for name in metrics() - told if not name.endswith(ends)} == set()


def test_every_metric_on_the_pages_exists() -> None:
    known = metrics()

    def is_metric(told: str) -> bool:
        return (
            told in known
            or told == ROLE_OF_THE_DATABASE
            or (told[0] == "…" and any(name.endswith(told[1:]) for name in known))
        )

    assert strangers(r"\bsmmos_[a-z0-9_]+|…_[a-z][a-z0-9_]*", is_metric) == set()


def test_every_error_code_on_the_pages_exists() -> None:
    codes = set(re.findall(r'^    code = "([a-z-]+)"', sources(), re.MULTILINE))
    assert strangers(r"\b[45]\d\d `([a-z-]+)`", codes.__contains__) == set()


def routes() -> Iterator[tuple[str, str]]:
    path = ""
    for line in text_of(*DOCUMENTS).splitlines():
        if named := re.fullmatch(r"  (/\S+):", line):
            path = named[1]
        elif method := re.fullmatch(r"    (get|post|put|patch|delete):", line):
            yield method[1].upper(), path


def leads_to(told: str, path: str) -> bool:
    """A segment that is a parameter may be told by any name or value; `…` is any beginning."""
    wanted, there = told.split("/"), path.split("/")
    if wanted[0] == "…":
        wanted, there = wanted[1:], there[1 - len(wanted) :]
    return len(wanted) == len(there) and all(
        one == other or other.startswith("{") for one, other in zip(wanted, there, strict=True)
    )


@pytest.mark.parametrize("methods", ["(?:GET|POST|PUT|PATCH|DELETE) (?:…|(?=/v1/))", "(?=/v1/)"])
def test_every_route_on_the_pages_exists(methods: str) -> None:
    known = list(routes())

    def is_route(told: str) -> bool:
        method, _, path = told.partition(" ") if told[0] != "/" else ("", "", told)
        return any(method in ("", of) and leads_to(path, there) for of, there in known)

    assert strangers(methods + r"/(?:\{[^}]*\}|[^\s`?\"'{])*", is_route) == set()


def misused(told: str, root: Any) -> str | None:
    """What is wrong with a call of the command line, from the first name on."""
    words = re.findall(r"--[a-z][a-z-]*|[^\s\[\]()]+", told)
    node = root
    while words and hasattr(node, "commands"):
        name = words.pop(0)
        if name not in node.commands:
            return f"no command {name}"
        node = node.commands[name]
    options = {name for one in node.params for name in (*one.opts, *one.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word not in options]
    return f"no option {wrong[0]}" if wrong else None


def test_every_command_on_the_pages_exists_with_its_options() -> None:
    root = typer.main.get_command(application())
    of_the_script = re.findall(r"^(\w+)\|", text_of(ROOT / "run"), re.MULTILINE)
    wrong, seen = [], 0
    for page in PAGES:
        for code in code_of(page):
            for script, told in re.findall(r"(?<![=\w.])(smmos|\./run(?: smmos)?) ([a-z].*)", code):
                seen += 1
                name = told.split()[0]
                if script == "./run" and name not in ("up", "demo"):
                    problem = None if name in of_the_script else f"no command {name}"
                else:
                    problem = misused(told, root)
                if problem:
                    wrong.append((page.name, code, problem))

    assert seen, "a pattern that finds nothing proves nothing"
    assert wrong == []


def test_every_file_on_the_pages_exists() -> None:
    folders = "app|workers|tests|docs|deploy|migrations|requirements|bench"

    def is_there(told: str) -> bool:
        return told in MADE_BY_OPERATORS or (ROOT / told).exists()

    assert strangers(rf"`((?:{folders})/[\w./-]*)`", is_there) == set()


def test_every_link_between_the_pages_leads_somewhere() -> None:
    links = [
        (page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", text_of(page))
    ]
    assert links
    assert [link for page, link in links if not (page.parent / link).exists()] == []
