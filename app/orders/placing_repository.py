"""The SQL that places orders: many orders with all that belongs to them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm.attributes import instance_dict, manager_of_class

from app.core.db import Session
from app.core.statements import Statement
from app.core.uow import now_of
from app.orders.models import Order
from app.orders.states import OrderState

_PLACE: Final = Statement(
    """
    WITH item AS (
        SELECT * FROM unnest(
            CAST(:id AS bigint[]), CAST(:book_id AS uuid[]), CAST(:service_id AS bigint[]),
            CAST(:quantity AS bigint[]), CAST(:units AS bigint[]), CAST(:charge AS bigint[]),
            CAST(:rate_micros AS bigint[]), CAST(:price_unit AS int[]),
            CAST(:markup_basis_points AS int[]),
            CAST(:cost_micros AS bigint[]), CAST(:link_hash AS bytea[]),
            CAST(:reference AS text[]),
            CAST(:deliver_from AS timestamptz[]), CAST(:deliver_by AS timestamptz[]),
            CAST(:sealed AS bytea[]), CAST(:actor AS text[])
        ) AS item (
            id, book_id, service_id, quantity, units, charge, rate_micros, price_unit,
            markup_basis_points, cost_micros, link_hash, reference, deliver_from, deliver_by,
            sealed, actor)
    ), placed AS (
        INSERT INTO orders (
            id, book_id, service_id, state, quantity, units, charge, held, earned, refunded,
            forfeited, rate_micros, price_unit, markup_basis_points, cost_micros, link_hash,
            reference, version, created_at, deliver_from, deliver_by)
        SELECT id, book_id, service_id, 'queued', quantity, units, charge, charge, 0, 0,
               0, rate_micros, price_unit, markup_basis_points, cost_micros, link_hash,
               reference, 1, :now, deliver_from, deliver_by
        FROM item
    ), sealed AS (
        INSERT INTO order_inputs (order_id, sealed) SELECT id, sealed FROM item
    )
    INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
    SELECT id, 1, 'place', actor, true, '{}', :now FROM item
    """
)
_PLACE_COLUMNS: Final = (
    "id",
    "book_id",
    "service_id",
    "quantity",
    "units",
    "charge",
    "rate_micros",
    "price_unit",
    "markup_basis_points",
    "cost_micros",
    "link_hash",
    "reference",
    "deliver_from",
    "deliver_by",
    "sealed",
    "actor",
)


async def insert_orders(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Orders with their sealed inputs and their first events, in one statement."""
    columns = {name: [row[name] for row in rows] for name in _PLACE_COLUMNS}
    await _PLACE.rows(session, now=now_of(session), **columns)


_ORDERS: Final = manager_of_class(Order)


def as_inserted(row: dict[str, Any]) -> Order:
    """The order as `insert_orders` has written it, without reading it back.

    Filled past the mapper's events, which cost more than the rest of an order's rules together.
    """
    order: Order = _ORDERS.new_instance()
    columns = {name: value for name, value in row.items() if name not in {"sealed", "actor"}}
    instance_dict(order).update(
        columns,
        state=OrderState.QUEUED,
        held=row["charge"],
        earned=0,
        refunded=0,
        forfeited=0,
        version=1,
    )
    return order
