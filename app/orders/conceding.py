"""What an approved claim does to its order: a running one ends, an ended one gives back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.core import lineage
from app.core.audit import Actor
from app.core.db import Session
from app.core.money import Money
from app.ledger import service as ledger
from app.orders import inquiries, repository, resolving
from app.orders.canceling import ask_to_stop
from app.orders.dispatch import review_taken
from app.orders.endings import End
from app.orders.errors import IllegalMoveError, OrderStateConflict
from app.orders.inquiry_states import ResolvedBy
from app.orders.late_words import listen
from app.orders.models import Order
from app.orders.resolving import UNRESOLVED
from app.orders.service import get, was_taken
from app.orders.settlement import end_order
from app.orders.states import NOT_HANDED_ON, Move, OrderState

REFUND_CLAIM: Final = "refund_claim"
"""The reason of an order that a claim has ended."""


@dataclass(frozen=True, slots=True)
class Concession:
    """What a claim gives back of an order, and what is told of it in the order's timeline."""

    claim_id: UUID
    amount: Money
    actor: Actor
    told: dict[str, Any]


async def end_running(session: Session, order: Order, given: Concession) -> None:
    """End a running order by a claim on it: the amount goes back, the rest is earned.

    Its provider is asked to stop, even if only an answer to its attempt tells under which id it has
    the order; what it delivers or charges from now on is the house's loss. The order is locked,
    with its work. Raises OrderStateConflict while it is being handed over, and in a restored
    database for one that may have been.
    """
    state = OrderState(order.state)
    if state is OrderState.SUBMITTING:
        raise OrderStateConflict("The order is being handed over: try again in a minute")
    if state in NOT_HANDED_ON and await lineage.is_restored(session):
        raise OrderStateConflict(
            "The database was restored and is not vouched for: the order may have been handed over"
        )
    if state in NOT_HANDED_ON and await was_taken(session, order.id):
        await review_taken(session, order.id, state)
        order = await get(session, order.id)
        state = OrderState(order.state)
    if state in UNRESOLVED:
        order = await resolving.adopt(session, order, given.actor)
        state = OrderState(order.state)
        await inquiries.end(session, order.id, ResolvedBy.OPERATOR)
    is_whole = given.amount == Money(order.charge)
    end = End(
        Move.DECIDE_CLAIM,
        OrderState.CANCELED if is_whole else OrderState.PARTIAL,
        given.amount,
        order.units if state in NOT_HANDED_ON else order.remains,
    )
    await end_order(session, order, end, given.actor, reason=REFUND_CLAIM, data=given.told)
    if order.provider_id is None or order.provider_order_id is None:
        return
    ended = await get(session, order.id)
    await ask_to_stop(session, ended, order.provider_id, actor=given.actor)
    await listen(session, ended, order.provider_id)


async def give_back(session: Session, order: Order, given: Concession) -> None:
    """Give back what an ended order earned; the database refuses more than that.

    The order is locked. Raises IllegalMoveError when it has moved meanwhile.
    """
    changed = await repository.note(
        session,
        order.id,
        "claim_approved",
        source=OrderState(order.state),
        actor=given.actor,
        data={**given.told, "refunded": str(given.amount)},
        values={
            "earned": order.earned - given.amount.micros,
            "refunded": order.refunded + given.amount.micros,
        },
        public=True,
    )
    if not changed:
        raise IllegalMoveError(f"order {order.id} was not {order.state} any more")
    await ledger.refund_claim(
        session, order.book_id, order.id, claim_id=given.claim_id, amount=given.amount
    )


async def await_cutoff(
    session: Session, order: Order, actor: Actor, data: dict[str, Any], *, at: datetime
) -> None:
    """Tell of a claim on an order, which is locked, that is decided by what was delivered at a
    moment: what the first word after it leaves undelivered is kept, however late it is decided.
    """
    await _note(session, order, "claim_filed", actor, data, {"cutoff_at": at})


async def tell(
    session: Session, order: Order, type_: str, actor: Actor, data: dict[str, Any]
) -> None:
    """Write what happens to a claim into the timeline of its order, which is locked."""
    await _note(session, order, type_, actor, data, {})


async def _note(
    session: Session,
    order: Order,
    type_: str,
    actor: Actor,
    data: dict[str, Any],
    values: dict[str, Any],
) -> None:
    await repository.note(
        session,
        order.id,
        type_,
        source=OrderState(order.state),
        actor=actor,
        data=data,
        values=values,
        public=True,
    )
