"""Placing plain orders that arrive together, each under its own Idempotency-Key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core import idempotency
from app.core.db import Session
from app.core.errors import AppError
from app.core.idempotency import Answer
from app.core.runtime import Runtime
from app.core.uow import PutAside
from app.orders import placing
from app.orders.models import Order
from app.orders.placing import Purchase
from app.orders.schemas import OrderRead


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that is asked for over HTTP, under its key."""

    asked: idempotency.Request
    purchase: Purchase
    runtime: Runtime


async def place_wanted(
    session: Session, wanted: Sequence[Wanted], may_wait: bool
) -> list[tuple[Answer, bool] | Exception]:
    """One transaction for all orders that arrived together; of each its answer, and whether it is
    a replay, or its refusal. One whose wallet is locked elsewhere is put aside.
    """
    keys = wanted[0].runtime.keys
    claims = await idempotency.claim_many(session, keys, [one.asked for one in wanted])
    fresh = [one for one, claim in zip(wanted, claims, strict=True) if claim is None]
    results = iter(await _place(session, fresh, wait=may_wait))
    told: list[tuple[Answer, bool] | Exception] = []
    kept: list[tuple[idempotency.Request, Answer]] = []
    for one, claim in zip(wanted, claims, strict=True):
        result = next(results) if claim is None else claim
        if isinstance(result, Order):
            answer = _answer(one, result)
            kept.append((one.asked, answer))
            told.append((answer, False))
        elif isinstance(result, Answer):
            told.append((result, True))
        else:
            told.append(result or PutAside())
    if kept:
        await idempotency.keep_many(session, keys, kept)
    return told


async def _place(
    session: Session, wanted: Sequence[Wanted], *, wait: bool
) -> list[Order | AppError | None]:
    if not wanted:
        return []
    purchases = [one.purchase for one in wanted]
    return await placing.place_together(session, wanted[0].runtime.keys, purchases, wait=wait)


def _answer(wanted: Wanted, order: Order) -> Answer:
    read = OrderRead.of(order, wanted.purchase.item.form.link, wanted.runtime.settings.currency)
    return Answer(201, read.model_dump_json().encode(), f"/v1/orders/{order.id}")
