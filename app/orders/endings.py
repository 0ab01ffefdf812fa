"""How an order ends by what was told of it: the arithmetic of every final status. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.core.money import ZERO, Money, refund_rounded_down, sold_for_rounded_up
from app.orders.models import Order
from app.orders.routing import price_of_post
from app.orders.states import Move, OrderState
from app.providers.protocol import Progress, ProviderState

UNUSABLE_POLLS_MAX: Final = 3
"""Final statuses without a usable figure in a row before a person looks."""

EXPIRED: Final = "expired"
"""The reason of a subscription's order that ended because its time was over."""

PAUSED_BY_PROVIDER: Final = "paused_by_provider"
"""The wait reason of a subscription's order while its provider delivers nothing."""

FINAL: Final = frozenset(
    {
        ProviderState.COMPLETED,
        ProviderState.PARTIAL,
        ProviderState.CANCELED,
        ProviderState.FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class End:
    """The order is over: `refunded` goes back, the rest of the charge is earned."""

    move: Move
    target: OrderState
    refunded: Money
    remains: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """The figures do not add up to a fact: the money stays held until a person has looked."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskAgain:
    """A final status whose figures are missing: polled again, up to three times."""

    reason: str


Decision = End | Review | AskAgain


@dataclass(frozen=True, slots=True)
class Bought:
    """The facts of an order that its settlement goes by.

    `units` is what delivery counts, none for a package that does not state them; `cost_micros` is
    what the provider was to charge, in its own currency; `doubts` the unusable polls so far.
    `post` is the price of the largest post of a subscription, whose charge is its spend cap and
    whose `cost_micros` is that of one such post.
    """

    charge: Money
    units: int | None
    cost_micros: int
    doubts: int
    cost_currency: str | None = None
    post: Money | None = None


def posts_covered(cap: Money, post: Money) -> int:
    """How many of the largest posts a spend cap pays for."""
    return cap.micros // post.micros


def cap_is_used_up(bought: Bought, progress: Progress) -> bool:
    """Whether what was told of a subscription, in posts or in money, is all that its cap pays for;
    what is delivered from here on is not paid for.
    """
    if bought.post is None:
        return False
    covered = Money(posts_covered(bought.charge, bought.post) * bought.post.micros)
    return max(_told(bought, bought.post, progress), default=ZERO) >= covered


def is_beyond_cap(bought: Bought, progress: Progress) -> bool:
    """Whether a subscription certainly delivered more than its cap pays for: the house's loss."""
    due = None if bought.post is None else _due(bought, bought.post, progress)
    return due is not None and due > bought.charge


def is_final(order: Order, state: ProviderState) -> bool:
    """Whether this status ends the order; expiry is known of subscriptions only."""
    return state in FINAL or (state is ProviderState.EXPIRED and price_of_post(order) is not None)


def settle(bought: Bought, progress: Progress) -> Decision:
    """What a provider's final status means in money. Pure; a final status uses its own remains."""
    if bought.post is not None:
        return _subscription(bought, bought.post, progress)
    match progress.state:
        case ProviderState.COMPLETED:
            return _completed(bought)
        case ProviderState.PARTIAL:
            return _partial(bought, progress)
        case ProviderState.CANCELED:
            return _canceled(bought, progress)
        case ProviderState.FAILED:
            return Review("provider_failed")
        case (
            ProviderState.PENDING
            | ProviderState.IN_PROGRESS
            | ProviderState.PAUSED
            | ProviderState.EXPIRED
            | ProviderState.UNKNOWN
        ):
            raise ValueError(f"{progress.state} is not a final status of an order")


def _completed(bought: Bought) -> End:
    remains = None if bought.units is None else 0
    return End(Move.COMPLETE, OrderState.COMPLETED, ZERO, remains)


def _canceled_in_full(bought: Bought) -> End:
    return End(Move.END_SHORT, OrderState.CANCELED, bought.charge, bought.units)


def _partial(bought: Bought, progress: Progress) -> Decision:
    if bought.units is None:
        return _by_provider_charge(bought, progress)
    remains = usable_remains(bought.units, progress.remains)
    if remains is None:
        if bought.doubts + 1 >= UNUSABLE_POLLS_MAX:
            return Review("partial_without_remains")
        return AskAgain("partial_without_remains")
    if remains == 0:
        return _completed(bought)
    if remains == bought.units:
        return _canceled_in_full(bought)
    return _by_share(bought, undelivered=remains, ordered=bought.units, remains=remains)


def _canceled(bought: Bought, progress: Progress) -> Decision:
    if not progress.charge_micros:
        return _canceled_in_full(bought)
    if bought.units is None:
        return _by_provider_charge(bought, progress)
    remains = usable_remains(bought.units, progress.remains)
    if not remains:
        return Review("canceled_but_charged")
    if remains == bought.units:
        return _canceled_in_full(bought)
    return _by_share(bought, undelivered=remains, ordered=bought.units, remains=remains)


def _by_provider_charge(bought: Bought, progress: Progress) -> Decision:
    """A package without stated units: what the provider took, over what it was to take."""
    taken = progress.charge_micros
    if progress.currency and bought.cost_currency and progress.currency != bought.cost_currency:
        return Review("package_charge_in_another_currency")
    if taken is None or bought.cost_micros <= 0 or taken > bought.cost_micros:
        return Review("package_share_unknown")
    if taken == bought.cost_micros:
        # Short, yet charged in full: one of the two is wrong.
        return Review("package_share_unknown")
    if taken == 0:
        return _canceled_in_full(bought)
    undelivered = bought.cost_micros - taken
    return _by_share(bought, undelivered=undelivered, ordered=bought.cost_micros, remains=None)


def _by_share(bought: Bought, *, undelivered: int, ordered: int, remains: int | None) -> End:
    refund = refund_rounded_down(charge=bought.charge, undelivered=undelivered, ordered=ordered)
    return End(Move.END_SHORT, OrderState.PARTIAL, refund, remains)


def _subscription(bought: Bought, post: Money, progress: Progress) -> Decision:
    """What is due is earned, at most the cap, and the rest goes back."""
    due = _due(bought, post, progress)
    doubt = _doubt_of(progress)
    if due is None or doubt is not None:
        return Review(doubt or "subscription_untold")
    earned = min(due, bought.charge)
    refunded = bought.charge - earned
    match progress.state:
        case ProviderState.COMPLETED:
            return End(Move.COMPLETE, OrderState.COMPLETED, refunded, None)
        case ProviderState.EXPIRED:
            return End(Move.COMPLETE, OrderState.COMPLETED, refunded, None, EXPIRED)
        case ProviderState.CANCELED if cap_is_used_up(bought, progress):
            # Ended at our own request once all was delivered: see `observing.guard_cap`.
            return End(Move.COMPLETE, OrderState.COMPLETED, refunded, None)
        case ProviderState.CANCELED | ProviderState.PARTIAL:
            target = OrderState.PARTIAL if earned else OrderState.CANCELED
            return End(Move.END_SHORT, target, refunded, None)
        case _:
            raise ValueError(f"{progress.state} is not a final status of a subscription")


def _doubt_of(progress: Progress) -> str | None:
    """Why the figures of a subscription cannot be believed; None where they can be."""
    if progress.state is ProviderState.FAILED:
        return "provider_failed"
    if progress.posts == 0 and progress.charge_micros:
        return "subscription_charged_without_posts"
    if progress.charge_micros == 0 and progress.posts != 0:
        # Some panels bill the orders of each post, and show nothing on the subscription itself.
        return "subscription_charge_untold"
    return None


def _due(bought: Bought, post: Money, progress: Progress) -> Money | None:
    """The least that what was told proves: the price of so many of the largest posts, or the
    provider's charge with the margin at which it was sold. None where neither was told usably.
    """
    return min(_told(bought, post, progress), default=None)


def _told(bought: Bought, post: Money, progress: Progress) -> list[Money]:
    """What posts and charge, where they were told usably, are worth as we sell."""
    told: list[Money] = []
    if progress.posts is not None and progress.posts >= 0:
        told.append(Money(progress.posts * post.micros))
    charged = charge_in(bought.cost_currency, progress)
    if charged is not None and charged >= 0 and bought.cost_micros > 0:
        told.append(sold_for_rounded_up(post, taken=charged, cost=bought.cost_micros))
    return told


def charge_in(currency: str | None, progress: Progress) -> int | None:
    """What the provider says that it took, if it says so in this currency: naming none means it."""
    return progress.charge_micros if progress.currency in {None, currency} else None


def usable_remains(units: int, remains: int | None) -> int | None:
    """A figure outside 0..units is an observation, not a figure."""
    return remains if remains is not None and 0 <= remains <= units else None
