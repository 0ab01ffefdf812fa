"""The verbs of a claim that its reseller calls: file, read, write about it, withdraw."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.windows import Tier
from app.core import lineage, work
from app.core.audit import Actor
from app.core.clock import rfc3339
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import FieldProblem, NotFound
from app.core.ids import new_id, parse_public_id
from app.core.money import Money
from app.core.uow import now_of
from app.orders import conceding, runs
from app.orders import service as orders
from app.orders.models import Order
from app.refunds import message_repository, repository, rules, texts
from app.refunds.deciding import CLAIM, CLAIM_PREFIX, NOBODY_FIRST, Verdict, carry_out, told_of
from app.refunds.errors import (
    ClaimNeedsRun,
    ClaimOpen,
    ClaimStateConflict,
    ClaimWindowClosed,
)
from app.refunds.facts import facts_of, figures_of, scale_of
from app.refunds.models import Claim, ClaimEvent, ClaimMessage
from app.refunds.repository import Happening
from app.refunds.rules import DECIDED
from app.refunds.states import OPEN, ClaimState, Reason
from app.schedules import service as schedules
from app.schedules.states import ScheduleKind

RULES: Final = Actor("system", "refund-rules")
EVENTS_MAX: Final = 500
FILED: Final = "filed"
_FILING_CLAUSE: Final = "REF-2"
_FILED_WORDS: Final = "It was filed in time."


async def file(
    session: Session,
    keys: KeyRing,
    book_id: UUID,
    order_number: int,
    *,
    reason: Reason,
    description: str,
    actor: Actor,
    time_scale: float,
) -> Claim:
    """Claim on an order of this book; what the facts decide is decided at once, but for facts
    that may be out of date: a due order in progress is asked about first, and in a restored
    database all claims wait.

    Raises NotFound, ClaimNeedsRun, ClaimWindowClosed, ClaimOpen.
    """
    order_id = await _claimable(session, book_id, order_number)
    order = await orders.lock(session, order_id)
    sold, now = await catalog.get(session, order.service_id), now_of(session)
    opens = rules.opens_at(bought_at=order.created_at, due_at=order.due_at)
    closes = rules.closes_at(opens=opens, deliver_by=order.deliver_by, tier=Tier(sold.tier))
    if not rules.is_in_time(filed_at=now, closes=closes):
        raise ClaimWindowClosed(f"It could be claimed on until {rfc3339(closes)}")
    if await repository.open_of(session, order.id) is not None:
        raise ClaimOpen
    scale = await scale_of(session, order, time_scale)
    deadline = opens + (closes - opens) / scale
    claim_id = new_id()
    claim = Claim(
        id=claim_id,
        order_id=order.id,
        book_id=book_id,
        reason=reason,
        description=texts.seal(keys, texts.description_place(claim_id), description),
        state=ClaimState.AWAITING_DEADLINE,
        filed_by=str(actor),
        opens_at=opens,
        closes_at=closes,
        deadline=deadline,
        due_at=deadline,
        rule=FILED,
        clause=_FILING_CLAUSE,
        words=_FILED_WORDS,
        version=1,
        created_at=now,
    )
    filed = Happening(FILED, actor, _FILED_WORDS, rule=FILED, clause=_FILING_CLAUSE)
    await repository.insert(session, claim, filed)
    told = told_of(claim) | {"reason": reason}
    await conceding.await_cutoff(session, order, actor, told, at=deadline)
    if rules.is_to_ask_first(claim.reason, order.state, is_due=now >= deadline) or (
        await lineage.is_restored(session)
    ):
        await work.put(session, CLAIM, str(claim.id))
        return claim
    return await decide(session, claim, order, time_scale=scale)


async def _claimable(session: Session, book_id: UUID, number: int) -> int:
    """The order that a number stands for: of a subscription its one run, of a drip-feed none."""
    schedule = await schedules.find_in_book(session, book_id, number)
    if schedule is None:
        return (await orders.get_in_book(session, book_id, number)).id
    if schedule.kind == ScheduleKind.DRIP_FEED:
        problem = FieldProblem("/order_id", "must be one of its runs, which have numbers too")
        raise ClaimNeedsRun(errors=(problem,))
    return (await runs.firsts(session, [schedule.id]))[schedule.id].id


async def decide(
    session: Session, claim: Claim, order: Order, *, time_scale: float, silent: bool = False
) -> Claim:
    """Let the rules decide an open claim, as its order stands. Both are locked."""
    facts = await facts_of(session, claim, order, time_scale=time_scale, silent=silent)
    decision = rules.decide(facts)
    if claim.state == ClaimState.AWAITING_SECOND and decision.outcome in DECIDED:
        claim = await _drop_approval(session, claim)
    verdict = Verdict(decision, RULES, figures_of(facts, decision))
    return await carry_out(session, claim, order, verdict)


async def _drop_approval(session: Session, claim: Claim) -> Claim:
    """Nobody has approved a second time, and the facts decide now."""
    words = f"The approval of {Money(claim.first_amount or 0)} lapsed: no second one came in time."
    values = {"state": ClaimState.WITH_OPERATOR, **NOBODY_FIRST}
    return await repository.change(
        session, claim, Happening("approval_lapsed", RULES, words), values
    )


async def lock_with_order(session: Session, claim_id: UUID) -> tuple[Claim, Order]:
    """Lock the work on a claim and on its order, then the order, then the claim: as everyone does.

    Raises NotFound.
    """
    known = await repository.find(session, claim_id)
    if known is None:
        raise NotFound
    await work.lock_ref(session, str(claim_id))
    order = await orders.lock(session, known.order_id)
    claim = await repository.lock(session, claim_id)
    if claim is None:
        raise NotFound
    return claim, order


def id_of(public: str) -> UUID:
    """Raises NotFound for what is no claim's id."""
    claim_id = parse_public_id(CLAIM_PREFIX, public)
    if claim_id is None:
        raise NotFound
    return claim_id


