"""Arguments judged by the same rules as the bodies of the API, and told in the words of a shell."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.cli.refusals import CommandFailed

Body = TypeVar("Body", bound=BaseModel)


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
