"""A refill of a whole drip-feed: one number for the refills of all its runs that may have one.

Each run's refill is one like any other, with its own number, provider and end; the group tells of
them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import AppError, NotFound
from app.orders import refill_repository, refills, run_repository
from app.orders.errors import RefillNotYet
from app.orders.models import Order
from app.orders.refill_models import Refill
from app.orders.refill_states import ENDED, RefillState, group_status


@dataclass(frozen=True, slots=True)
class RefillGroup:
    """The refills that one request for a schedule made; never none."""

    id: int
    schedule_id: int
    refills: Sequence[Refill]

    @property
    def status(self) -> str:
        """In the words of v1."""
        return group_status({RefillState(one.state) for one in self.refills})

    @property
    def reason(self) -> str | None:
        """Why not all of it was done, once it is over."""
        done = sum(one.state == RefillState.COMPLETED for one in self.refills)
        if self.ended_at is None or done == len(self.refills):
            return None
        if len(self.refills) == 1:
            return self.refills[0].reason
        return f"{done} of {len(self.refills)} runs were refilled."

    @property
    def created_at(self) -> datetime:
        return self.refills[0].created_at

    @property
    def ended_at(self) -> datetime | None:
        moments = [one.ended_at for one in self.refills if one.ended_at is not None]
        return max(moments) if all(one.state in ENDED for one in self.refills) else None


async def request(session: Session, schedule_id: int, *, actor: Actor) -> RefillGroup:
    """Promise a refill of each run of a schedule that may have one.

    Raises what `refills.request` raises for the last of its runs that was delivered, where none
    may, and RefillNotYet where none was.
    """
    ids = await run_repository.delivered(session, schedule_id)
    await work.lock_refs(session, [str(order_id) for order_id in ids])
    group_id = await run_repository.next_order_id(session)
    made: list[Refill] = []
    refusal: AppError = RefillNotYet()
    for run in await run_repository.lock(session, ids):
        asked = await _ask(session, run, group_id, actor)
        if isinstance(asked, Refill):
            made.append(asked)
        else:
            refusal = asked
    if not made:
        raise refusal
    return RefillGroup(group_id, schedule_id, made)


async def _ask(session: Session, run: Order, group_id: int, actor: Actor) -> Refill | AppError:
    try:
        return await refills.promise(session, run, actor=actor, group_id=group_id)
    except AppError as refusal:
        return refusal


async def get_in_book(session: Session, book_id: UUID, group_id: int) -> RefillGroup:
    """Raises NotFound for one that is absent and for another's alike."""
    found = await refill_repository.of_group(session, book_id, group_id)
    if not found:
        raise NotFound
    schedule_id = await run_repository.parent_of(session, found[0].order_id)
    if schedule_id is None:
        raise LookupError(f"refill {found[0].id} of a group is of an order that is no run")
    return RefillGroup(group_id, schedule_id, found)
