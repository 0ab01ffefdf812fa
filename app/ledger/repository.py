"""The ledger's SQL: conditional wallet updates, append-only inserts, reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row as SqlRow
from sqlalchemy import and_, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db import Session
from app.core.ids import new_id
from app.core.statements import Row, Statement
from app.ledger.models import HOUSE, Account, AccountKind, Installation, Journal, Posting

_LOCK_WALLETS: Final = """
    SELECT book_id, balance, spendable FROM accounts
    WHERE kind = 'wallet' AND book_id = ANY(CAST(:book_ids AS uuid[]))
    ORDER BY book_id FOR UPDATE
"""
_WAIT_FOR_WALLETS: Final = Statement(_LOCK_WALLETS)
_TAKE_FREE_WALLETS: Final = Statement(f"{_LOCK_WALLETS} SKIP LOCKED")
_HOLD: Final = Statement(
    """
    WITH item AS (
        SELECT * FROM unnest(
            CAST(:book_ids AS uuid[]), CAST(:journal_ids AS uuid[]), CAST(:order_ids AS bigint[]),
            CAST(:amounts AS bigint[]), CAST(:afters AS bigint[])
        ) AS item (book_id, journal_id, order_id, amount, spent_after)
    ), spent AS (
        SELECT book_id, CAST(sum(amount) AS bigint) AS total FROM item GROUP BY book_id
    ), taken AS (
        UPDATE accounts SET balance = balance - spent.total, held = held + spent.total
        FROM spent
        WHERE accounts.book_id = spent.book_id AND kind = 'wallet' AND spendable
          AND balance >= spent.total
        RETURNING accounts.id, accounts.book_id, balance, spent.total
    ), entry AS (
        INSERT INTO journal (id, kind, ref_type, ref_id, created_at)
        SELECT item.journal_id, 'order_hold', 'order', item.order_id::text, :now
        FROM item JOIN taken USING (book_id)
    )
    INSERT INTO postings (journal_id, line, account_id, amount, balance_after, order_id)
    SELECT item.journal_id, 1, taken.id, -item.amount,
           taken.balance + taken.total - item.spent_after, item.order_id
    FROM item JOIN taken USING (book_id)
    UNION ALL
    SELECT item.journal_id, 2, CAST(:held_id AS uuid), item.amount, NULL, item.order_id
    FROM item JOIN taken USING (book_id)
    RETURNING journal_id
    """
)
_LINES_PER_HOLD: Final = 2
_VIOLATIONS: Final = Statement(
    "SELECT code, ref, detail FROM violations(CAST(:since AS timestamptz)) LIMIT :limit"
)
CHECK_SECONDS_MAX: Final = 1800.0
"""A full check reads the whole ledger; no ordinary time-out fits it."""


async def hold_from_wallets(
    session: Session, holds: Sequence[tuple[UUID, int, int]], *, now: datetime
) -> bool:
    """Take each (book, order id, micros) from wallets that cover them; False if one does not."""
    spent: dict[UUID, int] = {}
    afters = []
    for book_id, _, amount in holds:
        spent[book_id] = spent.get(book_id, 0) + amount
        afters.append(spent[book_id])
    rows = await _HOLD.rows(
        session,
        book_ids=[book_id for book_id, _, _ in holds],
        journal_ids=[new_id() for _ in holds],
        order_ids=[order_id for _, order_id, _ in holds],
        amounts=[amount for _, _, amount in holds],
        afters=afters,
        held_id=HOUSE[AccountKind.HELD],
        now=now,
    )
    return len(rows) == _LINES_PER_HOLD * len(holds)


async def lock_wallets(session: Session, book_ids: Sequence[UUID], *, wait: bool) -> list[Row]:
    """Lock the wallets of these books: all of them, or those that nobody else has locked."""
    statement = _WAIT_FOR_WALLETS if wait else _TAKE_FREE_WALLETS
    return await statement.rows(session, book_ids=list(book_ids))


async def find_wallet(session: Session, book_id: UUID) -> Account | None:
    wallet: Account | None = await session.scalar(_wallet_of(book_id))
    return wallet


def _wallet_of(book_id: UUID) -> Any:
    return select(Account).where(Account.book_id == book_id, Account.kind == AccountKind.WALLET)


async def ensure_wallet(session: Session, book_id: UUID) -> UUID:
    """The id of the book's wallet, opened empty when there is none."""
    wanted = select(Account.id).where(
        Account.book_id == book_id, Account.kind == AccountKind.WALLET
    )
    found: UUID | None = await session.scalar(wanted)
    if found is not None:
        return found
    await session.execute(
        upsert(Account)
        .values(id=new_id(), kind=AccountKind.WALLET, book_id=book_id, balance=0, held=0)
        .on_conflict_do_nothing(index_elements=["book_id"], index_where=text("kind = 'wallet'"))
    )
    return (await session.scalars(wanted)).one()


