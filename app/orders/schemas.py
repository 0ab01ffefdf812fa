"""Bodies and answers of the order routes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.money import Money
from app.orders.form_fields import Link
from app.orders.form_schemas import OrderCreate
from app.orders.models import Order, OrderEvent
from app.orders.states import V1_STATUS, CancelState, OrderState
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


class CancelRead(AnswerModel):
    """Where the request to cancel an order stands that is being delivered."""

    state: CancelState = Field(
        description="`requested`; `asked`: it will be tried, and how the order ends tells whether"
        " it could be; `refused`."
    )
    at: datetime
    reason: str | None = Field(description="Why it was refused, where that was told.")

    @classmethod
    def of(cls, order: Order) -> Self | None:
        if order.cancel_state is None or order.cancel_at is None:
            return None
        return cls(
            state=CancelState(order.cancel_state), at=order.cancel_at, reason=order.cancel_reason
        )


class RunsRead(AnswerModel):
    """How far an order has come that is delivered in runs."""

    total: int
    started: int
    quantity: int = Field(description="Of each run.")
    interval_minutes: int | None = Field(description="None for a subscription.")
    next_at: datetime | None = Field(description="When the next run is due, if there is one.")


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
    deliver_from: datetime | None = Field(description="The soonest that it is promised for.")
    deliver_by: datetime = Field(description="The latest that it is promised for.")
    late_at: datetime | None = Field(description="When it was seen to be later than that.")
    ended_at: datetime | None
    reason: str | None = Field(description="Why it ended short, or what it waits for.")
    cancel: CancelRead | None = Field(
        description="None unless it was asked to be canceled while it was being delivered."
    )
    parent_id: int | None = Field(description="The order of which this is one run.")
    runs: RunsRead | None = Field(
        description="None for an order that is delivered at once. Where there are runs, the figures"
        " are those of all of them together."
    )

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
            deliver_from=order.deliver_from,
            deliver_by=order.deliver_by,
            late_at=order.late_at,
            ended_at=order.ended_at,
            reason=order.reason or order.wait_reason,
            cancel=CancelRead.of(order),
            parent_id=order.parent_id,
            runs=None,
        )


class OrderPage(AnswerModel):
    data: list[OrderRead]
    next_cursor: str | None


_BY: Final[Mapping[str, Literal["you", "operator"]]] = {
    "reseller": "you",
    "operator": "operator",
    "command": "operator",
}
"""Whom a reseller is told of, by the kind of actor: nobody of ours is named."""


class OrderEventRead(AnswerModel):
    """Something that happened to an order."""

    seq: int
    type: str
    at: datetime
    by: Literal["you", "operator", "system"] = Field(description="Who made it happen.")
    reason: str | None = Field(description="By which rule, where there is one to tell.")
    words: str | None = Field(description="The same in words, where there is more to say.")
    refunded: str | None
    remains: int | None
    start_count: int | None

    @classmethod
    def of(cls, event: OrderEvent) -> Self:
        return cls.told(
            seq=event.seq, type_=event.type, actor=event.actor, data=event.data, at=event.at
        )

    @classmethod
    def told(
        cls, *, seq: int, type_: str, actor: str, data: Mapping[str, Any], at: datetime
    ) -> Self:
        """What a timeline's row tells, whatever the timeline is of."""
        return cls(
            seq=seq,
            type=type_,
            at=at,
            by=_BY.get(actor.partition(":")[0], "system"),
            reason=data.get("reason"),
            words=data.get("words"),
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
