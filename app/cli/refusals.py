"""What can stop a command, each said in plain words: settings, servers, the rules of the slices."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from app.core.db import sqlstate_of
from app.core.errors import AppError, Unavailable
from app.core.settings import Settings
from app.embedded.errors import EmbeddedError

_DATABASE_SAYS: Final = MappingProxyType(
    {
        "28P01": "The database refuses the user or the password in SMMOS_DATABASE_URL.",
        "28000": "The database refuses the user in SMMOS_DATABASE_URL.",
        "3D000": "The database that SMMOS_DATABASE_URL names does not exist: create it.",
        "53300": "The database has no connection left: raise its max_connections.",
        "57P03": "The database is starting or stopping: try again.",
        "42P01": "The database has no tables of ours yet: run `smmos migrate`.",
        "42703": "The database is at another version of the schema: run `smmos migrate`.",
        "42501": "The role in SMMOS_DATABASE_URL may not do this.",
    }
)


class CommandFailed(Exception):
    """A command cannot go on; its text is a whole sentence for the person who gave it."""


@contextmanager
def told_plainly() -> Iterator[None]:
    """End the process with exit code 1 for what a person can act on; bugs keep their trace."""
    try:
        yield
    except Exception as error:
        told = plain_words(error)
        if told is None:
            raise
        print(told, file=sys.stderr)
        raise SystemExit(1) from error


def plain_words(error: Exception) -> str | None:
    """What a person is told, or None for what is a bug of ours."""
    match error:
        case CommandFailed() | EmbeddedError():
            told = str(error)
        case ValidationError(title=Settings.__name__):
            # Any other model's trouble is a bug, and its text might show a secret.
            told = "\n".join(settings_problems(error))
        case Unavailable(__cause__=Exception() as cause):
            told = f"The database does not answer: {_first_line(cause)}."
        case AppError():
            told = refusal_line(error)
        case ConnectionError() | socket.gaierror():
            told = f"A server cannot be reached: {_first_line(error)}."
        case OSError():
            told = f"{_first_line(error)}."
        case _:
            return _DATABASE_SAYS.get(sqlstate_of(error) or "")
    return told


def refusal_line(refusal: AppError) -> str:
    """What was refused, and for each field at fault its name and the rule that it breaks."""
    fields = "; ".join(f"{one.pointer.lstrip('/')} {one.detail}" for one in refusal.errors)
    return f"{refusal.detail}: {fields}." if fields else f"{refusal.detail}."


def settings_problems(invalid: ValidationError) -> list[str]:
    """A line for each setting at fault, by the name of its variable, without its value."""
    lines = []
    for error in invalid.errors(include_url=False, include_input=False, include_context=False):
        said = error["msg"].removeprefix("Value error, ")
        if not error["loc"]:
            lines.append(f"{said}.")  # a rule between settings, which names them itself
            continue
        field = str(error["loc"][0])
        if error["type"] == "missing":
            about = Settings.model_fields[field].description
            lines.append(f"{variable(field)} is not set: {about}.")
        else:
            lines.append(f"{variable(field)} is not valid: {said}.")
    return lines


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return f"SMMOS_{field.upper()}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
