"""The only way money moves: each function posts one balanced, once-only entry, or refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.core.db import Session
from app.core.money import ZERO, Money
from app.core.uow import now_of
from app.ledger import repository
from app.ledger.errors import (
    CurrencyChangedError,
    InsufficientFunds,
    LedgerConflictError,
    SpendingStopped,
)
from app.ledger.models import HOUSE, AccountKind, JournalKind

VIOLATIONS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Balance:
    """What a book can spend, and what its running orders hold."""

    available: Money
    held: Money


@dataclass(frozen=True, slots=True)
class Wallet:
    """A locked wallet: what it has, and whether its owner may spend at all."""

    available: Money
    spendable: bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """One movement of a wallet."""

    id: UUID
    kind: str
    amount: Money
    balance_after: Money
    order_id: int | None
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be, found by the ledger check."""

    code: str
    ref: str
    detail: str


@dataclass(frozen=True, slots=True)
class WalletLine:
    """An entry's side in a wallet, and by how much what its orders hold changes with it."""

    book_id: UUID
    amount: Money
    held_change: Money = ZERO


async def hold(session: Session, book_id: UUID, holds: Sequence[tuple[int, Money]]) -> None:
    """Take the charges of new orders from a wallet: all of them, or none.

    Raises InsufficientFunds, or SpendingStopped for an account that may not spend. The wallet is
    checked and changed by one statement, so that parallel orders can never overdraw it.
    """
    amounts = [(book_id, order_id, charge.micros) for order_id, charge in holds]
    if await repository.hold_from_wallets(session, amounts, now=now_of(session)):
        return
    wallet = await repository.find_wallet(session, book_id)
    if wallet is not None and not wallet.spendable:
        raise SpendingStopped
    raise InsufficientFunds


async def hold_each(session: Session, holds: Sequence[tuple[UUID, int, Money]]) -> None:
    """Take the charges of (book, order id, charge) from wallets that `lock_wallets` has shown to
    cover them. Raises InsufficientFunds, with something taken, where one does not after all.
    """
    amounts = [(book_id, order_id, charge.micros) for book_id, order_id, charge in holds]
    if not await repository.hold_from_wallets(session, amounts, now=now_of(session)):
        raise InsufficientFunds


async def lock_wallets(
    session: Session, book_ids: Sequence[UUID], *, wait: bool
) -> dict[UUID, Wallet]:
    """Lock wallets for the rest of the transaction and tell what each can spend.

    Without `wait`, those that another transaction has locked are left out. A book that never had
    money has no wallet.
    """
    rows = await repository.lock_wallets(session, book_ids, wait=wait)
    return {row.book_id: Wallet(Money(row.balance), spendable=row.spendable) for row in rows}


async def hold_schedule(session: Session, book_id: UUID, schedule_id: int, charge: Money) -> None:
    """Take the charge of all runs of a new schedule. Raises InsufficientFunds, SpendingStopped."""
    wallet = (await lock_wallets(session, [book_id], wait=True)).get(book_id)
    if wallet is not None and not wallet.spendable:
        raise SpendingStopped
    if wallet is None or charge > wallet.available:
        raise InsufficientFunds
    await _post(
        session,
        JournalKind.SCHEDULE_HOLD,
        ("schedule", str(schedule_id)),
        WalletLine(book_id, -charge, held_change=charge),
        [(AccountKind.HELD, charge)],
        order_id=schedule_id,
    )


async def allocate_run(
    session: Session, book_id: UUID, schedule_id: int, number: int, order_id: int, charge: Money
) -> None:
    """Let a run hold what its schedule held for it: once for each run, and no wallet changes."""
    await _post(
        session,
        JournalKind.SCHEDULE_RUN,
        ("run", f"{schedule_id}:{number}"),
        WalletLine(book_id, ZERO),
        [(AccountKind.HELD, -charge), (AccountKind.HELD, charge)],
        order_id=schedule_id,
        to_order_id=order_id,
    )


async def end_schedule(
    session: Session, book_id: UUID, schedule_id: int, *, refunded: Money
) -> None:
    """Give back what a schedule holds for runs that will never start."""
    await _post(
        session,
        JournalKind.SCHEDULE_END,
        ("schedule", str(schedule_id)),
        WalletLine(book_id, refunded, held_change=-refunded),
        [(AccountKind.HELD, -refunded)],
        order_id=schedule_id,
    )


async def end_order(
    session: Session,
    book_id: UUID,
    order_id: int,
    *,
    refunded: Money,
    earned: Money,
    forfeited: Money = ZERO,
) -> None:
    """Settle what an order holds: the parts together are all that it held."""
    total = refunded + earned + forfeited
    await _post(
        session,
        JournalKind.ORDER_END,
        ("order", str(order_id)),
        WalletLine(book_id, refunded, held_change=-total),
        [
            (AccountKind.HELD, -total),
            (AccountKind.REVENUE, earned),
            (AccountKind.FORFEITED, forfeited),
        ],
        order_id=order_id,
    )


