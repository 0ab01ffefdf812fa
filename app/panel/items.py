"""The order that an `add` asks for: its fields, translated into the body that v1 takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from app.catalog.offering import Offer
from app.core.money import Money, charge_rounded_up
from app.orders.errors import QuantityOutOfBounds
from app.orders.form_schemas import OrderCreate
from app.orders.pricing import NewOrder
from app.panel.reading import number_of
from app.panel.sentences import LINK_BAD, REQUEST_INCORRECT, Refused
from app.providers.forms import FIELDS, FORMS, LINES_FIELDS, NUMBER_FIELDS, Unit

CONTENT: Final = frozenset({*FIELDS, "service", "runs", "interval", "spend_cap"})
"""The fields that say what is ordered."""

_NO_REPEAT: Final = frozenset({0, 1})
_LINE_BREAK: Final = re.compile(r"\r\n?|\n")
"""Those of the wire. Unicode has more, which stay in their line and are refused there."""


def item_of(offer: Offer, fields: Mapping[str, str]) -> NewOrder:
    """The order as v1 takes it: the fields of the service's type, and no others.

    Raises Refused, and QuantityOutOfBounds for an order of nothing.
    """
    body: dict[str, Any] = {"service_id": offer.service_id, "type": offer.type}
    for name in FORMS[offer.type].fields:
        if name in fields:
            body[name] = _value(name, fields[name])
    body |= _repeat(fields)
    if FORMS[offer.type].billable is Unit.POST:
        body |= _spend_cap(offer, fields, body)
    try:
        return OrderCreate.model_validate(body).asked()
    except ValidationError as error:
        blamed = {part for entry in error.errors() for part in entry["loc"]}
        if "link" in blamed:
            raise Refused(LINK_BAD) from error
        if "quantity" in blamed and body.get("quantity") == 0:
            least, most = offer.min_quantity, offer.max_quantity
            raise QuantityOutOfBounds("quantity", 0, least=least, most=most) from error
        raise Refused(REQUEST_INCORRECT) from error


def _repeat(fields: Mapping[str, str]) -> dict[str, int]:
    """A drip-feed; no runs, and one, are an order like any."""
    runs = _number(fields.get("runs", "0"))
    if runs in _NO_REPEAT:
        return {}
    return {"runs": runs, "interval_minutes": _number(fields.get("interval", ""))}


def _spend_cap(offer: Offer, fields: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, str]:
    """The most that a subscription may cost: told by a field of ours, or bounded by its posts."""
    if "spend_cap" in fields:
        return {"spend_cap": fields["spend_cap"].strip()}
    if "posts" not in body or "max" not in body:
        return {}
    post = charge_rounded_up(rate=offer.rate, price_unit=offer.price_unit, quantity=body["max"])
    cap = Money(post.micros * (body["posts"] + body.get("old_posts", 0)))
    return {"spend_cap": str(cap)}


def _value(name: str, text: str) -> Any:
    if name in LINES_FIELDS:
        return [line.strip() for line in _LINE_BREAK.split(text) if line.strip()]
    if name in NUMBER_FIELDS:
        return _number(text)
    return _date(text) if name == "expiry" else text.strip()


def _number(text: str) -> int:
    number = number_of(text)
    if number is None:
        raise Refused(REQUEST_INCORRECT)
    return number


def _date(text: str) -> str:
    """The wire writes days as d/m/Y."""
    try:
        return datetime.strptime(text.strip(), "%d/%m/%Y").date().isoformat()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise Refused(REQUEST_INCORRECT) from error
