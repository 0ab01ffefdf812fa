"""API v2 as a provider serves it: a form in, what to answer out."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.simulator.catalog import SERVICES, money_text
from app.simulator.faults import Fault
from app.simulator.forms import whole
from app.simulator.intake import NotTaken, take
from app.simulator.orders import SimulatedOrder
from app.simulator.provider import Provider
from app.simulator.replies import Reply

IDS_PER_CALL_MAX: Final = 100


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
    said = take(provider, form)
    if isinstance(said, NotTaken):
        return Reply({"error": said.error}, said.fault)
    return Reply({"order": said.order_id}, said.fault)


def _status(provider: Provider, form: Mapping[str, str]) -> Reply:
    struck = provider.faults.strikes_status_call()
    if struck is not None:
        return Reply({}, struck)
    asked = form.get("orders") or form.get("order", "")
    if "orders" not in form and "," not in asked:
        return Reply(_told(provider, asked))
    ids = asked.split(",")
    if len(ids) > IDS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply({order_id.strip(): _told(provider, order_id) for order_id in ids})


def _told(provider: Provider, asked: str) -> dict[str, str]:
    order = provider.find(whole(asked) or 0)
    fault = provider.faults.strikes_status_id()
    if order is None or fault is Fault.STATUS_UNKNOWN_ID:
        return {"error": "Incorrect order ID"}
    status = provider.status_of(order)
    # Final words stay true: what is to be tested is that nonsense does not end an order.
    if (
        fault is Fault.NONSENSE_PROGRESS
        and isinstance(order, SimulatedOrder)
        and status["status"] in {"Pending", "In progress"}
    ):
        remains = int(status["remains"])
        nonsense = (order.units + 1000, -5, remains + order.units // 10 + 1)
        status["remains"] = str(nonsense[provider.faults.choice(len(nonsense))])
    return status


def _cancel(provider: Provider, form: Mapping[str, str]) -> Reply:
    ids = (form.get("orders") or form.get("order", "")).split(",")
    if len(ids) > IDS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply([_cancel_one(provider, asked.strip()) for asked in ids])


def _cancel_one(provider: Provider, asked: str) -> dict[str, Any]:
    order = provider.find(whole(asked) or 0)
    if order is None:
        return {"order": asked, "cancel": {"error": "Incorrect order ID"}}
    if not order.service.cancel or not provider.cancel(order):
        return {"order": order.id, "cancel": {"error": "Order cannot be canceled"}}
    return {"order": order.id, "cancel": 1}


def _refill(provider: Provider, form: Mapping[str, str]) -> Reply:
    """One order is answered by an id as text, several by a list of ids as numbers."""
    fault = provider.faults.strikes_refill_call()
    if "orders" not in form:
        said = provider.refill(whole(form.get("order", "")) or 0)
        return _error(said) if isinstance(said, str) else Reply({"refill": str(said.id)}, fault)
    ids = [asked.strip() for asked in form["orders"].split(",")]
    if len(ids) > IDS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply([_refill_one(provider, asked) for asked in ids], fault)


def _refill_one(provider: Provider, asked: str) -> dict[str, Any]:
    order_id = whole(asked)
    said = provider.refill(order_id or 0)
    told = {"error": said} if isinstance(said, str) else said.id
    return {"order": asked if order_id is None else order_id, "refill": told}


def _refill_status(provider: Provider, form: Mapping[str, str]) -> Reply:
    if "refills" not in form:
        status = provider.refill_status(whole(form.get("refill", "")) or 0)
        return _error("Refill not found") if status is None else Reply({"status": status})
    ids = [asked.strip() for asked in form["refills"].split(",")]
    if len(ids) > IDS_PER_CALL_MAX:
        return _error("Incorrect request")
    return Reply([_refill_status_one(provider, asked) for asked in ids])


def _refill_status_one(provider: Provider, asked: str) -> dict[str, Any]:
    refill_id = whole(asked)
    status = provider.refill_status(refill_id or 0)
    told = {"error": "Refill not found"} if status is None else status
    return {"refill": asked if refill_id is None else refill_id, "status": told}


def _error(text: str) -> Reply:
    return Reply({"error": text})


_ACTIONS: Final[Mapping[str, Callable[[Provider, Mapping[str, str]], Reply]]] = {
    "services": _services,
    "balance": _balance,
    "add": _add,
    "status": _status,
    "cancel": _cancel,
    "refill": _refill,
    "refill_status": _refill_status,
}
