"""What a provider's answer to a handover does to the order: accepted, refused, waiting, unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.catalog import mirror, offering, service_routes
from app.core import work
from app.core.backoff import backed_off
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import FENCED
from app.core.money import Money
from app.core.uow import now_of
from app.orders import attempt_repository, evidence_repository, inquiries, link_locks, repository
from app.orders.dispatch import (
    ACTOR,
    Batch,
    Handover,
    review_taken,
    wait,
)
from app.orders.endings import End
from app.orders.link_locks import LINK_BUSY
from app.orders.models import Order
from app.orders.routing import FOR_GOOD, Sold, histories, next_route
from app.orders.service import DISPATCH, FOLLOW, RECONCILE
from app.orders.settlement import end_order
from app.orders.states import AttemptState, Move, OrderState
from app.providers.protocol import (
    Accepted,
    NotSent,
    RefusalKind,
    Refused,
    SubmitOutcome,
    Unconfirmed,
)
from app.supply import bounds, pausing, protection, sampling
from app.supply.pausing import PauseReason

log = get_logger(__name__)

FIRST_POLL: Final = timedelta(seconds=30)
RECONCILE_FIRST: Final = timedelta(minutes=1)
LINK_BUSY_WAIT: Final = timedelta(minutes=1)
TROUBLE_WAIT: Final = timedelta(seconds=30)
RATE_LIMIT_WAIT: Final = timedelta(seconds=30)
RATE_LIMIT_LOOK: Final = timedelta(seconds=30)
"""However long the provider asks to wait, its order looks for another route no later than this."""
MAINTENANCE_PAUSE: Final = timedelta(minutes=10)
NOT_SENT_WAIT_MIN: Final = timedelta(seconds=2)
NOT_SENT_WAIT_MAX: Final = timedelta(minutes=2)

_PAUSES: Final = {
    RefusalKind.NO_FUNDS: PauseReason.NO_FUNDS,
    RefusalKind.MAINTENANCE: PauseReason.MAINTENANCE,
    RefusalKind.CREDENTIALS: PauseReason.CREDENTIALS,
    RefusalKind.RATE_LIMITED: PauseReason.RATE_LIMITED,
}

Outcomes = Mapping[Handover, SubmitOutcome]


async def keep_evidence(session: Session, outcomes: Outcomes) -> None:
    """Keep what the provider said to each attempt: its order id where it gave one, and the answer.

    Without a fence: a lost lease does not make an answer untrue. May be run again.
    """
    await evidence_repository.append_evidence(session, _evidence_in(outcomes))


def _evidence_in(outcomes: Outcomes) -> dict[UUID, tuple[str | None, str]]:
    """What was said, by attempt; an order that was not sent got no answer."""
    said: dict[UUID, tuple[str | None, str]] = {}
    for handover, outcome in outcomes.items():
        match outcome:
            case Accepted(provider_order_id=provider_order_id, answer=answer):
                said[handover.attempt_id] = (provider_order_id, answer)
            case Refused(reason=reason, answer=answer) | Unconfirmed(reason=reason, answer=answer):
                said[handover.attempt_id] = (None, answer or reason)
            case NotSent():
                pass
    return said


async def record_outcomes(session: Session, batch: Batch, outcomes: Outcomes) -> None:
    """Keep what the provider said, and move the orders of a batch by it, where the lease is held.

    May be run again: an order that was recorded, or that the sweeper took, is passed over.
    """
    held = await work.lock_held(session, batch.lease, [str(h.order_id) for h in outcomes])
    await keep_evidence(session, outcomes)
    fenced = len(outcomes) - len(held)
    if fenced:
        FENCED.labels(DISPATCH).inc(fenced)
        log.warning("outcomes_fenced", provider=batch.provider_name, orders=fenced)
    ours = {h: outcome for h, outcome in outcomes.items() if str(h.order_id) in held}
    accepted = {h: o.provider_order_id for h, o in ours.items() if isinstance(o, Accepted)}
    doubtful = await _accept(session, batch, accepted)
    for handover, outcome in ours.items():
        match outcome:
            case Accepted(provider_order_id=provider_order_id):
                if handover in doubtful:
                    reason = f"order id {provider_order_id} is in use already"
                    await _lose(session, batch, handover, reason)
            case Unconfirmed(reason=reason):
                await _lose(session, batch, handover, reason)
            case NotSent():
                await _not_sent(session, batch, handover, outcome)
            case Refused():
                pass
    refusals = {h.order_id: (h, o) for h, o in ours.items() if isinstance(o, Refused)}
    await _record_refusals(session, batch, refusals)
    await _judge_provider(session, batch, ours)


async def _accept(
    session: Session, batch: Batch, accepted: Mapping[Handover, str]
) -> set[Handover]:
    """submitting → in_progress; those whose provider order id another order has are returned."""
    if not accepted:
        return set()
    # One recorder at a time: two orders given the same id must see each other.
    await evidence_repository.lock_acceptance(session, batch.provider_id)
    times = Counter(accepted.values())
    ours = {h.order_id: h.attempt_id for h in accepted}
    in_use = await evidence_repository.ids_known_besides(
        session, batch.provider_id, set(times), ours=ours
    )
    doubtful = {h for h, given in accepted.items() if given in in_use or times[given] > 1}
    clear = [(h.order_id, h.attempt_id, i) for h, i in accepted.items() if h not in doubtful]
    if clear:
        moved = await attempt_repository.accept(session, batch.provider_id, clear, actor=str(ACTOR))
        refs = [str(order_id) for order_id in moved]
        due = now_of(session) + FIRST_POLL / batch.time_scale
        await work.turn(session, DISPATCH, FOLLOW, refs, due_at=due)
    return doubtful


async def _lose(session: Session, batch: Batch, handover: Handover, reason: str) -> None:
    """submitting → unknown: it may have been taken. Never sent again, never refunded, on this."""
    await attempt_repository.end(session, handover.attempt_id, AttemptState.UNKNOWN, outcome=reason)
    await move_to_unknown(
        session,
        handover.order_id,
        handover.attempt_id,
        batch.provider_id,
        reason,
        time_scale=batch.time_scale,
    )


async def move_to_unknown(
    session: Session,
    order_id: int,
    attempt_id: UUID,
    provider_id: UUID,
    reason: str,
    *,
    time_scale: float,
) -> None:
    """The money stays held, and the search for the order begins."""
    await repository.move(
        session,
        order_id,
        Move.LOSE,
        source=OrderState.SUBMITTING,
        target=OrderState.UNKNOWN,
        actor=ACTOR,
        data={"why": reason},
        public=False,
    )
    await work.finish(session, DISPATCH, [str(order_id)])
    due = now_of(session) + RECONCILE_FIRST / time_scale
    await work.put(session, RECONCILE, str(order_id), lane=str(provider_id), due_at=due)
    await inquiries.begin(session, attempt_id)


async def _not_sent(session: Session, batch: Batch, handover: Handover, outcome: NotSent) -> None:
    """Not a byte was written: the order goes back, and is tried again a little later each time."""
    await attempt_repository.end(
        session, handover.attempt_id, AttemptState.ABSENT, outcome=outcome.reason
    )
    await attempt_repository.put_back(session, [handover.order_id], actor=str(ACTOR))
    tries = batch.lease.tries[str(handover.order_id)]
    delay = backed_off(NOT_SENT_WAIT_MIN, tries - 1, at_most=NOT_SENT_WAIT_MAX) / batch.time_scale
    why = None if outcome.ours else protection.Closed.BREAKER
    await wait(session, [handover.order_id], reason=why, delay=delay)


async def _record_refusals(
    session: Session, batch: Batch, refusals: Mapping[int, tuple[Handover, Refused]]
) -> None:
    """In the order in which wallets are locked, and routes before any of them."""
    if not refusals:
        return
    gone = {
        h.attempt_id: o.reason for h, o in refusals.values() if o.kind is RefusalKind.SERVICE_GONE
    }
    for attempt_id, reason in gone.items():
        route_id = await attempt_repository.route_of(session, attempt_id)
        await service_routes.close_gone_route(session, route_id, reason=reason)
    if gone:
        await mirror.hasten(session, batch.provider_id)
    for order in await repository.lock_many(session, refusals, OrderState.SUBMITTING):
        handover, refused = refusals[order.id]
        await _refused(session, batch, order, handover, refused)


async def _refused(
    session: Session, batch: Batch, order: Order, handover: Handover, refused: Refused
) -> None:
    """The provider certainly took nothing: the next route, a wait, an end, or a person's look."""
    scale = batch.time_scale
    if refused.kind is RefusalKind.UNSEEN:
        await _review(session, handover, refused)
        return
    await attempt_repository.end(
        session, handover.attempt_id, AttemptState.REFUSED, outcome=refused.kind
    )
    if refused.kind in FOR_GOOD:
        await _next_route_or_fail(session, order, refused)
        return
    await attempt_repository.put_back(session, [order.id], actor=str(ACTOR))
    match refused.kind:
        case RefusalKind.LINK_BUSY:
            # Busy by someone else's order: our own that wait for it are not woken.
            await wait(session, [order.id], reason=LINK_BUSY, delay=LINK_BUSY_WAIT / scale)
        case RefusalKind.RATE_LIMITED:
            delay = min(_asked_to_wait(refused, scale), RATE_LIMIT_LOOK)
            await wait(session, [order.id], reason=protection.Closed.BUDGET, delay=delay)
        case _:
            paused = protection.Closed.PAUSED
            await wait(session, [order.id], reason=paused, delay=TROUBLE_WAIT / scale)


