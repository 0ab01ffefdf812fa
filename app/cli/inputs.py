"""Arguments that commands share, and the judging of all by the rules of the API's bodies."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from app.cli.refusals import CommandFailed

Body = TypeVar("Body", bound=BaseModel)

Shown = Annotated[int, typer.Option("--limit", help="How many to show.", min=1, max=1000)]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit log.")]
ResellerId = Annotated[str, typer.Argument(help="As `resellers list` shows it, rsl_…")]
ProviderId = Annotated[str, typer.Argument(help="As `providers list` shows it, prv_…")]


def checked(body: type[Body], **fields: Any) -> Body:
    """The body that these arguments make. Raises CommandFailed naming each field and its rule."""
    try:
        return body.model_validate(fields)
    except ValidationError as invalid:
        problems = [
            f"{'.'.join(map(str, error['loc']))}: {error['msg'].removeprefix('Value error, ')}"
            for error in invalid.errors(include_url=False, include_input=False)
        ]
        raise CommandFailed("\n".join(problems)) from None
