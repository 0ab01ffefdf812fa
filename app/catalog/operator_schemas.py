"""Bodies and answers of the operators' routes of services, attestations and routes to providers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from app.catalog.links.fitting import KNOWN_KINDS, KNOWN_PLATFORMS, kind_word, platform_word
from app.catalog.models import (
    Attestation,
    BusyLink,
    DeliveryMethod,
    OnUnknown,
    Route,
    Routing,
    Service,
    ServiceState,
)
from app.catalog.schemas import ServiceRead, shown
from app.catalog.service import ATTESTATION_PREFIX
from app.catalog.service_routes import public_route_id
from app.catalog.windows import HOURS, PROMISED_HOURS_MAX, Tier
from app.core.ids import public_id
from app.core.money import Money
from app.providers.protocol import ServiceType
from app.supply.service import public_provider_id
from app.web.fields import Line, MoneyText, Text
from app.web.schemas import AnswerModel, InputModel

QUANTITY_MAX = 100_000_000

Name = Annotated[Line, Field(max_length=200)]
PlatformWord = Annotated[
    Line,
    Field(
        max_length=60,
        description=f"One of {', '.join(KNOWN_PLATFORMS)}, or a word of your own: then any link is"
        " taken. It is kept in lower case, and `x` as `twitter`.",
        examples=["instagram"],
    ),
    AfterValidator(platform_word),
]
KindWord = Annotated[
    Line,
    Field(
        max_length=60,
        description=f"One of {', '.join(KNOWN_KINDS)}, or a word of your own: then any link to the"
        " platform is taken. It is kept in lower case.",
        examples=["followers"],
    ),
    AfterValidator(kind_word),
]
Quantity = Annotated[StrictInt, Field(ge=1, le=QUANTITY_MAX)]
Hours = Annotated[StrictInt, Field(ge=1, le=PROMISED_HOURS_MAX)]
RoutingWord = Annotated[Routing, Field(description="By what its routes are tried.")]
BusyLinkWord = Annotated[
    BusyLink,
    Field(description="Whether an order waits or is refused while another runs on its link."),
]
OnUnknownWord = Annotated[
    OnUnknown,
    Field(description="Whether an order that nobody can find is held, or written off in time."),
]
WriteOffHours = Annotated[
    StrictInt,
    Field(ge=1, le=720, description="For `on_unknown: write_off`: how long after sending."),
]
RefillDays = Annotated[
    StrictInt,
    Field(
        ge=0, le=3650, description="How many days after its end an order can be refilled; 0: any."
    ),
]


def _check_cost(cost: Money) -> Money:
    if cost.micros < 0:
        raise ValueError("must not be below zero")
    return cost


Cost = Annotated[MoneyText, AfterValidator(_check_cost)]


BulkUnits = Annotated[
    Quantity | None,
    Field(description="Each whole portion of so many units is promised `bulk_hours` more."),
]
BulkHours = Annotated[Hours | None, Field(description="Given together with `bulk_units`.")]
_NEED_NOT_HAVE: Final = frozenset({"package_units", "bulk_units", "bulk_hours"})


class ServiceCreate(InputModel):
    """A new service; it is off sale until it is attested and put on sale."""

    name: Name
    description: Annotated[Text, Field(max_length=4000)] = ""
    category: Name
    platform: PlatformWord
    kind: KindWord
    type: ServiceType
    tier: Tier = Tier.STANDARD
    rate: MoneyText = Field(description="The price of `price_unit` units, a decimal string.")
    price_unit: Literal[1, 1000] = Field(1000, description="1 for a package, 1000 for all else.")
    min_quantity: Quantity
    max_quantity: Quantity
    markup_basis_points: StrictInt = Field(0, ge=-10_000, le=1_000_000)
    package_units: Quantity | None = None
    below_cost_allowed: StrictBool = False
    outreach_allowed: StrictBool = Field(
        False,
        description="Mentions, invites and comments reach people who did not ask: a service of"
        " such a type is sold only once this is set.",
    )
    refill: StrictBool = False
    refill_days: RefillDays = 30
    cancel: StrictBool = False
    delivery_hours_min: Hours | None = Field(None, description="By default its tier's.")
    delivery_hours_max: Hours | None = Field(None, description="By default its tier's.")
    bulk_units: BulkUnits = None
    bulk_hours: BulkHours = None
    risk_notice: Annotated[Text, Field(max_length=2000)] = ""
    routing: RoutingWord = Routing.PRIORITY
    busy_link: BusyLinkWord = BusyLink.QUEUE
    on_unknown: OnUnknownWord = OnUnknown.HOLD
    write_off_hours: WriteOffHours = 72

    def columns(self) -> dict[str, object]:
        fields = self.model_dump(exclude={"rate"})
        hours = zip(("delivery_hours_min", "delivery_hours_max"), HOURS[self.tier], strict=True)
        for name, promised in hours:
            if fields[name] is None:
                fields[name] = promised
        return _columns(fields, self.rate)


class ServiceChange(InputModel):
    """What changes about a service from now on; the fields left out stay as they are.

    `null` takes away what a service need not have: `package_units`, or `bulk_units` and
    `bulk_hours`.
    """

    name: Name | None = None
    description: Annotated[Text, Field(max_length=4000)] | None = None
    category: Name | None = None
    rate: MoneyText | None = None
    min_quantity: Quantity | None = None
    max_quantity: Quantity | None = None
    markup_basis_points: StrictInt | None = Field(None, ge=-10_000, le=1_000_000)
    package_units: Quantity | None = None
    below_cost_allowed: StrictBool | None = None
    outreach_allowed: StrictBool | None = None
    refill: StrictBool | None = None
    refill_days: RefillDays | None = None
    cancel: StrictBool | None = None
    delivery_hours_min: Hours | None = None
    delivery_hours_max: Hours | None = None
    bulk_units: BulkUnits = None
    bulk_hours: BulkHours = None
    risk_notice: Annotated[Text, Field(max_length=2000)] | None = None
    routing: RoutingWord | None = None
    busy_link: BusyLinkWord | None = None
    on_unknown: OnUnknownWord | None = None
    write_off_hours: WriteOffHours | None = None
    state: ServiceState | None = None

    def columns(self) -> dict[str, object]:
        said = self.model_dump(exclude_none=True, exclude={"rate"})
        taken_away = dict.fromkeys(_NEED_NOT_HAVE & self.model_fields_set)
        return _columns({**taken_away, **said}, self.rate)


def _columns(fields: dict[str, object], rate: Money | None) -> dict[str, object]:
    """The names of the wire, as the table has them."""
    for bound in ("min", "max"):
        if f"delivery_hours_{bound}" in fields:
            fields[f"deliver_hours_{bound}"] = fields.pop(f"delivery_hours_{bound}")
    if rate is not None:
        fields["rate_micros"] = rate.micros
    return fields


class AttestationCreate(InputModel):
    """An operator's word on how a service is delivered, and the document behind it."""

    method: DeliveryMethod
    document: Annotated[Line, Field(max_length=500)] = Field(
        description="Where the evidence is: a contract's number, a document's address."
    )


