"""What a provider's balance proves of a lost order: pure, strict, and all of them or none.

Between two samples taken with nothing on the wire, the balance fell by what the provider charged.
Fell it by the known charges alone, then by nothing of what was lost; by those and by everything
that was lost, then all of it was taken. In all other cases, and wherever a charge or a repayment
may hide, the balance says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from app.core.clock import CLOCKS_APART_MAX
from app.orders.inquiry_states import BalanceVerdict

BEFORE_MAX: Final = 5
AFTER_MAX: Final = 20
_DIGITS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """A balance, learned at some moment from `asked_at` to `at`."""

    asked_at: datetime
    at: datetime
    micros: int
    currency: str
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt that the provider took (and so charged), or may have taken.

    It was on the wire from `sent_at` to `over_at`. `charged` is what the provider says that it
    took, None where it has not said; `expected` what it was to take by our price. That of a
    subscription is `by_posts`: nothing for the order itself, and more with each post.
    """

    sent_at: datetime
    over_at: datetime | None
    expected: int
    currency: str
    charged: int | None = None
    in_doubt: bool = False
    by_posts: bool = False


@dataclass(frozen=True, slots=True)
class Others:
    """The provider's other orders of the span: through them money may have come back."""

    still_open: bool = False
    ended_short: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: BalanceVerdict
    why: str


@dataclass(frozen=True, slots=True)
class Span:
    """From a sample before a sending to one after it, with those between, and the charges made
    meanwhile. `is_late` when the last was read so late that the order cannot be taken any more;
    `digit` is the unit in which balances are told.
    """

    samples: tuple[Sample, ...]
    charges: tuple[Charge, ...]
    is_late: bool
    digit: int


def candidates(sent_at: datetime, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Of the samples (oldest first) those by which a sending may be judged: few before, some
    after.
    """
    before = [n for n, one in enumerate(samples) if one.in_flight == 0 and one.at < sent_at]
    after = [n for n, one in enumerate(samples) if one.in_flight == 0 and one.asked_at > sent_at]
    start = before[-BEFORE_MAX:][0] if before else 0
    end = after[:AFTER_MAX][-1] + 1 if after else len(samples)
    return tuple(samples[start:end])


def find_span(
    sent_at: datetime,
    samples: Sequence[Sample],
    charges: Sequence[Charge],
    *,
    absence_after: timedelta,
    digit: int,
) -> Span | Judgement:
    """The shortest span around a sending at whose ends nothing was on the wire, one that ends
    `absence_after` the sending where there is one; or why there is none.
    """
    quiet = [one for one in samples if one.in_flight == 0]
    before = [
        one
        for one in quiet
        if _is_before(one, sent_at)
        # What was lost may still have been taken for so long after it was sent.
        and all(
            _is_before(one, c.sent_at)
            or _is_after(one, c.sent_at + absence_after if c.in_doubt else c.over_at)
            for c in charges
        )
    ]
    after = [
        one
        for one in quiet
        if _is_after(one, sent_at)
        and all(_is_before(one, c.sent_at) or _is_after(one, c.over_at) for c in charges)
    ]
    if not before or not after:
        when = "after" if before else "before"
        return _unclear(f"no balance from {when} it was sent was read with nothing on the wire")
    late = [one for one in after if one.asked_at - sent_at >= absence_after]
    first, last = before[-1], late[0] if late else after[-1]
    return Span(
        samples=tuple(one for one in samples if first.at <= one.at <= last.at),
        charges=tuple(
            one
            for one in charges
            if _is_before(first, one.sent_at) and not _is_before(last, one.sent_at)
        ),
        is_late=bool(late),
        digit=digit,
    )


def judge(span: Span, others: Others) -> Judgement:
    """What the fall from the first sample to the last says of all that hangs in between."""
    trouble = _trouble(span, others)
    if trouble is not None:
        return _unclear(trouble)
    fell = span.samples[0].micros - span.samples[-1].micros
    known = sum(one.charged or 0 for one in span.charges if not one.in_doubt)
    doubtful = [one.expected for one in span.charges if one.in_doubt]
    if fell == known and span.is_late:
        return Judgement(BalanceVerdict.ABSENT, "it fell by the known charges and no more")
    if fell == known:
        return _unclear("not charged so far, which is too early to be a proof")
    if fell == known + sum(doubtful) and not any(one % span.digit for one in doubtful):
        return Judgement(BalanceVerdict.TAKEN, "it fell by the known charges and by all that hangs")
    return _unclear("it fell by neither all of what hangs nor none of it")


def finest_digit(balances: Iterable[int]) -> int:
    """The unit of the last digit that was seen to be told, in micros: a balance of 12.50 proves
    that dimes are told, and says nothing of cents.
    """
    told = list(balances)
    digit = 1
    for _ in range(_DIGITS_MAX):
        if any(micros % (digit * 10) for micros in told):
            break
        digit *= 10
    return digit


def _trouble(span: Span, others: Others) -> str | None:
    """Why the fall cannot be read as a sum of charges; None where it can."""
    currencies = {one.currency for one in span.samples} | {one.currency for one in span.charges}
    known = [one.charged for one in span.charges if not one.in_doubt]
    doubtful = [one.expected for one in span.charges if one.in_doubt]
    rose = any(later.micros > earlier.micros for earlier, later in pairwise(span.samples))
    troubles = (
        (others.ended_short, "an order there ended short, and its repayment may be in it"),
        (others.still_open, "another order there is still open, and may have been repaid"),
        (len(currencies) > 1, "it is told in another currency than the charges"),
        (
            any(one.by_posts for one in span.charges),
            "a subscription is among what was sent: it is charged for post by post",
        ),
        (rose, "it rose in between: topped up, or repaid"),
        (None in known, "what the provider took for another order is not known"),
        (
            any((one or 0) % span.digit for one in known),
            "a known charge is finer than what the balance tells",
        ),
        (
            any(one < span.digit for one in doubtful),
            "the charge in question is finer than what the balance tells",
        ),
    )
    return next((why for stands, why in troubles if stands), None)


def _is_before(sample: Sample, moment: datetime) -> bool:
    return sample.at + CLOCKS_APART_MAX < moment


def _is_after(sample: Sample, moment: datetime | None) -> bool:
    return moment is not None and sample.asked_at - CLOCKS_APART_MAX > moment


def _unclear(why: str) -> Judgement:
    return Judgement(BalanceVerdict.UNCLEAR, why)