async def refund_claim(
    session: Session, book_id: UUID, order_id: int, *, claim_id: UUID, amount: Money
) -> None:
    """Give back what an ended order earned: once for each claim.

    The caller takes it off what the order says it earned, which the database keeps from falling
    below nothing.
    """
    await _post(
        session,
        JournalKind.REFUND_CLAIM,
        ("claim", str(claim_id)),
        WalletLine(book_id, amount),
        [(AccountKind.REVENUE, -amount)],
        order_id=order_id,
    )


async def credit(
    session: Session, book_id: UUID, amount: Money, *, credit_id: UUID, note: str
) -> Money:
    """Put money that an operator vouches for into a wallet; the new balance.

    A negative amount takes it out again, and raises InsufficientFunds where it is spent already.
    """
    await _post(
        session,
        JournalKind.CREDIT,
        ("credit", str(credit_id)),
        WalletLine(book_id, amount),
        [(AccountKind.CLEARING, -amount)],
        note=note,
    )
    return (await balance(session, book_id)).available


async def _post(
    session: Session,
    kind: JournalKind,
    cause: tuple[str, str],
    wallet: WalletLine,
    house: Sequence[tuple[AccountKind, Money]],
    *,
    order_id: int | None = None,
    to_order_id: int | None = None,
    note: str | None = None,
) -> None:
    """The one posting function: balanced, and once per cause.

    A cause posted before with the same lines changes nothing; with other lines it raises
    LedgerConflictError. `to_order_id` is whose the lines are that receive, where it is another's.
    """
    wallet_id = await repository.ensure_wallet(session, wallet.book_id)
    lines = [(wallet_id, wallet.amount), *((HOUSE[account], amount) for account, amount in house)]
    lines = [(account_id, amount) for account_id, amount in lines if amount]
    if sum(amount.micros for _, amount in lines) != 0:
        raise LedgerConflictError(f"{kind} of {cause} does not balance")
    journal_id = await repository.insert_journal(
        session, kind, *cause, note=note, now=now_of(session)
    )
    if journal_id is None:
        posted = await repository.postings_of(session, kind, *cause)
        if sorted(posted) != sorted((account_id, amount.micros) for account_id, amount in lines):
            raise LedgerConflictError(f"{kind} of {cause} was posted with other amounts")
        return
    after = await repository.move_wallet(
        session, wallet_id, amount=wallet.amount.micros, held_change=wallet.held_change.micros
    )
    if after is None:
        raise InsufficientFunds
    await repository.insert_postings(
        session,
        [
            {
                "journal_id": journal_id,
                "line": number,
                "account_id": account_id,
                "amount": amount.micros,
                "balance_after": after if account_id == wallet_id else None,
                "order_id": to_order_id if to_order_id and amount > ZERO else order_id,
            }
            for number, (account_id, amount) in enumerate(lines, start=1)
        ],
    )


async def set_spendable(session: Session, book_id: UUID, *, spendable: bool) -> None:
    """Let a wallet spend, or stop it; exact from this commit on, in every process."""
    await repository.ensure_wallet(session, book_id)
    await repository.set_spendable(session, book_id, spendable=spendable)


async def may_spend(session: Session, book_id: UUID) -> bool:
    """Whether the owner of a book's wallet may spend at all, as of now."""
    wallet = await repository.find_wallet(session, book_id)
    return wallet is None or wallet.spendable


async def balance(session: Session, book_id: UUID) -> Balance:
    """A book without a wallet has nothing and holds nothing."""
    wallet = await repository.find_wallet(session, book_id)
    if wallet is None:
        return Balance(ZERO, ZERO)
    return Balance(Money(wallet.balance or 0), Money(wallet.held or 0))


async def transactions(
    session: Session,
    book_id: UUID,
    *,
    kind: JournalKind | None = None,
    before: UUID | None,
    limit: int,
) -> list[Transaction]:
    """Movements of a wallet, of one kind or of all, newest first, at most `limit`."""
    rows = await repository.wallet_page(session, book_id, kind=kind, before=before, limit=limit)
    return [
        Transaction(
            row.id,
            row.kind,
            Money(row.amount),
            Money(row.balance_after or 0),
            row.order_id,
            row.note,
            row.created_at,
        )
        for row in rows
    ]


async def violations(session: Session, since: datetime | None = None) -> list[Violation]:
    """The ledger check: what must never be, at most 1,000 rows; empty when all is well."""
    rows = await repository.violations(session, since, limit=VIOLATIONS_MAX)
    return [Violation(*row) for row in rows]


async def trial_balance(session: Session) -> dict[str, Money]:
    """The sum of every kind of account; together they are zero."""
    return {kind: Money(total) for kind, total in (await repository.totals(session)).items()}


async def fix_currency(session: Session, currency: str) -> None:
    """Set the selling currency at first, and refuse to go on under another one later."""
    kept = await repository.keep_currency(session, currency, now=now_of(session))
    if kept != currency:
        raise CurrencyChangedError(
            f"this database sells in {kept}; SMMOS_CURRENCY={currency} would change every price"
        )


async def selling_currency(session: Session) -> str | None:
    """The currency that stands, None before the first migrate."""
    return await repository.find_currency(session)
