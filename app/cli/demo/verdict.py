"""Whether the demo went as it should: every check that must hold, in words where it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.cli.demo.claims import WISHES, SeenClaim
from app.cli.demo.office import SeenOrder, Wallet
from app.cli.demo.shop import Receipts
from app.cli.demo.world import LOST_REPLIES, Account
from app.core.money import ZERO, Money
from app.ledger.service import Violation
from app.orders.states import OrderState


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known at the end, each part from its own source."""

    wanted: int
    receipts: Receipts
    seen: Sequence[SeenOrder]
    accounts: Sequence[Account]
    wallets: Sequence[Wallet]
    accepted: Counter[str]
    claims: Sequence[SeenClaim]
    violations: Sequence[Violation]
    restarts: Counter[str]


@dataclass(frozen=True, slots=True)
class Statement:
    """One reseller's money: what came in, what was charged, what went back, what is left."""

    account: Account
    charged: Money
    refunded: Money
    held: Money
    wallet: Wallet

    @property
    def expected(self) -> Money:
        return self.account.credited - self.charged + self.refunded

    @property
    def adds_up(self) -> bool:
        return self.wallet == Wallet(self.expected, self.held)


def statements(facts: Facts) -> list[Statement]:
    """Per reseller, with charges as it was told them when it ordered."""
    made = []
    for number, account in enumerate(facts.accounts):
        own = [one for one in facts.receipts.placed if one.reseller == number]
        numbers = {one.id for one in own}
        orders = [order for order in facts.seen if order.purchase in numbers]
        made.append(
            Statement(
                account,
                charged=_total(one.charge for one in own),
                refunded=_total(order.refunded for order in orders),
                held=_total(order.charge for order in orders if not order.has_ended),
                wallet=facts.wallets[number],
            )
        )
    return made


def problems(facts: Facts) -> list[str]:
    """What is not as it should be; empty when all is well."""
    return [
        *_with_orders(facts),
        *_with_endings(facts),
        *_with_money(facts),
        *_with_providers(facts),
        *_with_claims(facts),
        *(f"ledger check: {one.code} {one.ref} {one.detail}" for one in facts.violations),
    ]


def _with_orders(facts: Facts) -> list[str]:
    found = []
    told = {one.id for one in facts.receipts.placed}
    runs = Counter(order.purchase for order in facts.seen)
    if len(told) != facts.wanted:
        found.append(f"{len(told)} orders were placed, not {facts.wanted}")
    if told != set(runs):
        found.append(f"{len(told ^ set(runs))} orders are known to only one of shop and platform")
    found += [
        f"{one.id} was bought with {one.runs} runs and has {runs[one.id]}"
        for one in facts.receipts.placed
        if one.id in runs and runs[one.id] != one.runs
    ]
    if facts.receipts.refused:
        found.append(f"orders were refused: {Counter(facts.receipts.refused)}")
    running = [o for o in facts.seen if not o.has_ended and not o.waits_for_operator]
    if running:
        states = Counter(str(order.state) for order in running)
        found.append(f"{len(running)} orders have not ended in time: {dict(states)}")
    return found


def _with_endings(facts: Facts) -> list[str]:
    """Every reply that was lost leaves one order to an operator, and nothing else may.

    A process that was killed takes more replies with it, and a simulator its instructions.
    """
    counts = Counter(order.state for order in facts.seen)
    found = []
    if counts[OrderState.FAILED]:
        found.append(f"{counts[OrderState.FAILED]} orders failed though another route was open")
    if facts.restarts:
        return found
    waiting = counts[OrderState.UNKNOWN] + counts[OrderState.NEEDS_REVIEW]
    if waiting != LOST_REPLIES:
        found.append(f"{waiting} orders wait for an operator, and {LOST_REPLIES} should")
    found.extend(
        f"no order ended as {state}, though the provider was told to end some so"
        for state in (OrderState.PARTIAL, OrderState.CANCELED)
        if not counts[state]
    )
    return found


def _with_money(facts: Facts) -> list[str]:
    return [
        f"{one.account.name} has {one.wallet.available} and {one.wallet.held} held,"
        f" which should be {one.expected} and {one.held}"
        for one in statements(facts)
        if not one.adds_up
    ]


def _with_providers(facts: Facts) -> list[str]:
    """The oracle: nothing was accepted more often than it was to be run, and every order that
    ended was accepted.
    """
    runs = {one.target: one.runs for one in facts.receipts.placed}
    found = [
        f"{target} was accepted {n} times"
        for target, n in facts.accepted.items()
        if n > runs.get(target, 1)
    ]
    target_of = {one.id: one.target for one in facts.receipts.placed}
    strangers = set(facts.accepted) - set(target_of.values())
    if strangers:
        found.append(f"providers accepted {len(strangers)} orders that nobody placed")
    unaccepted = [
        order.id
        for order in facts.seen
        if order.has_ended and not facts.accepted[target_of.get(order.purchase, "")]
    ]
    if unaccepted:
        found.append(f"{len(unaccepted)} orders ended that no provider accepted: {unaccepted[:5]}")
    return found


def _with_claims(facts: Facts) -> list[str]:
    """Who was killed may have left no order of a fate that is claimed on."""
    found = [
        f"the claim {one.wish.reason} on {one.order_id}, {one.wish.state}, is {one.status}"
        for one in facts.claims
        if one.status != one.wish.expected
    ]
    if len(facts.claims) != len(WISHES) and not facts.restarts:
        found.append(f"{len(facts.claims)} claims were filed, not {len(WISHES)}")
    return found


def _total(amounts: Iterable[Money]) -> Money:
    return sum(amounts, start=ZERO)
