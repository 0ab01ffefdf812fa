"""Services: added, changed, put on sale, and the word that an operator puts behind each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from app.catalog import price_repository, repository
from app.catalog.errors import NotAttested, OutreachNotAllowed
from app.catalog.models import (
    Attestation,
    DeliveryMethod,
    Service,
    ServiceState,
)
from app.catalog.price_models import PriceReason
from app.catalog.windows import HOURS_MAX, PROMISED_HOURS_MAX, Promise, Tier
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id
from app.core.money import AMOUNT_MICROS_MAX, Money, charge_rounded_up
from app.core.uow import now_of
from app.providers.forms import FORMS, ServiceType, Unit

ATTESTATION_PREFIX: Final = "att"
THE_HOUSE: Final = Actor("system", "catalogue")
"""Who sets a price where no person is named."""


async def get_on_sale(session: Session, service_id: int) -> Service:
    """A service as resellers see it. Raises NotFound for one that is not sold."""
    service = await repository.find_on_sale(session, service_id)
    if service is None:
        raise NotFound
    return service


async def on_sale_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    return await repository.on_sale_page(session, after=after, limit=limit)


async def get(session: Session, service_id: int) -> Service:
    service = await repository.find(session, service_id)
    if service is None:
        raise NotFound
    return service


async def lock(session: Session, service_id: int) -> Service:
    """The service as it stands once whoever is changing it has done so; nobody else does until the
    commit. Raises NotFound.
    """
    service = await repository.lock(session, service_id)
    if service is None:
        raise NotFound
    return service


async def every_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    return await repository.every_page(session, after=after, limit=limit)


async def create(session: Session, fields: dict[str, Any], *, by: Actor = THE_HOUSE) -> Service:
    """Add a service, off sale: it is put on sale once it is attested. Its price is on record."""
    service = Service(**fields, state=ServiceState.OFF_SALE, created_at=now_of(session))
    _refuse_contradictions(service)
    if service.price_unit == 1 and FORMS[ServiceType(service.type)].billable is not Unit.ONE:
        # API v2 has no word for another unit, and providers list the price of a thousand.
        raise InvalidInput(errors=(FieldProblem("/price_unit", "is 1000 for all but packages"),))
    session.add(service)
    await session.flush()  # the number comes from the database
    await _record_price(session, service, PriceReason.CREATED, by)
    return service


async def change(
    session: Session, service_id: int, fields: dict[str, Any], *, by: Actor = THE_HOUSE
) -> Service:
    """Change what is sold from now on; orders keep the price they were bought at.

    Raises NotAttested when a service without an attestation is put on sale, OutreachNotAllowed
    for one that reaches people who did not ask and is not allowed to. One that is not allowed to
    any more goes off sale in the same step.
    """
    service = await lock(session, service_id)
    puts_on_sale = fields.get("state") == ServiceState.ON_SALE
    if puts_on_sale and not await repository.find_attestation(session, service_id):
        raise NotAttested
    if not _may_be_sold(service, fields):
        if puts_on_sale:
            raise OutreachNotAllowed
        fields = fields | {"state": ServiceState.OFF_SALE}
    rate_before = service.rate_micros
    for name, value in fields.items():
        setattr(service, name, value)
    _refuse_contradictions(service)
    await session.flush()  # a refusal of the database must show here, in the edge's block
    if service.rate_micros != rate_before:
        await _record_price(session, service, PriceReason.CHANGED, by)
    return service


def _may_be_sold(service: Service, fields: dict[str, Any]) -> bool:
    """Whether, after this change, it reaches only people who asked, or may reach others."""
    allowed: bool = fields.get("outreach_allowed", service.outreach_allowed)
    return allowed or not FORMS[ServiceType(service.type)].reaches_others


async def _record_price(session: Session, service: Service, reason: PriceReason, by: Actor) -> None:
    await price_repository.append_price(
        session,
        service.id,
        service.rate_micros,
        reason=reason,
        actor=str(by),
        now=now_of(session),
    )


def _refuse_contradictions(service: Service) -> None:
    """Rules between fields, said in words before the database says them by constraint."""
    problems = []
    if service.max_quantity < service.min_quantity:
        problems.append(FieldProblem("/max_quantity", "must not be below min_quantity"))
    if service.deliver_hours_max < service.deliver_hours_min:
        problems.append(FieldProblem("/delivery_hours_max", "must not be below delivery_hours_min"))
    hours_max = HOURS_MAX.get(Tier(service.tier))
    if hours_max is not None and service.deliver_hours_max > hours_max:
        rule = f"must be at most {hours_max}, which is what {service.tier} promises"
        problems.append(FieldProblem("/delivery_hours_max", rule))
    if (service.bulk_units is None) != (service.bulk_hours is None):
        problems.append(FieldProblem("/bulk_hours", "is given together with bulk_units"))
    elif Promise.of(service).hours_for(service.max_quantity) > PROMISED_HOURS_MAX:
        problems.append(FieldProblem("/bulk_hours", "makes the largest order take above a year"))
    if service.rate_micros <= 0:
        problems.append(FieldProblem("/rate", "must be above zero"))
    elif _largest_charge(service).micros > AMOUNT_MICROS_MAX:
        problems.append(FieldProblem("/rate", "makes the largest order cost too much to write"))
    is_package = FORMS[ServiceType(service.type)].billable is Unit.ONE
    if is_package and (service.price_unit, service.min_quantity, service.max_quantity) != (1, 1, 1):
        problems.append(FieldProblem("/price_unit", "a package has unit, min and max quantity 1"))
    if not is_package and service.package_units is not None:
        problems.append(FieldProblem("/package_units", "is for packages only"))
    if problems:
        raise InvalidInput(errors=tuple(problems))


def _largest_charge(service: Service) -> Money:
    return charge_rounded_up(
        rate=Money(service.rate_micros),
        price_unit=service.price_unit,
        quantity=service.max_quantity,
    )


async def attest(
    session: Session, service_id: int, *, method: DeliveryMethod, document: str, operator_id: UUID
) -> Attestation:
    """Put an operator's word behind a service; it takes the place of an earlier one."""
    await lock(session, service_id)
    await repository.withdraw_attestation(session, service_id, now=now_of(session))
    attestation = Attestation(
        id=new_id(),
        service_id=service_id,
        method=method,
        document=document,
        operator_id=operator_id,
        attested_at=now_of(session),
    )
    session.add(attestation)
    await session.flush()  # the unique index speaks here, not at the commit
    return attestation


async def withdraw_attestation(session: Session, service_id: int) -> None:
    """Take the word back; the service goes off sale in the same step."""
    await lock(session, service_id)
    await repository.withdraw_attestation(session, service_id, now=now_of(session))
    await repository.change(session, service_id, {"state": ServiceState.OFF_SALE})


async def attestation_of(session: Session, service_id: int) -> Attestation | None:
    return await repository.find_attestation(session, service_id)
