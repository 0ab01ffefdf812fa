"""The gauges of claims: what waits for whom, and how often whose orders are claimed on."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.core.db import Session
from app.core.gauges import Sample, label_value
from app.core.uow import now_of
from app.refunds import repository
from app.refunds.states import OPEN, WITH_PEOPLE, ClaimState
from app.supply import service as supply

COUNTS: Final = frozenset({"smmos_claims", "smmos_claims_overdue"})
RATES: Final = frozenset({"smmos_claims_filed_last_month", "smmos_claim_rate"})
RATED_OVER: Final = timedelta(days=30)


async def counts(session: Session) -> list[Sample]:
    """How many claims are open in each state, and how many a person should have looked at."""
    found = await repository.open_counts(session)
    overdue = await repository.overdue_count(session, WITH_PEOPLE)
    return [
        *(
            Sample("smmos_claims", f'state="{state}"', found.get(state, 0))
            for state in sorted(OPEN)
        ),
        Sample("smmos_claims_overdue", "", overdue),
    ]


async def rates(session: Session) -> list[Sample]:
    """Per provider and service: the claims of the last month by state, and how many there were for
    each order that ended in it. It reads a month of orders: seldom, and not with every scrape.
    """
    since = now_of(session) - RATED_OVER
    names = {one.id: label_value(one.name) for one in await supply.every(session)}
    filed = await repository.filed_counts(session, since)
    ended = await repository.orders_ended(session, since) if filed else {}
    totals: dict[str, int] = {}
    divisors: dict[str, int] = {}
    samples: list[Sample] = []
    for (provider_id, service_id, state), count in sorted(filed.items(), key=str):
        provider = "" if provider_id is None else names[provider_id]
        labels = f'provider="{provider}",service="{service_id}"'
        samples.append(
            Sample("smmos_claims_filed_last_month", f'{labels},state="{ClaimState(state)}"', count)
        )
        totals[labels] = totals.get(labels, 0) + count
        divisors[labels] = ended.get((provider_id, service_id), 0)
    samples += [
        Sample("smmos_claim_rate", labels, count / max(1, divisors[labels]))
        for labels, count in totals.items()
    ]
    return samples
