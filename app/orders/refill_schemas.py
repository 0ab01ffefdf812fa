"""Bodies and answers of the refill routes, for resellers and for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictStr
from typing_extensions import TypeAliasType

from app.orders.operator_schemas import Reason
from app.orders.refill_groups import RefillGroup
from app.orders.refill_models import Refill
from app.orders.refill_states import V1_STATUS, RefillState
from app.supply.service import public_provider_id
from app.web.fields import SAFE_INTEGER_MAX
from app.web.pages import PAGE_DEFAULT, Cursor, Limit
from app.web.schemas import AnswerModel, InputModel

RefillStatus = Literal["pending", "in_progress", "completed", "rejected", "failed"]


class RefillRead(AnswerModel):
    """A refill as its reseller sees it."""

    id: int
    order_id: int
    status: RefillStatus
    reason: str | None = Field(description="Why it was rejected or failed, where that was told.")
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, refill: Refill) -> Self:
        return cls.model_validate(
            {
                "id": refill.id,
                "order_id": refill.order_id,
                "status": V1_STATUS[RefillState(refill.state)],
                "reason": refill.reason,
                "created_at": refill.created_at,
                "ended_at": refill.ended_at,
            }
        )

    @classmethod
    def of_group(cls, group: RefillGroup) -> Self:
        """A refill of a whole purchase, as if it were one."""
        return cls.model_validate(
            {
                "id": group.id,
                "order_id": group.schedule_id,
                "status": group.status,
                "reason": group.reason,
                "created_at": group.created_at,
                "ended_at": group.ended_at,
            }
        )


class RefillPage(AnswerModel):
    data: list[RefillRead]
    next_cursor: str | None


class RefillListQuery(BaseModel):
    """The filters of the list of refills, and its page."""

    model_config = ConfigDict(extra="forbid")

    order_id: int | None = Field(None, ge=1, le=SAFE_INTEGER_MAX)
    status: RefillStatus | None = None
    limit: Limit = PAGE_DEFAULT
    cursor: Cursor = None

    def states(self) -> frozenset[RefillState] | None:
        """A status that is shown may stand for several states of ours."""
        if self.status is None:
            return None
        return frozenset(state for state, told in V1_STATUS.items() if told == self.status)


class OperatorRefillRead(AnswerModel):
    """A refill as operators see it, in its true state."""

    id: int
    order_id: int
    provider_id: str
    provider_refill_id: str | None
    state: RefillState
    reason: str | None
    requested_by: str
    created_at: datetime
    sending_at: datetime | None
    taken_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, refill: Refill) -> Self:
        return cls(
            id=refill.id,
            order_id=refill.order_id,
            provider_id=public_provider_id(refill.provider_id),
            provider_refill_id=refill.provider_refill_id,
            state=RefillState(refill.state),
            reason=refill.reason,
            requested_by=refill.requested_by,
            created_at=refill.created_at,
            sending_at=refill.sending_at,
            taken_at=refill.taken_at,
            ended_at=refill.ended_at,
        )


class OperatorRefillPage(AnswerModel):
    data: list[OperatorRefillRead]
    next_cursor: str | None


class RefillTaken(InputModel):
    """The provider took the refill, under this id: it is followed on."""

    outcome: Literal["taken"]
    provider_refill_id: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    reason: Reason


class RefillNotTaken(InputModel):
    """There is proof that the provider never took the refill: it is asked for again."""

    outcome: Literal["not_taken"]
    reason: Reason


class RefillEnded(InputModel):
    """How the refill ended in truth."""

    outcome: Literal["completed", "rejected", "failed"]
    reason: Reason


RefillResolutionBody = RefillTaken | RefillNotTaken | RefillEnded
# Named, so that generated clients have a word for the union.
RefillResolution = TypeAliasType(
    "RefillResolution", Annotated[RefillResolutionBody, Field(discriminator="outcome")]
)
