"""Another installation of this platform, reached as its resellers reach it: through API v1.

Our attempt's reference goes along twice: as the `Idempotency-Key`, and as the order's `reference`,
by which an order whose answer was lost can be looked up. Subscriptions are not handed on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from app.providers.batches import ask_each
from app.providers.classify import classify_answer, classify_failure
from app.providers.excerpt import excerpt, reason
from app.providers.forms import FORMS, filled
from app.providers.listing import entries_of
from app.providers.protocol import (
    LOOKUP_BATCH_MAX,
    STATUS_BATCH_MAX,
    Capability,
    CatalogEntry,
    Found,
    IdUnknown,
    LookupAnswer,
    NotThere,
    Progress,
    ProviderAccount,
    ProviderBalance,
    ProviderState,
    ProviderUnreachable,
    RefusalKind,
    Refused,
    ServiceType,
    StatusAnswer,
    Submission,
    SubmitOutcome,
    TroubleKind,
    Unreadable,
)
from app.providers.reading import (
    NotReadable,
    balance_micros,
    flag,
    integer,
    integer_or_none,
    lower_keys,
    micros_down,
    micros_up,
    text,
)
from app.providers.reply import Reply
from app.providers.unoffered import Unoffered
from app.providers.wire import CATALOGUE_BODY_BYTES_MAX, Answer, CallFailed, Outgoing, Wire

NAME: Final = "smmos"
CAPABILITIES: Final = frozenset({Capability.POLLS, Capability.BALANCE, Capability.LOOKUP})
IDS_PER_STATUS_CALL: Final = 1
CALLS_AT_ONCE_MAX: Final = 4
PAGES_MAX: Final = 100
PAGE_SIZE: Final = 100

_NAME_CHARS_MAX: Final = 500
_WORD_CHARS_MAX: Final = 64

_STATES: Final[Mapping[str, ProviderState]] = {
    "queued": ProviderState.PENDING,
    "on_hold": ProviderState.PENDING,
    "processing": ProviderState.IN_PROGRESS,
    "in_progress": ProviderState.IN_PROGRESS,
    "completed": ProviderState.COMPLETED,
    "partial": ProviderState.PARTIAL,
    "canceled": ProviderState.CANCELED,
    # Nobody took it there, and all of it was paid back.
    "failed": ProviderState.CANCELED,
}
_REFUSALS: Final[Mapping[str, str]] = {
    "insufficient-funds": "Insufficient funds",
    "link-busy": "You have an active order with this link",
    "service-unknown": "Service not found",
    "service-unavailable": "Incorrect request",
}
"""What the codes of refusals are in the words of API v2; a code that is not here is told as said,
and judged by its status."""

_PERHAPS_TAKEN: Final = frozenset(
    {"idempotency-in-flight", "idempotency-key-reused", "idempotency-answer-expired"}
)
"""Codes that speak of another request under our key: that one may have placed the order."""


@dataclass(frozen=True, slots=True)
class Smmos(Unoffered):
    """The adapter; all that it holds is the wire it was given."""

    wire: Wire
    name: str = NAME
    capabilities: frozenset[Capability] = CAPABILITIES
    ids_per_status_call: int = IDS_PER_STATUS_CALL

    async def submit(
        self, account: ProviderAccount, submission: Submission, *, may_send: Callable[[], bool]
    ) -> SubmitOutcome:
        """See Adapter.submit."""
        if submission.service_type is ServiceType.SUBSCRIPTIONS:
            return Refused(RefusalKind.PERMANENT, f"{self.name} hands on no subscriptions.", "")
        # The other side answers with the order, its link included.
        secrets = (*_secrets(account), *submission.form.addresses)
        outgoing = Outgoing(
            _url(account, "/v1/orders"),
            orjson.dumps(_body(submission)),
            _headers(account)
            | {"Content-Type": "application/json", "Idempotency-Key": submission.reference},
        )
        try:
            answer = await self.wire.send(outgoing, account.timeouts, may_send=may_send)
        except CallFailed as failed:
            return classify_failure(
                failed.cause, first_byte_begun=failed.first_byte_begun, secrets=secrets
            )
        return classify_answer(
            answer.status,
            answer.headers,
            answer.body,
            now=answer.received_at,
            secrets=secrets,
            terms=_terms,
        )

    async def status(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, StatusAnswer]:
        """See Adapter.status. One call per id, as by `ask_each`."""

        async def check(order_id: str) -> StatusAnswer:
            return await self._check(account, order_id)

        return await ask_each(
            check,
            _bounded(provider_order_ids, STATUS_BATCH_MAX),
            seconds=account.timeouts.total_seconds,
            at_once=CALLS_AT_ONCE_MAX,
        )

    async def find(
        self, account: ProviderAccount, references: Sequence[str]
    ) -> Mapping[str, LookupAnswer]:
        """See Adapter.find. One call per reference, as by `ask_each`."""

        async def look_up(reference: str) -> LookupAnswer:
            return await self._look_up(account, reference)

        return await ask_each(
            look_up,
            _bounded(references, LOOKUP_BATCH_MAX),
            seconds=account.timeouts.total_seconds,
            at_once=CALLS_AT_ONCE_MAX,
        )

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        """See Adapter.balance."""
        reply = _reply(await self._get(account, "/v1/balance"), account)
        try:
            said = _object(reply.object().get("balance"))
            return ProviderBalance(balance_micros(said.get("amount")), text(said.get("currency")))
        except NotReadable as error:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, f"The balance: {error}") from error

    async def services(self, account: ProviderAccount) -> Sequence[CatalogEntry]:
        """See Adapter.services. A service that cannot be read is left out and logged."""
        listed: list[Any] = []
        cursor: object = None
        for _ in range(PAGES_MAX):
            asked = {"limit": str(PAGE_SIZE)} | ({"cursor": str(cursor)} if cursor else {})
            path = f"/v1/services?{urlencode(asked)}"
            answer = await self._get(account, path, body_bytes_max=CATALOGUE_BODY_BYTES_MAX)
            said = _reply(answer, account).object()
            listed += _page(said)
            cursor = said.get("next_cursor")
            if not cursor:
                return entries_of(account, listed, _catalog_entry)
        raise ProviderUnreachable(TroubleKind.UNREADABLE, "The list of services has no end.")

    async def _check(self, account: ProviderAccount, order_id: str) -> StatusAnswer:
        if not order_id.isascii() or not order_id.isdigit():
            return IdUnknown()
        answer = await self._get(account, f"/v1/orders/{order_id}")
        reply = _reply(answer, account)
        if answer.status == HTTPStatus.NOT_FOUND and reply.error() is not None:
            return IdUnknown()
        try:
            return _progress(reply.object(), order_id, _secrets(account))
        except NotReadable as error:
            return Unreadable(str(error))

    async def _look_up(self, account: ProviderAccount, reference: str) -> LookupAnswer:
        path = f"/v1/orders?{urlencode({'reference': reference, 'limit': '2'})}"
        reply = _reply(await self._get(account, path), account)
        try:
            listed = [_object(one) for one in _page(reply.object())]
            if any(one.get("reference") != reference for one in listed):
                return Unreadable("The answer is of another reference.")
            if len(listed) > 1:
                return Unreadable("Several orders have this reference.")
            return Found(str(integer(listed[0].get("id")))) if listed else NotThere()
        except NotReadable as error:
            return Unreadable(str(error))

    async def _get(
        self, account: ProviderAccount, path: str, *, body_bytes_max: int | None = None
    ) -> Answer:
        outgoing = Outgoing(_url(account, path), headers=_headers(account))
        bound = {} if body_bytes_max is None else {"body_bytes_max": body_bytes_max}
        try:
            return await self.wire.ask(outgoing, account.timeouts, **bound)
        except CallFailed as failed:
            raise ProviderUnreachable(
                TroubleKind.TRANSPORT, reason(str(failed), _secrets(account))
            ) from failed


def _url(account: ProviderAccount, path: str) -> str:
    return account.base_url.rstrip("/") + path


def _headers(account: ProviderAccount) -> dict[str, str]:
    # An account without a key is refused by the provider, and so paused like one with a wrong key.
    return {"Authorization": f"Bearer {account.credentials.get('key', '')}"}


def _secrets(account: ProviderAccount) -> tuple[str, ...]:
    return tuple(account.credentials.values())


def _bounded(asked: Sequence[str], most: int) -> list[str]:
    """Each once. Raises ValueError for more than one call may ask for."""
    each = list(dict.fromkeys(asked))
    if len(each) > most:
        raise ValueError(f"At most {most} are asked about at once, not {len(each)}.")
    return each


def _body(submission: Submission) -> dict[str, Any]:
    """The order as v1 takes it: the fields of its type that say something, lines as lists."""
    said = submission.form.said()
    body: dict[str, Any] = {
        field: list(filled(value)) if isinstance(value, tuple) else value
        for field in FORMS[submission.service_type].fields
        if field in said and (value := getattr(submission.form, field)) is not None
    }
    service = submission.provider_service
    number: int | str = int(service) if service.isascii() and service.isdigit() else service
    return body | {
        "service_id": number,
        "type": submission.service_type,
        "reference": submission.reference,
    }


def _terms(said: dict[str, Any]) -> dict[str, Any]:
    """The answer to an order in the words of API v2, for the one rule that judges all dialects."""
    code = str(said.get("code") or "")
    if "id" in said and not code:
        return {"order": said["id"]}
    if code in _PERHAPS_TAKEN:
        # An order without an id: nothing is known of it.
        return {"order": None}
    told = _REFUSALS.get(code) or said.get("title")
    return {"error": str(told)} if told else {}


def _error(value: Mapping[str, Any]) -> str | None:
    """What a problem document says."""
    try:
        said = lower_keys(value)
    except NotReadable:
        # Two spellings of one key: no error that could be told; reading on will refuse it.
        return None
    if "code" not in said or "title" not in said:
        return None
    return str(said["title"]).strip() or "A problem without a title."


def _reply(answer: Answer, account: ProviderAccount) -> Reply:
    return Reply(answer, _secrets(account), error_of=_error)


def _page(said: Mapping[str, Any]) -> list[Any]:
    listed = said.get("data")
    if not isinstance(listed, list):
        raise ProviderUnreachable(TroubleKind.UNREADABLE, "The answer holds no list.")
    return listed


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotReadable("Not an object.")
    return value


def _progress(said: dict[str, Any], order_id: str, secrets: Sequence[str]) -> Progress | Unreadable:
    if str(integer(said.get("id"))) != order_id:
        return Unreadable("The answer is of another order.")
    word = text(said.get("status"))
    charge, refunded = _object(said.get("charge")), _object(said.get("refunded"))
    kept = micros_up(charge.get("amount")) - micros_down(refunded.get("amount"))
    return Progress(
        state=_STATES.get(word, ProviderState.UNKNOWN),
        remains=integer_or_none(said.get("remains")),
        start_count=integer_or_none(said.get("start_count")),
        charge_micros=max(kept, 0),
        currency=text(charge.get("currency")),
        raw_status=excerpt(word, secrets, limit=_WORD_CHARS_MAX),
    )


def _catalog_entry(item: object) -> CatalogEntry:
    said = _object(item)
    rate = _object(said.get("rate"))
    return CatalogEntry(
        service=str(integer(said.get("id"))),
        name=excerpt(text(said.get("name")), (), limit=_NAME_CHARS_MAX),
        service_type=text(said.get("type")).replace("_", " ").title(),
        category=excerpt(text(said.get("category")), (), limit=_NAME_CHARS_MAX),
        rate_micros=micros_up(rate.get("amount")),
        min=integer(said.get("min_quantity")),
        max=integer(said.get("max_quantity")),
        refill=flag(said.get("refill")),
        cancel=flag(said.get("cancel")),
        dripfeed=False,
    )
