"""Holds: what stops an order that was not handed on, and lets it go on again."""

from __future__ import annotations

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.ids import new_id
from app.core.uow import now_of
from app.orders import hold_repository, repository
from app.orders.errors import OrderStateConflict
from app.orders.models import Order, OrderHold
from app.orders.service import DISPATCH, get, lock, promise_dispatch
from app.orders.states import NOT_HANDED_ON, Move, OrderState


async def put_on_hold(
    session: Session, order_id: int, *, source: str, source_id: str, reason: str, actor: Actor
) -> Order:
    """Stop an order from being handed on until this hold, and any other, is released.

    Raises OrderStateConflict once a worker has it.
    """
    order = await lock(session, order_id)
    if order.state not in NOT_HANDED_ON:
        raise OrderStateConflict(f"Only a queued order can be held; this one is {order.state}")
    if not await hold_repository.hold_is_open(session, order_id, source, source_id):
        session.add(
            OrderHold(
                id=new_id(),
                order_id=order_id,
                source=source,
                source_id=source_id,
                reason=reason,
                created_at=now_of(session),
            )
        )
        await session.flush()  # counted when the next hold is released
    if order.state == OrderState.QUEUED:
        await repository.move(
            session,
            order_id,
            Move.HOLD,
            source=OrderState.QUEUED,
            target=OrderState.ON_HOLD,
            actor=actor,
            data={"source": source, "hold_reason": reason},
        )
        await work.finish(session, DISPATCH, [str(order_id)])
    return await get(session, order_id)


async def release_hold(session: Session, order_id: int, *, source: str, actor: Actor) -> Order:
    """Lift the holds of one source; when none is left the order goes on.

    Raises OrderStateConflict.
    """
    order = await lock(session, order_id)
    if order.state != OrderState.ON_HOLD:
        raise OrderStateConflict(f"Only an order on hold can be released; this is {order.state}")
    await hold_repository.release_holds(session, order_id, source)
    if await hold_repository.open_hold_count(session, order_id) == 0:
        await repository.move(
            session,
            order_id,
            Move.RELEASE,
            source=OrderState.ON_HOLD,
            target=OrderState.QUEUED,
            actor=actor,
        )
        await promise_dispatch(session, order)
    return await get(session, order_id)
