"""Orders that hang: what is found out about them, and what operators say."""

from __future__ import annotations

from typing import Final

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.money import Money
from app.core.uow import now_of
from app.orders import (
    attempt_repository,
    evidence_repository,
    hold_repository,
    inquiries,
    inquiry_repository,
    link_locks,
    repository,
    restore_repository,
)
from app.orders.canceling import ask_to_stop, promise_again
from app.orders.endings import End
from app.orders.errors import OrderStateConflict, ProviderOrderTaken, TooEarlyToProve
from app.orders.hand_settlement import Settlement, end_by_hand
from app.orders.inquiry_states import ResolvedBy
from app.orders.judging import ABSENCE_AFTER
from app.orders.late_words import listen
from app.orders.models import Attempt, Order
from app.orders.service import (
    FOLLOW,
    get,
    lock,
    promise_dispatch,
)
from app.orders.settlement import end_order
from app.orders.states import ENDED, LISTENED_FOR_MAX, AttemptState, Move, OrderState

RECONCILER: Final = Actor("system", "reconcile")
UNRESOLVED: Final = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_REVIEW})
WRITTEN_OFF: Final = "written_off"
GIVEN_UP: Final = (WRITTEN_OFF, "refund_claim")
"""The reasons of orders whose money went back though their provider may have them."""

STOPPED_AT_ONCE_MAX: Final = 100


async def hand_over(session: Session, order_id: int, why: str) -> None:
    """unknown → needs_review: the money stays held until a person has looked."""
    await repository.move(
        session,
        order_id,
        Move.REVIEW,
        source=OrderState.UNKNOWN,
        target=OrderState.NEEDS_REVIEW,
        actor=RECONCILER,
        data={"why": why},
        public=False,
    )


async def find(
    session: Session,
    order_id: int,
    *,
    provider_order_id: str,
    actor: Actor,
    reason: str,
    by: ResolvedBy = ResolvedBy.OPERATOR,
) -> Order:
    """It is known that the provider took the order, and under which id: it goes on.

    Raises OrderStateConflict, ProviderOrderTaken.
    """
    order = await _lock_unresolved(session, order_id)
    attempt = await attempt_repository.live_of(session, order_id)
    if attempt is None:
        raise OrderStateConflict("The order has no attempt that a provider could have taken")
    await evidence_repository.lock_acceptance(session, attempt.provider_id)
    if await evidence_repository.provider_id_taken(
        session, attempt.provider_id, provider_order_id, besides=order_id
    ):
        raise ProviderOrderTaken
    await inquiries.end(session, order_id, by)
    await _found(session, order, attempt, provider_order_id, actor, reason=reason)
    return await get(session, order_id)


async def adopt(session: Session, order: Order, actor: Actor) -> Order:
    """Take an unresolved order for found where an answer to its attempt gave it an id that no other
    order has or was given; else as it was. It is locked.
    """
    told = await _told(session, order)
    if told is None:
        return order
    await inquiries.end(session, order.id, ResolvedBy.OWN_EVIDENCE)
    await _found(session, order, *told, actor, reason=ResolvedBy.OWN_EVIDENCE)
    return await get(session, order.id)


async def _told(session: Session, order: Order) -> tuple[Attempt, str] | None:
    """The attempt of an order that is followed under no id, with the one that an answer gave it."""
    attempt = await attempt_repository.live_of(session, order.id)
    if attempt is None or order.provider_order_id is not None:
        return None
    await evidence_repository.lock_acceptance(session, attempt.provider_id)
    given = await evidence_repository.evidence_of(session, attempt.id)
    if given is None or await evidence_repository.ids_known_besides(
        session, attempt.provider_id, [given], ours={order.id: attempt.id}
    ):
        return None
    return attempt, given


async def _found(
    session: Session,
    order: Order,
    attempt: Attempt,
    provider_order_id: str,
    actor: Actor,
    *,
    reason: str,
) -> None:
    await attempt_repository.end(
        session,
        attempt.id,
        AttemptState.ACCEPTED,
        outcome="found",
        provider_order_id=provider_order_id,
    )
    await repository.move(
        session,
        order.id,
        Move.FIND,
        source=OrderState(order.state),
        target=OrderState.IN_PROGRESS,
        actor=actor,
        data={"why": reason, "provider_order_id": provider_order_id},
        values={
            "provider_id": attempt.provider_id,
            "provider_order_id": provider_order_id,
            "doubts": 0,
            "doubted_at": None,
        },
    )
    await restore_repository.forget_doubts(session, order.id)
    await work.finish_all(session, [str(order.id)])
    await work.put(session, FOLLOW, str(order.id), lane=str(attempt.provider_id))
    await promise_again(session, order, attempt.provider_id)


