"""Canceling: at once before an order is handed on, by a request to its provider afterwards.

A request moves no money: only the order's own final status does, by what was delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.catalog import service as catalog
from app.core import work
from app.core.audit import Actor
from app.core.backoff import backed_off
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import FENCED
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import repository, service
from app.orders.errors import OrderNotCancelable
from app.orders.models import Order
from app.orders.service import FOLLOW
from app.orders.states import ENDED, CancelState, OrderState
from app.orders.told_reasons import told_reason
from app.providers.aftercare import CancelAsked, CancelRefused
from app.providers.protocol import (
    CANCEL_BATCH_MAX,
    CancelAnswer,
    Capability,
    ProviderAccount,
    Unreadable,
)
from app.supply import protection
from app.supply import service as supply
from app.supply.bounds import CANCEL_CALLS_MAX
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

CANCEL: Final = "cancel"
ACTOR: Final = Actor("system", "cancels")
ASK_AGAIN_AFTER: Final = timedelta(minutes=10)
"""A request that was refused is made anew only after this; until then its refusal stands."""
ANSWERED_WITHIN: Final = timedelta(hours=24)
"""A provider that gave no answer for so long counts as having refused; one may ask again."""
WAIT_MIN: Final = timedelta(minutes=1)
WAIT_MAX: Final = timedelta(hours=1)
POLL_AFTER: Final = timedelta(minutes=1)
_ASKED_ABOUT: Final = (OrderState.IN_PROGRESS, OrderState.PARTIAL, OrderState.CANCELED)


@dataclass(frozen=True, slots=True)
class CancelBatch:
    """Orders whose provider is to be asked to end them: provider order id → order."""

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    orders: dict[str, int]
    time_scale: float


async def request(session: Session, order_id: int, *, actor: Actor, reason: str) -> Order:
    """Take an order back at once, or have its provider asked to end it; asked twice, once is done.

    Raises NotFound, and OrderNotCancelable for an order that is being handed over, whose standing
    is unknown, that has ended, or that its service or provider cannot cancel.
    """
    order = await service.lock(session, order_id)
    match OrderState(order.state):
        case OrderState.QUEUED | OrderState.ON_HOLD:
            return await service.cancel(session, order_id, actor=actor, reason=reason)
        case OrderState.IN_PROGRESS:
            if not _stands(session, order):
                await _request(session, order, actor)
            return await service.get(session, order_id)
        case state if state in ENDED:
            raise OrderNotCancelable("The order has ended")
        case _:
            raise OrderNotCancelable("The order is between us and delivery: try again later")


def _stands(session: Session, order: Order) -> bool:
    """Whether there is a request already whose answer is this one's too."""
    if order.cancel_state is None or order.cancel_at is None:
        return False
    if order.cancel_state == CancelState.REFUSED:
        return now_of(session) - order.cancel_at < ASK_AGAIN_AFTER
    return True


async def _request(session: Session, order: Order, actor: Actor) -> None:
    sold = await catalog.get(session, order.service_id)
    if not sold.cancel:
        raise OrderNotCancelable("An order of this service cannot be canceled once it has begun")
    if order.provider_id is None:
        raise LookupError(f"order {order.id} is in progress at no provider")
    provider = await supply.get(session, order.provider_id)
    if not supply.can(provider, Capability.CANCEL):
        raise OrderNotCancelable("This order cannot be canceled once it has begun")
    await _promise(session, order, provider.id, actor)


async def _promise(session: Session, order: Order, provider_id: UUID, actor: Actor) -> None:
    await _note(session, order, CancelState.REQUESTED, actor)
    await work.put(session, CANCEL, str(order.id), lane=str(provider_id))


async def ask_to_end(session: Session, order: Order, *, actor: Actor) -> None:
    """Have the provider asked to end an order in progress, where it can and was not asked already;
    one that refused is asked anew after a while.

    It is the house's own wish: whether its service lets resellers cancel does not matter.
    """
    if _stands(session, order) or order.provider_id is None:
        return
    if supply.can(await supply.get(session, order.provider_id), Capability.CANCEL):
        await _promise(session, order, order.provider_id, actor)


async def ask_to_stop(session: Session, order: Order, provider_id: UUID, *, actor: Actor) -> None:
    """Have the provider asked to stop an order that we have ended; whatever its service lets
    resellers do, and unless it was asked already. One that takes no cancels delivers on.
    """
    provider = await supply.get(session, provider_id)
    if order.cancel_state == CancelState.ASKED or not supply.can(provider, Capability.CANCEL):
        return
    await _promise(session, order, provider_id, actor)


async def promise_again(session: Session, order: Order, provider_id: UUID) -> None:
    """An order is in progress again: what was requested of its provider is still to be asked."""
    if order.cancel_state == CancelState.REQUESTED:
        await work.put(session, CANCEL, str(order.id), lane=str(provider_id))


