"""A provider's own list of what it accepted, read against what a restored database knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.catalog import service_routes
from app.core.crypto import KeyRing
from app.core.db import Session
from app.orders import restore_repository
from app.orders.inputs import link_hashes, user_hashes
from app.orders.restore_repository import DoubtedOrder, UnresolvedOrder
from app.supply.models import Provider

CLOCKS_APART_MAX: Final = timedelta(hours=1)
"""A provider's list may tell its times by another clock."""
ZONES_APART_MAX: Final = timedelta(days=1)
"""Or by that of a zone that it does not name: so far from ours a time proves nothing."""
_ANY_TIME: Final = datetime.max.replace(tzinfo=UTC)

Hashes = Mapping[str, Collection[bytes]]
"""What the link of each listed order may be kept as here; nothing where none is told."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One order in a provider's own list of what it accepted; None is what the list leaves out."""

    provider_order_id: str
    link: str | None = None
    quantity: int | None = None
    service: str | None = None
    charge_micros: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a provider's list tells: which of our orders it has, which it may have, and which orders
    of its list nobody here knows.
    """

    known: int
    found: tuple[tuple[int, Listed], ...]
    ambiguous: tuple[tuple[tuple[int, ...], Listed], ...]
    lost: tuple[Listed, ...]
    undecided: tuple[int, ...]
    """Doubted orders that what nobody here knows may be, as far as the list tells."""
    unlisted: tuple[int, ...]
    """Doubted orders that are not in the list: absent there, if the list is complete."""


async def read_list(
    session: Session,
    keys: KeyRing,
    provider: Provider,
    listed: Sequence[Listed],
    *,
    since: datetime | None,
) -> Reading:
    """Compare what a provider says that it accepted with what is known here. Changes nothing.

    An order is found where its link, and quantity and service as far as they are told, are those
    of just as many listed orders as there are of ours, all alike; anything less is for a person to
    say, and proves no absence. What was listed before ours was placed is another.
    """
    listed = list({one.provider_order_id: one for one in listed}.values())
    ids = {one.provider_order_id for one in listed}
    known = await restore_repository.known_ids(session, provider.id, ids)
    unknown = [one for one in listed if one.provider_order_id not in known]
    hashes = {one.provider_order_id: _hashes(keys, one) for one in unknown}
    orders = await restore_repository.unresolved_on(
        session, provider.id, {one for some in hashes.values() for one in some}
    )
    kinds = {order.id: (order.service_id, order.quantity) for order in orders}
    candidates = await _candidates(session, provider, orders, unknown, hashes)
    together: dict[tuple[int, ...], list[Listed]] = defaultdict(list)
    for one in unknown:
        together[candidates[one.provider_order_id]].append(one)
    strangers = together.pop((), [])
    lost = [one for one in strangers if _is_recent(one, since)]
    found: list[tuple[int, Listed]] = []
    ambiguous: list[tuple[tuple[int, ...], Listed]] = []
    for order_ids, entries in together.items():
        shared = any(set(order_ids) & set(others) for others in together if others != order_ids)
        alike = len({kinds[order_id] for order_id in order_ids}) == 1
        if alike and len(entries) == len(order_ids) and not shared:
            found += zip(order_ids, entries, strict=True)
        else:
            ambiguous += [(order_ids, one) for one in entries]
    told = {order_id for order_id, _ in found} | {i for ids, _ in ambiguous for i in ids}
    doubted = await restore_repository.doubted_at(session, provider.id)
    untold = [one for one in doubted if one.id not in told]
    perhaps = _perhaps_among(untold, strangers, hashes)
    return Reading(
        known=len(listed) - len(unknown),
        found=tuple(found),
        ambiguous=tuple(ambiguous),
        lost=tuple(lost),
        undecided=tuple(one.id for one in untold if one.id in perhaps),
        unlisted=tuple(one.id for one in untold if one.id not in perhaps),
    )


def _perhaps_among(
    orders: Sequence[DoubtedOrder], strangers: Sequence[Listed], hashes: Hashes
) -> Collection[int]:
    """Those of our orders that listed ones may be for all that is told: by their link, whatever
    the list says of service and quantity, or where it tells no link, by the quantity.
    """
    latest: dict[bytes | int | None, datetime] = {}
    for one in strangers:
        at = one.at or _ANY_TIME
        for key in hashes[one.provider_order_id] or (one.quantity,):
            latest[key] = max(at, latest.get(key, at))
    return {
        order.id
        for order in orders
        for key in (order.link_hash, order.quantity, order.units, None)
        if key in latest and latest[key] >= order.created_at - ZONES_APART_MAX
    }


def _is_recent(one: Listed, since: datetime | None) -> bool:
    return since is None or one.at is None or one.at >= since - CLOCKS_APART_MAX


async def _candidates(
    session: Session,
    provider: Provider,
    orders: Sequence[UnresolvedOrder],
    listed: Sequence[Listed],
    hashes: Hashes,
) -> dict[str, tuple[int, ...]]:
    """Of each listed order those of ours that it may be, in all that is told of it."""
    services: dict[int, set[str]] = {}
    for service_id in {order.service_id for order in orders}:
        services[service_id] = {
            route.provider_service
            for route in await service_routes.routes_of(session, service_id)
            if route.provider_id == provider.id
        }
    return {
        one.provider_order_id: tuple(
            order.id
            for order in orders
            if order.link_hash in hashes[one.provider_order_id]
            and one.quantity in {None, order.quantity, order.units}
            and (one.service is None or one.service in services[order.service_id])
            and _is_recent(one, order.created_at)
        )
        for one in listed
    }


def _hashes(keys: KeyRing, one: Listed) -> Collection[bytes]:
    if one.link is None:
        return ()
    return {*link_hashes(keys, one.link), *user_hashes(keys, one.link)}
