"""Bodies and answers of the operators' claim routes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from app.core.crypto import KeyRing
from app.core.ids import public_id
from app.core.money import Money
from app.orders.operator_schemas import OperatorOrderRead
from app.refunds import texts
from app.refunds.desk import Sheet
from app.refunds.facts import figures_of
from app.refunds.models import Claim, ClaimEvent, ClaimMessage
from app.refunds.rules import Decision, Outcome
from app.refunds.schemas import MESSAGE_PREFIX, EvidenceRead, shown
from app.refunds.states import ClaimState, Reason
from app.resellers.service import public_book_id
from app.web.fields import MoneyText
from app.web.human_text import HumanLine
from app.web.schemas import AnswerModel, InputModel, MoneyRead


class ApproveClaim(InputModel):
    """Give money back, and say why; the reason is told to the reseller."""

    amount: MoneyText | None = Field(
        None,
        description="By default what a first operator approved, or all that is left of the charge.",
    )
    reason: HumanLine


class RefuseClaim(InputModel):
    """Close a claim without a refund; the reason is told to the reseller."""

    reason: HumanLine


class ReopenClaim(InputModel):
    """Why a refused claim is looked at anew; it is told to the reseller."""

    reason: HumanLine


class OperatorClaimRead(AnswerModel):
    """A claim as operators see it, in its true state."""

    id: str
    order_id: int
    book_id: str
    reason: Reason
    description: str | None
    state: ClaimState
    rule: str
    clause: str
    words: str
    refund: MoneyRead | None
    first_approver: str | None = Field(description="Who approved an amount that takes two.")
    first_amount: MoneyRead | None
    due_at: datetime = Field(description="When a worker or a person is to look at it.")
    deadline: datetime
    closes_at: datetime = Field(description="The last moment at which it could be filed.")
    created_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, claim: Claim, keys: KeyRing, currency: str) -> Self:
        told = shown(claim, keys, currency)
        first = claim.first_amount
        return cls(
            id=told["id"],
            order_id=claim.order_id,
            book_id=public_book_id(claim.book_id),
            reason=Reason(claim.reason),
            description=told["description"],
            state=ClaimState(claim.state),
            rule=claim.rule,
            clause=claim.clause,
            words=claim.words,
            refund=told["refund"],
            first_approver=claim.first_approver,
            first_amount=None if first is None else MoneyRead.of(Money(first), currency),
            due_at=claim.due_at,
            deadline=claim.deadline,
            closes_at=claim.closes_at,
            created_at=claim.created_at,
            closed_at=claim.closed_at,
        )


class OperatorClaimPage(AnswerModel):
    data: list[OperatorClaimRead]
    next_cursor: str | None


class ProposalRead(AnswerModel):
    """What the rules say as the order stands now."""

    outcome: Outcome
    rule: str
    clause: str
    words: str
    refund: MoneyRead

    @classmethod
    def of(cls, decision: Decision, currency: str) -> Self:
        return cls(
            outcome=decision.outcome,
            rule=decision.rule,
            clause=decision.clause,
            words=decision.words,
            refund=MoneyRead.of(decision.refund, currency),
        )


class OperatorClaimEventRead(AnswerModel):
    """Something that happened to a claim, by whom, with the figures behind it."""

    seq: int
    type: str
    actor: str
    at: datetime
    rule: str | None
    clause: str | None
    words: str
    figures: dict[str, Any]

    @classmethod
    def of(cls, event: ClaimEvent) -> Self:
        return cls(
            seq=event.seq,
            type=event.type,
            actor=event.actor,
            at=event.at,
            rule=event.rule,
            clause=event.clause,
            words=event.words,
            figures=event.figures,
        )


class OperatorMessageRead(AnswerModel):
    id: str
    by_operator: bool
    actor: str
    body: str | None
    created_at: datetime

    @classmethod
    def of(cls, message: ClaimMessage, keys: KeyRing) -> Self:
        return cls(
            id=public_id(MESSAGE_PREFIX, message.id),
            by_operator=message.by_operator,
            actor=message.actor,
            body=texts.body_of(keys, message),
            created_at=message.created_at,
        )


class OperatorClaimDetail(AnswerModel):
    """Everything that an operator needs to judge a claim; each list is bounded."""

    claim: OperatorClaimRead
    order: OperatorOrderRead
    facts: dict[str, Any]
    proposal: ProposalRead
    events: list[OperatorClaimEventRead]
    messages: list[OperatorMessageRead]
    evidence: list[EvidenceRead]

    @classmethod
    def of(
        cls,
        sheet: Sheet,
        keys: KeyRing,
        currency: str,
        *,
        messages: list[OperatorMessageRead],
        evidence: list[EvidenceRead],
    ) -> Self:
        return cls(
            claim=OperatorClaimRead.of(sheet.claim, keys, currency),
            order=OperatorOrderRead.of(sheet.order, currency),
            facts=figures_of(sheet.facts, sheet.proposal),
            proposal=ProposalRead.of(sheet.proposal, currency),
            events=[OperatorClaimEventRead.of(event) for event in sheet.events],
            messages=messages,
            evidence=evidence,
        )
