"""The search for one lost order: what was learned is kept, and judged by the rules of evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.core import lineage
from app.core.clock import CLOCKS_APART_MAX
from app.core.db import Session
from app.core.uow import now_of
from app.orders import attempt_repository, evidence_repository, inquiry_repository
from app.orders.balance_evidence import (
    Charge,
    Judgement,
    Others,
    Sample,
    candidates,
    find_span,
    finest_digit,
    judge,
)
from app.orders.id_evidence import LOOKS_MAX, Gap, Search, learned, next_ids, verdict
from app.orders.inquiry_models import Inquiry
from app.orders.inquiry_states import BalanceVerdict, IdsVerdict, LookupVerdict, ResolvedBy
from app.orders.judging import ABSENCE_AFTER, Evidence
from app.orders.models import Attempt
from app.orders.states import AttemptState
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    Capability,
    Found,
    LookupAnswer,
    NotThere,
    StatusAnswer,
)
from app.supply import sampling
from app.supply import service as supply
from app.supply.models import Provider

NEIGHBOURS_WITHIN: Final = timedelta(days=1)
SAMPLES_WITHIN: Final = timedelta(days=1)
CHARGES_MAX: Final = 5000
"""A span with more charges than this is not judged."""


async def begin(session: Session, attempt_id: UUID) -> None:
    """Nobody knows what became of this attempt: the search for it is on."""
    await inquiry_repository.open_for(session, attempt_id)


async def end(session: Session, order_id: int, by: ResolvedBy) -> None:
    """What became of the order is known, or settled all the same."""
    await inquiry_repository.resolve(session, order_id, by)


async def of(session: Session, attempt: Attempt) -> Inquiry:
    """The search for this attempt, begun now where an older version of us did not begin it."""
    await inquiry_repository.open_for(session, attempt.id)
    return await _found(session, attempt.id)


async def _found(session: Session, attempt_id: UUID) -> Inquiry:
    inquiry = await inquiry_repository.find(session, attempt_id)
    if inquiry is None:
        raise LookupError("a search that was begun in this transaction is gone")
    return inquiry


async def keep(
    session: Session,
    inquiry: Inquiry,
    attempt: Attempt,
    *,
    lookup: LookupAnswer | None,
    asked_at: datetime,
    statuses: Mapping[str, StatusAnswer],
) -> Inquiry:
    """Keep what the provider said to one look."""
    values: dict[str, Any] = {}
    if lookup is not None:
        values |= {"lookup": _lookup_verdict(lookup), "lookup_asked_at": asked_at}
    search = _search(inquiry)
    if search is not None and statuses:
        after = learned(
            search, statuses, expected=attempt.cost_micros, currency=attempt.cost_currency
        )
        values |= {
            "ids_asked_to": after.asked_to,
            "ids_looks": after.looks,
            "ids_ours": list(after.ours),
            "ids": IdsVerdict.AMBIGUOUS if after.odd else inquiry.ids or IdsVerdict.LOOKING,
            "ids_at": now_of(session),
        }
    if values:
        await inquiry_repository.change(session, inquiry.attempt_id, values)
    return await _found(session, inquiry.attempt_id)


def _lookup_verdict(answer: LookupAnswer) -> LookupVerdict:
    match answer:
        case Found():
            return LookupVerdict.FOUND
        case NotThere():
            return LookupVerdict.NOT_THERE
        case _:
            return LookupVerdict.UNREADABLE


async def evidence_of(session: Session, attempt: Attempt, inquiry: Inquiry) -> Evidence:
    """All that is known of a lost order. Nobody records acceptances while it is judged."""
    await evidence_repository.lock_acceptance(session, attempt.provider_id)
    given = await evidence_repository.evidence_of(session, attempt.id)
    ours = inquiry.ids_ours[:1]
    in_use = await evidence_repository.ids_known_besides(
        session,
        attempt.provider_id,
        [one for one in (given, *ours) if one is not None],
        ours={attempt.order_id: attempt.id},
    )
    free = [one for one in ours if one not in in_use]
    made = await attempt_repository.earlier(session, [attempt.order_id])
    return replace(
        kept(inquiry),
        # An id that the provider gave to two orders is evidence for neither.
        own_id=None if given in in_use else given,
        id_in_use=given in in_use,
        earlier_id=any(one.has_id for one in made if one.number != attempt.number),
        ids_found=free[0] if free else None,
    )


def kept(inquiry: Inquiry) -> Evidence:
    """What the search has shown, without what answers to the order itself said."""
    return Evidence(
        lookup=None if inquiry.lookup is None else LookupVerdict(inquiry.lookup),
        lookup_asked_at=inquiry.lookup_asked_at,
        balance=None if inquiry.balance is None else BalanceVerdict(inquiry.balance),
        ids=None if inquiry.ids is None else IdsVerdict(inquiry.ids),
    )


async def ids_to_ask(session: Session, provider: Provider, attempt: Attempt) -> tuple[int, ...]:
    """The next ids to ask about, where the provider agreed to that; none when there are none, and
    none as long as the order may be on its way: an id that is unknown then may be ours later.
    """
    if not _may_search(provider) or not _is_over(session, attempt):
        return ()
    inquiry = await of(session, attempt)
    gap = await _gap(session, attempt)
    if gap is None or inquiry.ids == IdsVerdict.AMBIGUOUS:
        return ()
    search = _search(inquiry)
    if search is None:
        search = Search(gap.low, gap.low)
        begun = {"ids_after": search.low, "ids_asked_to": search.asked_to}
        await inquiry_repository.change(session, inquiry.attempt_id, begun)
    return next_ids(gap, search, await _claimed(session, attempt, gap))


async def judge_ids(
    session: Session, provider: Provider, attempt: Attempt, inquiry: Inquiry
) -> Inquiry:
    """What the ids asked about so far say, as our orders stand now.

    Where all of a gap is taken by orders of ours, that is said without a single call.
    """
    if not _may_search(provider) or inquiry.ids == IdsVerdict.AMBIGUOUS:
        return inquiry
    gap = await _gap(session, attempt)
    if gap is None:
        return inquiry
    search = _search(inquiry) or Search(gap.low, gap.low)
    if gap.low != search.low:
        return inquiry
    said = verdict(gap, search, await _claimed(session, attempt, gap))
    await inquiry_repository.change(session, inquiry.attempt_id, {"ids": said})
    return await _found(session, inquiry.attempt_id)


def _may_search(provider: Provider) -> bool:
    return provider.may_probe_ids and supply.can(provider, Capability.POLLS)


def _is_over(session: Session, attempt: Attempt) -> bool:
    """Whether it was sent so long ago that it cannot be taken any more."""
    return attempt.sending_at is not None and now_of(session) - attempt.sending_at >= ABSENCE_AFTER


def _search(inquiry: Inquiry) -> Search | None:
    """How far the ids were searched; None where that was not begun."""
    if inquiry.ids_after is None or inquiry.ids_asked_to is None:
        return None
    return Search(
        inquiry.ids_after, inquiry.ids_asked_to, inquiry.ids_looks, tuple(inquiry.ids_ours)
    )


async def _gap(session: Session, attempt: Attempt) -> Gap | None:
    """Between the nearest orders of ours that the provider numbered before and after this one."""
    sent_at, provider_id = attempt.sending_at, attempt.provider_id
    if sent_at is None:
        return None
    before = await inquiry_repository.taken_before(
        session, provider_id, sent_at - CLOCKS_APART_MAX, within=NEIGHBOURS_WITHIN
    )
    late = await inquiry_repository.taken_after(
        session, provider_id, sent_at + ABSENCE_AFTER, within=NEIGHBOURS_WITHIN
    )
    after = late or await inquiry_repository.taken_after(
        session, provider_id, sent_at, within=ABSENCE_AFTER
    )
    if before is None or after is None:
        return None
    low, high = int(before.provider_order_id), int(after.provider_order_id)
    if high <= low:
        return None
    if await lineage.forgot_between(session, before.sending_at, after.ended_at):
        # Ids of ours that no order has may be those of orders that were forgotten.
        return None
    rivals = await inquiry_repository.lost_between(
        session,
        provider_id,
        before.sending_at - ABSENCE_AFTER,
        after.ended_at,
        besides=attempt.id,
    )
    return Gap(low, high, closed=late is not None, rivals=rivals)


async def _claimed(session: Session, attempt: Attempt, gap: Gap) -> set[int]:
    """Those of the gap's ids, as far as it is searched at all, that other orders have."""
    window = range(gap.low + 1, min(gap.high, gap.low + 1 + STATUS_BATCH_MAX * LOOKS_MAX))
    known = await evidence_repository.ids_known_besides(
        session,
        attempt.provider_id,
        [str(one) for one in window],
        ours={attempt.order_id: attempt.id},
    )
    return {int(one) for one in known}


