"""What a schedule costs: all runs of a drip-feed together, or the cap of a subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from app.catalog.offering import Offer
from app.core.errors import FieldProblem, InvalidInput
from app.core.money import Money, charge_rounded_up
from app.orders.endings import posts_covered
from app.orders.pricing import NewOrder, Priced, Repeat, judged_quantity, priced_at, sold
from app.providers.forms import FORMS, ServiceType


def price_drip_feed(
    offer: Offer | None, item: NewOrder, repeat: Repeat, *, now: datetime
) -> Priced:
    """Judge all runs by their service: the charge is that of all, quantity and cost those of one.

    Raises what `orders.pricing.price` raises.
    """
    offer = sold(offer)
    quantity = judged_quantity(offer, item)
    if not FORMS[offer.type].repeats:
        raise _refused("runs", "is not taken by this service")
    total = charge_rounded_up(
        rate=offer.rate, price_unit=offer.price_unit, quantity=quantity * repeat.runs
    )
    share = share_of(total, number=1, runs=repeat.runs)
    if not share:
        raise _refused("runs", "is more than the price of all runs can be divided by")
    # A route must be paid for by the smallest share: each run is handed over by itself.
    return replace(priced_at(offer, item, quantity, share, now=now), charge=total)


def price_subscription(offer: Offer | None, item: NewOrder, cap: Money, *, now: datetime) -> Priced:
    """Judge a subscription: the charge is its cap, quantity and cost those of the largest post.

    Its provider is told a number of posts that the cap pays for, whether the buyer told one or not:
    what is delivered beyond the cap nobody pays us for. Raises what `orders.pricing.price` raises.
    """
    offer = sold(offer)
    quantity = judged_quantity(offer, item)
    if offer.type is not ServiceType.SUBSCRIPTIONS:
        raise _refused("spend_cap", "is not taken by this service")
    if item.form.expiry is not None and item.form.expiry <= now.date():
        raise _refused("expiry", "must be later than today")
    post = charge_rounded_up(rate=offer.rate, price_unit=offer.price_unit, quantity=quantity)
    posts = _posts_paid_for(item, cap, post)
    bounded = replace(item, form=replace(item.form, posts=posts))
    return replace(priced_at(offer, bounded, quantity, post, now=now), charge=cap)


def _posts_paid_for(item: NewOrder, cap: Money, post: Money) -> int:
    """How many new posts are ordered, beside those that are there already."""
    old = item.form.old_posts or 0
    wanted = 1 if item.form.posts is None else item.form.posts
    needed = Money(post.micros * (wanted + old))
    if cap < needed:
        told = "one post" if item.form.posts is None else "posts"
        rule = f"must be at least {needed}: {told} and old_posts, each at max"
        raise _refused("spend_cap", rule)
    return posts_covered(cap, post) - old if item.form.posts is None else item.form.posts


def share_of(total: Money, *, number: int, runs: int) -> Money:
    """What one run holds: an equal share rounded down, and the last run what is left."""
    share = total.micros // runs
    return Money(share if number < runs else total.micros - share * (runs - 1))


def _refused(field: str, rule: str) -> InvalidInput:
    return InvalidInput(errors=(FieldProblem(f"/{field}", rule),))
