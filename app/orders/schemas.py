"""Bodies and answers of the order routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.money import Money
from app.orders.form_schemas import Link, OrderCreate
from app.orders.models import Order, OrderEvent
from app.orders.states import V1_STATUS, OrderState
from app.web.fields import SAFE_INTEGER_MAX, Moment, check_text
from app.web.pages import PAGE_DEFAULT, Cursor, Limit
from app.web.schemas import AnswerModel, InputModel, MoneyRead, Problem

BATCH_MAX: Final = 100

QueryText = Annotated[str, AfterValidator(check_text)]
Status = Literal[
    "queued",
    "on_hold",
    "processing",
    "in_progress",
    "completed",
    "partial",
    "canceled",
    "failed",
]


class OrderBatchCreate(InputModel):
    """Up to 100 orders; each is accepted or refused by itself, in the order given."""

    orders: list[OrderCreate] = Field(min_length=1, max_length=BATCH_MAX)


class OrderRead(AnswerModel):
    """An order as its reseller sees it."""

    id: int
    status: Status
    service_id: int
    link: str | None = Field(description="None for what is delivered to a user.")
    quantity: int
    charge: MoneyRead = Field(description="What was charged when it was placed.")
    refunded: MoneyRead = Field(description="What of the charge has gone back to the balance.")
    start_count: int | None = Field(description="The count that delivery started from.")
    remains: int | None = Field(description="What is still to be delivered.")
    reference: str | None
    created_at: datetime
    deliver_by: datetime
    ended_at: datetime | None
    reason: str | None = Field(description="Why it ended short, or what it waits for.")

    @classmethod
    def of(cls, order: Order, link: str | None, currency: str) -> Self:
        return cls(
            id=order.id,
            status=V1_STATUS[OrderState(order.state)],
            service_id=order.service_id,
            link=link,
            quantity=order.quantity,
            charge=MoneyRead.of(Money(order.charge), currency),
            refunded=MoneyRead.of(Money(order.refunded), currency),
            start_count=order.start_count,
            remains=order.remains,
            reference=order.reference,
            created_at=order.created_at,
            deliver_by=order.deliver_by,
            ended_at=order.ended_at,
            reason=order.reason or order.wait_reason,
        )


class OrderPage(AnswerModel):
    data: list[OrderRead]
    next_cursor: str | None


class OrderEventRead(AnswerModel):
    """Something that happened to an order."""

    seq: int
    type: str
    at: datetime
    refunded: str | None
    remains: int | None
    start_count: int | None

    @classmethod
    def of(cls, event: OrderEvent) -> Self:
        data = event.data
        return cls(
            seq=event.seq,
            type=event.type,
            at=event.at,
            refunded=data.get("refunded"),
            remains=data.get("remains"),
            start_count=data.get("start_count"),
        )


class OrderEventPage(AnswerModel):
    data: list[OrderEventRead]
    next_cursor: str | None


class BatchItem(AnswerModel):
    """What became of one order of a batch: an order, or the problem that refused it."""

    index: int
    status: int
    order: OrderRead | None
    problem: Problem | None


class OrderBatchRead(AnswerModel):
    data: list[BatchItem]


class OrderListQuery(BaseModel):
    """The filters of the order list, and its page."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    service_id: int | None = Field(None, ge=1, le=SAFE_INTEGER_MAX)
    reference: QueryText | None = Field(None, max_length=128)
    link: Link | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None
    limit: Limit = PAGE_DEFAULT
    cursor: Cursor = None
