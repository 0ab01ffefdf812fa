"""Bodies and answers of the resellers' claim routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.core.crypto import KeyRing
from app.core.ids import public_id
from app.core.money import Money
from app.files import signed_links
from app.files.models import StoredFile
from app.files.service import public_file_id
from app.refunds import texts
from app.refunds.deciding import CLAIM_PREFIX
from app.refunds.models import Claim, ClaimEvent, ClaimMessage
from app.refunds.states import V1_STATUS, ClaimState, Reason
from app.web.fields import SAFE_INTEGER_MAX, PublicNumber
from app.web.human_text import HumanText
from app.web.pages import PAGE_DEFAULT, Cursor, Limit
from app.web.schemas import AnswerModel, InputModel, MoneyRead

MESSAGE_PREFIX: Final = "msg"
_OF_THE_DESK: Final = frozenset({"approved_first", "approval_lapsed"})
ClaimStatus = Literal["awaiting_deadline", "under_review", "approved", "refused", "withdrawn"]


class ClaimCreate(InputModel):
    """A request for a refund of an order, or of one run of a drip-feed."""

    order_id: PublicNumber = Field(description="The order number.", examples=[1042])
    reason: Reason = Field(
        description="`drop` and `changed-mind` are answered with the clause that refuses them."
    )
    description: HumanText = Field(
        description="What went wrong, in your words.", examples=["Nothing arrived."]
    )


class MessageCreate(InputModel):
    """Something said about a claim."""

    body: HumanText


class DecisionRead(AnswerModel):
    """What was decided last."""

    rule: str = Field(description="The rule's name; `filed` before any was applied.")
    clause: str = Field(description="The clause of the refund policy that it stands on.")
    words: str = Field(description="The same in words, with the figures.")


class ClaimRead(AnswerModel):
    """A claim as its reseller sees it."""

    id: str
    order_id: int = Field(description="Of a subscription, the number of its one run.")
    reason: Reason
    description: str | None = Field(description="None where its key is lost.")
    status: ClaimStatus
    decision: DecisionRead
    refund: MoneyRead | None = Field(description="What went back, of an approved claim.")
    deadline: datetime = Field(
        description="When it is decided that a running order was not delivered."
    )
    created_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, claim: Claim, keys: KeyRing, currency: str) -> Self:
        return cls.model_validate(shown(claim, keys, currency))


def shown(claim: Claim, keys: KeyRing, currency: str) -> dict[str, Any]:
    """What everyone who may see a claim is told of it."""
    refund = None if claim.refund is None else MoneyRead.of(Money(claim.refund), currency)
    return {
        "id": public_id(CLAIM_PREFIX, claim.id),
        "order_id": claim.order_id,
        "reason": claim.reason,
        "description": texts.description_of(keys, claim),
        "status": V1_STATUS[ClaimState(claim.state)],
        "decision": DecisionRead(rule=claim.rule, clause=claim.clause, words=claim.words),
        "refund": refund,
        "deadline": claim.deadline,
        "created_at": claim.created_at,
        "closed_at": claim.closed_at,
    }


class ClaimPage(AnswerModel):
    data: list[ClaimRead]
    next_cursor: str | None


class FiguresRead(AnswerModel):
    """The arithmetic of a decision: charge × undelivered ÷ ordered, less what went back before."""

    charge: str
    ordered: int | None = Field(description="None where delivery is not counted.")
    undelivered: int | None
    refunded_before: str
    left: str = Field(description="What of the charge could still go back.")
    refund: str | None

    @classmethod
    def of(cls, figures: dict[str, Any]) -> Self | None:
        if not figures:
            return None
        return cls(
            charge=figures["charge"],
            ordered=figures["of"],
            undelivered=figures["undelivered"],
            refunded_before=figures["refunded_before"],
            left=figures["left"],
            refund=figures["refund"],
        )


class ClaimEventRead(AnswerModel):
    """Something that happened to a claim."""

    type: str
    at: datetime
    rule: str | None
    clause: str | None
    words: str
    figures: FiguresRead | None

    @classmethod
    def of(cls, event: ClaimEvent) -> Self:
        return cls(
            type=event.type,
            at=event.at,
            rule=event.rule,
            clause=event.clause,
            words=event.words,
            figures=FiguresRead.of(event.figures),
        )


class EvidenceRead(AnswerModel):
    """A file that was sent with a claim, and a link that opens it for a few minutes."""

    id: str
    name: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    created_at: datetime
    url: str = Field(description="A path on this host; it needs no key, so keep it to yourself.")
    url_expires_at: datetime

    @classmethod
    def of(cls, file: StoredFile, keys: KeyRing, *, now: datetime, seconds: int) -> Self:
        link = signed_links.link(keys, file.id, now=now, seconds=seconds)
        return cls(
            id=public_file_id(file.id),
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256.hex(),
            created_at=file.created_at,
            url=link.path,
            url_expires_at=link.expires_at,
        )


class ClaimDetail(ClaimRead):
    """A claim with what happened to it and the evidence that came with it."""

    events: list[ClaimEventRead]
    evidence: list[EvidenceRead]

    @classmethod
    def of_all(
        cls,
        claim: Claim,
        keys: KeyRing,
        currency: str,
        events: Sequence[ClaimEvent],
        evidence: list[EvidenceRead],
    ) -> Self:
        return cls.model_validate(
            shown(claim, keys, currency)
            | {
                # That one of us has approved it is not an answer yet, and may never be one.
                "events": [ClaimEventRead.of(e) for e in events if e.type not in _OF_THE_DESK],
                "evidence": evidence,
            }
        )


class MessageRead(AnswerModel):
    """What was said about a claim, and by which side."""

    id: str
    by: Literal["you", "operator"]
    body: str | None = Field(description="None where its key is lost.")
    created_at: datetime

    @classmethod
    def of(cls, message: ClaimMessage, keys: KeyRing) -> Self:
        return cls(
            id=public_id(MESSAGE_PREFIX, message.id),
            by="operator" if message.by_operator else "you",
            body=texts.body_of(keys, message),
            created_at=message.created_at,
        )


class MessagePage(AnswerModel):
    data: list[MessageRead]
    next_cursor: str | None


class ClaimListQuery(BaseModel):
    """The filters of the list of claims, and its page."""

    model_config = ConfigDict(extra="forbid")

    order_id: int | None = Field(
        None, ge=1, le=SAFE_INTEGER_MAX, description="Only those on this order or its runs."
    )
    status: ClaimStatus | None = None
    limit: Limit = PAGE_DEFAULT
    cursor: Cursor = None

    def states(self) -> frozenset[ClaimState] | None:
        """A status that is shown may stand for several states of ours."""
        if self.status is None:
            return None
        return frozenset(state for state, told in V1_STATUS.items() if told == self.status)
