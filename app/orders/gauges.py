"""The gauges of orders: how many are in each state, and which of them wait too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import lineage
from app.core.db import Session
from app.core.gauges import Sample, label_value
from app.core.uow import now_of
from app.orders import count_repository, inquiry_repository, refill_repository
from app.orders.inquiry_states import ResolvedBy
from app.orders.refill_states import ENDED as REFILL_ENDED
from app.orders.refill_states import RefillState
from app.orders.states import ENDED, RUNNING, OrderState
from app.supply import service as supply

NAMES: Final = frozenset(
    {
        "smmos_orders",
        "smmos_orders_ended_last_day",
        "smmos_orders_late",
        "smmos_orders_late_by_service",
        "smmos_orders_seen_late_last_day",
        "smmos_orders_undispatched_late",
        "smmos_refills",
        "smmos_lost_orders",
        "smmos_lost_orders_age_p99_seconds",
        "smmos_lost_orders_last_day",
        "smmos_lost_orders_resolved_last_day",
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
    names = {one.id: one.name for one in await supply.every(session)}
    late_now = await count_repository.late_by_service(session)
    seen_late = await count_repository.seen_late_by_service(
        session, now_of(session) - timedelta(days=1)
    )
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
        *_by_service("smmos_orders_late_by_service", late_now, names),
        *_by_service("smmos_orders_seen_late_last_day", seen_late, names),
        *(
            Sample("smmos_refills", f'state="{state}"', refills.get(state, 0))
            for state in sorted(set(RefillState) - REFILL_ENDED)
        ),
        Sample("smmos_database_restored", "", int(await lineage.is_restored(session))),
        Sample(
            "smmos_orders_undispatched_late", "", sum(late.get(state, 0) for state in _UNDISPATCHED)
        ),
    ]


async def lost_samples(session: Session) -> list[Sample]:
    """Of orders that hang: how many there are and how old, how many were lost in the last day by
    provider, and by what they were resolved. Over partial indexes of the searches.
    """
    day = now_of(session) - timedelta(days=1)
    names = {one.id: label_value(one.name) for one in await supply.every(session)}
    lost = await inquiry_repository.opened_counts(session, day)
    resolved = await inquiry_repository.resolved_counts(session, day)
    open_now = {row.provider_id: row for row in await inquiry_repository.open_counts(session)}
    in_all = open_now.get(None)
    age = float(in_all.age_p99) if in_all is not None and in_all.age_p99 is not None else 0.0
    return [
        Sample("smmos_lost_orders_age_p99_seconds", "", age),
        *(
            Sample(
                "smmos_lost_orders",
                f'provider="{name}"',
                open_now[provider_id].open if provider_id in open_now else 0,
            )
            for provider_id, name in names.items()
        ),
        *(
            Sample("smmos_lost_orders_last_day", f'provider="{name}"', lost.get(provider_id, 0))
            for provider_id, name in names.items()
        ),
        *(
            Sample("smmos_lost_orders_resolved_last_day", f'by="{by}"', resolved.get(by, 0))
            for by in ResolvedBy
        ),
    ]


def _by_service(
    name: str, counts: Mapping[tuple[UUID | None, int], int], providers: Mapping[UUID, str]
) -> Iterator[Sample]:
    for (provider_id, service_id), count in sorted(counts.items(), key=str):
        provider = "" if provider_id is None else label_value(providers[provider_id])
        yield Sample(name, f'provider="{provider}",service="{service_id}"', count)
