"""The gauges of orders: how many are in each state, and which of them wait too long."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.core import lineage
from app.core.db import Session
from app.core.gauges import Sample
from app.core.uow import now_of
from app.orders import count_repository, refill_repository
from app.orders.refill_states import ENDED as REFILL_ENDED
from app.orders.refill_states import RefillState
from app.orders.states import ENDED, RUNNING, OrderState

NAMES: Final = frozenset(
    {
        "smmos_orders",
        "smmos_orders_ended_last_day",
        "smmos_orders_late",
        "smmos_orders_undispatched_late",
        "smmos_refills",
        "smmos_database_restored",
    }
)
_UNDISPATCHED: Final = (OrderState.QUEUED, OrderState.ON_HOLD)


async def samples(session: Session) -> list[Sample]:
    """Counted over partial indexes of what is running, and of what ended in the last day.

    Late is what still runs past its `deliver_by`, wherever it hangs.
    """
    running = await count_repository.state_counts(session)
    ended = await count_repository.ended_counts(session, now_of(session) - timedelta(days=1))
    late = await count_repository.late_counts(session)
    refills = await refill_repository.open_counts(session)
    return [
        *(
            Sample("smmos_orders", f'state="{state}"', running.get(state, 0))
            for state in sorted(RUNNING)
        ),
        *(
            Sample("smmos_orders_ended_last_day", f'state="{state}"', ended.get(state, 0))
            for state in sorted(ENDED)
        ),
        *(
            Sample("smmos_orders_late", f'state="{state}"', late.get(state, 0))
            for state in sorted(RUNNING)
        ),
        *(
            Sample("smmos_refills", f'state="{state}"', refills.get(state, 0))
            for state in sorted(set(RefillState) - REFILL_ENDED)
        ),
        Sample("smmos_database_restored", "", int(await lineage.is_restored(session))),
        Sample(
            "smmos_orders_undispatched_late", "", sum(late.get(state, 0) for state in _UNDISPATCHED)
        ),
    ]
