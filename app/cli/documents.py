"""`smmos openapi` and `smmos settings-table`: documents that are made from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
import yaml

from app.cli.refusals import CommandFailed, variable
from app.core.settings import Settings
from app.main import openapi_documents

ROOT: Final = Path(__file__).resolve().parents[2]
SETTINGS_FILE: Final = Path("docs/operate/settings.md")
_WIDTH: Final = 100
_SETTINGS_HEAD: Final = """\
# Settings

Made from `app/core/settings.py` by `./run smmos settings-table`; do not edit.

Every setting is an environment variable, read once at start. `smmos doctor` says what is wrong.

| variable | takes | default | meaning |
|---|---|---|---|
"""

commands = typer.Typer()
Check = Annotated[bool, typer.Option("--check", help="Compare with the file, and write nothing.")]


@commands.command()
def openapi(check: Check = False) -> None:
    """Write the OpenAPI documents of resellers and operators."""
    for name, document in openapi_documents().items():
        # Through JSON, so that nothing but plain values, and no YAML alias, is left.
        plain = orjson.loads(orjson.dumps(document))
        text = yaml.safe_dump(plain, sort_keys=False, width=_WIDTH, allow_unicode=True)
        _keep(Path(name), text, check=check, command="./run smmos openapi")


@commands.command("settings-table")
def settings_table(check: Check = False) -> None:
    """Write and print the table of all settings."""
    text = settings_document()
    _keep(SETTINGS_FILE, text, check=check, command="./run smmos settings-table")
    if not check:
        print(text, end="")


def settings_document() -> str:
    """The page of all settings, in the order of the class."""
    schema = Settings.model_json_schema()
    rows = [_row(name, described, schema) for name, described in schema["properties"].items()]
    return _SETTINGS_HEAD + "".join(rows)


def _row(name: str, described: dict[str, Any], schema: dict[str, Any]) -> str:
    default = described.get("default")
    if name in schema.get("required", ()):
        shown = "required"
    elif default is None:
        shown = "none"
    else:
        shown = f"`{default}`"
    cells = (f"`{variable(name)}`", _takes(described), shown, described["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _takes(described: dict[str, Any]) -> str:
    """What a value may be, in words."""
    kinds = [kind for kind in described.get("anyOf", [described]) if kind.get("type") != "null"]
    kind = kinds[0]
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    words = {"integer": "whole number", "number": "number", "array": "comma list"}
    word = words.get(kind["type"], "text")
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        return f"{word}, {low:g} to {high:g}"
    if low is not None:
        return f"{word}, at least {low:g}"
    if "exclusiveMinimum" in kind:
        return f"{word} above {kind['exclusiveMinimum']:g}"
    return word


def _keep(name: Path, text: str, *, check: bool, command: str) -> None:
    """Write the file, or raise CommandFailed when it says something else."""
    file = ROOT / name
    if not check:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    elif not file.exists() or file.read_text(encoding="utf-8") != text:
        raise CommandFailed(f"{name} is not what the code says. Run `{command}` and commit it.")
