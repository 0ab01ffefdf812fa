"""The desk: what operators see of claims, and their decisions; a large sum takes two of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.money import ZERO, Money
from app.core.uow import now_of
from app.operators import service as operators
from app.orders import conceding
from app.orders import service as orders
from app.orders.models import Order
from app.orders.states import ENDED, NOT_HANDED_ON
from app.refunds import message_repository, repository, rules, service
from app.refunds.deciding import CLAIM, DESK_WITHIN, Verdict, carry_out, told_of
from app.refunds.errors import ClaimOpen, ClaimStateConflict, SecondApproverNeeded
from app.refunds.facts import facts_of, figures_of, scale_of
from app.refunds.models import Claim, ClaimEvent, ClaimMessage
from app.refunds.repository import Happening
from app.refunds.rules import Decision, Outcome, Rule
from app.refunds.shares import Facts
from app.refunds.states import WITH_PEOPLE, ClaimState

AT_A_COMMAND_LINE: Final = "command"
MESSAGES_SHOWN_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Sheet:
    """A claim as the desk sees it: with its order, the facts, and what the rules would say now."""

    claim: Claim
    order: Order
    facts: Facts
    proposal: Decision
    events: Sequence[ClaimEvent]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the queue ends."""

    due_at: datetime
    claim_id: UUID

    @classmethod
    def at(cls, claim: Claim) -> Self:
        return cls(claim.due_at, claim.id)

    @classmethod
    def of(cls, sealed: Sequence[str | int]) -> Self:
        due_at, claim_id = sealed
        return cls(datetime.fromisoformat(str(due_at)), UUID(str(claim_id)))

    def sealed(self) -> list[str | int]:
        return [self.due_at.isoformat(), str(self.claim_id)]


async def queue(
    session: Session,
    *,
    states: Collection[ClaimState] | None = None,
    after: Place | None = None,
    limit: int,
) -> Sequence[Claim]:
    """The longest due first; by default the claims that wait for a person."""
    place = None if after is None else (after.due_at, after.claim_id)
    return await repository.queue(session, states or WITH_PEOPLE, after=place, limit=limit)


async def sheet(session: Session, claim_id: UUID, *, time_scale: float) -> Sheet:
    """Raises NotFound."""
    claim = await repository.find(session, claim_id)
    if claim is None:
        raise NotFound
    order = await orders.get(session, claim.order_id)
    scale = await scale_of(session, order, time_scale)
    facts = await facts_of(session, claim, order, time_scale=scale)
    events = await service.events(session, claim.id)
    return Sheet(claim, order, facts, rules.decide(facts), events)


async def said(session: Session, claim_id: UUID) -> list[ClaimMessage]:
    """What was said about a claim, in its order; of very much the last, which is what is new."""
    last = await message_repository.last_of_claim(session, claim_id, limit=MESSAGES_SHOWN_MAX)
    return list(reversed(last))


async def approve(
    session: Session,
    claim_id: UUID,
    *,
    amount: Money | None,
    reason: str,
    by: Actor,
    two_above: Money,
) -> Claim:
    """Give back an amount, or what a first operator approved, or all that is left of the charge.

    Where operators have given back more than `two_above` of one order with it, the first approval
    is kept, and another operator has to approve the same.
    Raises NotFound, ClaimStateConflict, SecondApproverNeeded, InvalidInput, OrderStateConflict.
    """
    claim, order = await service.lock_with_order(session, claim_id)
    service.refuse_closed(claim)
    facts = await facts_of(session, claim, order, time_scale=1.0)
    if facts.left <= ZERO:
        raise ClaimStateConflict("Nothing of the charge is left to give back")
    if amount is None:
        amount = facts.left if claim.first_amount is None else Money(claim.first_amount)
    if not ZERO < amount <= facts.left:
        rule = f"must be above 0 and at most {facts.left}, what is left of the charge"
        raise InvalidInput(errors=(FieldProblem("/amount", rule),))
    if facts.state in NOT_HANDED_ON and amount < facts.left:
        # It ends with the approval, and what nobody delivered is never earned.
        rule = f"must be {facts.left}, all that is left: no provider was given this order"
        raise InvalidInput(errors=(FieldProblem("/amount", rule),))
    words = f"{amount} goes back by an operator's decision. {reason}"
    decision = Decision(Outcome.APPROVE, Rule.BY_AN_OPERATOR, words, amount)
    verdict = Verdict(decision, by, figures_of(facts, decision))
    given = Money(await repository.given_by_people(session, order.id))
    if given + amount > two_above and not await _is_second(session, claim, amount, by):
        return await _approve_first(session, claim, verdict)
    return await carry_out(session, claim, order, verdict)


