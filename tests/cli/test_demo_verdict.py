"""The demo's judge: it passes a good run, and finds each thing that must not be in a bad one."""

from collections import Counter
from dataclasses import replace

import pytest

from app.catalog.links.canonical import place_of
from app.catalog.links.fitting import broken_rule
from app.cli.demo.claims import WISHES, SeenClaim
from app.cli.demo.office import SeenOrder, Wallet
from app.cli.demo.shop import Placed, Receipts
from app.cli.demo.shopping import schedules, shopping_list
from app.cli.demo.summary import print_summary
from app.cli.demo.verdict import Facts, problems
from app.cli.demo.world import Account
from app.cli.stack.assortment import ASSORTMENT
from app.core.money import ZERO, Money
from app.ledger.service import Violation
from app.orders.states import OrderState
from app.providers.forms import ServiceType

PRICE = Money.parse("1.00")
STATES = (OrderState.COMPLETED, OrderState.PARTIAL, OrderState.CANCELED, OrderState.UNKNOWN)
REFUNDS = (ZERO, Money.parse("0.25"), PRICE, ZERO)


def link(number: int) -> str:
    return f"https://example.com/{number}"


@pytest.fixture
def good() -> Facts:
    """Four orders of one reseller: delivered, cut short, canceled, and one without an answer."""
    numbers = range(len(STATES))
    return Facts(
        wanted=len(STATES),
        receipts=Receipts(placed=[Placed(n, 0, 1, link(n), PRICE) for n in numbers]),
        seen=[
            SeenOrder(n, n, STATES[n], PRICE, REFUNDS[n], None if n == 3 else 2.0) for n in numbers
        ],
        accounts=[Account("A", "key", Money.parse("10.00"))],
        wallets=[Wallet(Money.parse("7.25"), PRICE)],
        accepted=Counter(link(n) for n in numbers),
        claims=[SeenClaim(wish, 0, wish.expected, "REF-1", "so") for wish in WISHES],
        violations=[],
        restarts=Counter(),
    )


def with_state(facts: Facts, number: int, state: OrderState) -> Facts:
    seen = [replace(o, state=state) if o.id == number else o for o in facts.seen]
    return replace(facts, seen=seen)


def test_a_run_in_which_all_adds_up_passes(good: Facts) -> None:
    assert problems(good) == []


def test_an_order_that_was_accepted_twice_is_found(good: Facts) -> None:
    [told] = problems(replace(good, accepted=good.accepted + Counter([link(0)])))

    assert told == f"{link(0)} was accepted 2 times"


def test_an_order_that_ended_without_any_provider_is_found(good: Facts) -> None:
    [told] = problems(replace(good, accepted=good.accepted - Counter([link(0)])))

    assert "1 orders ended that no provider accepted" in told


def test_an_order_that_nobody_placed_is_found(good: Facts) -> None:
    [told] = problems(replace(good, accepted=good.accepted + Counter([link(99)])))

    assert "that nobody placed" in told


def test_money_that_is_missing_is_found(good: Facts) -> None:
    [told] = problems(replace(good, wallets=[Wallet(Money.parse("7.24"), PRICE)]))

    assert told == "A has 7.24 and 1.00 held, which should be 7.25 and 1.00"


def test_an_order_that_hangs_is_found(good: Facts) -> None:
    hanging = with_state(good, 0, OrderState.SUBMITTING)

    assert any("have not ended in time" in told for told in problems(hanging))


def test_an_order_that_was_forgotten_is_found(good: Facts) -> None:
    forgotten = replace(good, seen=good.seen[1:])

    assert any("known to only one" in told for told in problems(forgotten))


def test_a_row_of_the_ledger_check_is_found(good: Facts) -> None:
    [told] = problems(replace(good, violations=[Violation("balance-drift", "wallet:1", "0.01")]))

    assert told == "ledger check: balance-drift wallet:1 0.01"


def test_a_second_order_without_an_answer_is_allowed_only_when_a_process_was_killed(
    good: Facts,
) -> None:
    lost = with_state(good, 0, OrderState.NEEDS_REVIEW)
    lost = replace(lost, wallets=[Wallet(Money.parse("7.25"), PRICE + PRICE)])

    assert any("wait for an operator" in told for told in problems(lost))
    assert problems(replace(lost, restarts=Counter(worker=1))) == []


def test_the_shopping_list_has_the_asked_number_of_orders_each_with_a_link_of_its_own() -> None:
    errands = shopping_list(300, resellers=2, seed=1)

    links = [body["link"] for errand in errands for body in errand.orders]
    assert len(links) == len(set(links)) == 300
    assert {errand.reseller for errand in errands} == {0, 1}
    assert {errand.is_batch for errand in errands} == {True, False}
    assert errands == shopping_list(300, resellers=2, seed=1)


def test_each_link_of_the_shopping_list_fits_its_service() -> None:
    services = {service.id: service for service in ASSORTMENT}
    bodies = [b for errand in shopping_list(300, resellers=1, seed=1) for b in errand.orders]

    assert {body["service_id"] for body in bodies} | {19} == set(services)
    for body in bodies:
        service, place = services[body["service_id"]], place_of(body["link"])
        assert place.target is not None or service.platform == "Website"
        assert broken_rule(body["link"], platform=service.platform, kind=service.kind) is None


def test_the_demo_buys_every_type_of_order_and_shows_it(
    good: Facts, capsys: pytest.CaptureFixture[str]
) -> None:
    errands = [*shopping_list(300, resellers=2, seed=1), *schedules(resellers=2)]
    bought = [body for errand in errands for body in errand.orders]
    placed = [
        Placed(n, 0, body["service_id"], link(n), PRICE, body.get("runs", 1))
        for n, body in enumerate(bought)
    ]
    print_summary(replace(good, receipts=Receipts(placed=placed)), calls={})
    shown = {
        words[0]: words[1:]
        for line in capsys.readouterr().out.splitlines()
        if (words := line.split())
    }
    assert {service.type for service in ASSORTMENT} == set(ServiceType)
    assert all(int(shown[type_][0]) > 0 for type_ in ServiceType)
    assert shown["default"][1] == "2"


def test_a_purchase_of_several_runs_is_accepted_as_often_and_no_more(good: Facts) -> None:
    runs = [SeenOrder(10 + n, 9, OrderState.COMPLETED, PRICE, ZERO, 2.0) for n in range(2)]
    bought = Placed(9, 0, 1, link(9), PRICE + PRICE, runs=2)
    facts = replace(
        good,
        wanted=good.wanted + 1,
        receipts=Receipts(placed=[*good.receipts.placed, bought]),
        seen=[*good.seen, *runs],
        wallets=[Wallet(Money.parse("5.25"), PRICE)],
        accepted=good.accepted + Counter({link(9): 2}),
    )
    assert problems(facts) == []
    [missing] = problems(replace(facts, seen=facts.seen[:-1]))
    assert missing == "9 was bought with 2 runs and has 1"
    [twice] = problems(replace(facts, accepted=facts.accepted + Counter([link(9)])))
    assert twice == f"{link(9)} was accepted 3 times"


def test_a_claim_that_was_decided_otherwise_or_never_filed_is_found(good: Facts) -> None:
    first, *others = good.claims
    wrong = replace(first, status="approved")

    assert problems(replace(good, claims=[wrong, *others])) == [
        "the claim drop on 0, completed, is approved"
    ]
    assert problems(replace(good, claims=others)) == ["4 claims were filed, not 5"]
