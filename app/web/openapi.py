"""What routes declare: refusals from the errors they can raise, operation ids from their names."""

from __future__ import annotations

from typing import Any, Final

from fastapi.routing import APIRoute

from app.core.errors import AppError, InvalidInput, Unavailable
from app.core.idempotency import (
    IdempotencyAnswerExpired,
    IdempotencyInFlight,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
)
from app.web.errors import (
    BodyMalformed,
    BodyTooLarge,
    ContentTypeUnsupported,
    RateLimited,
    ScopeMissing,
    Unauthorized,
    ValidationFailed,
)

PROBLEM_REF: Final = {"$ref": "#/components/schemas/Problem"}

SIGNED_IN: Final[tuple[type[AppError], ...]] = (Unauthorized, RateLimited, Unavailable)
"""What every guarded route can answer, whatever it does."""

GUARDED: Final = (*SIGNED_IN, ScopeMissing)
"""The same for one that asks for a scope or a permission."""

BODY: Final[tuple[type[AppError], ...]] = (
    BodyMalformed,
    BodyTooLarge,
    ContentTypeUnsupported,
    ValidationFailed,
    InvalidInput,
)
"""What every route with a body can answer."""

IF_KEYED: Final[tuple[type[AppError], ...]] = (
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    IdempotencyInFlight,
    IdempotencyAnswerExpired,
)
"""What every route that may be sent an Idempotency-Key can answer to that."""

IDEMPOTENT: Final[tuple[type[AppError], ...]] = (IdempotencyKeyMissing, *IF_KEYED)
"""What every route that needs an Idempotency-Key can answer."""


def refusals(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route, said once, from the errors that it can raise."""
    by_status: dict[int | str, list[type[AppError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {
            "description": "; ".join(f"`{error.code}`: {error.title}" for error in grouped),
            "content": {"application/problem+json": {"schema": PROBLEM_REF}},
        }
        for status, grouped in sorted(by_status.items(), key=lambda pair: int(pair[0]))
    }


def operation_id(route: APIRoute) -> str:
    """`create_order` → `createOrder`: what generated clients call it."""
    first, *rest = route.name.split("_")
    return first + "".join(word.title() for word in rest)
