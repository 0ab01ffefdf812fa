"""The orders that hang, as people work through them: what is known of each, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.core import work
from app.core.db import Session
from app.core.uow import now_of
from app.orders import evidence_repository, inquiries, inquiry_repository
from app.orders.inquiry_repository import Hanging
from app.orders.inquiry_states import IdsVerdict, LookupVerdict
from app.orders.judging import Evidence, Rules, written_off_after
from app.orders.models import Attempt, Order
from app.orders.reconciling import rules_for
from app.orders.routing import histories
from app.orders.service import RECONCILE
from app.orders.states import OrderState
from app.supply import service as supply


class Next(StrEnum):
    """What happens to an order that hangs if nobody says anything."""

    REVIEW = "needs_review"
    WRITE_OFF = "written_off"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An order that hangs. `evidence` has one line per kind of evidence that there is; `then` is
    what happens by itself, at `then_at`, if no look before finds it; the next is at `look_at`.
    """

    order: Order
    attempt: Attempt | None
    provider: str | None
    since: datetime
    evidence: dict[str, str]
    look_at: datetime | None
    then: Next
    then_at: datetime | None


async def page(
    session: Session, *, after: int | None, limit: int, unknown_hours_max: int
) -> Sequence[Unresolved]:
    """Orders that hang, of all resellers, the newest first."""
    rows = await inquiry_repository.unresolved_page(session, after=after, limit=limit)
    names = {one.id: one.name for one in await supply.every(session)}
    rules: dict[int, Rules] = {}
    for row in rows:
        if row.order.service_id not in rules:
            rules[row.order.service_id] = await rules_for(
                session, row.order.service_id, unknown_hours_max=unknown_hours_max
            )
    attempt_ids = [row.attempt.id for row in rows if row.attempt is not None]
    told = await evidence_repository.ids_told(session, attempt_ids)
    history = await histories(session, [row.order.id for row in rows])
    looks = await work.due_times(session, RECONCILE, [str(row.order.id) for row in rows])
    return [
        _unresolved(
            row,
            provider=None if row.attempt is None else names.get(row.attempt.provider_id),
            told=None if row.attempt is None else told.get(row.attempt.id),
            was_taken=history[row.order.id].was_taken,
            look_at=looks.get(str(row.order.id)),
            rules=rules[row.order.service_id],
            now=now_of(session),
        )
        for row in rows
    ]


def _unresolved(
    row: Hanging,
    *,
    provider: str | None,
    told: str | None,
    was_taken: bool,
    look_at: datetime | None,
    rules: Rules,
    now: datetime,
) -> Unresolved:
    sent_at = None if row.attempt is None else row.attempt.sending_at
    since = sent_at or row.order.created_at
    then, after = _next(row, rules, was_taken=was_taken, looked_for=look_at is not None)
    return Unresolved(
        order=row.order,
        attempt=row.attempt,
        provider=provider,
        since=since,
        evidence=_in_words(row, told, now, was_taken=was_taken),
        look_at=look_at if row.order.state == OrderState.UNKNOWN else None,
        then=then,
        then_at=None if after is None else since + after,
    )


def _next(
    row: Hanging, rules: Rules, *, was_taken: bool, looked_for: bool
) -> tuple[Next, timedelta | None]:
    """What time does to the order, and how long after it was sent."""
    evidence = Evidence() if row.inquiry is None else inquiries.kept(row.inquiry)
    write_off: timedelta | None = None
    if looked_for and not was_taken:
        write_off = written_off_after(evidence, rules)
    if row.order.state != OrderState.UNKNOWN:
        return (Next.NOTHING, None) if write_off is None else (Next.WRITE_OFF, write_off)
    if write_off is not None and write_off <= rules.review_after:
        return Next.WRITE_OFF, write_off
    return Next.REVIEW, rules.review_after


def _in_words(row: Hanging, told: str | None, now: datetime, *, was_taken: bool) -> dict[str, str]:
    """Each kind of evidence in a line; a kind that says nothing is left out."""
    said: dict[str, str] = {}
    inquiry = row.inquiry
    if row.attempt is not None and row.attempt.outcome:
        said["answer"] = row.attempt.outcome
    if told is not None:
        said["own"] = f"an answer carried its id {told}"
    elif was_taken:
        said["own"] = "an answer to an earlier attempt carried an id"
    if inquiry is None:
        return said
    if inquiry.lookup is not None and inquiry.lookup_asked_at is not None:
        ago = int((now - inquiry.lookup_asked_at) / timedelta(minutes=1))
        said["lookup"] = f"{_LOOKUPS[LookupVerdict(inquiry.lookup)]} ({ago} min ago)"
    if inquiry.balance is not None:
        said["balance"] = f"{inquiry.balance}: {inquiry.balance_why}"
    if inquiry.ids is not None:
        ours = f": {', '.join(inquiry.ids_ours)}" if inquiry.ids_ours else ""
        said["ids"] = f"{_IDS[IdsVerdict(inquiry.ids)]}{ours}"
    return said


_LOOKUPS: Final = {
    LookupVerdict.FOUND: "found under our reference",
    LookupVerdict.NOT_THERE: "not there under our reference",
    LookupVerdict.UNREADABLE: "asked, and not understood",
}
_IDS: Final = {
    IdsVerdict.FOUND: "one id of ours that no order has",
    IdsVerdict.ABSENT: "none of ours between the orders before and after",
    IdsVerdict.AMBIGUOUS: "ids of ours that may be another order's",
    IdsVerdict.LOOKING: "none of ours so far",
}
