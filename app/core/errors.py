"""Refusals: an error is a class that carries its code and status, raised where the rule stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field's trouble: a JSON pointer into the body (or a query name) and the rule it broke."""

    pointer: str
    detail: str


class AppError(Exception):
    """A refusal told to the caller. `detail` is public: never the input, never an internal text."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: tuple[FieldProblem, ...] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds
        super().__init__(self.detail)


class NotFound(AppError):
    """Absent, or another's: the two are told apart by nobody."""

    status = 404
    code = "not-found"
    title = "There is nothing here under that id"


class InvalidInput(AppError):
    """The input breaks a rule that its schema could not say."""

    status = 422
    code = "invalid-input"
    title = "The input breaks a rule"


class Unavailable(AppError):
    """Something we need is away for now; nothing was done."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable, try again"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 2) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class OutcomeUnknown(Unavailable):
    """The connection broke while committing: all was done, or nothing."""

    code = "outcome-unknown"
    title = (
        "It is not known whether this was done. Repeat it with the same Idempotency-Key;"
        " where it had none, look first"
    )