async def lease_cancels(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> CancelBatch | Closed | None:
    """Up to 100 orders to ask for; None when there is none; Closed when it may not be asked.

    No pause stops a cancel, and asking twice changes nothing.
    """
    grant = await protection.admit_reads(session, provider_id)
    if not isinstance(grant, Grant):
        return grant
    provider = grant.provider
    account = supply.account_of(provider, keys, time_scale=time_scale)
    lease = await work.lease_batch(
        session,
        CANCEL,
        str(provider_id),
        limit=CANCEL_BATCH_MAX,
        batches_max=CANCEL_CALLS_MAX,
        seconds=supply.lease_seconds(account),
    )
    if not lease.refs:
        return None
    await protection.spend_reads(session, provider, 1)
    orders = await repository.provider_order_ids(session, [int(ref) for ref in lease.refs])
    return CancelBatch(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        orders={given: order_id for order_id, given in orders.items()},
        time_scale=supply.scale_of(provider, time_scale),
    )


async def record_cancel_failure(
    session: Session, batch: CancelBatch, *, retry_after_seconds: float | None, answered: bool
) -> None:
    """The call as a whole gave no answer: asked again later. May be run again."""
    orders = await _lock_held(session, batch)
    for order in orders:
        await _again_or_give_up(session, batch, order, retry_after_seconds)
    if not orders:
        return
    await protection.record_asked_to_wait(session, batch.provider_id, retry_after_seconds)
    if answered:
        await protection.record_read_answers(session, batch.provider_id)
    else:
        await protection.record_read_failures(
            session, batch.provider_id, 1, time_scale=batch.time_scale
        )


async def record_cancel_answers(
    session: Session, batch: CancelBatch, answers: Mapping[str, CancelAnswer]
) -> None:
    """Keep what the provider answered for each order, and look soon at those it will try to end.

    May be run again: what the lease no longer holds is passed over.
    """
    by_order = {order_id: answers[given] for given, order_id in batch.orders.items()}
    orders = await _lock_held(session, batch)
    asked: list[str] = []
    for order in orders:
        match by_order[order.id]:
            case CancelAsked():
                await _note(session, order, CancelState.ASKED, ACTOR)
                asked.append(str(order.id))
            case CancelRefused(reason=said):
                told = told_reason(said, provider_name=batch.provider_name)
                await _refuse(session, order, told, said)
            case Unreadable(reason=why):
                log.info("cancel_unreadable", order_id=order.id, why=why)
                await _again_or_give_up(session, batch, order, None)
    await work.finish(session, CANCEL, asked)
    soon = now_of(session) + POLL_AFTER / batch.time_scale
    await work.hasten(session, FOLLOW, asked, due_at=soon)
    if orders:
        await protection.record_read_answers(session, batch.provider_id)


async def _lock_held(session: Session, batch: CancelBatch) -> list[Order]:
    """The orders to record, locked. One that has ended is to be asked no more, unless we have
    ended it: only then is there still work to be held.
    """
    await work.lock_refs(session, batch.lease.refs)
    held = await work.lock_held(session, batch.lease, batch.lease.refs)
    fenced = len(batch.lease.refs) - len(held)
    if fenced:
        FENCED.labels(CANCEL).inc(fenced)
        log.warning("cancels_fenced", provider=batch.provider_name, orders=fenced)
    orders = await repository.lock_many(session, [int(r) for r in held], *_ASKED_ABOUT)
    known = [order for order in orders if order.id in batch.orders.values()]
    await work.finish(session, CANCEL, held - {str(order.id) for order in known})
    return known


async def _again_or_give_up(
    session: Session, batch: CancelBatch, order: Order, retry_after_seconds: float | None
) -> None:
    now, scale = now_of(session), batch.time_scale
    if now - _since(order) >= ANSWERED_WITHIN / scale:
        await _refuse(session, order, "No answer came in time.", "no usable answer for a day")
        return
    tries = batch.lease.tries[str(order.id)]
    wait = backed_off(WAIT_MIN, tries - 1, at_most=WAIT_MAX) / scale
    if retry_after_seconds:
        wait = max(wait, timedelta(seconds=retry_after_seconds))
    await work.put_back(session, CANCEL, [str(order.id)], due_at=now + wait)


def _since(order: Order) -> datetime:
    if order.cancel_at is None:
        raise LookupError(f"order {order.id} was never asked to be canceled")
    return order.cancel_at


async def _refuse(session: Session, order: Order, told: str | None, said: str) -> None:
    await _note(session, order, CancelState.REFUSED, ACTOR, told=told, data={"said": said})
    await work.finish(session, CANCEL, [str(order.id)])


async def _note(
    session: Session,
    order: Order,
    state: CancelState,
    actor: Actor,
    *,
    told: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    await repository.note(
        session,
        order.id,
        f"cancel_{state}",
        source=OrderState(order.state),
        actor=actor,
        data=data or {},
        values={"cancel_state": state, "cancel_at": now_of(session), "cancel_reason": told},
        public=True,
    )
