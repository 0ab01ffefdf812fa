"""The gauges of the catalogue: open findings, age of syncs, drifting prices, sales at a loss."""

from __future__ import annotations

from typing import Final

from app.catalog import finding_repository, price_repository, sync_repository
from app.core.db import Session
from app.core.gauges import Sample, label_value
from app.core.uow import now_of
from app.supply import service as supply

NAMES: Final = frozenset(
    {
        "smmos_catalogue_findings_open",
        "smmos_catalogue_sync_age_seconds",
        "smmos_catalogue_price_drift_ratio",
        "smmos_services_below_cost",
    }
)


async def samples(session: Session) -> list[Sample]:
    """A provider that was never synced is as old as its account."""
    now = now_of(session)
    found: list[Sample] = []
    synced = await sync_repository.last_successes(session)
    drifts = await sync_repository.drifts(session)
    open_counts = await finding_repository.open_counts(session)
    for provider in await supply.every(session):
        label = f'provider="{label_value(provider.name)}"'
        age = now - synced.get(provider.id, provider.created_at)
        found.append(Sample("smmos_catalogue_sync_age_seconds", label, age.total_seconds()))
        if provider.id in drifts:
            drift = drifts[provider.id]
            found.append(Sample("smmos_catalogue_price_drift_ratio", label, drift))
        found += [
            Sample("smmos_catalogue_findings_open", f'kind="{kind}",{label}', count)
            for (provider_id, kind), count in sorted(open_counts.items())
            if provider_id == provider.id
        ]
    below_cost = await price_repository.below_cost_count(session, now=now)
    found.append(Sample("smmos_services_below_cost", "", below_cost))
    return found
