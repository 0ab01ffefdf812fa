"""API v2 as a provider serves it: a form in, a payload and the manner of its sending out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.simulator.catalog import SERVICES, SimulatedService, WireType, money_text
from app.simulator.faults import Fault
from app.simulator.orders import SimulatedOrder
from app.simulator.provider import Provider

ORDERS_PER_CALL_MAX: Final = 100
_LINK_CHARS_MAX: Final = 2048
_WHOLE: Final = re.compile(r"[0-9]{1,15}")

_REFUSALS: Final[Mapping[Fault, str]] = {
    Fault.REFUSE: "Bad link",
    Fault.REFUSE_FUNDS: "Not enough funds on balance",
    Fault.REFUSE_UNSEEN: "The stars do not allow it",
    Fault.LINK_BUSY: (
        "You have active order with this link. Please wait until order being completed."
    ),
    Fault.MAINTENANCE: "The panel is under maintenance",
}
_NOT_TAKEN: Final = frozenset({Fault.TOO_MANY_REQUESTS, Fault.HTTP_500, Fault.HTML})


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, and the fault that spoils how it is sent."""

    payload: Any
    manner: Fault | None = None


def answer(provider: Provider, form: Mapping[str, str]) -> Reply:
    """Serve one call."""
    action = form.get("action", "")
    handler = _ACTIONS.get(action)
    provider.calls[action if handler else "other"] += 1
    key = form.get("key", "")
    if not key or (provider.key is not None and key != provider.key):
        return _error("Invalid API key")
    return handler(provider, form) if handler else _error("Incorrect request")


def _services(_provider: Provider, _form: Mapping[str, str]) -> Reply:
    return Reply([service.listing() for service in SERVICES.values()])


def _balance(provider: Provider, _form: Mapping[str, str]) -> Reply:
    return Reply({"balance": money_text(provider.balance_micros()), "currency": "USD"})


def _add(provider: Provider, form: Mapping[str, str]) -> Reply:
    plan = provider.faults.plan_add()
    if plan.answer is not None and plan.answer in _REFUSALS:
        return _error(_REFUSALS[plan.answer])
    if plan.answer in _NOT_TAKEN:
        return Reply({"error": "Too many requests"}, plan.answer)
    service = SERVICES.get(_whole(form.get("service", "")) or 0)
    if service is None:
        return _error("Incorrect service ID")
    quantity = _quantity(service, form)
    wrong = _wrong_with(provider, service, form.get("link", ""), quantity)
    if wrong is not None or quantity is None:
        return _error(wrong or "Incorrect request")
    order = provider.accept(service, form["link"], quantity, plan.ending)
    told = _another_id(provider, order) if plan.answer is Fault.WRONG_ID else order.id
    return Reply({"order": told}, plan.answer)


def _wrong_with(
    provider: Provider, service: SimulatedService, link: str, quantity: int | None
) -> str | None:
    if not link.startswith(("http://", "https://")) or len(link) > _LINK_CHARS_MAX:
        return "Bad link"
    if quantity is None:
        return "Incorrect request"
    if quantity < service.min:
        return f"Quantity less than minimal {service.min}"
    if quantity > service.max:
        return f"Quantity more than maximum {service.max}"
    if service.charge_micros(quantity) > provider.balance_micros():
        return "Not enough funds on balance"
    return None


def _quantity(service: SimulatedService, form: Mapping[str, str]) -> int | None:
    match service.type:
        case WireType.DEFAULT:
            return _whole(form.get("quantity", ""))
        case WireType.PACKAGE:
            return 1
        case WireType.CUSTOM_COMMENTS:
            return sum(1 for line in form.get("comments", "").splitlines() if line.strip())


def _another_id(provider: Provider, order: SimulatedOrder) -> int:
    """An id that another order already has; the first order ever has no other to borrow."""
    earlier = len(provider.orders) - 1
    return order.id - 1 - provider.faults.choice(earlier) if earlier else order.id


def _status(provider: Provider, form: Mapping[str, str]) -> Reply:
    struck = provider.faults.strikes_status_call()
    if struck is not None:
        return Reply({}, struck)
    asked = form.get("orders") or form.get("order", "")
    if "orders" not in form and "," not in asked:
        return Reply(_told(provider, asked))
    ids = asked.split(",")
    if len(ids) > ORDERS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply({order_id.strip(): _told(provider, order_id) for order_id in ids})


def _told(provider: Provider, asked: str) -> dict[str, str]:
    order = provider.orders.get(_whole(asked) or 0)
    fault = provider.faults.strikes_status_id()
    if order is None or fault is Fault.STATUS_UNKNOWN_ID:
        return {"error": "Incorrect order ID"}
    status = provider.status_of(order)
    # Final words stay true: what is to be tested is that nonsense does not end an order.
    if fault is Fault.NONSENSE_PROGRESS and status["status"] in {"Pending", "In progress"}:
        remains = int(status["remains"])
        nonsense = (order.units + 1000, -5, remains + order.units // 10 + 1)
        status["remains"] = str(nonsense[provider.faults.choice(len(nonsense))])
    return status


def _cancel(provider: Provider, form: Mapping[str, str]) -> Reply:
    ids = (form.get("orders") or form.get("order", "")).split(",")
    if len(ids) > ORDERS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply([_cancel_one(provider, asked.strip()) for asked in ids])


def _cancel_one(provider: Provider, asked: str) -> dict[str, Any]:
    order = provider.orders.get(_whole(asked) or 0)
    if order is None:
        return {"order": asked, "cancel": {"error": "Incorrect order ID"}}
    if not order.service.cancel or not provider.cancel(order):
        return {"order": order.id, "cancel": {"error": "Order cannot be canceled"}}
    return {"order": order.id, "cancel": 1}


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text.strip()) else None


def _error(text: str) -> Reply:
    return Reply({"error": text})


_ACTIONS: Final[Mapping[str, Callable[[Provider, Mapping[str, str]], Reply]]] = {
    "services": _services,
    "balance": _balance,
    "add": _add,
    "status": _status,
    "cancel": _cancel,
}
