"""What becomes of a lost order by all that is known of it: pure, the strongest evidence first.

Evidence that an order was taken is never outvoted: where anything says so, nothing that says
otherwise sends the order again, and no policy writes it off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.orders.inquiry_states import BalanceVerdict, IdsVerdict, LookupVerdict, ResolvedBy
from app.orders.states import OrderState

ABSENCE_AFTER: Final = timedelta(minutes=15)
LOOK_EVERY: Final = timedelta(minutes=10)
_A_MOMENT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a lost order: an id that an answer to it carried, and what was learned.

    `own_id` is None where none came, or where another order has it: then `id_in_use` is set.
    `earlier_id` is that an answer to an earlier attempt carried one, which was called absent.
    """

    own_id: str | None = None
    id_in_use: bool = False
    lookup: LookupVerdict | None = None
    lookup_asked_at: datetime | None = None
    balance: BalanceVerdict | None = None
    ids: IdsVerdict | None = None
    ids_found: str | None = None
    earlier_id: bool = False

    @property
    def says_taken(self) -> bool:
        """Whether anything says that the provider has it."""
        return (
            self.own_id is not None
            or self.id_in_use
            or self.earlier_id
            or self.lookup is LookupVerdict.FOUND
            or self.balance is BalanceVerdict.TAKEN
            or self.ids in {IdsVerdict.FOUND, IdsVerdict.AMBIGUOUS}
            # While the gap grows its verdict is open again, and the id is there all the same.
            or self.ids_found is not None
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """After how long a person has to look, and after how long, if ever, the money goes back."""

    review_after: timedelta
    write_off_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Find:
    provider_order_id: str
    by: ResolvedBy


@dataclass(frozen=True, slots=True)
class ProveAbsent:
    by: ResolvedBy


@dataclass(frozen=True, slots=True)
class WriteOff:
    after: timedelta


@dataclass(frozen=True, slots=True)
class HandOver:
    """A person has to look."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing is decided; None is never, for only a person can."""

    at: datetime | None


Decision = Find | ProveAbsent | WriteOff | HandOver | LookAgain


def decide(
    evidence: Evidence,
    state: OrderState,
    *,
    sent_at: datetime,
    now: datetime,
    rules: Rules,
    time_scale: float,
) -> Decision:
    """What to do with a lost order now."""
    found = _found(evidence)
    if found is not None:
        return found
    absent = _absent(evidence, sent_at)
    if absent is not None and now - sent_at >= ABSENCE_AFTER:
        return absent
    age, written_off = now - sent_at, written_off_after(evidence, rules)
    if written_off is not None and age >= written_off:
        return WriteOff(written_off)
    if state is not OrderState.UNKNOWN:
        return LookAgain(None if written_off is None else sent_at + written_off)
    if age >= rules.review_after:
        return HandOver()
    milestones = [ABSENCE_AFTER + _A_MOMENT, rules.review_after, written_off or rules.review_after]
    ahead = [sent_at + one for one in milestones if sent_at + one > now]
    return LookAgain(min([now + LOOK_EVERY / time_scale, *ahead]))


def written_off_after(evidence: Evidence, rules: Rules) -> timedelta | None:
    """The service's policy, unless something says that the order was taken."""
    return None if evidence.says_taken else rules.write_off_after


def _found(evidence: Evidence) -> Find | None:
    if evidence.own_id is not None:
        looked_up = evidence.lookup is LookupVerdict.FOUND
        return Find(evidence.own_id, ResolvedBy.LOOKUP if looked_up else ResolvedBy.OWN_EVIDENCE)
    if evidence.ids is IdsVerdict.FOUND and evidence.ids_found is not None:
        not_there = evidence.lookup is LookupVerdict.NOT_THERE
        if not not_there and evidence.balance is not BalanceVerdict.ABSENT:
            return Find(evidence.ids_found, ResolvedBy.STATUS)
    return None


def _absent(evidence: Evidence, sent_at: datetime) -> ProveAbsent | None:
    if evidence.says_taken:
        return None
    asked_at = evidence.lookup_asked_at
    if evidence.lookup is LookupVerdict.NOT_THERE and asked_at is not None:
        # What it said earlier proves nothing: the order may have been on its way.
        if asked_at - sent_at >= ABSENCE_AFTER:
            return ProveAbsent(ResolvedBy.LOOKUP)
        return None
    if evidence.balance is BalanceVerdict.ABSENT:
        return ProveAbsent(ResolvedBy.BALANCE)
    if evidence.ids is IdsVerdict.ABSENT:
        return ProveAbsent(ResolvedBy.STATUS)
    return None
