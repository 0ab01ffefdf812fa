"""What identifies people in an order, sealed for its row: the link and the form's texts."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from app.core.crypto import KeyRing, Place
from app.orders.links import canonical_link


@dataclass(frozen=True, slots=True)
class OrderForm:
    """The parts of an order that go to a provider and nowhere else."""

    link: str
    comments: tuple[str, ...] = ()


def seal_form(keys: KeyRing, order_id: int, form: OrderForm) -> bytes:
    content = {"link": form.link, "comments": form.comments}
    return keys.seal(orjson.dumps(content), _place(order_id))


def open_form(keys: KeyRing, order_id: int, sealed: bytes) -> OrderForm:
    content = orjson.loads(keys.open(sealed, _place(order_id)))
    return OrderForm(content["link"], tuple(content["comments"]))


def link_hash(keys: KeyRing, link: str) -> bytes:
    """The keyed hash by which orders on the same link are found without reading any."""
    return keys.mac("link", canonical_link(link).encode())


def link_hashes(keys: KeyRing, link: str) -> list[bytes]:
    """The same under every master key, for look-ups across a rotation."""
    return keys.macs("link", canonical_link(link).encode())


def _place(order_id: int) -> Place:
    return Place("order_inputs", "sealed", str(order_id))
