"""Every error as problem+json, rendered here and nowhere else; never with the input in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.core.errors import AppError, FieldProblem
from app.core.logging import get_logger
from app.web.errors import (
    BodyMalformed,
    BodyTooLarge,
    InternalError,
    MethodNotAllowed,
    RouteUnknown,
    ValidationFailed,
)

log = get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "https://smmos.com/problems/"
FIELD_ERRORS_MAX: Final = 50
_MISSING: Final = frozenset({"missing", "union_tag_not_found"})
"""What is not there; of several shapes, the field that tells them apart."""
_OF_A_CHECKED_TEXT: Final = "Value"
"""What pydantic calls a text whose length is looked at behind a check of ours: it counts items."""

_HTTP_ERRORS: Final[dict[int, type[AppError]]] = {
    400: BodyMalformed,
    404: RouteUnknown,
    405: MethodNotAllowed,
    413: BodyTooLarge,
}


def problem_of(error: AppError, *, instance: str | None = None) -> dict[str, Any]:
    """The document of an error; `errors` is there only when fields are to blame."""
    document: dict[str, Any] = {
        "type": TYPE_BASE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    if instance is not None:
        document["instance"] = instance
    document["code"] = error.code
    if error.errors:
        document["errors"] = [
            {"pointer": field.pointer, "detail": field.detail} for field in error.errors
        ]
    return document


def problem_response(request: Request, error: AppError) -> Response:
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:  # noqa: PLR2004 - the status that must name its scheme
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 408:  # noqa: PLR2004 - the rest of the body may come for ever
        headers["Connection"] = "close"
    return Response(
        orjson.dumps(problem_of(error, instance=_instance(request))),
        status_code=error.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def _instance(request: Request) -> str | None:
    request_id = request.scope.get("request_id")
    return f"urn:smmos:request:{request_id}" if request_id else None


def install(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Render what routes refuse; what surprises is rendered by the middleware around them."""
    app.state.routes = [
        route for router in routers for route in router.routes if isinstance(route, Route)
    ]
    app.add_exception_handler(AppError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):
        raise error
    return problem_response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_response(request, validation_problem(error.errors(), error.body))


def validation_problem(errors: Sequence[Any], body: object = None) -> AppError:
    """Where and which rule, for each field; FastAPI's own answer would echo the input."""
    if any(entry["type"] == "json_invalid" for entry in errors):
        return BodyMalformed()
    return ValidationFailed(
        errors=tuple(
            FieldProblem(_pointer(entry, body), _rule(entry)) for entry in errors[:FIELD_ERRORS_MAX]
        )
    )


def _pointer(entry: dict[str, Any], body: object) -> str:
    place, *path = entry["loc"]
    if place != "body":
        return _escape(str(path[0])) if path else str(place)
    path = _without_tags(path, body)
    told_apart_by = entry.get("ctx", {}).get("discriminator")
    if told_apart_by:
        path.append(str(told_apart_by).strip("'"))
    return "".join(f"/{_escape(str(part))}" for part in path) or "/"


def _without_tags(path: Sequence[str | int], body: object) -> list[str | int]:
    """Where several shapes are possible, the location names the one tried, which the body does
    not: only what leads on in the body, and the last part, is a field's name.
    """
    shown: list[str | int] = []
    for position, part in enumerate(path):
        found = _item(body, part)
        is_last = position == len(path) - 1
        leads_on = isinstance(part, int) or isinstance(found, dict | list)
        if leads_on or (is_last and isinstance(body, dict | list)):
            shown.append(part)
            body = found
    return shown


def _item(body: object, part: str | int) -> object:
    if isinstance(body, dict):
        return body.get(part)
    if isinstance(body, list) and isinstance(part, int) and 0 <= part < len(body):
        return body[part]
    return None


def _escape(part: str) -> str:
    """A field's name may be the caller's own: cut short, and safe in JSON."""
    clean = part.encode("utf-8", "replace").decode()[:64]
    return clean.replace("~", "~0").replace("/", "~1")


def _rule(entry: dict[str, Any]) -> str:
    if entry["type"] in _MISSING:
        return "is required"
    if entry["type"] == "extra_forbidden":
        return "is not a field of this request"
    if entry["type"] == "union_tag_invalid":
        return f"must be one of {entry['ctx']['expected_tags']}"
    if entry["type"] == "too_long" and entry["ctx"]["field_type"] == _OF_A_CHECKED_TEXT:
        return f"must have at most {entry['ctx']['max_length']} characters"
    message = str(entry["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    known = _HTTP_ERRORS.get(error.status_code, InternalError)
    response = problem_response(request, known())
    if known is MethodNotAllowed:
        response.headers["Allow"] = ", ".join(sorted(_allowed(request)))
    return response


def _allowed(request: Request) -> set[str]:
    """All methods of this path: the framework tells those of the first of its routes alone."""
    routes: list[Route] = request.app.state.routes
    path = request.scope["path"]
    return {
        method for route in routes if route.path_regex.match(path) for method in route.methods or ()
    }


def surprised(request: Request, error: Exception) -> Response:
    """Something broke on our side: told in the log in full, to the caller without its text."""
    log.error("request_failed", path=request.url.path, exc_info=error)
    return problem_response(request, InternalError())
