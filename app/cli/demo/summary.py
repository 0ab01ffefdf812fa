"""The demo's last page: states, types, money, speed, calls, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from app.cli.demo.verdict import Facts, statements
from app.cli.output import print_table
from app.cli.stack.assortment import ASSORTMENT
from app.orders.states import OrderState
from app.providers.forms import ServiceType

_MEDIAN: Final = 0.5
_TAIL: Final = 0.95


def print_summary(facts: Facts, calls: Mapping[str, Mapping[str, int]]) -> None:
    """Everything that was measured, in tables."""
    counts = Counter(order.state for order in facts.seen)
    print_table(
        "Orders",
        ["state", "orders"],
        [[state, str(counts[state])] for state in OrderState if counts[state]],
    )
    print_table("Bought", ["type", "orders", "of several runs"], _types(facts))
    print_table(
        "Money",
        ["reseller", "credited", "charged", "refunded", "held", "balance", "adds up"],
        [
            [
                one.account.name,
                str(one.account.credited),
                str(one.charged),
                str(one.refunded),
                str(one.wallet.held),
                str(one.wallet.available),
                "yes" if one.adds_up else "NO",
            ]
            for one in statements(facts)
        ],
    )
    print_table(
        "Refund claims",
        ["order", "state", "reason", "claim", "clause", "in words"],
        [
            [str(one.order_id), one.wish.state, one.wish.reason, one.status, one.clause, one.words]
            for one in facts.claims
        ],
    )
    ended = [order.seconds for order in facts.seen if order.seconds is not None]
    print_table(
        "Speed",
        ["measure", "p50", "p95"],
        [
            ["POST /v1/orders, ms", *_percentiles(facts.receipts.single_seconds, scale=1000)],
            ["from placing to end, s", *_percentiles(ended)],
        ],
    )
    actions = sorted({action for made in calls.values() for action in made})
    print_table(
        "Provider calls",
        ["provider", *actions],
        [[name, *(str(made.get(a, 0)) for a in actions)] for name, made in calls.items()],
    )


def _types(facts: Facts) -> list[list[str]]:
    """How many were placed of each type, and how many of these are drip-feeds."""
    type_of = {service.id: service.type for service in ASSORTMENT}
    placed = Counter(type_of[one.service] for one in facts.receipts.placed)
    repeated = Counter(type_of[one.service] for one in facts.receipts.placed if one.runs > 1)
    return [
        [type_, str(placed[type_]), str(repeated[type_])] for type_ in ServiceType if placed[type_]
    ]


def print_verdict(facts: Facts, found: Sequence[str], *, seconds: float) -> None:
    """The last lines: what was proven, or what is wrong."""
    accepted = sum(facts.accepted.values())
    waiting = sum(order.waits_for_operator for order in facts.seen)
    print(f"providers accepted {accepted} of {len(facts.seen)} orders, each at most once")
    if waiting:
        print(f"{waiting} without an answer: kept from being sent twice, left to an operator")
    if facts.receipts.repeated:
        print(f"{facts.receipts.repeated} requests were repeated under the same Idempotency-Key")
    if facts.restarts:
        print(f"started again meanwhile: {', '.join(facts.restarts)}")
    print(f"ledger check: {'clean' if not facts.violations else f'{len(facts.violations)} rows'}")
    for problem in found:
        print(f"WRONG: {problem}")
    print(f"the demo {'failed' if found else 'passed'} in {seconds:.1f} s")


def _percentiles(values: Sequence[float], *, scale: float = 1.0) -> list[str]:
    return [_percentile(values, share, scale) for share in (_MEDIAN, _TAIL)]


def _percentile(values: Sequence[float], share: float, scale: float) -> str:
    if not values:
        return "-"
    ordered = sorted(values)
    return f"{ordered[min(len(ordered) - 1, int(len(ordered) * share))] * scale:.1f}"
