"""Our own API v1 as another installation serves it, as far as its adapter uses it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from app.simulator.catalog import SERVICES, SimulatedService, WireType, money_text
from app.simulator.faults import Fault
from app.simulator.intake import NotTaken, take
from app.simulator.orders import SimulatedOrder
from app.simulator.provider import Provider
from app.simulator.replies import Reply

_BEARER: Final = "Bearer "
_STATUS_WORDS: Final[Mapping[str, str]] = {
    "Pending": "queued",
    "In progress": "in_progress",
    "Completed": "completed",
    "Partial": "partial",
    "Canceled": "canceled",
}
_PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "Bad link": (422, "invalid-input"),
    "Not enough funds on balance": (402, "insufficient-funds"),
    "Incorrect service ID": (422, "service-unknown"),
    "Incorrect request": (422, "validation-failed"),
}


def refuse_key(provider: Provider, authorization: str) -> Reply | None:
    """None for a caller with the right key."""
    key = authorization.removeprefix(_BEARER) if authorization.startswith(_BEARER) else ""
    if key and provider.key in {None, key}:
        return None
    return _problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "The key is not valid")


def place(provider: Provider, body: Mapping[str, Any]) -> Reply:
    """`POST /v1/orders`."""
    provider.calls["add"] += 1
    form = {name: _form_text(value) for name, value in body.items()}
    form["service"] = form.pop("service_id", "")
    said = take(provider, form, reference=form.pop("reference", None))
    if isinstance(said, NotTaken):
        return _refusal(said)
    order = provider.find(said.order_id)
    shown = {"id": said.order_id} if order is None else _shown(provider, order.id)
    return Reply(shown, said.fault, HTTPStatus.CREATED)


def listed(provider: Provider, reference: str) -> Reply:
    """`GET /v1/orders?reference=…`."""
    provider.calls["find"] += 1
    order_id = provider.references.get(reference)
    data = [] if order_id is None else [_shown(provider, order_id)]
    return Reply({"data": data, "next_cursor": None})


def one(provider: Provider, order_id: int) -> Reply:
    """`GET /v1/orders/{id}`."""
    provider.calls["status"] += 1
    struck = provider.faults.strikes_status_call()
    if struck is not None:
        return Reply({}, struck)
    unknown = provider.faults.strikes_status_id() is Fault.STATUS_UNKNOWN_ID
    if order_id not in provider.orders or unknown:
        return _problem(HTTPStatus.NOT_FOUND, "not-found", "There is nothing here under that id")
    return Reply(_shown(provider, order_id))


def balance(provider: Provider) -> Reply:
    """`GET /v1/balance`."""
    provider.calls["balance"] += 1
    return Reply({"balance": _money(provider.balance_micros()), "held": _money(0)})


def services(provider: Provider) -> Reply:
    """`GET /v1/services`, all on one page."""
    provider.calls["services"] += 1
    sold = [one for one in SERVICES.values() if one.type is not WireType.SUBSCRIPTIONS]
    return Reply({"data": [_service(one) for one in sold], "next_cursor": None})


def _shown(provider: Provider, order_id: int) -> dict[str, Any]:
    order = provider.orders[order_id]
    status = provider.status_of(order)
    references = {given: reference for reference, given in provider.references.items()}
    return {
        "id": order.id,
        "status": _STATUS_WORDS[status["status"]],
        "service_id": order.service.id,
        "link": order.link,
        "quantity": order.quantity,
        "charge": _money(order.charge_micros),
        "refunded": _money(_credit(order, status["status"])),
        "start_count": order.start_count,
        "remains": int(status["remains"]),
        "reference": references.get(order.id),
        "created_at": datetime.fromtimestamp(order.at, UTC).isoformat(),
    }


def _credit(order: SimulatedOrder, word: str) -> int:
    return order.credit_micros() if word in {"Partial", "Canceled"} else 0


def _service(service: SimulatedService) -> dict[str, Any]:
    return {
        "id": service.id,
        "name": service.name,
        "category": service.category,
        "type": service.type.lower().replace(" ", "_"),
        "rate": _money(service.rate_micros),
        "min_quantity": service.min,
        "max_quantity": service.max,
        "refill": service.refill,
        "cancel": service.cancel,
    }


def _money(micros: int) -> dict[str, str]:
    return {"amount": money_text(micros), "currency": "USD"}


def _form_text(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _refusal(said: NotTaken) -> Reply:
    if said.fault is not None:
        return Reply(_document(429, "rate-limited", said.error), said.fault)
    if said.error.startswith("You have active order"):
        return _problem(HTTPStatus.CONFLICT, "link-busy", said.error)
    if said.error.startswith("Quantity"):
        return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", said.error)
    status, code = _PROBLEMS.get(said.error, (HTTPStatus.CONFLICT, "conflict"))
    return _problem(status, code, said.error)


def _problem(status: int, code: str, title: str) -> Reply:
    document = _document(status, code, title)
    return Reply(document, status=status, media_type="application/problem+json")


def _document(status: int, code: str, title: str) -> dict[str, Any]:
    return {"type": f"/problems/{code}", "title": title, "status": status, "code": code}
