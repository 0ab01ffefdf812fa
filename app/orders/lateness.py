"""Orders that are later than promised: seen once, told in their timeline, counted."""

from __future__ import annotations

from typing import Final

from app.core.audit import Actor
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.uow import now_of
from app.orders import count_repository, repository
from app.orders.states import OrderState

ACTOR: Final = Actor("system", "lateness")
FLAGGED_MAX: Final = 500


async def flag_late(session: Session) -> int:
    """Say of each running order that is past its time that it is late, once; of how many."""
    late = await count_repository.newly_late(session, limit=FLAGGED_MAX)
    for order in late:
        await repository.note(
            session,
            order.id,
            "late",
            source=OrderState(order.state),
            actor=ACTOR,
            data={"deliver_by": rfc3339(order.deliver_by)},
            values={"late_at": now_of(session)},
            public=True,
        )
    return len(late)