async def set_spendable(session: Session, book_id: UUID, *, spendable: bool) -> None:
    await session.execute(
        update(Account)
        .where(Account.book_id == book_id, Account.kind == AccountKind.WALLET)
        .values(spendable=spendable)
    )


async def move_wallet(
    session: Session, wallet_id: UUID, *, amount: int, held_change: int
) -> int | None:
    """Add to a balance, or take from one that covers it; the new balance, or None."""
    after: int | None = await session.scalar(
        update(Account)
        .where(Account.id == wallet_id, Account.balance + amount >= 0)
        .values(balance=Account.balance + amount, held=Account.held + held_change)
        .returning(Account.balance)
        .execution_options(synchronize_session=False)
    )
    return after


async def insert_journal(
    session: Session, kind: str, ref_type: str, ref_id: str, *, note: str | None, now: datetime
) -> UUID | None:
    """The id of the new entry, or None when this cause already has one."""
    statement = (
        upsert(Journal)
        .values(id=new_id(), kind=kind, ref_type=ref_type, ref_id=ref_id, note=note, created_at=now)
        .on_conflict_do_nothing(index_elements=["kind", "ref_type", "ref_id"])
        .returning(Journal.id)
    )
    journal_id: UUID | None = await session.scalar(statement)
    return journal_id


async def insert_postings(session: Session, rows: list[dict[str, Any]]) -> None:
    await session.execute(insert(Posting), rows)


async def postings_of(
    session: Session, kind: str, ref_type: str, ref_id: str
) -> list[tuple[UUID, int]]:
    """Account and amount of each line that a cause has posted."""
    rows = await session.execute(
        select(Posting.account_id, Posting.amount)
        .join(Journal, Journal.id == Posting.journal_id)
        .where(Journal.kind == kind, Journal.ref_type == ref_type, Journal.ref_id == ref_id)
    )
    return [(row.account_id, row.amount) for row in rows]


async def wallet_page(
    session: Session, book_id: UUID, *, kind: str | None, before: UUID | None, limit: int
) -> Sequence[SqlRow[UUID, str, str | None, datetime, int, int | None, int | None]]:
    """Movements of a wallet, of one kind or of all, newest first."""
    statement = (
        select(
            Journal.id,
            Journal.kind,
            Journal.note,
            Journal.created_at,
            Posting.amount,
            Posting.balance_after,
            Posting.order_id,
        )
        .join(Posting, Posting.journal_id == Journal.id)
        .join(
            Account,
            and_(Account.id == Posting.account_id, Account.kind == AccountKind.WALLET),
        )
        .where(Account.book_id == book_id)
        .order_by(Journal.id.desc())
        .limit(limit)
    )
    if kind is not None:
        statement = statement.where(Journal.kind == kind)
    if before is not None:
        statement = statement.where(Journal.id < before)
    return (await session.execute(statement)).all()


async def violations(
    session: Session, since: datetime | None, *, limit: int
) -> list[tuple[str, str, str]]:
    rows = await _VIOLATIONS.rows_within(session, CHECK_SECONDS_MAX, since=since, limit=limit)
    return [(row.code, row.ref, row.detail) for row in rows]


async def totals(session: Session) -> dict[str, int]:
    """The sum of each kind of account: the trial balance."""
    rows = await session.execute(
        select(Account.kind, func.coalesce(func.sum(Posting.amount), 0))
        .join(Posting, Posting.account_id == Account.id)
        .group_by(Account.kind)
    )
    return {kind: int(total) for kind, total in rows}


async def keep_currency(session: Session, currency: str, *, now: datetime) -> str:
    """Write the selling currency where there is none yet; the one that stands."""
    await session.execute(
        upsert(Installation)
        .values(one=True, currency=currency, created_at=now)
        .on_conflict_do_nothing()
    )
    kept: str = (await session.scalars(select(Installation.currency))).one()
    return kept


async def find_currency(session: Session) -> str | None:
    currency: str | None = await session.scalar(select(Installation.currency))
    return currency
