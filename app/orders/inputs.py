"""What identifies people in an order, sealed for its row: the link and the form's texts."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

import orjson

from app.catalog.links.canonical import canonical_link
from app.core.crypto import KeyRing, Place, Undecryptable
from app.core.logging import get_logger
from app.providers.forms import OrderForm

log = get_logger(__name__)


def seal_form(keys: KeyRing, order_id: int, form: OrderForm) -> bytes:
    """The fields that say something, encrypted for this order's row."""
    return seal_form_at(keys, _place(order_id), form)


def said(form: OrderForm) -> dict[str, Any]:
    """The fields of a form that say something, by name."""
    content = {field.name: getattr(form, field.name) for field in fields(form)}
    return {name: value for name, value in content.items() if value not in (None, ())}


def open_form(keys: KeyRing, order_id: int, sealed: bytes) -> OrderForm:
    """Raises Undecryptable for what was not sealed for this order."""
    return open_form_at(keys, _place(order_id), sealed)


def seal_form_at(keys: KeyRing, place: Place, form: OrderForm) -> bytes:
    """The same for another row that keeps a form."""
    return keys.seal(orjson.dumps(said(form)), place)


def open_form_at(keys: KeyRing, place: Place, sealed: bytes) -> OrderForm:
    try:
        content: dict[str, Any] = orjson.loads(keys.open(sealed, place))
        if "expiry" in content:
            content["expiry"] = date.fromisoformat(content["expiry"])
        return OrderForm.of(content)
    except (ValueError, TypeError) as error:
        # Written by a version that knew more, or not by us.
        raise Undecryptable("what was sealed is no form of ours") from error


def shown_form_at(keys: KeyRing, place: Place, sealed: bytes) -> OrderForm | None:
    """The form that stands there, to be shown; None where nobody can open it any more, which is
    told in the log and hides nothing else.
    """
    try:
        return open_form_at(keys, place, sealed)
    except Undecryptable:
        log.warning("form_cannot_be_opened", table=place.table, row=place.row)
        return None


def shown_form(keys: KeyRing, order_id: int, sealed: bytes) -> OrderForm | None:
    """The same of an order's own form."""
    return shown_form_at(keys, _place(order_id), sealed)


def link_hash(keys: KeyRing, form: OrderForm) -> bytes:
    """The keyed hash by which orders on the same link are found without reading any; of a user,
    where there is no link.
    """
    link = form.link
    target = f"user:{form.username}" if link is None else canonical_link(link)
    return keys.mac("link", target.encode())


def link_hashes(keys: KeyRing, link: str) -> list[bytes]:
    """The same under every master key, for look-ups across a rotation."""
    return keys.macs("link", canonical_link(link).encode())


def user_hashes(keys: KeyRing, username: str) -> list[bytes]:
    """The same of what is delivered to a user and has no link."""
    return keys.macs("link", f"user:{username}".encode())


def _place(order_id: int) -> Place:
    return Place("order_inputs", "sealed", str(order_id))
