"""The operators' routes on providers and exchange rates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.money import Money
from app.core.uow import now_of
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.supply import pausing, service
from app.supply.errors import ProviderNameTaken
from app.supply.pausing import PauseReason
from app.supply.schemas import (
    ExchangeRatePage,
    ExchangeRatePut,
    ExchangeRateRead,
    ProviderChange,
    ProviderCreate,
    ProviderPage,
    ProviderRead,
)
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["providers"], route_class=OperatorRoute)

CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


@router.get("/providers", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.SUPPLY_READ)
async def operator_list_providers(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ProviderPage:
    """Our accounts with providers, newest first."""
    page = Page(runtime.cursors, f"providers|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.page(session, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return ProviderPage(data=[ProviderRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post("/providers", status_code=201, responses=refusals(*GUARDED, *BODY, ProviderNameTaken))
@needs(Permission.SUPPLY_WRITE)
async def operator_create_provider(
    body: ProviderCreate, operator: OperatorDep, runtime: RuntimeDep
) -> ProviderRead:
    """Open an account with a provider; its credentials are kept encrypted and never shown."""

    async def transaction(session: Session) -> ProviderRead:
        if body.simulated and runtime.settings.environment == "production":
            rule = "simulators are for development only"
            raise InvalidInput(errors=(FieldProblem("/simulated", rule),))
        provider = await service.register(session, runtime.keys, **body.model_dump())
        read = ProviderRead.of(provider)
        await audit.record(
            session,
            operator.actor,
            "provider.create",
            f"provider:{read.id}",
            body.model_dump(mode="json", exclude={"credentials"}),
        )
        return read

    return await runtime.uow.run(transaction)


@router.get("/providers/{provider_id}", responses=refusals(*GUARDED, NotFound))
@needs(Permission.SUPPLY_READ)
async def operator_get_provider(provider_id: str, runtime: RuntimeDep) -> ProviderRead:
    """One provider: its pause, its breaker, its balance as it was last learned."""
    async with runtime.uow.begin() as session:
        return ProviderRead.of(await service.get_public(session, provider_id))


@router.patch("/providers/{provider_id}", responses=refusals(*GUARDED, *BODY, NotFound))
@needs(Permission.SUPPLY_WRITE)
async def operator_change_provider(
    provider_id: str, body: ProviderChange, operator: OperatorDep, runtime: RuntimeDep
) -> ProviderRead:
    """Change limits, credentials, below which balance you are told, or what may be evidence."""

    async def transaction(session: Session) -> ProviderRead:
        provider = await service.get_public(session, provider_id)
        await service.change_limits(
            session,
            provider,
            in_flight_max=body.in_flight_max,
            calls_per_minute=body.calls_per_minute,
        )
        if body.credentials is not None:
            await service.change_credentials(session, runtime.keys, provider, body.credentials)
        low: dict[str, str | None] = {}
        if "low_balance" in body.model_fields_set:
            await service.watch_balance(session, provider, body.low_balance)
            low = {"low_balance": None if body.low_balance is None else str(body.low_balance)}
        await service.declare(session, provider, body.evidence())
        await audit.record(
            session,
            operator.actor,
            "provider.change",
            f"provider:{provider_id}",
            body.model_dump(mode="json", exclude_none=True, exclude={"credentials", "low_balance"})
            | {"credentials_changed": body.credentials is not None}
            | low,
        )
        return ProviderRead.of(await service.get(session, provider.id))

    return await runtime.uow.run(transaction)


@router.post("/providers/{provider_id}/pause", responses=refusals(*GUARDED, NotFound))
@needs(Permission.SUPPLY_WRITE)
async def operator_pause_provider(
    provider_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> ProviderRead:
    """Hand this provider no more orders; those that it has are followed on."""

    async def transaction(session: Session) -> ProviderRead:
        provider = await service.get_public(session, provider_id)
        await pausing.pause(session, provider.id, PauseReason.OPERATOR)
        await audit.record(session, operator.actor, "provider.pause", f"provider:{provider_id}", {})
        return ProviderRead.of(await service.get(session, provider.id))

    return await runtime.uow.run(transaction)


@router.post("/providers/{provider_id}/resume", responses=refusals(*GUARDED, NotFound))
@needs(Permission.SUPPLY_WRITE)
async def operator_resume_provider(
    provider_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> ProviderRead:
    """Let orders flow to this provider again."""

    async def transaction(session: Session) -> ProviderRead:
        provider = await service.get_public(session, provider_id)
        await pausing.resume(session, provider.id)
        await audit.record(
            session, operator.actor, "provider.resume", f"provider:{provider_id}", {}
        )
        return ProviderRead.of(await service.get(session, provider.id))

    return await runtime.uow.run(transaction)


@router.get("/exchange-rates", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.SUPPLY_READ)
async def operator_list_exchange_rates(
    operator: OperatorDep,
    runtime: RuntimeDep,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ExchangeRatePage:
    """What currencies are worth in ours, by `valid_from`, the latest first. Of each currency the
    first that is not in the future is in force.
    """
    page = Page(runtime.cursors, f"exchange-rates|{operator.owner}|{currency}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.rate_page(
            session, currency=currency, after=_place_of(page.after_text()), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: f"{row.valid_from.isoformat()} {row.currency}")
    return ExchangeRatePage(
        data=[
            ExchangeRateRead.of_rate(row.currency, Money(row.rate_micros), row.valid_from)
            for row in shown
        ],
        next_cursor=next_cursor,
    )


def _place_of(position: str | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    moment, currency = position.split(" ")
    return datetime.fromisoformat(moment), currency


@router.put("/exchange-rates/{currency}", responses=refusals(*GUARDED, *BODY))
@needs(Permission.SUPPLY_WRITE)
async def operator_put_exchange_rate(
    currency: Annotated[CurrencyCode, Path()],
    body: ExchangeRatePut,
    operator: OperatorDep,
    runtime: RuntimeDep,
) -> ExchangeRateRead:
    """Say what a provider's currency is worth in ours, from now or from a given moment on."""

    async def transaction(session: Session) -> ExchangeRateRead:
        if body.rate.micros <= 0:
            raise InvalidInput(errors=(FieldProblem("/rate", "must be above zero"),))
        if currency == runtime.settings.currency:
            rule = "is the selling currency, which is worth one of itself"
            raise InvalidInput(errors=(FieldProblem("currency", rule),))
        valid_from = body.valid_from or now_of(session)
        await service.set_rate(session, currency, body.rate.micros, valid_from=valid_from)
        read = ExchangeRateRead.of_rate(currency, body.rate, valid_from)
        await audit.record(
            session,
            operator.actor,
            "exchange_rate.put",
            f"currency:{currency}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)
