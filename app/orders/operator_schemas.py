"""Bodies and answers of the operators' order routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictInt, StrictStr
from typing_extensions import TypeAliasType

from app.core.money import Money
from app.orders.fulfilling import ToFulfil
from app.orders.hand_settlement import Settlement
from app.orders.inputs import said
from app.orders.models import Attempt, Order, OrderEvent, ProviderEvidence
from app.orders.states import CancelState, OrderState
from app.resellers.service import public_book_id
from app.supply.service import public_provider_id
from app.web.fields import SAFE_INTEGER_MAX, Line, MoneyText
from app.web.schemas import AnswerModel, InputModel, MoneyRead

Reason = Annotated[Line, Field(max_length=500)]


class HoldCreate(InputModel):
    """Why an order is not to be handed on."""

    reason: Reason


class CancelByOperator(InputModel):
    reason: Reason


class ResolveAccepted(InputModel):
    """The provider took the order, under this id."""

    outcome: Literal["accepted"]
    provider_order_id: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    reason: Reason


class ResolveAbsent(InputModel):
    """There is proof that the provider never took the order: it is queued again."""

    outcome: Literal["absent"]
    reason: Reason


class ResolveWriteOff(InputModel):
    """The money goes back without knowing; what is delivered later is the house's loss."""

    outcome: Literal["written_off"]
    reason: Reason


class ResolveEnded(InputModel):
    """How an order under review ended in truth."""

    outcome: Literal["completed", "partial", "canceled", "failed"]
    remains: StrictInt | None = Field(
        None, ge=1, le=SAFE_INTEGER_MAX, description="For `partial`: what is missing."
    )
    posts: StrictInt | None = Field(
        None,
        ge=1,
        le=SAFE_INTEGER_MAX,
        description="Of a subscription, `partial` or `completed`: how many posts were delivered;"
        " each is charged as the largest.",
    )
    refunded: MoneyText | None = Field(
        None,
        description="Where units are not counted: what goes back of the charge. For `partial`, and"
        " of a subscription for `completed` too.",
        examples=["1.50"],
    )
    reason: Reason

    def settlement(self) -> Settlement:
        return Settlement(OrderState(self.outcome), self.remains, self.posts, self.refunded)


ResolutionBody = ResolveAccepted | ResolveAbsent | ResolveWriteOff | ResolveEnded
# Named, so that generated clients have a word for the union.
Resolution = TypeAliasType("Resolution", Annotated[ResolutionBody, Field(discriminator="outcome")])


class ProgressByHand(InputModel):
    """How an order stands that people fulfil, in the words in which a provider would tell it."""

    status: Literal["in_progress", "completed", "partial", "canceled"]
    start_count: StrictInt | None = Field(None, ge=0, le=SAFE_INTEGER_MAX)
    remains: StrictInt | None = Field(
        None, ge=0, le=SAFE_INTEGER_MAX, description="What is still to be delivered."
    )


class AttemptRead(AnswerModel):
    """One try to hand the order over."""

    number: int
    provider_id: str
    provider_service: str
    state: str
    outcome: str | None
    cost: MoneyRead = Field(description="What it was to cost, in the provider's currency.")
    provider_charge: MoneyRead | None = Field(description="What the provider says it took.")
    provider_order_id: str | None
    started_at: datetime
    sending_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        charged = attempt.provider_charge_micros
        return cls(
            number=attempt.number,
            provider_id=public_provider_id(attempt.provider_id),
            provider_service=attempt.provider_service,
            state=attempt.state,
            outcome=attempt.outcome,
            cost=MoneyRead.of(Money(attempt.cost_micros), attempt.cost_currency),
            provider_charge=(
                None if charged is None else MoneyRead.of(Money(charged), attempt.cost_currency)
            ),
            provider_order_id=attempt.provider_order_id,
            started_at=attempt.started_at,
            sending_at=attempt.sending_at,
            ended_at=attempt.ended_at,
        )


class EvidenceRead(AnswerModel):
    """What a provider said."""

    at: datetime
    provider_order_id: str | None
    answer: str

    @classmethod
    def of(cls, evidence: ProviderEvidence) -> Self:
        return cls(
            at=evidence.at, provider_order_id=evidence.provider_order_id, answer=evidence.answer
        )


class OperatorEventRead(AnswerModel):
    seq: int
    type: str
    actor: str
    at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: OrderEvent) -> Self:
        return cls(seq=event.seq, type=event.type, actor=event.actor, at=event.at, data=event.data)


class OperatorOrderRead(AnswerModel):
    """An order as operators see it: its true state and its arithmetic."""

    id: int
    parent_id: int | None = Field(description="The purchase whose run it is.")
    book_id: str
    service_id: int
    state: OrderState
    wait_reason: str | None
    reason: str | None
    quantity: int
    units: int | None
    remains: int | None
    start_count: int | None
    charge: MoneyRead
    held: MoneyRead
    earned: MoneyRead
    refunded: MoneyRead
    forfeited: MoneyRead
    expected_cost: MoneyRead
    reference: str | None
    provider_id: str | None
    provider_order_id: str | None
    cancel_state: CancelState | None
    created_at: datetime
    deliver_from: datetime | None
    deliver_by: datetime
    late_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, order: Order, currency: str) -> Self:
        def money(micros: int) -> MoneyRead:
            return MoneyRead.of(Money(micros), currency)

        return cls(
            id=order.id,
            parent_id=order.parent_id,
            book_id=public_book_id(order.book_id),
            service_id=order.service_id,
            state=OrderState(order.state),
            wait_reason=order.wait_reason,
            reason=order.reason,
            quantity=order.quantity,
            units=order.units,
            remains=order.remains,
            start_count=order.start_count,
            charge=money(order.charge),
            held=money(order.held),
            earned=money(order.earned),
            refunded=money(order.refunded),
            forfeited=money(order.forfeited),
            expected_cost=money(order.cost_micros),
            reference=order.reference,
            provider_id=public_provider_id(order.provider_id) if order.provider_id else None,
            provider_order_id=order.provider_order_id,
            cancel_state=CancelState(order.cancel_state) if order.cancel_state else None,
            created_at=order.created_at,
            deliver_from=order.deliver_from,
            deliver_by=order.deliver_by,
            late_at=order.late_at,
            ended_at=order.ended_at,
        )


class OperatorOrderDetail(AnswerModel):
    """An order with its reseller, its timeline, its route trail and what providers said."""

    order: OperatorOrderRead
    reseller_id: str = Field(description="Whose order it is.")
    events: list[OperatorEventRead]
    attempts: list[AttemptRead]
    evidence: list[EvidenceRead]


class OperatorOrderPage(AnswerModel):
    data: list[OperatorOrderRead]
    next_cursor: str | None


class WorkListEntry(AnswerModel):
    """An order that people fulfil, with what it says where the reader may see that."""

    order: OperatorOrderRead
    service: str
    form: dict[str, Any] | None = Field(
        description="Its link, quantity and texts; None without the permission orders:write."
    )

    @classmethod
    def of(cls, entry: ToFulfil, currency: str) -> Self:
        return cls(
            order=OperatorOrderRead.of(entry.order, currency),
            service=entry.service,
            form=None if entry.form is None else said(entry.form),
        )


class WorkList(AnswerModel):
    data: list[WorkListEntry]
    next_cursor: str | None
