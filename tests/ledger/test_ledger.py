"""The ledger: every effect once, nothing overdrawn, all sums zero, and history as it was."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.audit import Actor
from app.core.money import ZERO, Money
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.ledger import service as ledger
from app.ledger.errors import (
    CurrencyChangedError,
    InsufficientFunds,
    LedgerConflictError,
    SpendingStopped,
)
from app.ledger.models import AccountKind, JournalKind
from app.ledger.service import Balance, WalletLine
from app.orders import placing
from app.orders.pricing import NewOrder
from app.providers.forms import OrderForm
from tests.fixtures.world import World

# Money is moved here for orders that nobody has placed.
pytestmark = pytest.mark.violates("money-without-order")

ACTOR = Actor("reseller", "key_1")
CENT = Money.parse("0.01")


def euros(text_: str) -> Money:
    return Money.parse(text_)


async def credit(runtime: Runtime, book_id: UUID, amount: str, credit_id: UUID) -> Money:
    async with runtime.uow.begin() as session:
        return await ledger.credit(
            session, book_id, euros(amount), credit_id=credit_id, note="test"
        )


async def hold(runtime: Runtime, book_id: UUID, *holds: tuple[int, str]) -> None:
    async with runtime.uow.begin() as session:
        await ledger.hold(session, book_id, [(number, euros(amount)) for number, amount in holds])


async def end(runtime: Runtime, book_id: UUID, order_id: int, refunded: str, earned: str) -> None:
    async with runtime.uow.begin() as session:
        await ledger.end_order(
            session, book_id, order_id, refunded=euros(refunded), earned=euros(earned)
        )


async def test_a_hold_moves_money_from_available_to_held_and_an_end_settles_it(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="10.00")
    await hold(runtime, reseller.book_id, (1, "4.00"), (2, "6.00"))
    assert await world.balance(reseller) == Balance(ZERO, euros("10.00"))
    await end(runtime, reseller.book_id, 1, refunded="1.50", earned="2.50")
    assert await world.balance(reseller) == Balance(euros("1.50"), euros("6.00"))
    await end(runtime, reseller.book_id, 2, refunded="6.00", earned="0")
    assert await world.balance(reseller) == Balance(euros("7.50"), ZERO)
    async with runtime.uow.begin() as session:
        totals = await ledger.trial_balance(session)
    assert totals[AccountKind.REVENUE] == euros("2.50")
    assert totals[AccountKind.WALLET] == euros("7.50")


async def test_forfeited_money_is_neither_refunded_nor_earned(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="3.00")
    await hold(runtime, reseller.book_id, (1, "3.00"))
    async with runtime.uow.begin() as session:
        await ledger.end_order(
            session, reseller.book_id, 1, refunded=ZERO, earned=ZERO, forfeited=euros("3.00")
        )
        assert (await ledger.trial_balance(session))[AccountKind.FORFEITED] == euros("3.00")
    assert await world.balance(reseller) == Balance(ZERO, ZERO)


async def test_a_micro_more_than_the_balance_is_refused_and_takes_nothing(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="1.00")
    with pytest.raises(InsufficientFunds):
        await hold(runtime, reseller.book_id, (1, "0.50"), (2, "0.500001"))
    assert await world.balance(reseller) == Balance(euros("1.00"), ZERO)
    await hold(runtime, reseller.book_id, (1, "0.50"), (2, "0.50"))
    await end(runtime, reseller.book_id, 1, refunded="0.50", earned="0")
    await end(runtime, reseller.book_id, 2, refunded="0", earned="0.50")


async def test_a_book_that_never_had_money_has_none(runtime: Runtime, world: World) -> None:
    reseller = await world.reseller(balance="0")
    assert await world.balance(reseller) == Balance(ZERO, ZERO)
    with pytest.raises(InsufficientFunds):
        await hold(runtime, reseller.book_id, (1, "0.01"))


async def test_a_stopped_wallet_spends_nothing_and_still_takes_refunds(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="2.00")
    await hold(runtime, reseller.book_id, (1, "1.00"))
    async with runtime.uow.begin() as session:
        await ledger.set_spendable(session, reseller.book_id, spendable=False)
    with pytest.raises(SpendingStopped):
        await hold(runtime, reseller.book_id, (2, "0.01"))
    async with runtime.uow.begin() as session:
        wallets = await ledger.lock_wallets(session, [reseller.book_id], wait=True)
        assert not wallets[reseller.book_id].spendable
    await end(runtime, reseller.book_id, 1, refunded="1.00", earned="0")
    async with runtime.uow.begin() as session:
        await ledger.set_spendable(session, reseller.book_id, spendable=True)
    assert await world.balance(reseller) == Balance(euros("2.00"), ZERO)


async def test_the_same_cause_twice_moves_money_once(runtime: Runtime, world: World) -> None:
    reseller = await world.reseller(balance="0")
    credit_id = uuid4()
    for _ in range(3):
        assert await credit(runtime, reseller.book_id, "5.00", credit_id) == euros("5.00")
    await hold(runtime, reseller.book_id, (1, "5.00"))
    for _ in range(3):
        await end(runtime, reseller.book_id, 1, refunded="2.00", earned="3.00")
    assert await world.balance(reseller) == Balance(euros("2.00"), ZERO)


async def test_a_second_cause_of_the_same_kind_is_not_blocked(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="0")
    await credit(runtime, reseller.book_id, "5.00", uuid4())
    assert await credit(runtime, reseller.book_id, "5.00", uuid4()) == euros("10.00")


async def test_the_same_cause_with_other_amounts_is_a_bug_and_moves_nothing(
    runtime: Runtime, world: World
) -> None:
    reseller, other = await world.reseller(balance="5.00"), await world.reseller(balance="0")
    credit_id = uuid4()
    await credit(runtime, reseller.book_id, "5.00", credit_id)
    for book_id, amount in ((reseller.book_id, "5.01"), (other.book_id, "5.00")):
        with pytest.raises(LedgerConflictError):
            await credit(runtime, book_id, amount, credit_id)
    await hold(runtime, reseller.book_id, (1, "5.00"))
    await end(runtime, reseller.book_id, 1, refunded="2.00", earned="3.00")
    with pytest.raises(LedgerConflictError):
        await end(runtime, reseller.book_id, 1, refunded="3.00", earned="2.00")
    assert await world.balance(reseller) == Balance(euros("7.00"), ZERO)
    assert await world.balance(other) == Balance(ZERO, ZERO)


async def test_an_order_cannot_be_charged_twice(runtime: Runtime, world: World) -> None:
    reseller = await world.reseller(balance="10.00")
    await hold(runtime, reseller.book_id, (1, "1.00"))
    with pytest.raises(IntegrityError):
        await hold(runtime, reseller.book_id, (1, "1.00"))
    await end(runtime, reseller.book_id, 1, refunded="1.00", earned="0")
    assert await world.balance(reseller) == Balance(euros("10.00"), ZERO)


async def test_an_entry_that_does_not_balance_is_never_posted(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="1.00")
    entries = await world.count("journal")
    async with runtime.uow.begin() as session:
        with pytest.raises(LedgerConflictError, match="does not balance"):
            await ledger._post(
                session,
                JournalKind.CREDIT,
                ("credit", "x"),
                WalletLine(reseller.book_id, CENT),
                [(AccountKind.CLEARING, -CENT - CENT)],
            )
    assert await world.count("journal") == entries


async def test_a_credit_can_be_taken_back_only_while_it_is_there(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="2.00")
    assert await credit(runtime, reseller.book_id, "-0.50", uuid4()) == euros("1.50")
    with pytest.raises(InsufficientFunds):
        await credit(runtime, reseller.book_id, "-1.500001", uuid4())
    assert await credit(runtime, reseller.book_id, "-1.50", uuid4()) == ZERO


async def test_movements_are_listed_newest_first_with_the_balance_after_each(
    runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller(balance="10.00")
    await hold(runtime, reseller.book_id, (1, "1.00"), (2, "2.00"))
    await end(runtime, reseller.book_id, 2, refunded="2.00", earned="0")
    await end(runtime, reseller.book_id, 1, refunded="0", earned="1.00")
    async with runtime.uow.begin() as session:
        listed = await ledger.transactions(session, reseller.book_id, before=None, limit=10)
        rest = await ledger.transactions(session, reseller.book_id, before=listed[1].id, limit=10)
    lines = [(one.kind, str(one.amount), str(one.balance_after), one.order_id) for one in listed]
    assert lines == [
        ("order_end", "2.00", "9.00", 2),
        ("order_hold", "-2.00", "7.00", 2),
        ("order_hold", "-1.00", "9.00", 1),
        ("credit", "10.00", "10.00", None),
    ]
    assert rest == listed[2:]


@pytest.mark.parametrize("table", ["journal", "postings", "order_events"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_the_database_refuses_to_change_history(
    runtime: Runtime, world: World, table: str, verb: str
) -> None:
    await world.order()
    column = {"journal": "note", "postings": "amount", "order_events": "actor"}[table]
    with pytest.raises(DBAPIError, match="append-only"):
        async with runtime.uow.begin() as session:
            await session.execute(text(verb.format(table, column, column)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance = -1 WHERE kind = 'wallet'",
        "UPDATE accounts SET held = -1 WHERE kind = 'wallet'",
        "UPDATE accounts SET balance = NULL WHERE kind = 'wallet'",
        "INSERT INTO postings SELECT journal_id, 9, account_id, 0 FROM postings LIMIT 1",
    ],
)
async def test_the_database_refuses_impossible_figures(
    runtime: Runtime, world: World, statement: str
) -> None:
    await world.reseller(balance="1.00")
    with pytest.raises(IntegrityError):
        async with runtime.uow.begin() as session:
            await session.execute(text(statement))


async def test_the_selling_currency_is_fixed_at_first(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        await ledger.fix_currency(session, "USD")
        with pytest.raises(CurrencyChangedError):
            await ledger.fix_currency(session, "EUR")
        assert await ledger.selling_currency(session) == "USD"


class TestInParallel:
    """Races, with real commits on many connections."""

    pytestmark = pytest.mark.committing

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"pool_size": 30, "pool_timeout_seconds": 30})

    async def test_two_hundred_holds_on_a_balance_for_fifty_are_fifty(
        self, runtime: Runtime, world: World
    ) -> None:
        reseller = await world.reseller(balance="50.00")

        async def try_to_hold(number: int) -> str:
            try:
                await hold(runtime, reseller.book_id, (number, "1.00"))
            except InsufficientFunds:
                return "refused"
            return "held"

        outcomes = await asyncio.gather(*(try_to_hold(number) for number in range(1, 201)))
        assert Counter(outcomes) == {"held": 50, "refused": 150}
        assert await world.balance(reseller) == Balance(ZERO, euros("50.00"))
        held = [number for number, outcome in enumerate(outcomes, start=1) if outcome == "held"]
        await asyncio.gather(*(end(runtime, reseller.book_id, n, "0", "1.00") for n in held))
        assert await world.balance(reseller) == Balance(ZERO, ZERO)

    async def test_two_hundred_orders_on_a_balance_for_fifty_are_fifty(
        self, runtime: Runtime, world: World
    ) -> None:
        reseller = await world.reseller(balance="45.00")
        service = await world.service(rate="0.90")
        wanted = NewOrder(service.id, OrderForm(link="https://example.com/p", quantity=1000))

        async def try_to_place() -> str:
            try:
                async with runtime.uow.begin() as session:
                    await placing.place(
                        session, runtime.keys, reseller.book_id, wanted, actor=ACTOR
                    )
            except InsufficientFunds:
                return "refused"
            return "placed"

        outcomes = await asyncio.gather(*(try_to_place() for _ in range(200)))
        assert Counter(outcomes) == {"placed": 50, "refused": 150}
        assert await world.balance(reseller) == Balance(ZERO, euros("45.00"))
        assert await world.count("orders") == 50

    async def test_a_credit_that_twenty_workers_post_at_once_is_one(
        self, runtime: Runtime, world: World
    ) -> None:
        reseller = await world.reseller(balance="0")
        credit_id = uuid4()
        await asyncio.gather(
            *(credit(runtime, reseller.book_id, "5.00", credit_id) for _ in range(20))
        )
        assert await world.balance(reseller) == Balance(euros("5.00"), ZERO)

    async def test_holds_credits_and_ends_all_at_once_leave_the_sums_right(
        self, runtime: Runtime, world: World
    ) -> None:
        resellers = [await world.reseller(balance="20.00") for _ in range(2)]

        async def live(number: int) -> None:
            book_id = resellers[number % 2].book_id
            await hold(runtime, book_id, (number, "0.50"))
            await credit(runtime, book_id, "0.25", uuid4())
            await end(runtime, book_id, number, refunded="0.20", earned="0.30")

        await asyncio.gather(*(live(number) for number in range(1, 61)))
        for reseller in resellers:
            assert await world.balance(reseller) == Balance(euros("18.50"), ZERO)
        async with runtime.uow.begin() as session:
            totals = await ledger.trial_balance(session)
        assert sum(total.micros for total in totals.values()) == 0
