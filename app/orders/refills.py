"""The verbs of a refill that people call: ask for one, read it, resolve one that hangs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.models import Service
from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import NotFound
from app.core.uow import now_of
from app.orders import (
    evidence_repository,
    refill_moves,
    refill_repository,
    service,
)
from app.orders.errors import (
    ProviderRefillTaken,
    RefillNotOffered,
    RefillNotYet,
    RefillOpen,
    RefillStateConflict,
    RefillTooSoon,
    RefillUnavailable,
    RefillWindowClosed,
    TooEarlyToProve,
)
from app.orders.models import Order
from app.orders.refill_models import Refill
from app.orders.refill_states import ENDED, RefillState
from app.orders.states import OrderState
from app.providers.protocol import Capability
from app.supply import service as supply

COOL_DOWN: Final = timedelta(hours=24)
ABSENCE_AFTER: Final = timedelta(minutes=15)
REFILLABLE: Final = frozenset({OrderState.COMPLETED, OrderState.PARTIAL})


async def request(session: Session, book_id: UUID, order_id: int, *, actor: Actor) -> Refill:
    """Promise that the order's provider is asked to deliver again what was lost; it costs nothing.

    Raises NotFound, RefillNotOffered, RefillNotYet, RefillWindowClosed, RefillOpen, RefillTooSoon,
    RefillUnavailable.
    """
    await service.get_in_book(session, book_id, order_id)
    return await promise(session, await service.lock(session, order_id), actor=actor)


async def promise(
    session: Session, order: Order, *, actor: Actor, group_id: int | None = None
) -> Refill:
    """The same of an order that is locked, perhaps as one of a group."""
    sold = await catalog.get(session, order.service_id)
    _refuse_by_terms(session, order, sold)
    await _refuse_by_the_last(session, order)
    provider_id = await _refillable_at(session, order)
    refill = Refill(
        id=await service.next_number(session),
        order_id=order.id,
        book_id=order.book_id,
        group_id=group_id,
        provider_id=provider_id,
        state=RefillState.REQUESTED,
        requested_by=str(actor),
        doubts=0,
        created_at=now_of(session),
    )
    await refill_repository.insert(session, refill)
    await refill_moves.note(session, refill, "refill_requested", actor=actor)
    await refill_moves.promise(session, refill)
    return refill


def _refuse_by_terms(session: Session, order: Order, sold: Service) -> None:
    """By the service as it is sold now; the window's edge is still inside."""
    if not sold.refill:
        raise RefillNotOffered
    if order.state not in REFILLABLE or order.ended_at is None:
        raise RefillNotYet
    if not order.earned:
        raise RefillUnavailable("All that was paid for this order has gone back")
    over = order.ended_at + timedelta(days=sold.refill_days)
    if sold.refill_days and now_of(session) > over:
        raise RefillWindowClosed


async def _refuse_by_the_last(session: Session, order: Order) -> None:
    """One at a time, and one a day, whatever became of the last."""
    last = await refill_repository.last_of(session, order.id)
    if last is None:
        return
    if last.state not in ENDED:
        raise RefillOpen
    left = last.created_at + COOL_DOWN - now_of(session)
    if left > timedelta(0):
        raise RefillTooSoon(retry_after_seconds=math.ceil(left.total_seconds()))


async def _refillable_at(session: Session, order: Order) -> UUID:
    """The provider that delivered it, where it can be asked for refills at all."""
    if order.provider_id is None or order.provider_order_id is None:
        raise RefillUnavailable
    provider = await supply.get(session, order.provider_id)
    if not supply.can(provider, Capability.REFILL):
        raise RefillUnavailable
    return provider.id


async def find_in_book(session: Session, book_id: UUID, refill_id: int) -> Refill | None:
    """A refill of one order; None for one that is absent, another's, or that of a group."""
    return await refill_repository.find_in_book(session, book_id, refill_id)


async def page(
    session: Session,
    *,
    book_id: UUID | None,
    order_id: int | None = None,
    states: Collection[RefillState] | None = None,
    after: int | None,
    limit: int,
) -> Sequence[Refill]:
    """Newest first; of one book, or of all for operators."""
    return await refill_repository.page(
        session, book_id=book_id, order_id=order_id, states=states, after=after, limit=limit
    )


async def find(
    session: Session, refill_id: int, *, provider_refill_id: str, actor: Actor, reason: str
) -> Refill:
    """An operator knows that the provider took it, and under which id: it is followed on.

    Raises NotFound, RefillStateConflict, ProviderRefillTaken.
    """
    await work.lock_ref(session, str(refill_id))
    # Before the refill itself, as a worker does that records what it was answered too late.
    await evidence_repository.lock_acceptance(session, (await _get(session, refill_id)).provider_id)
    refill = await _lock_unknown(session, refill_id)
    taken = await refill_repository.ids_taken(session, refill.provider_id, [provider_refill_id])
    if taken and refill.provider_refill_id != provider_refill_id:
        raise ProviderRefillTaken
    await refill_moves.take(
        session, refill, provider_refill_id, actor=actor, time_scale=1.0, data={"why": reason}
    )
    return await _get(session, refill_id)


async def prove_absent(session: Session, refill_id: int, *, actor: Actor, reason: str) -> Refill:
    """An operator has proof that the provider never took it: it is asked for again.

    Raises NotFound, RefillStateConflict, and TooEarlyToProve while it might still turn up.
    """
    refill = await _lock_unknown(session, refill_id)
    if refill.provider_refill_id is not None:
        raise RefillStateConflict("The provider has given this refill an id")
    now = now_of(session)
    if refill.sending_at is not None and now - refill.sending_at < ABSENCE_AFTER:
        raise TooEarlyToProve
    await refill_moves.put_back(session, refill, reason, due_at=now, actor=actor)
    return await _get(session, refill_id)


async def end_by_hand(
    session: Session, refill_id: int, state: RefillState, *, actor: Actor, reason: str
) -> Refill:
    """An operator knows how it ended. Raises NotFound, RefillStateConflict."""
    refill = await _lock_unknown(session, refill_id)
    await refill_moves.end(session, refill, state, actor=actor, data={"why": reason})
    return await _get(session, refill_id)


async def _lock_unknown(session: Session, refill_id: int) -> Refill:
    await work.lock_ref(session, str(refill_id))
    if await refill_repository.find(session, refill_id) is None:
        raise NotFound
    locked = await refill_repository.lock_many(session, [refill_id], [RefillState.UNKNOWN])
    if not locked:
        raise RefillStateConflict
    return locked[0]


async def _get(session: Session, refill_id: int) -> Refill:
    refill = await refill_repository.find(session, refill_id)
    if refill is None:
        raise NotFound
    return refill
