"""Polls whose answer cannot be used: counted, told in the timeline, at last given to a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from app.core import work
from app.core.audit import Actor
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.uow import now_of
from app.orders import repository
from app.orders.models import Order
from app.orders.service import FOLLOW
from app.orders.states import Move, OrderState

ACTOR: Final = Actor("system", "follow")
ID_UNKNOWN: Final = "id_unknown_to_provider"
ID_UNKNOWN_MAX: Final = 3
DOUBT_WINDOW: Final = timedelta(hours=1)
UNUSABLE_MAX: Final = timedelta(hours=24)
"""So long may a provider say nothing usable of an order before a person looks."""

NO_DOUBT: Final[dict[str, Any]] = {
    "doubts": 0,
    "doubted_at": None,
    "doubt_reason": None,
    "unusable_since": None,
}
"""The columns of an order of which something usable was said, or that a person looks at."""


async def doubt_id(session: Session, order: Order, time_scale: float) -> bool:
    """The provider does not know its own order id: three times in an hour, and a person has to
    look. Whether the order is to be polled again.
    """
    polls = _polls(session, order, ID_UNKNOWN)
    if polls >= ID_UNKNOWN_MAX:
        await review(session, order, ID_UNKNOWN, {"polls": polls})
        return False
    return await doubt(session, order, ID_UNKNOWN, time_scale)


async def doubt(session: Session, order: Order, reason: str, time_scale: float) -> bool:
    """Count an answer that cannot be used, for this reason. Whether to poll again."""
    polls = _polls(session, order, reason)
    values = {
        "doubts": polls,
        "doubted_at": order.doubted_at if polls > 1 else now_of(session),
        "doubt_reason": reason,
    }
    return await _tell(session, order, reason, time_scale, data={"polls": polls}, values=values)


async def unusable(session: Session, order: Order, reason: str, time_scale: float) -> bool:
    """An answer that tells nothing, not even what is wrong: only the first in a row is told, and
    no count goes up. Whether to poll again.
    """
    return await _tell(session, order, reason, time_scale, data={}, values={})


async def review(session: Session, order: Order, reason: str, data: dict[str, Any]) -> None:
    """in_progress → needs_review: the money stays held until an operator has looked."""
    await repository.move(
        session,
        order.id,
        Move.REVIEW,
        source=OrderState.IN_PROGRESS,
        target=OrderState.NEEDS_REVIEW,
        actor=ACTOR,
        data={"why": reason, **data},
        values=NO_DOUBT,
        public=False,
    )
    await work.finish(session, FOLLOW, [str(order.id)])


def _polls(session: Session, order: Order, reason: str) -> int:
    """How many polls, this one included, were useless for this reason within the hour."""
    goes_on = (
        order.doubt_reason == reason
        and order.doubted_at is not None
        and now_of(session) - order.doubted_at <= DOUBT_WINDOW
    )
    return order.doubts + 1 if goes_on else 1


async def _tell(
    session: Session,
    order: Order,
    reason: str,
    time_scale: float,
    *,
    data: dict[str, Any],
    values: dict[str, Any],
) -> bool:
    """Whatever the reasons: after a day in which nothing usable was said, a person has to look."""
    now = now_of(session)
    since = order.unusable_since or now
    if now - since >= UNUSABLE_MAX / time_scale:
        await review(session, order, reason, {"since": rfc3339(since)})
        return False
    if values or order.unusable_since is None:
        await repository.note(
            session,
            order.id,
            "doubt",
            source=OrderState.IN_PROGRESS,
            actor=ACTOR,
            data={"why": reason, **data},
            values={"unusable_since": since, **values},
        )
    return True
