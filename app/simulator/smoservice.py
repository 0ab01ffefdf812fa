"""SMOService's dialect as a provider serves it: `type` and `desc` around the `data`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.simulator.catalog import SERVICES, WireType, money_text
from app.simulator.faults import Fault
from app.simulator.forms import whole
from app.simulator.intake import NotTaken, take
from app.simulator.provider import Provider
from app.simulator.replies import Reply

_UNITS_PER_RATE: Final = 1000
_STATUS_WORDS: Final[Mapping[str, str]] = {
    "Pending": "new",
    "In progress": "in_progress",
    "Completed": "completed",
    "Partial": "partial",
    "Canceled": "canceled",
}


def answer(provider: Provider, form: Mapping[str, str]) -> Reply:
    """Serve one call."""
    action = form.get("action", "")
    handler = _ACTIONS.get(action)
    provider.calls[action if handler else "other"] += 1
    key = form.get("api_key", "")
    if not key or not form.get("user_id") or (provider.key is not None and key != provider.key):
        return _error("Invalid API key")
    return handler(provider, form) if handler else _error("Incorrect request")


def _balance(provider: Provider, _form: Mapping[str, str]) -> Reply:
    return _success("Balance info", {"balance": money_text(provider.balance_micros())})


def _services(_provider: Provider, _form: Mapping[str, str]) -> Reply:
    """Only what the dialect has fields for; a price is that of one unit."""
    listed = [
        {
            "id": str(service.id),
            "name": service.name,
            "min": str(service.min),
            "max": str(service.max),
            "price": money_text(service.rate_micros // _UNITS_PER_RATE),
            "root_category_name": service.category,
        }
        for service in SERVICES.values()
        if service.type is WireType.DEFAULT
    ]
    return _success("Service list", listed)


def _create_order(provider: Provider, form: Mapping[str, str]) -> Reply:
    said = take(
        provider,
        {
            "service": form.get("service_id", ""),
            "link": form.get("url", ""),
            "quantity": form.get("count", ""),
        },
    )
    if isinstance(said, NotTaken):
        return _error(said.error, said.fault)
    data = {"order_id": str(said.order_id), "price": money_text(said.charge_micros)}
    return _success("Order info", data, said.fault)


def _check_order(provider: Provider, form: Mapping[str, str]) -> Reply:
    struck = provider.faults.strikes_status_call()
    if struck is not None:
        return Reply({}, struck)
    order = provider.find(whole(form.get("order_id", "")) or 0)
    if order is None or provider.faults.strikes_status_id() is Fault.STATUS_UNKNOWN_ID:
        return _error("Order not found")
    word = provider.status_of(order)["status"]
    return _success(
        "Order status", {"order_id": str(order.id), "status": _STATUS_WORDS.get(word, word)}
    )


def _success(desc: str, data: Any, fault: Fault | None = None) -> Reply:
    return Reply({"type": "success", "desc": desc, "data": data}, fault)


def _error(desc: str, fault: Fault | None = None) -> Reply:
    return Reply({"type": "error", "desc": desc}, fault)


_ACTIONS: Final[Mapping[str, Callable[[Provider, Mapping[str, str]], Reply]]] = {
    "balance": _balance,
    "services": _services,
    "create_order": _create_order,
    "check_order": _check_order,
}
