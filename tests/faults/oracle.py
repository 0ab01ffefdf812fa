"""The oracle's verdict: what must not be true of providers, orders and clients after any fault.

Pure, and the same for our workers and for the naive one that it must catch.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from app.orders.states import OrderState

MEMORY_BYTES_MAX: Final = 400 * 1024 * 1024
"""Of one process of ours; at rest they have a fourth of it."""

_IN_DOUBT: Final = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.NEEDS_REVIEW})
_NOT_SENT_YET: Final = frozenset({OrderState.QUEUED, OrderState.ON_HOLD})


@dataclass(frozen=True, slots=True)
class Taken:
    """An order that a provider took, as its own log says. `target` is a link, or a username."""

    provider_order: str
    target: str
    provider: str = ""
    """Any name, the same as in `Known`; ids are unique within a provider only."""


@dataclass(frozen=True, slots=True)
class Known:
    """An order of ours as it stands at the end. Money is in micros."""

    id: int
    target: str
    state: OrderState
    charge: int
    held: int
    refunded: int
    provider_order: str | None
    provider: str = ""
    written_off: bool = False
    """A person gave the money back without knowing: what is delivered then is the house's loss."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What providers, database, clients and processes say, each by itself."""

    taken: Sequence[Taken]
    known: Sequence[Known]
    numbers: frozenset[int] = frozenset()
    """Order numbers that are no order's but a schedule's."""
    acknowledged: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """The order numbers that clients got a 201 for, by Idempotency-Key."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """How often clients were answered with each status."""
    memory_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be."""

    code: str
    ref: str
    detail: str


def verdict(facts: Facts) -> list[Finding]:
    """All that must not be; empty when the fault did no harm.

    Asked once nothing is under way: a call that is being answered would look like one of nobody.
    """
    return [
        *_of_deliveries(facts.taken, facts.known),
        *_of_promises(facts),
        *_of_answers(facts.statuses),
        *_of_memory(facts.memory_bytes),
    ]


def _of_deliveries(taken: Sequence[Taken], known: Sequence[Known]) -> Iterator[Finding]:
    """Each order that was taken is some one order of ours, and the other way round."""
    given = {(one.provider, one.provider_order) for one in taken}
    claimed = {(o.provider, o.provider_order) for o in known if o.provider_order is not None}
    for order in known:
        if order.provider_order and (order.provider, order.provider_order) not in given:
            yield Finding("taken-by-nobody", str(order.id), f"as {order.provider_order}")
    unclaimed: dict[str, list[Known]] = defaultdict(list)
    # Those in doubt last: they are taken from the end, as the most likely to have been sent.
    for order in sorted(known, key=lambda one: one.state in _IN_DOUBT):
        if order.provider_order is None:
            unclaimed[order.target].append(order)
    ours = {order.target for order in known}
    for one in taken:
        if (one.provider, one.provider_order) in claimed:
            continue
        if unclaimed[one.target]:
            yield from _of_unclaimed(one, unclaimed[one.target].pop())
        elif one.target in ours:
            yield Finding("taken-twice", one.provider_order, one.target)
        else:
            yield Finding("taken-unknown-to-us", one.provider_order, one.target)


def _of_unclaimed(taken: Taken, order: Known) -> Iterator[Finding]:
    """A provider has it and we do not know under which id: its money must wait for that."""
    if order.written_off:
        return
    told = f"taken as {taken.provider_order}, {order.state}"
    if order.refunded:
        yield Finding("taken-and-refunded", str(order.id), told)
    elif order.state in _NOT_SENT_YET:
        yield Finding("taken-and-to-be-sent", str(order.id), told)
    elif order.state not in _IN_DOUBT:
        yield Finding("taken-and-ended-unknown", str(order.id), told)
    elif order.held != order.charge:
        yield Finding("taken-and-not-held", str(order.id), f"{told}, {order.held} held")


def _of_promises(facts: Facts) -> Iterator[Finding]:
    """Every 201 has its row, and a key stands for one order."""
    numbers = facts.numbers | {order.id for order in facts.known}
    for key, order_ids in facts.acknowledged.items():
        if len(order_ids) > 1:
            yield Finding("two-orders-of-one-key", key, str(sorted(order_ids)))
        for order_id in sorted(order_ids - numbers):
            yield Finding("acknowledged-and-lost", str(order_id), f"201 under {key}")


def _of_answers(statuses: Mapping[int, int]) -> Iterator[Finding]:
    for status, times in sorted(statuses.items()):
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.SERVICE_UNAVAILABLE:
            yield Finding("server-error", str(status), f"{times} times")


def _of_memory(memory_bytes: Mapping[str, int]) -> Iterator[Finding]:
    for name, size in sorted(memory_bytes.items()):
        if size > MEMORY_BYTES_MAX:
            yield Finding("memory", name, f"{size} bytes")
