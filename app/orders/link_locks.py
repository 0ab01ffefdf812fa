"""One running order per link and provider service, as providers demand: the later ones wait.

An order has its link from the moment it is taken until it ends, goes back to the queue or goes
on to another route. Of an order that is unknown or under review nobody knows whether it runs: it
keeps its link for 24 hours, and then no longer keeps others from theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core.backoff import backed_off
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import AppError
from app.core.uow import now_of, ring_after_commit
from app.orders import link_lock_repository
from app.orders.errors import LinkBusy
from app.orders.inputs import link_hash
from app.orders.link_lock_repository import Place, Wanted
from app.orders.pricing import Priced

LINK_BUSY: Final = "link_busy"
"""The wait reason: it tells nothing of the order that is running."""
DOUBTFUL_MAX: Final = timedelta(hours=24)
RELEASED_MAX: Final = 500
LOOK_AGAIN_MIN: Final = timedelta(minutes=1)
LOOK_AGAIN_MAX: Final = timedelta(minutes=8)


async def take(session: Session, provider_id: UUID, wanted: Sequence[Wanted]) -> set[int]:
    """Give orders their links at a provider; those that got theirs. The caller holds its row.

    Of several orders on one link, the one placed first gets it.
    """
    return await link_lock_repository.take(session, provider_id, wanted) if wanted else set()


def look_again_after(tries: int) -> timedelta:
    """When an order looks again for its link by itself; as a rule it is woken by a release."""
    return backed_off(LOOK_AGAIN_MIN, tries - 1, at_most=LOOK_AGAIN_MAX)


async def release(session: Session, order_ids: Collection[int]) -> None:
    """These orders do not run any more: the next on their links are due at once.

    Waits for no lock of another's: who is about to take a link looks again by himself.
    """
    for due in await link_lock_repository.release(session, order_ids):
        ring_after_commit(session, due.kind, due.lane)


async def release_doubtful(session: Session) -> int:
    """Free the links of orders of which nothing is known for a day; how many."""
    moment = now_of(session) - DOUBTFUL_MAX
    ids = await link_lock_repository.doubtful_since(session, moment, limit=RELEASED_MAX)
    if ids:
        await release(session, ids)
    return len(ids)


async def refuse_busy(
    session: Session, keys: KeyRing, judged: Sequence[Priced | AppError]
) -> list[Priced | AppError]:
    """The same, with LinkBusy in the place of each order whose service wants no second order for
    a link while one runs at the provider that it would be handed to.
    """
    places = {
        index: Place(
            one.route.provider_id, one.route.provider_service, link_hash(keys, one.item.form)
        )
        for index, one in enumerate(judged)
        if isinstance(one, Priced) and one.offer.refuses_busy_link and one.route.link_exclusive
    }
    if not places:
        return list(judged)
    held = await link_lock_repository.held(session, set(places.values()))
    return [LinkBusy() if places.get(index) in held else one for index, one in enumerate(judged)]
