"""Resellers, their books and their keys: registering, minting, rotating, revoking, recognising."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.core import apikeys
from app.core.apikeys import KeyKind, MintedKey
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id, parse_public_id, public_id
from app.core.uow import now_of
from app.resellers import repository
from app.resellers.errors import EmailTaken, ScopeTooWide, TooManyKeys
from app.resellers.models import (
    ApiKey,
    Book,
    KeyRecord,
    Mode,
    PanelOptions,
    Plan,
    Reseller,
    Standing,
)
from app.resellers.scopes import Scope

PREFIX: Final = "rsl"
KEY_PREFIX: Final = "key"
BOOK_PREFIX: Final = "bok"
PLAN_DEFAULT: Final = "standard"
ACTIVE_KEYS_MAX: Final = 50
ROTATION_OVERLAP_MAX: Final = timedelta(days=7)
USE_NOTED_EVERY: Final = timedelta(minutes=1)
NO_PANEL_OPTIONS: Final = PanelOptions()


async def register(
    session: Session, *, name: str, email: str, country: str, plan: str = PLAN_DEFAULT
) -> Reseller:
    """Open an account with its two books. Raises EmailTaken, InvalidInput for an unknown plan."""
    if await repository.email_taken(session, email):
        raise EmailTaken
    now = now_of(session)
    if plan == PLAN_DEFAULT:
        chosen = await repository.ensure_plan(session, plan, now=now)
    else:
        found = await repository.find_plan(session, plan)
        if found is None:
            raise InvalidInput(errors=(FieldProblem("/plan", "is no plan of ours"),))
        chosen = found
    reseller = Reseller(
        id=new_id(),
        name=name,
        email=email,
        country=country,
        standing=Standing.ACTIVE,
        plan_id=chosen.id,
        created_at=now,
    )
    session.add(reseller)
    await session.flush()  # the books refer to it
    for mode in Mode:
        session.add(Book(id=new_id(), reseller_id=reseller.id, mode=mode, created_at=now))
    await session.flush()  # keys and wallets refer to the books
    return reseller


async def get(session: Session, reseller_id: UUID) -> Reseller:
    reseller = await repository.find_reseller(session, reseller_id)
    if reseller is None:
        raise NotFound
    return reseller


async def get_public(session: Session, text: str) -> Reseller:
    """By the id that the API shows. Raises NotFound."""
    reseller_id = parse_public_id(PREFIX, text)
    if reseller_id is None:
        raise NotFound
    return await get(session, reseller_id)


async def of_book(session: Session, book_id: UUID) -> Reseller:
    """Whose book this is."""
    return await repository.reseller_of_book(session, book_id)


async def plan_of(session: Session, reseller: Reseller) -> Plan:
    return await repository.plan_of(session, reseller)


async def find_by_email(session: Session, email: str) -> Reseller | None:
    """The account with this e-mail address, in any case of its letters."""
    return await repository.find_by_email(session, email)


async def page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Reseller]:
    return await repository.resellers_page(session, after=after, limit=limit)


async def rename(session: Session, reseller_id: UUID, fields: dict[str, Any]) -> Reseller:
    """Change what an account says of itself."""
    if fields:
        await repository.change_reseller(session, reseller_id, fields)
    return await get(session, reseller_id)


async def set_standing(
    session: Session, reseller_id: UUID, standing: Standing, *, reason: str
) -> None:
    await repository.change_reseller(
        session, reseller_id, {"standing": standing, "standing_reason": reason}
    )


async def book_of(session: Session, reseller_id: UUID, mode: Mode) -> Book:
    book = await repository.book_of(session, reseller_id, mode)
    if book is None:
        raise NotFound
    return book


async def live_book(session: Session, text: str) -> Book:
    """The live book of the reseller whom the API shows by this id. Raises NotFound."""
    reseller = await get_public(session, text)
    return await book_of(session, reseller.id, Mode.LIVE)


async def books_of(session: Session, reseller_id: UUID) -> Sequence[Book]:
    return await repository.books_of(session, reseller_id)


async def make_key(
    session: Session,
    keys: KeyRing,
    book: Book,
    *,
    name: str,
    scopes: Collection[Scope],
    within: Collection[str] | None = None,
    allowed_cidrs: Sequence[str] = (),
    expires_at: datetime | None = None,
    panel: PanelOptions = NO_PANEL_OPTIONS,
) -> tuple[ApiKey, MintedKey]:
    """Make a key to a book; its text is shown this once.

    `within` are the scopes of the key that asks. Raises ScopeTooWide, TooManyKeys.
    """
    if within is not None and not set(scopes) <= set(within):
        raise ScopeTooWide
    await repository.lock_book(session, book.id)
    now = now_of(session)
    if await repository.active_key_count(session, book.id, now=now) >= ACTIVE_KEYS_MAX:
        raise TooManyKeys
    minted = apikeys.mint(KeyKind(book.mode), keys)
    key = ApiKey(
        id=new_id(),
        book_id=book.id,
        lookup=minted.lookup,
        secret_mac=minted.secret_mac,
        pepper=minted.pepper,
        last4=minted.last4,
        name=name,
        scopes=sorted(scopes),
        allowed_cidrs=list(allowed_cidrs),
        panel_get_allowed=panel.get_allowed,
        panel_window_seconds=panel.window_seconds,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(key)
    await session.flush()  # a clash of look-up ids must show here
    return key, minted


async def rotate_key(
    session: Session,
    keys: KeyRing,
    book: Book,
    public_key_id: str,
    *,
    overlap: timedelta,
    within: Collection[str] | None = None,
) -> tuple[ApiKey, MintedKey]:
    """A new key like the old one, which goes on for the overlap (at most 7 days) and then ends.

    `within` are the scopes of the key that asks. Raises NotFound for a key that has ended,
    ScopeTooWide, TooManyKeys.
    """
    old = await get_key(session, book.id, public_key_id)
    now = now_of(session)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise NotFound
    made = await make_key(
        session,
        keys,
        book,
        name=old.name,
        scopes=[Scope(scope) for scope in old.scopes],
        within=within,
        allowed_cidrs=old.allowed_cidrs,
        expires_at=old.expires_at,
        panel=PanelOptions(old.panel_get_allowed, old.panel_window_seconds),
    )
    ends = now + min(overlap, ROTATION_OVERLAP_MAX)
    old.expires_at = ends if old.expires_at is None else min(ends, old.expires_at)
    await session.flush()  # the answer tells when the old key ends
    return made


async def revoke_key(session: Session, book_id: UUID, public_key_id: str) -> None:
    """End a key at once; revoking it again changes nothing."""
    key = await get_key(session, book_id, public_key_id)
    if key.revoked_at is None:
        key.revoked_at = now_of(session)
        await session.flush()  # written before the audit row that tells of it


async def get_key(session: Session, book_id: UUID, public_key_id: str) -> ApiKey:
    key_id = parse_public_id(KEY_PREFIX, public_key_id)
    key = key_id and await repository.find_key(session, book_id, key_id)
    if not key:
        raise NotFound
    return key


async def keys_page(
    session: Session, book_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[ApiKey]:
    return await repository.keys_page(session, [book_id], after=after, limit=limit)


async def keys_of(
    session: Session, reseller_id: UUID, *, after: UUID | None, limit: int
) -> list[tuple[ApiKey, Mode]]:
    """The keys of both books of a reseller, newest first, each with which book it opens."""
    modes = {book.id: Mode(book.mode) for book in await books_of(session, reseller_id)}
    found = await repository.keys_page(session, modes, after=after, limit=limit)
    return [(key, modes[key.book_id]) for key in found]


async def recognise(session: Session, lookup: str) -> KeyRecord | None:
    """What a key's look-up id stands for, standing and plan included."""
    return await repository.find_key_record(session, lookup)


async def note_use(session: Session, record: KeyRecord) -> None:
    """Remember that a key was used, at most once a minute."""
    now = now_of(session)
    if record.last_used_at is None or record.last_used_at < now - USE_NOTED_EVERY:
        await repository.touch_key(session, record.key_id, now=now)


def public_reseller_id(reseller_id: UUID) -> str:
    return public_id(PREFIX, reseller_id)


def public_book_id(book_id: UUID) -> str:
    return public_id(BOOK_PREFIX, book_id)


def public_key_id(key_id: UUID) -> str:
    return public_id(KEY_PREFIX, key_id)


async def revoke_key_of(session: Session, reseller_id: UUID, public_key_id: str) -> None:
    """End a key of either book of a reseller. Raises NotFound."""
    for book in await books_of(session, reseller_id):
        try:
            await revoke_key(session, book.id, public_key_id)
        except NotFound:
            continue
        return
    raise NotFound
