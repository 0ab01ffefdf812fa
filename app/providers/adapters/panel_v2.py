"""API v2, the industry's wire standard, spoken as its client to one provider."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from app.providers import error_texts
from app.providers.classify import classify_answer, classify_failure
from app.providers.excerpt import excerpt, reason
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    CatalogEntry,
    IdUnknown,
    Progress,
    ProviderAccount,
    ProviderBalance,
    ProviderState,
    ProviderUnreachable,
    ServiceType,
    StatusAnswer,
    Submission,
    SubmitOutcome,
    TroubleKind,
    Unreadable,
)
from app.providers.reading import (
    NotReadable,
    flag,
    integer,
    integer_or_none,
    lower_keys,
    micros_down,
    micros_up,
    text,
)
from app.providers.reply import Reply, error_text
from app.providers.wire import (
    CATALOGUE_BODY_BYTES_MAX,
    STATUS_BODY_BYTES_MAX,
    CallFailed,
    Wire,
)

NAME: Final = "panel_v2"

_NAME_CHARS_MAX: Final = 500
_WORD_CHARS_MAX: Final = 64

_STATES: Final[Mapping[str, ProviderState]] = {
    "pending": ProviderState.PENDING,
    "awaiting": ProviderState.PENDING,
    "in progress": ProviderState.IN_PROGRESS,
    "inprogress": ProviderState.IN_PROGRESS,
    "processing": ProviderState.IN_PROGRESS,
    "completed": ProviderState.COMPLETED,
    "complete": ProviderState.COMPLETED,
    "partial": ProviderState.PARTIAL,
    "canceled": ProviderState.CANCELED,
    "cancelled": ProviderState.CANCELED,
    # The provider gave our money back, which is what its Canceled means too.
    "refunded": ProviderState.CANCELED,
    # The provider gave up; whether it delivered or charged something, the word does not say.
    "fail": ProviderState.FAILED,
    "failed": ProviderState.FAILED,
    "error": ProviderState.FAILED,
}

_SERVICE_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CURRENCY: Final = re.compile(r"\s*[A-Za-z]{3,5}\s*")

_log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PanelV2:
    """The adapter; all that it holds is the wire it was given."""

    wire: Wire
    name: str = NAME

    async def submit(
        self, account: ProviderAccount, submission: Submission, *, may_send: Callable[[], bool]
    ) -> SubmitOutcome:
        """See Adapter.submit."""
        form = _form(account, "add") | _order_fields(submission)
        secrets = _secrets(account)
        try:
            answer = await self.wire.submit(
                account.base_url, form, account.timeouts, may_send=may_send
            )
        except CallFailed as failed:
            return classify_failure(
                failed.cause, first_byte_begun=failed.first_byte_begun, secrets=secrets
            )
        return classify_answer(
            answer.status, answer.headers, answer.body, now=answer.received_at, secrets=secrets
        )

    async def status(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, StatusAnswer]:
        """See Adapter.status. One id too is asked as a list, so that its error stays its own."""
        asked = tuple(dict.fromkeys(provider_order_ids))
        if len(asked) > STATUS_BATCH_MAX:
            raise ValueError(f"At most {STATUS_BATCH_MAX} ids are asked at once, not {len(asked)}.")
        if not asked:
            return {}
        reply = await self._ask(account, "status", orders=",".join(asked))
        error = reply.error()
        if error is not None and error_texts.says_order_unknown(error):
            return _none_known(asked)
        said = reply.object()
        if len(asked) == 1 and any(key.lower() == "status" for key in said):
            said = {asked[0]: said}
        secrets = _secrets(account)
        return {
            order_id: _status_answer(said[order_id], secrets) if order_id in said else IdUnknown()
            for order_id in asked
        }

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        """See Adapter.balance. A provider that names no currency means the account's own."""
        reply = await self._ask(account, "balance")
        try:
            said = lower_keys(reply.object())
            currency = _currency(said.get("currency")) or account.currency
            return ProviderBalance(micros_down(said.get("balance")), currency)
        except NotReadable as error:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, f"The balance: {error}") from error

    async def services(self, account: ProviderAccount) -> Sequence[CatalogEntry]:
        """See Adapter.services. A service that cannot be read is left out and logged."""
        reply = await self._ask(account, "services", body_bytes_max=CATALOGUE_BODY_BYTES_MAX)
        listed = reply.array()
        entries: list[CatalogEntry] = []
        unreadable: list[str] = []
        for position, item in enumerate(listed):
            try:
                entries.append(_catalog_entry(item))
            except NotReadable as error:
                unreadable.append(f"{position}: {error}")
        if unreadable:
            _log.warning(
                "provider_services_unreadable",
                provider_id=account.provider_id,
                count=len(unreadable),
                first=unreadable[:5],
            )
        if listed and not entries:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, "Not one service can be read.")
        return entries

    async def _ask(
        self,
        account: ProviderAccount,
        action: str,
        *,
        body_bytes_max: int = STATUS_BODY_BYTES_MAX,
        **fields: str,
    ) -> Reply:
        form = _form(account, action) | fields
        secrets = _secrets(account)
        try:
            answer = await self.wire.read(
                account.base_url, form, account.timeouts, body_bytes_max=body_bytes_max
            )
        except CallFailed as failed:
            raise ProviderUnreachable(
                TroubleKind.TRANSPORT, reason(str(failed), secrets)
            ) from failed
        return Reply(answer, secrets)