class AttestationRead(AnswerModel):
    id: str
    method: DeliveryMethod
    document: str
    operator_id: str
    attested_at: datetime

    @classmethod
    def of(cls, attestation: Attestation) -> Self:
        return cls(
            id=public_id(ATTESTATION_PREFIX, attestation.id),
            method=DeliveryMethod(attestation.method),
            document=attestation.document,
            operator_id=public_id("opr", attestation.operator_id),
            attested_at=attestation.attested_at,
        )


class RouteCreate(InputModel):
    """One way to deliver a service."""

    provider_id: Annotated[Line, Field(max_length=64)]
    provider_service: Annotated[Line, Field(max_length=64)]
    cost: Cost = Field(description="Per `price_unit`, in the provider's currency.")
    priority: StrictInt = Field(100, ge=0, le=1_000_000, description="Lower is tried first.")
    link_exclusive: StrictBool = Field(
        True, description="The provider takes one order for a link at a time."
    )


class RouteChange(InputModel):
    cost: Cost | None = None
    priority: StrictInt | None = Field(None, ge=0, le=1_000_000)
    link_exclusive: StrictBool | None = None
    state: Literal["open", "closed"] | None = None

    def columns(self) -> dict[str, object]:
        fields: dict[str, object] = self.model_dump(exclude_none=True, exclude={"cost"})
        if self.cost is not None:
            fields["cost_micros"] = self.cost.micros
        return fields


class RouteRead(AnswerModel):
    id: str
    provider_id: str
    provider_service: str
    cost: str
    priority: int
    link_exclusive: bool
    state: str
    closed_reason: str | None

    @classmethod
    def of(cls, route: Route) -> Self:
        return cls(
            id=public_route_id(route.id),
            provider_id=public_provider_id(route.provider_id),
            provider_service=route.provider_service,
            cost=str(Money(route.cost_micros)),
            priority=route.priority,
            link_exclusive=route.link_exclusive,
            state=route.state,
            closed_reason=route.closed_reason,
        )


class OperatorServiceRead(ServiceRead):
    """A service as operators see it, with what resellers are not told."""

    state: ServiceState
    markup_basis_points: int
    package_units: int | None
    below_cost_allowed: bool
    outreach_allowed: bool
    routing: Routing
    busy_link: BusyLink
    on_unknown: OnUnknown
    write_off_hours: int
    created_at: datetime
    attestation: AttestationRead | None
    routes: list[RouteRead]

    @classmethod
    def of_all(
        cls,
        service: Service,
        currency: str,
        attestation: Attestation | None,
        routes: list[RouteRead],
    ) -> Self:
        return cls.model_validate(
            shown(service, currency)
            | {
                "state": service.state,
                "markup_basis_points": service.markup_basis_points,
                "package_units": service.package_units,
                "below_cost_allowed": service.below_cost_allowed,
                "outreach_allowed": service.outreach_allowed,
                "routing": service.routing,
                "busy_link": service.busy_link,
                "on_unknown": service.on_unknown,
                "write_off_hours": service.write_off_hours,
                "created_at": service.created_at,
                "attestation": AttestationRead.of(attestation) if attestation else None,
                "routes": routes,
            }
        )


class OperatorServicePage(AnswerModel):
    data: list[OperatorServiceRead]
    next_cursor: str | None
