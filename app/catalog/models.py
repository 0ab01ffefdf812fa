"""Tables of the catalogue: services, who attested them, and the routes that deliver them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

service_numbers = Sequence("service_numbers", metadata=Base.metadata)


class ServiceState(StrEnum):
    """Whether a service is shown and sold."""

    ON_SALE = "on_sale"
    OFF_SALE = "off_sale"


class Routing(StrEnum):
    """By what the routes of a service are ordered; what is equal is ordered by the other."""

    PRIORITY = "priority"
    COST = "cost"


class BusyLink(StrEnum):
    """What becomes of an order for a link on which another order is running."""

    QUEUE = "queue"
    REFUSE = "refuse"


class OnUnknown(StrEnum):
    """What becomes of an order of which nobody finds out whether its provider took it."""

    HOLD = "hold"
    WRITE_OFF = "write_off"


class DeliveryMethod(StrEnum):
    """The lawful ways in which a service may be delivered; nothing else can be attested."""

    ADVERTISING = "advertising"
    CREATORS = "creators"
    OPTED_IN_USERS = "opted_in_users"
    OWN_MEDIA = "own_media"


class Service(Base):
    """Something sold: its form, its bounds, its price, its promise.

    `refill_days` is how long after its end an order can be refilled; 0 is for ever. Where
    `on_unknown` is write_off, the money goes back `write_off_hours` after the order was sent. An
    order is promised `bulk_hours` later for each whole `bulk_units` that it asks for.
    """

    __tablename__ = "services"
    __table_args__ = (
        CheckConstraint("state IN ('on_sale','off_sale')", name="state"),
        CheckConstraint("rate_micros > 0", name="rate_micros"),
        CheckConstraint("price_unit IN (1, 1000)", name="price_unit"),
        CheckConstraint("min_quantity >= 1 AND max_quantity >= min_quantity", name="bounds"),
        CheckConstraint("max_quantity <= 100000000", name="max_quantity"),
        CheckConstraint("package_units IS NULL OR package_units > 0", name="package_units"),
        CheckConstraint("routing IN ('priority','cost')", name="routing"),
        CheckConstraint("busy_link IN ('queue','refuse')", name="busy_link"),
        CheckConstraint("refill_days BETWEEN 0 AND 3650", name="refill_days"),
        CheckConstraint("on_unknown IN ('hold','write_off')", name="on_unknown"),
        CheckConstraint("write_off_hours BETWEEN 1 AND 720", name="write_off_hours"),
        CheckConstraint(
            "(bulk_units IS NULL) = (bulk_hours IS NULL) AND bulk_units > 0 AND bulk_hours > 0",
            name="bulk",
        ),
    )

    id: Mapped[int] = mapped_column(
        BigInteger, service_numbers, server_default=service_numbers.next_value(), primary_key=True
    )
    name: Mapped[str]
    description: Mapped[str]
    category: Mapped[str]
    platform: Mapped[str]
    kind: Mapped[str]
    type: Mapped[str]
    tier: Mapped[str]
    min_quantity: Mapped[int]
    max_quantity: Mapped[int]
    rate_micros: Mapped[int]
    price_unit: Mapped[int] = mapped_column(Integer)
    markup_basis_points: Mapped[int] = mapped_column(Integer)
    package_units: Mapped[int | None]
    below_cost_allowed: Mapped[bool] = mapped_column(Boolean)
    outreach_allowed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    refill: Mapped[bool] = mapped_column(Boolean)
    refill_days: Mapped[int] = mapped_column(Integer, server_default="30")
    cancel: Mapped[bool] = mapped_column(Boolean)
    deliver_hours_min: Mapped[int] = mapped_column(Integer)
    deliver_hours_max: Mapped[int] = mapped_column(Integer)
    bulk_units: Mapped[int | None]
    bulk_hours: Mapped[int | None] = mapped_column(Integer)
    delivered_p50_seconds: Mapped[int | None]
    delivered_p90_seconds: Mapped[int | None]
    risk_notice: Mapped[str]
    routing: Mapped[str] = mapped_column(server_default=Routing.PRIORITY.value)
    busy_link: Mapped[str] = mapped_column(server_default=BusyLink.QUEUE.value)
    on_unknown: Mapped[str] = mapped_column(server_default=OnUnknown.HOLD.value)
    write_off_hours: Mapped[int] = mapped_column(Integer, server_default="72")
    state: Mapped[str]
    created_at: Mapped[datetime]


class Attestation(Base):
    """An operator's word, with a document, on how a service is delivered. One stands at a time."""

    __tablename__ = "service_attestations"
    __table_args__ = (
        CheckConstraint(
            "method IN ('advertising','creators','opted_in_users','own_media')", name="method"
        ),
        Index(
            "uq_service_attestations_standing",
            "service_id",
            unique=True,
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    method: Mapped[str]
    document: Mapped[str]
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operators.id"))
    attested_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class Route(Base):
    """One provider service that can deliver one of ours, at a cost, with its place in the order.

    `link_exclusive` says that the provider takes a second order for a link only once the first
    has ended.
    """

    __tablename__ = "service_routes"
    __table_args__ = (
        UniqueConstraint("service_id", "provider_id", "provider_service"),
        Index("ix_service_routes_provider_id_provider_service", "provider_id", "provider_service"),
        CheckConstraint("cost_micros >= 0", name="cost_micros"),
        CheckConstraint("state IN ('open','closed')", name="state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_service: Mapped[str]
    cost_micros: Mapped[int]
    priority: Mapped[int] = mapped_column(Integer)
    link_exclusive: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    state: Mapped[str]
    closed_reason: Mapped[str | None]
    created_at: Mapped[datetime]
