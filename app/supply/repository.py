"""The SQL of provider accounts, samples of their balances, and exchange rates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db import Session
from app.core.statements import Row, Statement
from app.supply.models import BalanceSample, ExchangeRate, Provider


async def find(session: Session, provider_id: UUID) -> Provider | None:
    return await session.get(Provider, provider_id, populate_existing=True)


async def lock_name(session: Session, name: str) -> None:
    """Until the commit nobody else opens an account under this name."""
    place = f"provider:{name}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(place, 0))))


async def find_by_name(session: Session, name: str) -> Provider | None:
    found: Provider | None = await session.scalar(select(Provider).where(Provider.name == name))
    return found


async def lock(session: Session, provider_id: UUID) -> Provider | None:
    """Held against whoever else locks or changes it. Rows that refer to a provider may be written
    meanwhile: two writers of such rows who then lock it would otherwise wait for each other.
    """
    found: Provider | None = await session.scalar(
        select(Provider)
        .where(Provider.id == provider_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found


async def page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Provider]:
    """Newest first."""
    statement = select(Provider).order_by(Provider.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(Provider.id < after)
    return (await session.scalars(statement)).all()


async def every(session: Session, *, limit: int) -> Sequence[Provider]:
    return (await session.scalars(select(Provider).order_by(Provider.name).limit(limit))).all()


async def sealed_otherwise(session: Session, key_id: bytes, *, limit: int) -> Sequence[Provider]:
    """Accounts whose credentials do not begin with the id of this master key, locked."""
    sealed_by = func.substring(Provider.credentials, 1, len(key_id))
    return (
        await session.scalars(
            select(Provider)
            .where(sealed_by != key_id)
            .order_by(Provider.id)
            .limit(limit)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def change(session: Session, provider_id: UUID, values: dict[str, Any]) -> None:
    await session.execute(update(Provider).where(Provider.id == provider_id).values(values))


_SPEND: Final = Statement(
    """
    UPDATE providers
    SET budget_window = :budget_window, budget_submits = :submits, budget_reads = :reads
    WHERE id = :id
    """
)
_FORGET_FAILURES: Final = Statement(
    """
    UPDATE providers
    SET breaker_failures = 0, breaker_read_failures = 0, breaker_opens = 0,
        breaker_open_until = NULL, breaker_closed_at = NULL
    WHERE id = :id AND (breaker_failures > 0 OR breaker_read_failures > 0 OR breaker_opens > 0)
          AND (breaker_closed_at IS NULL OR breaker_closed_at = CAST(:trial AS timestamptz))
    """
)
_FORGET_READ_FAILURES: Final = Statement(
    "UPDATE providers SET breaker_read_failures = 0 WHERE id = :id AND breaker_read_failures > 0"
)
_HALVE_BOUND: Final = Statement(
    """
    UPDATE providers
    SET in_flight_bound = greatest(1, least(in_flight_bound, in_flight_max) / 2),
        bound_cuts = bound_cuts + 1, bound_clean = 0
    WHERE id = :id AND bound_cuts = :cuts
    RETURNING name, in_flight_bound
    """
)
_REGAIN_BOUND: Final = Statement(
    """
    UPDATE providers
    SET in_flight_bound = nullif(
            least(in_flight_max, in_flight_bound
                  + (bound_clean + CAST(:answered AS int)) / CAST(:per_place AS int)),
            in_flight_max),
        bound_clean = (bound_clean + :answered) % :per_place
    WHERE id = :id AND bound_cuts = :cuts AND in_flight_bound IS NOT NULL
    """
)


async def spend(
    session: Session, provider_id: UUID, *, window: datetime, submits: int, reads: int
) -> None:
    """How many calls of either kind were made in the minute that began at `window`."""
    await _SPEND.rows(session, id=provider_id, budget_window=window, submits=submits, reads=reads)


async def forget_failures(session: Session, provider_id: UUID, *, trial: datetime | None) -> None:
    """Forget all failures and openings, unless the provider is on another trial than this; nothing
    is written or locked where there are none.
    """
    await _FORGET_FAILURES.rows(session, id=provider_id, trial=trial)


async def reset_breaker(session: Session, provider_id: UUID) -> None:
    """Forget all failures and openings, whatever trial is on."""
    await change(
        session,
        provider_id,
        {
            "breaker_failures": 0,
            "breaker_read_failures": 0,
            "breaker_opens": 0,
            "breaker_open_until": None,
            "breaker_closed_at": None,
        },
    )


async def forget_read_failures(session: Session, provider_id: UUID) -> None:
    """Nothing is written or locked where there are none."""
    await _FORGET_READ_FAILURES.rows(session, id=provider_id)


async def halve_bound(session: Session, provider_id: UUID, *, cuts: int) -> Row | None:
    """Narrow the bound that has been halved `cuts` times so far; None when it was since."""
    rows = await _HALVE_BOUND.rows(session, id=provider_id, cuts=cuts)
    return rows[0] if rows else None


async def regain_bound(
    session: Session, provider_id: UUID, *, cuts: int, answered: int, per_place: int
) -> None:
    """Widen the bound, by one for every `per_place` orders, up to what is allowed."""
    await _REGAIN_BOUND.rows(
        session, id=provider_id, cuts=cuts, answered=answered, per_place=per_place
    )


async def forget_bound(session: Session, provider_id: UUID) -> None:
    """The whole bound again; what was leased under the narrow one has no say in it."""
    values = {"in_flight_bound": None, "bound_clean": 0, "bound_cuts": Provider.bound_cuts + 1}
    await change(session, provider_id, values)


async def prolong_reads_wait(session: Session, provider_id: UUID, until: datetime) -> None:
    """The longest wait that was asked for is the one that counts."""
    later = func.greatest(Provider.reads_wait_until, until)
    await change(session, provider_id, {"reads_wait_until": later})


async def put_rate(
    session: Session, currency: str, rate_micros: int, *, valid_from: datetime
) -> None:
    statement = insert(ExchangeRate).values(
        currency=currency, valid_from=valid_from, rate_micros=rate_micros
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["currency", "valid_from"], set_={"rate_micros": rate_micros}
        )
    )


async def rate_at(session: Session, currency: str, moment: datetime) -> int | None:
    rate: int | None = await session.scalar(
        select(ExchangeRate.rate_micros)
        .where(ExchangeRate.currency == currency, ExchangeRate.valid_from <= moment)
        .order_by(ExchangeRate.valid_from.desc())
        .limit(1)
    )
    return rate


async def rate_page(
    session: Session, *, currency: str | None, after: tuple[datetime, str] | None, limit: int
) -> Sequence[ExchangeRate]:
    """Newest first by the moment from which they hold, future ones before them."""
    place = tuple_(ExchangeRate.valid_from, ExchangeRate.currency)
    statement = (
        select(ExchangeRate)
        .order_by(ExchangeRate.valid_from.desc(), ExchangeRate.currency.desc())
        .limit(limit)
    )
    if currency is not None:
        statement = statement.where(ExchangeRate.currency == currency)
    if after is not None:
        statement = statement.where(place < after)
    return (await session.scalars(statement)).all()


async def samples_between(
    session: Session, provider_id: UUID, since: datetime, until: datetime, *, limit: int
) -> Sequence[BalanceSample]:
    """The latest of them, oldest first."""
    latest = await session.scalars(
        select(BalanceSample)
        .where(
            BalanceSample.provider_id == provider_id,
            BalanceSample.at >= since,
            BalanceSample.at <= until,
        )
        .order_by(BalanceSample.at.desc(), BalanceSample.id.desc())
        .limit(limit)
    )
    return latest.all()[::-1]


async def forget_samples(session: Session, *, before: datetime, limit: int) -> None:
    old = select(BalanceSample.id).where(BalanceSample.at < before).limit(limit)
    await session.execute(
        delete(BalanceSample)
        .where(BalanceSample.id.in_(old))
        .execution_options(synchronize_session=False)
    )
