"""SMOService, a dialect of its own: `type` and `desc` around the `data` of each answer.

Its documentation has four actions, `balance`, `services`, `create_order` (service_id, count, url)
and `check_order` (one order_id, answered by a status and no figures). So there is no field for
comments and other texts, no refill and no cancel. Two things it leaves open are read as its
clients read them: a service's price is that of one unit, and a status word may be Russian.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from app.providers import error_texts
from app.providers.batches import ask_each
from app.providers.classify import classify_answer, classify_failure
from app.providers.excerpt import excerpt, reason
from app.providers.listing import entries_of
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    Capability,
    CatalogEntry,
    IdUnknown,
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
from app.providers.reading import NotReadable, balance_micros, integer, lower_keys, micros_up, text
from app.providers.reply import Reply
from app.providers.status_words import plain, state_of
from app.providers.unoffered import Unoffered
from app.providers.wire import (
    CATALOGUE_BODY_BYTES_MAX,
    STATUS_BODY_BYTES_MAX,
    CallFailed,
    Wire,
)

NAME: Final = "smoservice"
CAPABILITIES: Final = frozenset({Capability.POLLS, Capability.BALANCE})
IDS_PER_STATUS_CALL: Final = 1
CALLS_AT_ONCE_MAX: Final = 4

_NAME_CHARS_MAX: Final = 500
_WORD_CHARS_MAX: Final = 64
_UNITS_PER_RATE: Final = 1000
_RATE_MICROS_MAX: Final = 2**63 - 1

_STATES: Final[Mapping[str, ProviderState]] = {
    "new": ProviderState.PENDING,
    "starting": ProviderState.PENDING,
    "новый": ProviderState.PENDING,
    "запускается": ProviderState.PENDING,
    "выполняется": ProviderState.IN_PROGRESS,
    "выполнен": ProviderState.COMPLETED,
    "частично": ProviderState.PARTIAL,
    "отменен": ProviderState.CANCELED,
}

_log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SmoService(Unoffered):
    """The adapter; all that it holds is the wire it was given."""

    wire: Wire
    name: str = NAME
    capabilities: frozenset[Capability] = CAPABILITIES
    ids_per_status_call: int = IDS_PER_STATUS_CALL

    async def submit(
        self, account: ProviderAccount, submission: Submission, *, may_send: Callable[[], bool]
    ) -> SubmitOutcome:
        """See Adapter.submit. A type that the dialect has no fields for is not sent."""
        fields = _order_fields(submission)
        if fields is None:
            said = f"{self.name} has no fields for an order of {submission.service_type}."
            return Refused(RefusalKind.PERMANENT, said, "")
        secrets = (*_secrets(account), *submission.form.addresses)
        try:
            answer = await self.wire.submit(
                account.base_url,
                _form(account, "create_order") | fields,
                account.timeouts,
                may_send=may_send,
            )
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
        """See Adapter.status. One call per id, few at once, in a new order each time.

        What the account's total time-out leaves no time for, or what comes after the provider
        would hear no more, is Unreadable this time.
        """
        asked = list(dict.fromkeys(provider_order_ids))
        if len(asked) > STATUS_BATCH_MAX:
            raise ValueError(f"At most {STATUS_BATCH_MAX} ids are asked at once, not {len(asked)}.")

        async def check(order_id: str) -> StatusAnswer:
            return await self.check(account, order_id)

        return await ask_each(
            check, asked, seconds=account.timeouts.total_seconds, at_once=CALLS_AT_ONCE_MAX
        )

    async def check(self, account: ProviderAccount, order_id: str) -> StatusAnswer:
        """What the provider says of one order. Raises ProviderUnreachable when it does not."""
        reply = await self._ask(account, "check_order", order_id=order_id)
        error = reply.error()
        if error is not None and error_texts.says_order_unknown(error):
            return IdUnknown()
        secrets = _secrets(account)
        try:
            said = _data(reply)
            if text(said.get("order_id", order_id)) != order_id:
                return Unreadable("The answer is of another order.")
            word = text(said.get("status"))
        except NotReadable as trouble:
            return Unreadable(str(trouble))
        state = _STATES.get(plain(word)) or state_of(word)
        raw = excerpt(word, secrets, limit=_WORD_CHARS_MAX)
        return Progress(
            state, remains=None, start_count=None, charge_micros=None, currency=None, raw_status=raw
        )

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        """See Adapter.balance. It is told without a currency, in that of the account."""
        reply = await self._ask(account, "balance")
        try:
            return ProviderBalance(balance_micros(_data(reply).get("balance")), account.currency)
        except NotReadable as error:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, f"The balance: {error}") from error

    async def services(self, account: ProviderAccount) -> Sequence[CatalogEntry]:
        """See Adapter.services. A service that cannot be read is left out and logged."""
        reply = await self._ask(account, "services", body_bytes_max=CATALOGUE_BODY_BYTES_MAX)
        try:
            listed = lower_keys(reply.object()).get("data")
        except NotReadable as error:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, str(error)) from error
        if not isinstance(listed, list):
            raise ProviderUnreachable(TroubleKind.UNREADABLE, "The answer holds no list.")
        return entries_of(account, listed, _catalog_entry)

    async def _ask(
        self,
        account: ProviderAccount,
        action: str,
        *,
        body_bytes_max: int = STATUS_BODY_BYTES_MAX,
        **fields: str,
    ) -> Reply:
        form, secrets = _form(account, action) | fields, _secrets(account)
        try:
            answer = await self.wire.read(
                account.base_url, form, account.timeouts, body_bytes_max=body_bytes_max
            )
        except CallFailed as failed:
            raise ProviderUnreachable(
                TroubleKind.TRANSPORT, reason(str(failed), secrets)
            ) from failed
        return Reply(answer, secrets, error_of=_error)


def _form(account: ProviderAccount, action: str) -> dict[str, str]:
    # An account without them is refused by the provider, and so paused like one with a wrong key.
    signed = {name: account.credentials.get(name, "") for name in ("user_id", "api_key")}
    return signed | {"action": action}


def _secrets(account: ProviderAccount) -> tuple[str, ...]:
    """The user's number is none, and to cut it out of answers would spoil the numbers of orders."""
    return tuple(value for name, value in account.credentials.items() if name != "user_id")


