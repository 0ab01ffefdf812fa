"""The ledger's SQL: conditional wallet updates, append-only inserts, reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db import Session
from app.core.ids import new_id
from app.core.statements import Statement
from app.ledger.models import HOUSE, Account, AccountKind, Installation, Journal, Posting

_HOLD: Final = Statement(
    """
    WITH taken AS (
        UPDATE accounts SET balance = balance - :total, held = held + :total
        WHERE book_id = :book_id AND kind = 'wallet' AND spendable AND balance >= :total
        RETURNING id, balance
    ), item AS (
        SELECT * FROM unnest(
            CAST(:journal_ids AS uuid[]), CAST(:order_ids AS bigint[]),
            CAST(:amounts AS bigint[]), CAST(:afters AS bigint[])
        ) AS item (journal_id, order_id, amount, spent_after)
    ), entry AS (
        INSERT INTO journal (id, kind, ref_type, ref_id, created_at)
        SELECT item.journal_id, 'order_hold', 'order', item.order_id::text, :now FROM item, taken
    )
    INSERT INTO postings (journal_id, line, account_id, amount, balance_after, order_id)
    SELECT item.journal_id, 1, taken.id, -item.amount,
           taken.balance + :total - item.spent_after, item.order_id
    FROM item, taken
    UNION ALL
    SELECT item.journal_id, 2, CAST(:held_id AS uuid), item.amount, NULL, item.order_id
    FROM item, taken
    RETURNING journal_id
    """
)


async def hold_from_wallet(
    session: Session, book_id: UUID, holds: Sequence[tuple[int, int]], *, now: datetime
) -> bool:
    """Take the sum of (order id, micros) from a wallet that covers it; else nothing, and False."""
    spent = 0
    afters = []
    for _, amount in holds:
        spent += amount
        afters.append(spent)
    rows = await _HOLD.rows(
        session,
        total=spent,
        book_id=book_id,
        journal_ids=[new_id() for _ in holds],
        order_ids=[order_id for order_id, _ in holds],
        amounts=[amount for _, amount in holds],
        afters=afters,
        held_id=HOUSE[AccountKind.HELD],
        now=now,
    )
    return bool(rows)


async def find_wallet(session: Session, book_id: UUID) -> Account | None:
    wallet: Account | None = await session.scalar(_wallet_of(book_id))
    return wallet


async def lock_wallet(session: Session, book_id: UUID) -> Account | None:
    wallet: Account | None = await session.scalar(
        _wallet_of(book_id).with_for_update().execution_options(populate_existing=True)
    )
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
    session: Session, book_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[Row[UUID, str, str | None, datetime, int, int | None, int | None]]:
    """Movements of a wallet, newest first."""
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
    if before is not None:
        statement = statement.where(Journal.id < before)
    return (await session.execute(statement)).all()


async def violations(
    session: Session, since: datetime | None, *, limit: int
) -> list[tuple[str, str, str]]:
    rows = await session.execute(
        text("SELECT code, ref, detail FROM violations(:since) LIMIT :limit"),
        {"since": since, "limit": limit},
    )
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
