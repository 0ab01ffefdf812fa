"""`add`: one order from the wire's fields, once, however often its client repeats itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson

from app.catalog import offering
from app.catalog.errors import ServiceUnknown
from app.core import idempotency
from app.core.db import Session
from app.core.idempotency import IdempotencyKeyInvalid
from app.core.ids import new_id
from app.core.runtime import Runtime
from app.core.uow import now_of
from app.orders import placing
from app.orders.errors import TestOrdersUnavailable
from app.panel import repository
from app.panel.items import CONTENT, item_of
from app.panel.reading import number_of
from app.panel.sentences import SERVICE_INCORRECT, Refused
from app.resellers.auth import Caller
from app.resellers.models import Mode, PanelOptions
from app.schedules import service as schedules

INTAKES_KEPT_FOR: Final = timedelta(days=30)
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{idempotency.KEY_LENGTH_MAX}}}")


async def add(
    runtime: Runtime, caller: Caller, options: PanelOptions, fields: Mapping[str, str]
) -> int:
    """Place one order, or one schedule; its number. Raises Refused, and what placing raises."""
    if caller.mode is not Mode.LIVE:
        raise TestOrdersUnavailable
    service_id = number_of(fields.get("service", ""))
    if service_id is None:
        raise Refused(SERVICE_INCORRECT)
    key = fields.get("idempotency_key")
    if key is not None and not _KEY.fullmatch(key):
        raise IdempotencyKeyInvalid
    # Its id is made before the first try: when a COMMIT is cut off, the next one finds what it did.
    intake = _Intake(runtime, caller, new_id(), service_id, fields)

    async def transaction(session: Session) -> int:
        known = await repository.find(session, intake.id)
        if known is not None:
            return known
        if key is not None:
            return await intake.place_under(session, key)
        if options.window_seconds:
            return await intake.place_within(session, timedelta(seconds=options.window_seconds))
        return await intake.place(session)

    return await runtime.uow.run(transaction, repeatable=True)


@dataclass(frozen=True, slots=True)
class _Intake:
    """One `add` on its way: who asks, and what it says."""

    runtime: Runtime
    caller: Caller
    id: UUID
    service_id: int
    fields: Mapping[str, str]

    async def place_under(self, session: Session, key: str) -> int:
        """Place it, or tell what was placed under this key. Raises what `claim` raises."""
        asked = idempotency.Request(
            f"panel:{self.caller.book_id}", key, idempotency.request_hash("add", self._said())
        )
        kept = await idempotency.claim(session, self.runtime.keys, asked)
        if kept is not None:
            return int(kept.body)
        number = await self.place(session)
        answer = idempotency.Answer(200, b"%d" % number)
        await idempotency.keep(session, self.runtime.keys, asked, answer)
        return number

    async def place_within(self, session: Session, window: timedelta) -> int:
        """Place it, unless this key has placed the same content within the window."""
        content, since = self._content(), now_of(session) - window
        await repository.lock_content(session, self.caller.key_id, content)
        recent = await repository.find_recent(session, self.caller.key_id, content, since=since)
        return await self.place(session) if recent is None else recent

    async def place(self, session: Session) -> int:
        """Place it as v1 would."""
        offer = await offering.offer_of(session, self.service_id)
        if offer is None or not offer.on_sale:
            raise ServiceUnknown
        item = item_of(offer, self.fields)
        sell = schedules.place if item.is_schedule else placing.place
        placed = await sell(
            session, self.runtime.keys, self.caller.book_id, item, actor=self.caller.actor
        )
        await repository.insert(session, self.id, self.caller.key_id, self._content(), placed.id)
        return placed.id

    def _content(self) -> bytes:
        """The keyed hash of all that it says: it names people, so that nothing else is kept."""
        return self.runtime.keys.mac("panel content", self._said())

    def _said(self) -> bytes:
        """The same for the same order, in whatever form and with whatever line ends it came."""
        said = {
            name: [line.strip() for line in text.strip().splitlines()]
            for name, text in self.fields.items()
            if name in CONTENT
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


async def forget_intakes(session: Session) -> None:
    """Drop the intakes whose repetition nobody waits for any more."""
    await repository.forget_before(session, now_of(session) - INTAKES_KEPT_FOR)
