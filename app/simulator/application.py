"""The simulator's HTTP face: the provider's API, and the control behind it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator import panel, smoservice, v1
from app.simulator.faults import ControlInvalid
from app.simulator.manners import chosen, spoken
from app.simulator.orders import Pace
from app.simulator.provider import Provider
from app.simulator.replies import Reply
from app.simulator.sending import JsonResponse, respond

_BODY_BYTES_MAX: Final = 1024 * 1024
_FIELDS_MAX: Final = 50
_SECONDS_MAX: Final = 1e9
_BALANCE_MAX: Final = Decimal(10**9)


def create_app(provider: Provider) -> Starlette:
    """The ASGI application of one simulator."""
    control = _Control(provider)
    api = _Api(provider)
    return Starlette(
        routes=[
            Route("/api/v2", api.panel, methods=["POST"]),
            Route("/api/v2/", api.panel, methods=["POST"]),
            Route("/smoservice/api/", api.smoservice, methods=["POST"]),
            Route("/v1/orders", api.v1_orders, methods=["GET", "POST"]),
            Route("/v1/orders/{order_id:int}", api.v1_order, methods=["GET"]),
            Route("/v1/balance", api.v1_balance, methods=["GET"]),
            Route("/v1/services", api.v1_services, methods=["GET"]),
            Route("/control/accepted", control.accepted, methods=["GET"]),
            Route("/control/refills", control.refills, methods=["GET"]),
            Route("/control/manners", control.manners, methods=["GET", "PUT"]),
            Route("/control/calls", control.calls, methods=["GET"]),
            Route("/control/faults", control.faults, methods=["GET", "PUT", "DELETE"]),
            Route("/control/script", control.script, methods=["PUT"]),
            Route("/control/speed", control.speed, methods=["GET", "PUT"]),
            Route("/control/balance", control.balance, methods=["GET", "PUT"]),
        ],
        exception_handlers={ControlInvalid: _refuse},
    )


class _Api:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def panel(self, request: Request) -> Response:
        form = await _form(request)
        if form is None:
            return JsonResponse({"error": "Incorrect request"})
        reply = spoken(panel.answer(self._provider, form), self._provider.manners)
        return respond(reply, self._provider.pace)

    async def smoservice(self, request: Request) -> Response:
        form = await _form(request)
        if form is None:
            return JsonResponse({"type": "error", "desc": "Incorrect request"})
        return respond(smoservice.answer(self._provider, form), self._provider.pace)

    async def v1_orders(self, request: Request) -> Response:
        if request.method == "POST":
            body = await _object(request)
            return self._v1(request, lambda: v1.place(self._provider, body))
        reference = request.query_params.get("reference", "")
        return self._v1(request, lambda: v1.listed(self._provider, reference))

    async def v1_order(self, request: Request) -> Response:
        order_id = request.path_params["order_id"]
        return self._v1(request, lambda: v1.one(self._provider, order_id))

    async def v1_balance(self, request: Request) -> Response:
        return self._v1(request, lambda: v1.balance(self._provider))

    async def v1_services(self, request: Request) -> Response:
        return self._v1(request, lambda: v1.services(self._provider))

    def _v1(self, request: Request, serve: Callable[[], Reply]) -> Response:
        refused = v1.refuse_key(self._provider, request.headers.get("authorization", ""))
        return respond(refused or serve(), self._provider.pace)


class _Control:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def accepted(self, _request: Request) -> Response:
        return JsonResponse(self._provider.accepted())

    async def refills(self, _request: Request) -> Response:
        return JsonResponse(self._provider.accepted_refills())

    async def manners(self, request: Request) -> Response:
        if request.method == "PUT":
            self._provider.manners = chosen((await _object(request)).get("manners"))
        return JsonResponse({"manners": sorted(self._provider.manners)})

    async def calls(self, _request: Request) -> Response:
        return JsonResponse(dict(self._provider.calls))

    async def faults(self, request: Request) -> Response:
        if request.method == "PUT":
            self._provider.faults.switch(await _object(request))
        elif request.method == "DELETE":
            self._provider.faults.clear()
        return JsonResponse(self._provider.faults.described())

    async def script(self, request: Request) -> Response:
        entries = (await _object(request)).get("next")
        if not isinstance(entries, list):
            raise ControlInvalid("next", "Not a list.")
        self._provider.faults.script(entries)
        return JsonResponse(self._provider.faults.described())

    async def speed(self, request: Request) -> Response:
        if request.method == "PUT":
            self._provider.set_pace(_pace(self._provider.pace, await _object(request)))
        return JsonResponse(asdict(self._provider.pace))

    async def balance(self, request: Request) -> Response:
        if request.method == "PUT":
            wanted = (await _object(request)).get("balance")
            self._provider.set_balance(_micros(wanted))
        return JsonResponse({"balance_micros": self._provider.balance_micros(), "currency": "USD"})


async def _refuse(_request: Request, error: Exception) -> Response:
    # Starlette calls a handler with the errors it was named for, and types it for any.
    if not isinstance(error, ControlInvalid):
        raise error
    return JsonResponse({"field": error.field, "detail": error.detail}, status_code=422)


async def _form(request: Request) -> dict[str, str] | None:
    body = await _body(request)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except ValueError:
        return None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise ControlInvalid("body", "Too long.")
    return bytes(body)


async def _object(request: Request) -> dict[str, Any]:
    try:
        value = orjson.loads(await _body(request))
    except orjson.JSONDecodeError as error:
        raise ControlInvalid("body", "Not JSON.") from error
    if not isinstance(value, dict):
        raise ControlInvalid("body", "Not an object.")
    return value


def _pace(present: Pace, wanted: Mapping[str, Any]) -> Pace:
    known = asdict(present)
    for name, value in wanted.items():
        if name not in known:
            raise ControlInvalid(name, "There is no such speed.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ControlInvalid(name, "Not a number.")
        if not 0 <= value <= _SECONDS_MAX:
            raise ControlInvalid(name, "Out of bounds.")
    return replace(present, **wanted)


def _micros(wanted: object) -> int:
    try:
        amount = Decimal(str(wanted))
    except InvalidOperation as error:
        raise ControlInvalid("balance", "Not an amount.") from error
    if not amount.is_finite() or not 0 <= amount <= _BALANCE_MAX:
        raise ControlInvalid("balance", "Not an amount that an account can hold.")
    return int(amount * 1_000_000)
