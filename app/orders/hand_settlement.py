"""How an operator's word ends an order under review: what of its charge is earned, what goes back.

What delivery counts decides what may be told. An order that counts its units is told what remains
of them; a subscription how many posts came, or what goes back; a package that does not state its
units what goes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import FieldProblem, InvalidInput
from app.core.money import ZERO, Money, refund_rounded_down
from app.orders.endings import End, posts_covered
from app.orders.models import Order
from app.orders.routing import price_of_post
from app.orders.states import Move, OrderState


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an order ended in truth, and at most one figure that says how much of it was delivered.

    `remains` is what was left undone, `posts` what a subscription delivered, `refunded` what of the
    charge goes back.
    """

    target: OrderState
    remains: int | None = None
    posts: int | None = None
    refunded: Money | None = None

    def told(self) -> list[str]:
        """The figures that were given, by name."""
        figures = {"remains": self.remains, "posts": self.posts, "refunded": self.refunded}
        return [name for name, value in figures.items() if value is not None]


def end_by_hand(order: Order, settlement: Settlement) -> End:
    """The end that these figures make. Raises InvalidInput naming the figure that cannot be."""
    problems = tuple(FieldProblem(f"/{name}", rule) for name, rule in _not_taken(order, settlement))
    if problems:
        raise InvalidInput(errors=problems)
    match settlement.target:
        case OrderState.COMPLETED:
            remains = None if order.units is None else 0
            return End(Move.SETTLE, settlement.target, _unspent(order, settlement), remains)
        case OrderState.PARTIAL if order.units is not None:
            return _partial_by_units(order, order.units, settlement.remains)
        case OrderState.PARTIAL:
            return End(Move.SETTLE, settlement.target, _part_of(order, settlement), None)
        case _:
            return End(Move.SETTLE, settlement.target, Money(order.charge), order.units)


def _not_taken(order: Order, settlement: Settlement) -> Iterator[tuple[str, str]]:
    """The figures that say nothing of such an order, or of such an end, and why."""
    told = settlement.told()
    post = price_of_post(order)
    for name in told:
        if settlement.target not in _ends_with_figures(order):
            yield name, f"is not taken with {settlement.target}"
        elif name == "remains" and order.units is None:
            yield name, "cannot be given: this order does not state its units; give refunded"
        elif name != "remains" and order.units is not None:
            yield name, "is not taken: this order counts its units; give remains"
        elif name == "posts" and post is None:
            yield name, "is for subscriptions; give refunded"
    if len(told) > 1:
        yield told[-1], f"is not taken together with {told[0]}"


def _ends_with_figures(order: Order) -> set[OrderState]:
    """Only of a subscription something may be unspent when all was delivered."""
    if price_of_post(order) is None:
        return {OrderState.PARTIAL}
    return {OrderState.PARTIAL, OrderState.COMPLETED}


def _partial_by_units(order: Order, units: int, remains: int | None) -> End:
    if remains is None or not 0 < remains < units:
        raise _invalid("remains", f"must be 1 to {units - 1}, what was left undelivered")
    refund = refund_rounded_down(charge=Money(order.charge), undelivered=remains, ordered=units)
    return End(Move.SETTLE, OrderState.PARTIAL, refund, remains)


def _unspent(order: Order, settlement: Settlement) -> Money:
    """What goes back of a subscription that was delivered to its end; of anything else nothing."""
    charge, post = Money(order.charge), price_of_post(order)
    if post is not None and settlement.posts is not None:
        return charge - _price_of(settlement.posts, post, most=posts_covered(charge, post))
    refunded = settlement.refunded or ZERO
    if not ZERO <= refunded < charge:
        raise _invalid("refunded", f"must be 0 or more, and less than the charge of {charge}")
    return refunded


def _part_of(order: Order, settlement: Settlement) -> Money:
    """What goes back of an order that ended short: a part, neither nothing nor all of it."""
    charge, post = Money(order.charge), price_of_post(order)
    if post is not None and settlement.posts is not None:
        not_all = charge - Money(1)
        return charge - _price_of(settlement.posts, post, most=posts_covered(not_all, post))
    if settlement.refunded is None or not ZERO < settlement.refunded < charge:
        instead = "" if post is None else "; or give posts"
        rule = f"must be above 0 and less than the charge of {charge}{instead}"
        raise _invalid("refunded", rule)
    return settlement.refunded


def _price_of(posts: int, post: Money, *, most: int) -> Money:
    if not 1 <= posts <= most:
        raise _invalid("posts", f"must be 1 to {most}, what the charge pays for")
    return Money(posts * post.micros)


def _invalid(field: str, rule: str) -> InvalidInput:
    return InvalidInput(errors=(FieldProblem(f"/{field}", rule),))