async def prove_absent(
    session: Session,
    order_id: int,
    *,
    actor: Actor,
    reason: str,
    by: ResolvedBy = ResolvedBy.OPERATOR,
) -> Order:
    """There is proof that the provider never took the order: it is queued again, or on hold where a
    hold from before a restore is open.

    Raises OrderStateConflict, and TooEarlyToProve within 15 minutes of sending, when the order
    might still turn up.
    """
    order = await _lock_unresolved(session, order_id)
    if order.provider_order_id is not None:
        raise OrderStateConflict("The provider has given this order an id")
    attempt = await attempt_repository.live_of(session, order_id)
    if attempt is not None:
        if await evidence_repository.evidence_of(session, attempt.id) is not None:
            raise OrderStateConflict("The provider has given this order an id")
        sent = attempt.sending_at or attempt.started_at
        if now_of(session) - sent < ABSENCE_AFTER:
            raise TooEarlyToProve
        await attempt_repository.end(
            session, attempt.id, AttemptState.ABSENT, outcome="proven absent"
        )
    await repository.move(
        session,
        order_id,
        Move.PROVE_ABSENT,
        source=OrderState(order.state),
        target=OrderState.QUEUED,
        actor=actor,
        data={"why": reason},
        public=False,
    )
    await inquiries.end(session, order_id, by)
    await restore_repository.forget_doubts(session, order_id)
    await link_locks.release(session, [order_id])
    await work.finish_all(session, [str(order_id)])
    if await hold_repository.open_hold_count(session, order_id):
        await repository.move(
            session,
            order_id,
            Move.HOLD,
            source=OrderState.QUEUED,
            target=OrderState.ON_HOLD,
            actor=actor,
            data={"why": "held before the restore"},
        )
    else:
        await promise_dispatch(session, order)
    return await get(session, order_id)


async def write_off(
    session: Session,
    order_id: int,
    *,
    actor: Actor,
    reason: str,
    by: ResolvedBy = ResolvedBy.OPERATOR,
) -> Order:
    """Give the money back without knowing; what is delivered later is the house's loss. A provider
    that has given it an id is asked to stop, even if only an answer to its attempt tells which.
    """
    order = await _lock_unresolved(session, order_id)
    told = await _told(session, order)
    await inquiries.end(session, order_id, by)
    end = End(Move.WRITE_OFF, OrderState.CANCELED, Money(order.charge), order.remains)
    await end_order(session, order, end, actor, reason=WRITTEN_OFF, data={"why": reason})
    if told is not None:
        await _keep_id(session, await get(session, order_id), *told, actor)
    await _stop(session, await get(session, order_id), actor)
    return await get(session, order_id)


async def stop_told_late(session: Session) -> int:
    """Have stopped what was ended on our own word before the answer came that tells under which id
    its provider has it; how many.
    """
    since = now_of(session) - LISTENED_FOR_MAX
    ids = await inquiry_repository.told_after_giving_up(
        session, GIVEN_UP, since=since, limit=STOPPED_AT_ONCE_MAX
    )
    await work.lock_refs(session, [str(order_id) for order_id in ids])
    stopped = 0
    for order in await repository.lock_many(session, ids, *ENDED):
        told = await _told(session, order)
        if told is not None:
            await _keep_id(session, order, *told, RECONCILER)
            await _stop(session, await get(session, order.id), RECONCILER)
            stopped += 1
    return stopped


async def _stop(session: Session, ended: Order, actor: Actor) -> None:
    if ended.provider_id is not None and ended.provider_order_id is not None:
        await ask_to_stop(session, ended, ended.provider_id, actor=actor)
        await listen(session, await get(session, ended.id), ended.provider_id)


async def _keep_id(
    session: Session, order: Order, attempt: Attempt, given: str, actor: Actor
) -> None:
    """Under this id the provider has an order that was ended without its word."""
    await attempt_repository.end(
        session, attempt.id, AttemptState.ACCEPTED, outcome="written off", provider_order_id=given
    )
    await repository.note(
        session,
        order.id,
        "observation",
        source=OrderState(order.state),
        actor=actor,
        data={"after_end": True, "provider_order_id": given},
        values={"provider_id": attempt.provider_id, "provider_order_id": given},
    )


async def settle_by_hand(
    session: Session, order_id: int, settlement: Settlement, *, actor: Actor, reason: str
) -> Order:
    """End an order under review by what an operator found out.

    Raises OrderStateConflict, and InvalidInput naming the figure that cannot be.
    """
    order = await _lock_unresolved(session, order_id)
    if order.state != OrderState.NEEDS_REVIEW:
        raise OrderStateConflict("Only an order in needs_review ends so; this one is unknown")
    end = end_by_hand(order, settlement)
    await inquiries.end(session, order_id, ResolvedBy.OPERATOR)
    await end_order(session, order, end, actor, reason="settled_by_hand", data={"why": reason})
    return await get(session, order_id)


async def _lock_unresolved(session: Session, order_id: int) -> Order:
    order = await lock(session, order_id)
    if order.state not in UNRESOLVED:
        rule = "Only an order that is unknown or in needs_review can be resolved"
        raise OrderStateConflict(f"{rule}; this one is {order.state}")
    return order
