"""What identifies people in an order, sealed for its row: the link and the form's texts."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

import orjson

from app.catalog.links.canonical import canonical_link
from app.core.crypto import KeyRing, Place
from app.providers.forms import OrderForm


def seal_form(keys: KeyRing, order_id: int, form: OrderForm) -> bytes:
    """The fields that say something, encrypted for this order's row."""
    content = {field.name: getattr(form, field.name) for field in fields(form)}
    said = {name: value for name, value in content.items() if value not in (None, ())}
    return keys.seal(orjson.dumps(said), _place(order_id))


def open_form(keys: KeyRing, order_id: int, sealed: bytes) -> OrderForm:
    """Raises Undecryptable for what was not sealed for this order."""
    said: dict[str, Any] = orjson.loads(keys.open(sealed, _place(order_id)))
    if "expiry" in said:
        said["expiry"] = date.fromisoformat(said["expiry"])
    return OrderForm.of(said)


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


def _place(order_id: int) -> Place:
    return Place("order_inputs", "sealed", str(order_id))
