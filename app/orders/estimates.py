"""How long delivery takes in truth, learned from what was completed, and told with each service."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.catalog import estimates
from app.catalog.estimates import Estimate
from app.core.db import Session
from app.core.uow import now_of
from app.orders import count_repository

LEARNED_OVER: Final = timedelta(days=14)
ORDERS_MIN: Final = 20
"""Of fewer, a percentile says nothing."""


async def learn(session: Session) -> int:
    """Take the median and the 90th percentile of each service anew; of how many there is one.

    A service of which too little was completed lately keeps none.
    """
    since = now_of(session) - LEARNED_OVER
    found = await count_repository.delivery_seconds(session, since, at_least=ORDERS_MIN)
    await estimates.keep(
        session, {service_id: Estimate(p50, p90) for service_id, p50, p90 in found}
    )
    return len(found)