async def _is_second(session: Session, claim: Claim, amount: Money, by: Actor) -> bool:
    """Whether another operator, who is still on the staff, has approved the same amount before.
    Raises SecondApproverNeeded; to who is at a command line as well, since an account of a machine
    may be either of the two.
    """
    if by.kind == AT_A_COMMAND_LINE:
        raise SecondApproverNeeded("This amount takes two operators, each with a key of their own")
    if claim.first_approver is None or claim.first_amount != amount.micros:
        return False
    if claim.first_approver == str(by):
        raise SecondApproverNeeded
    first = await operators.get_public(session, claim.first_approver.partition(":")[2])
    return first.archived_at is None


async def _approve_first(session: Session, claim: Claim, verdict: Verdict) -> Claim:
    amount = verdict.decision.refund
    values = {
        "state": ClaimState.AWAITING_SECOND,
        "due_at": now_of(session) + DESK_WITHIN,
        "first_approver": str(verdict.actor),
        "first_amount": amount.micros,
    }
    return await repository.change(session, claim, verdict.happening("approved_first"), values)


async def refuse(session: Session, claim_id: UUID, *, reason: str, by: Actor) -> Claim:
    """Close a claim without a refund; the reason is told. Raises NotFound, ClaimStateConflict."""
    claim, order = await service.lock_with_order(session, claim_id)
    service.refuse_closed(claim)
    facts = await facts_of(session, claim, order, time_scale=1.0)
    decision = Decision(Outcome.REFUSE, Rule.BY_AN_OPERATOR, reason)
    return await carry_out(session, claim, order, Verdict(decision, by, figures_of(facts)))


async def reopen(session: Session, claim_id: UUID, *, reason: str, by: Actor) -> Claim:
    """Look at a refused claim anew: it is with an operator again. What was paid stays paid. Of a
    running order the facts decide at the deadline, or a day from now, as they would have.

    Raises NotFound, ClaimStateConflict, ClaimOpen.
    """
    claim, order = await service.lock_with_order(session, claim_id)
    if claim.state != ClaimState.REFUSED:
        raise ClaimStateConflict("Only a claim that was refused can be reopened")
    if await repository.open_of(session, order.id) is not None:
        raise ClaimOpen
    if order.state not in ENDED and claim.reason in rules.BY_DELIVERY:
        due_at = max(claim.deadline, now_of(session) + DESK_WITHIN)
        await work.put(session, CLAIM, str(claim.id), due_at=due_at)
    told = told_of(claim) | {"reason": Rule.BY_AN_OPERATOR, "words": reason}
    await conceding.tell(session, order, "claim_reopened", by, told)
    decision = Decision(Outcome.HAND_OVER, Rule.BY_AN_OPERATOR, reason)
    values = {
        "state": ClaimState.WITH_OPERATOR,
        "due_at": now_of(session) + DESK_WITHIN,
        "closed_at": None,
        "rule": decision.rule,
        "clause": decision.clause,
        "words": reason,
    }
    happening = Happening("reopened", by, reason, rule=decision.rule, clause=decision.clause)
    return await repository.change(session, claim, happening, values)
