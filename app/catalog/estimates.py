"""What delivery of each service took lately, as it is told beside what is promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.catalog import repository
from app.core.db import Session


@dataclass(frozen=True, slots=True)
class Estimate:
    """In how many seconds half, and nine tenths, of a service's orders were delivered lately."""

    p50: int
    p90: int


async def keep(session: Session, found: Mapping[int, Estimate]) -> None:
    """These take the place of all that were known."""
    await repository.forget_estimates(session, besides=list(found))
    for service_id, estimate in found.items():
        columns = {"delivered_p50_seconds": estimate.p50, "delivered_p90_seconds": estimate.p90}
        await repository.change(session, service_id, columns)