async def judge_balance(
    session: Session, provider: Provider, attempt: Attempt, inquiry: Inquiry
) -> Inquiry:
    """What the provider's balance says, where an operator has declared that it is proof. Once it
    said that the order was taken, nothing that comes later unsays it.
    """
    if not sampling.can_prove(provider) or inquiry.balance == BalanceVerdict.TAKEN:
        return inquiry
    said = await _judged(session, attempt, inquiry.sent_at)
    if said.verdict is BalanceVerdict.UNCLEAR:
        await sampling.ask_soon(session, provider.id)
    await inquiry_repository.change(
        session,
        inquiry.attempt_id,
        {"balance": said.verdict, "balance_why": said.why, "balance_at": now_of(session)},
    )
    return await _found(session, inquiry.attempt_id)


async def _judged(session: Session, attempt: Attempt, sent_at: datetime) -> Judgement:
    rows = await sampling.between(
        session, attempt.provider_id, sent_at - SAMPLES_WITHIN, now_of(session)
    )
    samples = [
        Sample(row.asked_at, row.at, row.balance_micros, row.currency, row.in_flight)
        for row in rows
    ]
    near = candidates(sent_at, samples)
    if not near:
        return Judgement(BalanceVerdict.UNCLEAR, "no balance is known")
    charges = await _charges(session, attempt.provider_id, near[0].asked_at, near[-1].at)
    if len(charges) >= CHARGES_MAX:
        return Judgement(BalanceVerdict.UNCLEAR, "too many orders were sent there meanwhile")
    span = find_span(
        sent_at,
        near,
        charges,
        absence_after=ABSENCE_AFTER,
        digit=finest_digit(one.micros for one in samples),
    )
    if isinstance(span, Judgement):
        return span
    first, last = span.samples[0], span.samples[-1]
    if await lineage.forgot_between(session, first.asked_at, last.at):
        why = "the database was restored meanwhile, and has forgotten what was charged"
        return Judgement(BalanceVerdict.UNCLEAR, why)
    others = Others(
        still_open=await inquiry_repository.others_open(
            session, attempt.provider_id, since=first.asked_at, until=last.at
        ),
        ended_short=await inquiry_repository.others_ended_short(
            session, attempt.provider_id, first.asked_at
        ),
    )
    return judge(span, others)


async def _charges(
    session: Session, provider_id: UUID, since: datetime, until: datetime
) -> list[Charge]:
    rows = await inquiry_repository.charges(
        session, provider_id, since - ABSENCE_AFTER, until, limit=CHARGES_MAX
    )
    return [
        Charge(
            sent_at=row.sending_at,
            over_at=row.ended_at,
            expected=row.cost_micros,
            currency=row.cost_currency,
            charged=row.provider_charge_micros,
            in_doubt=row.state != AttemptState.ACCEPTED,
            by_posts=row.by_posts,
        )
        for row in rows
    ]