async def get_in_book(session: Session, book_id: UUID, public: str) -> Claim:
    """Raises NotFound for one that is absent and for another's alike."""
    claim = await repository.find_in_book(session, book_id, id_of(public))
    if claim is None:
        raise NotFound
    return claim


async def page(
    session: Session,
    book_id: UUID,
    *,
    order_id: int | None,
    states: Collection[ClaimState] | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Claim]:
    """Newest first."""
    return await repository.page(
        session, book_id, order_id=order_id, states=states, after=after, limit=limit
    )


async def events(session: Session, claim_id: UUID) -> Sequence[ClaimEvent]:
    """What happened to a claim, from its filing on; bounded."""
    return await repository.events_of(session, claim_id, limit=EVENTS_MAX)


async def withdraw(session: Session, book_id: UUID, public: str, *, actor: Actor) -> Claim:
    """Take a claim back while it is open. Raises NotFound, ClaimStateConflict."""
    known = await get_in_book(session, book_id, public)
    claim, order = await lock_with_order(session, known.id)
    refuse_closed(claim)
    await work.finish(session, CLAIM, [str(claim.id)])
    await conceding.tell(session, order, "claim_withdrawn", actor, told_of(claim))
    values = {
        "state": ClaimState.WITHDRAWN,
        "closed_at": now_of(session),
        **NOBODY_FIRST,
    }
    words = "Taken back by whoever filed it."
    return await repository.change(session, claim, Happening("withdrawn", actor, words), values)


def refuse_closed(claim: Claim) -> None:
    """Raises ClaimStateConflict."""
    if claim.state not in OPEN:
        raise ClaimStateConflict("The claim is closed")


async def write(
    session: Session,
    keys: KeyRing,
    claim_id: UUID,
    *,
    body: str,
    actor: Actor,
    by_operator: bool,
) -> ClaimMessage:
    """Say something about an open claim, for the other side to read.

    Raises NotFound, ClaimStateConflict.
    """
    claim = await repository.lock(session, claim_id)
    if claim is None:
        raise NotFound
    refuse_closed(claim)
    message_id = new_id()
    message = ClaimMessage(
        id=message_id,
        claim_id=claim_id,
        by_operator=by_operator,
        actor=str(actor),
        body=texts.seal(keys, texts.body_place(message_id), body),
        created_at=now_of(session),
    )
    await message_repository.insert(session, message)
    return message


async def messages(
    session: Session, claim_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[ClaimMessage]:
    """From the first on."""
    return await message_repository.of_claim(session, claim_id, after=after, limit=limit)