def _asked_to_wait(refused: Refused, scale: float) -> timedelta:
    asked = refused.retry_after_seconds
    return timedelta(seconds=asked) if asked else RATE_LIMIT_WAIT / scale


async def _review(session: Session, handover: Handover, refused: Refused) -> None:
    """An error text nobody has classified: the attempt may be live, the money stays held."""
    await attempt_repository.end(
        session, handover.attempt_id, AttemptState.UNKNOWN, outcome=refused.reason
    )
    await repository.move(
        session,
        handover.order_id,
        Move.REVIEW,
        source=OrderState.SUBMITTING,
        target=OrderState.NEEDS_REVIEW,
        actor=ACTOR,
        data={"why": refused.reason},
        public=False,
    )
    await work.finish(session, DISPATCH, [str(handover.order_id)])
    await inquiries.begin(session, handover.attempt_id)


async def _next_route_or_fail(session: Session, order: Order, refused: Refused) -> None:
    offer = await offering.offer_of(session, order.service_id)
    history = (await histories(session, [order.id]))[order.id]
    if history.was_taken:
        await review_taken(session, order.id, OrderState.SUBMITTING)
        return
    route = next_route(offer, Sold.of(order), history)
    if route is not None:
        await link_locks.release(session, [order.id])
        await attempt_repository.put_back(session, [order.id], actor=str(ACTOR))
        await work.put(session, DISPATCH, str(order.id), lane=str(route.provider_id))
        return
    end = End(Move.REFUSE, OrderState.FAILED, Money(order.charge), order.units)
    await end_order(session, order, end, ACTOR, reason="refused", data={"why": refused.reason})