def _form(account: ProviderAccount, action: str) -> dict[str, str]:
    # An account without a key is refused by the provider, and so paused like one with a wrong key.
    return {"key": account.credentials.get("key", ""), "action": action}


def _secrets(account: ProviderAccount) -> tuple[str, ...]:
    return tuple(account.credentials.values())


def _order_fields(submission: Submission) -> dict[str, str]:
    fields = {"service": submission.provider_service, "link": submission.link}
    match submission.service_type:
        case ServiceType.DEFAULT:
            return fields | {"quantity": str(submission.quantity)}
        case ServiceType.PACKAGE:
            return fields
        case ServiceType.CUSTOM_COMMENTS:
            return fields | {"comments": "\n".join(submission.comments)}


def _none_known(asked: Sequence[str]) -> dict[str, StatusAnswer]:
    """One id is then unknown; of several it may be any, so that nothing is said of each."""
    if len(asked) == 1:
        return {asked[0]: IdUnknown()}
    return dict.fromkeys(asked, Unreadable("One error for the whole batch: an id is unknown."))


def _status_answer(entry: object, secrets: Sequence[str]) -> StatusAnswer:
    try:
        said = _entry(entry)
        error = error_text(said)
        if error is not None:
            unknown = error_texts.says_order_unknown(error)
            return IdUnknown() if unknown else Unreadable(reason(error, secrets))
        status = text(said.get("status"))
        # Settlement hangs on the charge: one that cannot be read is not the same as none.
        charge = said.get("charge")
        return Progress(
            state=_state(status),
            remains=integer_or_none(said.get("remains")),
            start_count=integer_or_none(said.get("start_count")),
            charge_micros=None if charge in (None, "") else micros_up(charge),
            currency=_currency(said.get("currency")),
            raw_status=excerpt(status, secrets, limit=_WORD_CHARS_MAX),
        )
    except NotReadable as error:
        return Unreadable(str(error))


def _state(status: str) -> ProviderState:
    word = " ".join(status.lower().replace("_", " ").replace("-", " ").split())
    return _STATES.get(word, ProviderState.UNKNOWN)


def _catalog_entry(item: object) -> CatalogEntry:
    said = _entry(item)
    entry = CatalogEntry(
        service=text(said.get("service")),
        name=excerpt(text(said.get("name")), (), limit=_NAME_CHARS_MAX),
        service_type=excerpt(text(said.get("type")), (), limit=_WORD_CHARS_MAX),
        category=excerpt(text(said.get("category", "")), (), limit=_NAME_CHARS_MAX),
        rate_micros=micros_up(said.get("rate")),
        min=integer(said.get("min")),
        max=integer(said.get("max")),
        refill=flag(said.get("refill")),
        cancel=flag(said.get("cancel")),
        dripfeed=flag(said.get("dripfeed")),
    )
    if not _SERVICE_TOKEN.fullmatch(entry.service) or not 0 <= entry.min <= entry.max:
        raise NotReadable("No service id, or a minimum above the maximum.")
    return entry


def _entry(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotReadable("Not an object.")
    return lower_keys(value)


def _currency(value: object) -> str | None:
    """A currency's three or so letters; anything else is none."""
    return value.strip().upper() if isinstance(value, str) and _CURRENCY.fullmatch(value) else None
