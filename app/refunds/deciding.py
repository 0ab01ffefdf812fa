"""Carrying a decision out: the claim's state, its order, its money, its next look, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.ids import public_id
from app.core.uow import now_of
from app.orders import conceding
from app.orders.conceding import Concession
from app.orders.models import Order
from app.orders.states import ENDED, OrderState
from app.refunds import repository
from app.refunds.models import Claim
from app.refunds.repository import Happening
from app.refunds.rules import Decision, Outcome
from app.refunds.states import ClaimState, PaidBy

CLAIM: Final = "claim"
"""The work of deciding a claim; the ref is the claim's id."""

CLAIM_PREFIX: Final = "clm"
DESK_WITHIN: Final = timedelta(hours=24)
"""So soon is a person to look at a claim that the rules leave to one."""

NOBODY_FIRST: Final[dict[str, Any]] = {"first_approver": None, "first_amount": None}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with who made it and the figures behind it."""

    decision: Decision
    actor: Actor
    figures: dict[str, Any]

    def happening(self, type_: str) -> Happening:
        return Happening(
            type_,
            self.actor,
            self.decision.words,
            rule=self.decision.rule,
            clause=self.decision.clause,
            refund=self.decision.refund.micros or None,
            figures=self.figures,
        )

    def columns(self) -> dict[str, Any]:
        return {
            "rule": self.decision.rule,
            "clause": self.decision.clause,
            "words": self.decision.words,
            **NOBODY_FIRST,
        }

    def told(self, claim: Claim) -> dict[str, Any]:
        """What the order's timeline says of it."""
        return told_of(claim) | {
            "reason": self.decision.rule,
            "clause": self.decision.clause,
            "words": self.decision.words,
        }


def told_of(claim: Claim) -> dict[str, Any]:
    """How an order's timeline names a claim."""
    return {"claim_id": public_id(CLAIM_PREFIX, claim.id)}


async def carry_out(session: Session, claim: Claim, order: Order, verdict: Verdict) -> Claim:
    """Do what was decided, all in this transaction. The claim and its order are locked, and the
    work on both before them. What changes nothing is told once.

    Raises OrderStateConflict for an approval while the order is being handed over.
    """
    match verdict.decision.outcome:
        case Outcome.WAIT:
            return await _go_on(session, claim, order, verdict, ClaimState.AWAITING_DEADLINE)
        case Outcome.HAND_OVER:
            return await _go_on(session, claim, order, verdict, ClaimState.WITH_OPERATOR)
        case Outcome.REFUSE:
            data = verdict.told(claim)
            await conceding.tell(session, order, "claim_refused", verdict.actor, data)
            return await close(session, claim, verdict, ClaimState.REFUSED)
        case Outcome.APPROVE:
            paid_by = await _pay(session, claim, order, verdict)
            return await close(session, claim, verdict, ClaimState.APPROVED, paid_by=paid_by)


async def _go_on(
    session: Session, claim: Claim, order: Order, verdict: Verdict, state: ClaimState
) -> Claim:
    """The claim stays open; a worker looks again when the rules say so. What one operator has
    approved still waits for the second.
    """
    until, ref = verdict.decision.until, str(claim.id)
    if until is None:
        await work.finish(session, CLAIM, [ref])
    else:
        await work.put(session, CLAIM, ref, due_at=until)
    if claim.state == ClaimState.AWAITING_SECOND:
        return claim
    if (claim.state, claim.rule) == (state, verdict.decision.rule):
        return claim
    waits = state is ClaimState.AWAITING_DEADLINE
    due_at = until if waits and until else now_of(session) + DESK_WITHIN
    told = "waits" if waits else "under_review"
    await conceding.tell(session, order, f"claim_{told}", verdict.actor, verdict.told(claim))
    values = verdict.columns() | {"state": state, "due_at": due_at}
    return await repository.change(session, claim, verdict.happening(told), values)


async def _pay(session: Session, claim: Claim, order: Order, verdict: Verdict) -> PaidBy:
    given = Concession(claim.id, verdict.decision.refund, verdict.actor, verdict.told(claim))
    if OrderState(order.state) in ENDED:
        await conceding.give_back(session, order, given)
        return PaidBy.REFUND_CLAIM
    await conceding.end_running(session, order, given)
    return PaidBy.ORDER_END


async def close(
    session: Session,
    claim: Claim,
    verdict: Verdict,
    state: ClaimState,
    *,
    paid_by: PaidBy | None = None,
) -> Claim:
    """The claim is over; nobody looks at it again by itself."""
    await work.finish(session, CLAIM, [str(claim.id)])
    values = verdict.columns() | {
        "state": state,
        "refund": verdict.decision.refund.micros or None,
        "paid_by": paid_by,
        "closed_at": now_of(session),
    }
    return await repository.change(session, claim, verdict.happening(state), values)
