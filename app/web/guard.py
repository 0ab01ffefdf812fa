"""The guard that runs before a body is read: each route says what it needs, or cannot be built."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.core.errors import AppError
from app.web.errors import BodyMalformed, BodyTooLarge, ContentTypeUnsupported
from app.web.problems import problem_response, validation_problem

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_METHODS_WITH_BODY: Final = {"POST", "PUT", "PATCH"}
_LENGTH_DIGITS_MAX: Final = 18


class GuardedRoute(APIRoute):
    """A route whose caller is known, in good standing and within its pace before its body is read.

    FastAPI reads and parses the body before it resolves dependencies; a guard written as one would
    let anybody make us parse. `needs` is what its endpoint was marked with by the guard's own
    decorator. `key_scheme` is the name, and `key_form` the look, of the key that its document asks
    for.
    """

    key_scheme: ClassVar[str]
    key_form: ClassVar[str]

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "needs" not in endpoint.__dict__:
            raise TypeError(f"{endpoint.__name__} does not say what it needs of its caller")
        self.needs = endpoint.__dict__["needs"]
        extra = options.pop("openapi_extra", None) or {}
        options["openapi_extra"] = extra | {"security": [{self.key_scheme: []}]}
        super().__init__(path, endpoint, **options)
        self._query_names = self._names_of_query()

    def _names_of_query(self) -> frozenset[str]:
        """What may stand in the query; nothing where a model takes it, which forbids the rest."""
        fields = self.dependant.query_params
        if any(isinstance(field.field_info.annotation, type(BaseModel)) for field in fields):
            return frozenset()
        return frozenset(field.alias for field in fields)

    def _check_query(self, request: Request) -> None:
        """A filter that a list does not have would show all of it. Raises ValidationFailed."""
        if not self._query_names:
            return
        unknown = [name for name in request.query_params if name not in self._query_names]
        if unknown:
            raise validation_problem(
                [{"type": "extra_forbidden", "loc": ("query", name)} for name in unknown]
            )

    @classmethod
    def security_scheme(cls) -> dict[str, Any]:
        """How the document describes the key."""
        return {"type": "http", "description": cls.key_form, "scheme": "bearer"}

    @abstractmethod
    async def admit(self, request: Request) -> None:
        """Put the caller into the request, or raise; what the answer's headers are to say goes
        into `answer_headers` of its scope, refused or not.
        """

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                await self.admit(request)
                self._check_query(request)
                if request.method in _METHODS_WITH_BODY and self.body_field is not None:
                    request = await StrictRequest.read(request)
                return await inner(request)
            except AppError as refusal:
                return problem_response(request, refusal)

        return handler


class StrictRequest(Request):
    """A request whose body was read within its limit, and whose JSON is plain and unambiguous."""

    raw_body: bytes = b""

    @classmethod
    async def read(cls, request: Request) -> StrictRequest:
        """Read the whole body within its limit. Raises BodyTooLarge, ContentTypeUnsupported."""
        limit: int = request.app.state.runtime.settings.body_max_bytes
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and (len(declared) > _LENGTH_DIGITS_MAX or int(declared) > limit):
            raise BodyTooLarge(f"The request body may have at most {limit} bytes")
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(f"The request body may have at most {limit} bytes")
            chunks.append(chunk)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if size and media_type != "application/json":
            raise ContentTypeUnsupported
        strict = cls(request.scope, request.receive)
        strict.raw_body = b"".join(chunks)
        strict._body = strict.raw_body
        return strict

    async def json(self) -> Any:
        """The parsed body. Raises BodyMalformed for what is not plain, unambiguous JSON."""
        parsed = parse_json(self.raw_body)
        self.scope["parsed_body"] = parsed
        return parsed


def parse_json(raw: bytes) -> Any:
    """Parse so that the schema can refuse odd values by field: numbers of any size are let through.

    Raises BodyMalformed for NaN and Infinity, repeated keys, bad UTF-8 and bottomless nesting.
    """
    try:
        return json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise BodyMalformed from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members
