"""Providers that tell nonsense of orders they have: money moves once, by what can be believed."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    QUANTITY,
    Desk,
    Shop,
    another_worker,
    assert_each_was_taken_at_most_once,
    workers_say,
)
from tests.faults.hostile.raw_provider import FIRST_ORDER_ID, Call, RawProvider, Say, as_json, told

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.slow_fault,
]

UNKNOWN_ID: Final = {"error": "Incorrect order ID"}


def end_journals(stack: RunningStack, order_ids: Sequence[int]) -> Mapping[int, int]:
    """How many journals paid out what was held for each of these orders."""
    rows = stack.sql(
        "SELECT p.order_id, count(DISTINCT p.journal_id) AS journals FROM postings p"
        " JOIN accounts a ON a.id = p.account_id"
        " WHERE a.kind = 'held' AND p.amount < 0 AND p.order_id = ANY($1) GROUP BY p.order_id",
        list(order_ids),
    )
    counted = {row["order_id"]: row["journals"] for row in rows}
    return {order_id: counted.get(order_id, 0) for order_id in order_ids}


@dataclass(frozen=True, slots=True)
class Nonsense:
    """What a provider tells from poll to poll, the last again and again; what comes of it."""

    says: tuple[object, ...]
    state: str
    remains: int | None = None
    refunded_units: int = 0
    observed: tuple[int, ...] = ()


DONE: Final = told("Completed", remains=0)
NONSENSE: Final = {
    "more left than ordered": Nonsense(
        (told("In progress", remains=QUANTITY + 1), told("In progress", remains=2**62), DONE),
        *("completed", 0),
        observed=(QUANTITY + 1, 2**62),
    ),
    "less than nothing left": Nonsense(
        (told("In progress", remains=-1), told("Partial", remains=40)),
        *("partial", 40, 40),
        observed=(-1,),
    ),
    "what is left rises": Nonsense(
        (told("In progress", remains=50), told("In progress", remains=80), DONE),
        *("completed", 0),
        observed=(80,),
    ),
    "completed with a rest": Nonsense((told("Completed", remains=30),), "completed", 0),
    "completed, then partial": Nonsense((DONE, told("Partial", remains=90)), "completed", 0),
    "partial, then canceled": Nonsense(
        (told("Partial", remains=40), told("Canceled", remains=QUANTITY, charge="0")),
        *("partial", 40, 40),
    ),
    "canceled, then running, then completed": Nonsense(
        (told("Canceled", remains=QUANTITY, charge="0"), told("In progress", remains=1), DONE),
        *("canceled", QUANTITY, QUANTITY),
    ),
    "partial with more left than ordered": Nonsense(
        (told("Partial", remains=5 * QUANTITY),), "needs_review"
    ),
    "partial with less than nothing left": Nonsense(
        (told("Partial", remains=-40),), "needs_review"
    ),
    "canceled, yet charged, with nothing left": Nonsense(
        (told("Canceled", remains=0),), "needs_review"
    ),
    "figures that are none": Nonsense(
        (
            told("In progress", remains="NaN"),
            told("In progress", remains="1e9"),
            told("In progress", remains=0, charge="-1"),
            told("In progress", remains=0, charge="1e400"),
            {"status": ["In progress"]},
            {"status": "In progress", "remains": {"of": 100}},
            "In progress",
            None,
            DONE,
        ),
        *("completed", 0),
    ),
}


@pytest.mark.fault(24)
def test_nonsense_of_progress_moves_no_money_twice_and_none_after_the_end(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    """Each order that is taken gets the next kind of nonsense."""
    kinds_in_turn = list(NONSENSE)

    def say(order_id: str, nth: int) -> object:
        says = NONSENSE[kinds_in_turn[int(order_id) - FIRST_ORDER_ID]].says
        return says[min(nth, len(says)) - 1]

    provider.progress = say
    orders = desk.place(shop, desk.service(desk.provider(provider.url)), len(NONSENSE))
    until(lambda: len(provider.taken) == len(NONSENSE), 30, "all are taken")
    kinds = {
        orders[one.link]: kinds_in_turn[one.order_id - FIRST_ORDER_ID] for one in provider.taken
    }

    def came_to() -> dict[str, str]:
        rows = stack.sql("SELECT id, state FROM orders WHERE id = ANY($1)", list(kinds))
        return {kinds[row["id"]]: row["state"] for row in rows}

    wanted = {kind: nonsense.state for kind, nonsense in NONSENSE.items()}
    until(lambda: came_to() == wanted, 60, f"the orders have come to {wanted}")
    journals = end_journals(stack, list(kinds))
    for order_id, kind in kinds.items():
        row, nonsense = desk.order(order_id), NONSENSE[kind]
        assert row["remains"] == nonsense.remains, kind
        assert row["refunded"] == row["charge"] * nonsense.refunded_units // QUANTITY, kind
        assert journals[order_id] == (0 if nonsense.state == "needs_review" else 1), kind
        observed = stack.sql(
            "SELECT data->>'remains' FROM order_events"
            " WHERE order_id = $1 AND type = 'observation' ORDER BY seq",
            order_id,
        )
        assert [int(one[0]) for one in observed] == list(nonsense.observed), kind
    refunded = {i for i, kind in kinds.items() if NONSENSE[kind].refunded_units}
    assert_each_was_taken_at_most_once(stack, provider, orders, refunded_by_rule=refunded)


@pytest.mark.fault(25)
def test_an_id_that_its_provider_denies_is_given_to_a_person_and_never_refunded(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    knows_again: set[str] = set()

    def deny(order_id: str, nth: int) -> object:
        # Every other one is denied twice only, and then known again.
        if int(order_id) % 2 and nth > 2:
            knows_again.add(order_id)
            return DONE
        return UNKNOWN_ID

    provider.progress = deny
    orders = desk.place(shop, desk.service(desk.provider(provider.url)), 10)
    desk.until_states(orders, 60, needs_review=5, completed=5)
    assert len(knows_again) == 5
    denied = {
        link: order_id
        for link, order_id in orders.items()
        if desk.order(order_id)["state"] == "needs_review"
    }
    for order_id in denied.values():
        row = desk.order(order_id)
        assert (row["held"], row["refunded"], row["earned"]) == (row["charge"], 0, 0)
        doubts = stack.sql(
            "SELECT count(*) FROM order_events WHERE order_id = $1 AND type = 'doubt'", order_id
        )
        assert doubts[0][0] == 2
    # A person has looked, and the provider has it after all.
    given = {one.link: str(one.order_id) for one in provider.taken}
    provider.progress = lambda _order_id, _nth: DONE
    for link, order_id in denied.items():
        answer = desk.resolve(order_id, outcome="accepted", provider_order_id=given[link])
        assert answer.status_code == 200, answer.text
    desk.until_states(orders, 60, completed=10)
    assert len(provider.submits) == 10
    assert_each_was_taken_at_most_once(stack, provider, orders)


@pytest.mark.fault(26)
def test_polls_doubled_and_out_of_order_over_two_workers_end_an_order_once(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    """The first to ask is answered last, when what it is told is long out of date."""
    late = threading.Event()
    first = threading.Lock()

    def hold_the_first(_call: Call, payload: object) -> Say:
        if first.acquire(blocking=False):
            held.update(payload if isinstance(payload, dict) else {})
            old = {order_id: told("In progress", remains=90) for order_id in held}
            return Say(as_json(old).body, once=late)
        return as_json(payload)

    held: dict[str, object] = {}
    provider.on_status = hold_the_first
    provider.progress = lambda order_id, _nth: (
        told("Partial", remains=40) if int(order_id) % 2 else DONE
    )
    # Not called a simulator: its first poll comes when we say so, and may wait for half a minute.
    account = desk.provider(provider.url, simulated=False)
    with another_worker(stack):
        orders = desk.place(shop, desk.service(account), 10)
        desk.until_states(orders, 60, in_progress=10)
        desk.let_time_pass(orders)
        until(lambda: len(held) == 10, 30, "the first poll has been asked, and hangs")
        stack.sql(
            "UPDATE work SET lease_token = NULL, lease_until = NULL, due_at = clock_timestamp()"
            " WHERE kind = 'follow' AND ref = ANY($1)",
            [str(order_id) for order_id in orders.values()],
        )
        desk.until_states(orders, 60, completed=5, partial=5)
        late.set()
        fenced = "answers_fenced"
        until(lambda: fenced in workers_say(stack), 30, "the late answer has been fenced")
    ids = list(orders.values())
    assert stack.states(ids) == {"completed": 5, "partial": 5}
    assert set(end_journals(stack, ids).values()) == {1}
    partial = {order_id for order_id in ids if desk.order(order_id)["state"] == "partial"}
    for order_id in partial:
        row = desk.order(order_id)
        assert row["refunded"] == row["charge"] * 40 // QUANTITY
    assert_each_was_taken_at_most_once(stack, provider, orders, refunded_by_rule=partial)