def _order_fields(submission: Submission) -> dict[str, str] | None:
    form = submission.form
    match submission.service_type:
        case ServiceType.DEFAULT:
            count = form.quantity
        case ServiceType.PACKAGE:
            count = 1
        case _:
            return None
    return {
        "service_id": submission.provider_service,
        "count": str(count or 0),
        "url": form.link or "",
    }


def _terms(said: dict[str, Any]) -> dict[str, Any]:
    """The answer to `create_order` in the words of API v2, for the one rule that judges both."""
    data = said.get("data")
    terms: dict[str, Any] = {"status": said.get("type")}
    if isinstance(data, dict) and "order_id" in lower_keys(data):
        terms["order"] = lower_keys(data)["order_id"]
        # Without the word of success an order id proves no order.
        terms["success"] = plain(str(said.get("type"))) == "success"
    error = _error(said)
    return terms if error is None else terms | {"error": error}


def _error(value: Mapping[str, Any]) -> str | None:
    """What an answer of type error says; one that says nothing more is an error all the same."""
    try:
        said = lower_keys(value)
    except NotReadable:
        # Two spellings of one key: no error that could be told; reading on will refuse it.
        return None
    if plain(str(said.get("type"))) != "error":
        return None
    return str(said.get("desc") or "").strip() or "An error without a description."


def _data(reply: Reply) -> dict[str, Any]:
    data = lower_keys(reply.object()).get("data")
    if not isinstance(data, dict):
        raise NotReadable("The answer holds no data.")
    return lower_keys(data)


def _catalog_entry(item: object) -> CatalogEntry:
    if not isinstance(item, dict):
        raise NotReadable("Not an object.")
    said = lower_keys(item)
    category = " / ".join(
        str(said[key]).strip() for key in ("root_category_name", "category_name") if said.get(key)
    )
    entry = CatalogEntry(
        service=text(said.get("id")),
        name=excerpt(text(said.get("name")), (), limit=_NAME_CHARS_MAX),
        service_type="Default",
        category=excerpt(category, (), limit=_NAME_CHARS_MAX),
        rate_micros=micros_up(said.get("price")) * _UNITS_PER_RATE,
        min=integer(said.get("min")),
        max=integer(said.get("max")),
        refill=False,
        cancel=False,
        dripfeed=False,
    )
    known = entry.service.isascii() and entry.service.isdigit()
    if not known or not 0 <= entry.min <= entry.max or entry.rate_micros > _RATE_MICROS_MAX:
        raise NotReadable("No service id, or a bound or price out of all bounds.")
    return entry
