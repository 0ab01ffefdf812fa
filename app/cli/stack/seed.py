"""Seed data that may be sown again: what is there already stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from app.catalog import service as catalog
from app.catalog import service_routes
from app.catalog.models import DeliveryMethod, ServiceState
from app.cli.context import actor
from app.cli.refusals import CommandFailed
from app.cli.stack.assortment import ASSORTMENT, SeedService
from app.core import apikeys, audit
from app.core.crypto import KeyRing, Undecryptable
from app.core.db import Session
from app.core.errors import NotFound
from app.core.money import MICROS_PER_UNIT, Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.operators import service as operators
from app.operators.models import Operator
from app.operators.permissions import Role
from app.providers.adapters import panel_v2
from app.resellers import service as resellers
from app.resellers.models import Book, Mode
from app.resellers.scopes import Scope
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.service import SIMULATOR_CALLS_PER_MINUTE

SIMULATOR_IN_FLIGHT_MAX: Final = 16
SIMULATOR_CURRENCY: Final = "USD"
_DOCUMENT: Final = "Development seed: a simulator delivers, and it delivers to nobody."


@dataclass(frozen=True, slots=True)
class SeedReseller:
    """A reseller with money to spend."""

    name: str
    email: str
    credit: Money


@dataclass(frozen=True, slots=True)
class SeedProvider:
    """A simulator as a provider of ours."""

    name: str
    base_url: str
    key: str


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Where a seeded service is delivered, in this order."""

    service: SeedService
    providers: Sequence[Provider]


async def ensure_operator(session: Session, *, name: str, email: str) -> Operator:
    """An administrator of this e-mail address."""
    found = await operators.find_by_email(session, email)
    if found is not None:
        return found
    made = await operators.add(session, name=name, email=email, roles=[Role.ADMIN])
    await audit.record(
        session,
        actor(),
        "operator.create",
        operators.public_operator_id(made.id),
        {"roles": made.roles, "why": "seed"},
    )
    return made


async def ensure_operator_key(
    session: Session, keys: KeyRing, operator: Operator, kept: str | None
) -> str:
    """The kept key if it still opens this operator's doors, else a new one."""
    presented = apikeys.parse(kept) if kept else None
    record = await operators.recognise(session, presented.lookup) if presented else None
    if kept and record and record.operator_id == operator.id and record.revoked_at is None:
        return kept
    _, minted = await operators.make_key(session, keys, operator.id, name="seed")
    return minted.text


async def ensure_reseller(session: Session, wanted: SeedReseller) -> Book:
    """The live book of a reseller who was credited once, however often this runs."""
    reseller = await resellers.find_by_email(session, wanted.email)
    if reseller is None:
        reseller = await resellers.register(
            session, name=wanted.name, email=wanted.email, country="DE"
        )
        await audit.record(
            session,
            actor(),
            "reseller.create",
            f"reseller:{resellers.public_reseller_id(reseller.id)}",
            {"why": "seed"},
        )
    book = await resellers.book_of(session, reseller.id, Mode.LIVE)
    # The id hangs on the book, so that the ledger takes the second time for the first.
    credit_id = uuid5(book.id, "seed credit")
    await ledger.credit(session, book.id, wanted.credit, credit_id=credit_id, note="Seed credit")
    return book


async def ensure_reseller_key(session: Session, keys: KeyRing, book: Book, kept: str | None) -> str:
    """The kept key if it still opens this book, else a new one with all scopes."""
    presented = apikeys.parse(kept) if kept else None
    record = await resellers.recognise(session, presented.lookup) if presented else None
    if kept and record and record.book_id == book.id and record.revoked_at is None:
        return kept
    _, minted = await resellers.make_key(session, keys, book, name="seed", scopes=list(Scope))
    return minted.text


async def ensure_provider(session: Session, keys: KeyRing, wanted: SeedProvider) -> Provider:
    """The account with a simulator, reached where it listens today."""
    found = await supply.find_by_name(session, wanted.name)
    if found is None:
        await _ensure_rate(session)
        return await supply.register(
            session,
            keys,
            name=wanted.name,
            adapter=panel_v2.NAME,
            base_url=wanted.base_url,
            credentials={"key": wanted.key},
            currency=SIMULATOR_CURRENCY,
            in_flight_max=SIMULATOR_IN_FLIGHT_MAX,
            calls_per_minute=SIMULATOR_CALLS_PER_MINUTE,
            simulated=True,
        )
    try:
        supply.account_of(found, keys, time_scale=1)
    except Undecryptable:
        raise CommandFailed(
            "This database was set up with another master key: put that key into"
            " SMMOS_MASTER_KEYS, or use an empty database."
        ) from None
    if found.base_url != wanted.base_url:
        await supply.change_address(session, found, wanted.base_url)
    return found


async def _ensure_rate(session: Session) -> None:
    """A simulator bills in dollars; another selling currency is then worth as much."""
    selling = await ledger.selling_currency(session) or SIMULATOR_CURRENCY
    if await supply.rate_to_ours(session, SIMULATOR_CURRENCY, selling) is None:
        await supply.set_rate(
            session, SIMULATOR_CURRENCY, MICROS_PER_UNIT, valid_from=now_of(session)
        )


async def ensure_services(
    session: Session, plans: Sequence[RoutePlan], *, operator_id: UUID
) -> None:
    """Each service attested, routed and on sale; one that exists only gains missing routes."""
    for plan in plans:
        try:
            await catalog.get(session, plan.service.id)
        except NotFound:
            await _add_service(session, plan.service, operator_id=operator_id)
        await _ensure_routes(session, plan)


async def _add_service(session: Session, seed: SeedService, *, operator_id: UUID) -> None:
    service = await catalog.create(session, seed.fields())
    await catalog.attest(
        session,
        service.id,
        method=DeliveryMethod.ADVERTISING,
        document=_DOCUMENT,
        operator_id=operator_id,
    )
    await catalog.change(session, service.id, {"state": ServiceState.ON_SALE})


async def _ensure_routes(session: Session, plan: RoutePlan) -> None:
    """Add what is missing; a simulator of another data folder, which is gone, makes way."""
    routes = await service_routes.routes_of(session, plan.service.id)
    missing = {one.id for one in plan.providers} - {route.provider_id for route in routes}
    if not missing:
        return
    for route in routes:
        provider = await supply.get(session, route.provider_id)
        if provider.simulated and route.state == "open":
            await service_routes.close_route(session, route.id, reason="its simulator is gone")
    for priority, provider in enumerate(plan.providers, start=1):
        if provider.id in missing:
            await service_routes.add_route(
                session,
                plan.service.id,
                provider_id=provider.id,
                provider_service=plan.service.provider_service,
                cost=plan.service.cost,
                priority=priority,
            )


def routed_to(*providers: Provider) -> list[RoutePlan]:
    """The whole assortment, with the same routes for every service."""
    return [RoutePlan(service, providers) for service in ASSORTMENT]
