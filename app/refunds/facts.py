"""The facts of a claim, gathered from its order as it stands."""

from __future__ import annotations

from app.catalog import offering
from app.catalog import service as catalog
from app.catalog.windows import Tier
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.money import Money
from app.core.uow import now_of
from app.orders import service as orders
from app.orders.conceding import REFUND_CLAIM
from app.orders.models import Order
from app.orders.states import NOT_HANDED_ON, OrderState
from app.refunds import repository
from app.refunds.models import Claim
from app.refunds.rules import Decision
from app.refunds.shares import Facts
from app.refunds.states import Reason


async def facts_of(
    session: Session,
    claim: Claim,
    order: Order,
    *,
    time_scale: float,
    silent: bool = False,
) -> Facts:
    """What the rules go by now. The order is locked, or its figures are only shown."""
    sold = await catalog.get(session, order.service_id)
    return Facts(
        reason=Reason(claim.reason),
        now=now_of(session),
        opens_at=claim.opens_at,
        deadline=claim.deadline,
        tier=Tier(sold.tier),
        state=await _standing(session, order),
        charge=Money(order.charge),
        ordered=order.units,
        remains=order.remains,
        refunded=Money(order.refunded),
        credited=Money(await repository.credited(session, order.id)),
        forfeited=Money(order.forfeited),
        missing_at_deadline=await _missing_at_deadline(session, claim, order),
        silent=silent,
        by_claim=order.reason == REFUND_CLAIM,
        time_scale=time_scale,
    )


async def _standing(session: Session, order: Order) -> OrderState:
    """How the order stands; of one that waits although a late answer says that it was taken, a
    person has to find out.
    """
    state = OrderState(order.state)
    if state in NOT_HANDED_ON and await orders.was_taken(session, order.id):
        return OrderState.NEEDS_REVIEW
    return state


async def _missing_at_deadline(session: Session, claim: Claim, order: Order) -> int | None:
    """What was undelivered when the claim was to be decided: what the first word after that moment
    left, or all of what was only handed on later. None before it, and where nobody knows.
    """
    if now_of(session) < claim.deadline:
        return None
    attempt = await orders.live_attempt(session, order.id)
    if attempt is not None and attempt.started_at > claim.deadline:
        return order.units or 1
    return order.cutoff_remains


def figures_of(facts: Facts, decision: Decision | None = None) -> dict[str, object]:
    """The facts and the arithmetic, as they are kept with a decision."""
    share = decision.share if decision else None
    return {
        "reason": facts.reason,
        "at": rfc3339(facts.now),
        "opens_at": rfc3339(facts.opens_at),
        "deadline": rfc3339(facts.deadline),
        "tier": facts.tier,
        "order_state": facts.state,
        "charge": str(facts.charge),
        "ordered": facts.ordered,
        "remains": facts.remains,
        "missing_at_deadline": facts.missing_at_deadline,
        "refunded_before": str(facts.refunded),
        "credited_before": str(facts.credited),
        "forfeited": str(facts.forfeited),
        "left": str(facts.left),
        "undelivered": share.undelivered if share else None,
        "of": share.ordered if share else None,
        "refund": str(decision.refund) if decision else None,
    }


async def scale_of(session: Session, order: Order, time_scale: float) -> float:
    """What divides the waits of claims on this order: nothing, unless simulators deliver."""
    offer = await offering.offer_of(session, order.service_id)
    return time_scale if offer is not None and offer.is_simulated else 1.0