async def _judge_provider(session: Session, batch: Batch, outcomes: Outcomes) -> None:
    """What the batch tells of the provider: its breaker, its bound, the troubles that pause it."""
    answered = sum(isinstance(o, Accepted | Refused) for o in outcomes.values())
    silent = sum(
        isinstance(o, Unconfirmed) or (isinstance(o, NotSent) and not o.ours)
        for o in outcomes.values()
    )
    if answered:
        await protection.record_answers(session, batch.provider_id, trial=batch.trial)
    elif silent:
        await protection.record_failures(
            session, batch.provider_id, silent, time_scale=batch.time_scale, trial=batch.trial
        )
    refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, Refused)]
    if silent or any(refused.kind is RefusalKind.RATE_LIMITED for refused in refusals):
        await bounds.record_trouble(session, batch.provider_id, batch.bound)
    elif answered:
        await bounds.record_clean(session, batch.provider_id, batch.bound, answered)
    await _pause_provider(session, batch, refusals)
    if any(isinstance(o, Unconfirmed) for o in outcomes.values()):
        await sampling.after_unknown(session, batch.provider_id, time_scale=batch.time_scale)


async def _pause_provider(session: Session, batch: Batch, refusals: Sequence[Refused]) -> None:
    for kind, reason in _PAUSES.items():
        said = [refused for refused in refusals if refused.kind is kind]
        if said:
            lasts: timedelta | None = None
            if kind is RefusalKind.MAINTENANCE:
                lasts = MAINTENANCE_PAUSE / batch.time_scale
            elif kind is RefusalKind.RATE_LIMITED:
                lasts = max(_asked_to_wait(refused, batch.time_scale) for refused in said)
            until = None if lasts is None else now_of(session) + lasts
            await pausing.pause(session, batch.provider_id, reason, until=until)
            log.warning("provider_paused", provider=batch.provider_name, reason=reason)
