"""The calls of API v2, each made and answered for in the platform's words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from app.providers import error_texts
from app.providers.adapters.panel_v2 import answers
from app.providers.adapters.panel_v2.questions import order_fields
from app.providers.aftercare import CancelRefused, RefillRefused
from app.providers.batches import Ask, Spoilt, ask_in_pieces
from app.providers.classify import classify_answer, classify_failure
from app.providers.excerpt import excerpt, reason
from app.providers.listing import entries_of
from app.providers.protocol import (
    CANCEL_BATCH_MAX,
    REFILL_BATCH_MAX,
    STATUS_BATCH_MAX,
    CancelAnswer,
    Capability,
    CatalogEntry,
    IdUnknown,
    NotSent,
    ProviderAccount,
    ProviderBalance,
    ProviderUnreachable,
    RefillAnswer,
    RefillStatusAnswer,
    StatusAnswer,
    Submission,
    SubmitOutcome,
    TroubleKind,
    Unconfirmed,
    Unreadable,
)
from app.providers.reading import NotReadable, balance_micros, lower_keys
from app.providers.reply import Reply
from app.providers.unoffered import Unoffered
from app.providers.wire import (
    CATALOGUE_BODY_BYTES_MAX,
    STATUS_BODY_BYTES_MAX,
    Answer,
    CallFailed,
    Wire,
)

NAME: Final = "panel_v2"
CAPABILITIES: Final = frozenset(Capability) - {Capability.LOOKUP}
IDS_PER_STATUS_CALL: Final = STATUS_BATCH_MAX

# After these a provider has certainly not looked at what it was asked to do.
_TURNED_AWAY: Final = frozenset(
    {TroubleKind.CREDENTIALS, TroubleKind.RATE_LIMITED, TroubleKind.MAINTENANCE}
)
_SPOILT: Final = Unreadable(
    "One error for the whole batch, and not this time the calls to isolate it."
)

_log: Final = structlog.stdlib.get_logger(__name__)
_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class PanelV2(Unoffered):
    """The adapter; all that it holds is the wire it was given."""

    wire: Wire
    name: str = NAME
    capabilities: frozenset[Capability] = CAPABILITIES
    ids_per_status_call: int = IDS_PER_STATUS_CALL

    async def submit(
        self, account: ProviderAccount, submission: Submission, *, may_send: Callable[[], bool]
    ) -> SubmitOutcome:
        """See Adapter.submit."""
        form = _form(account, "add") | order_fields(submission)
        secrets = (*_secrets(account), *submission.form.addresses)
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
        """See Adapter.status. One id too is asked as a list, so that its error stays its own.

        A provider that answers a whole batch with the error of one id is asked for its halves.
        """
        secrets = _secrets(account)

        async def ask(ids: Sequence[str]) -> Mapping[str, StatusAnswer] | Spoilt[StatusAnswer]:
            reply = await self._ask(account, "status", orders=",".join(ids))
            error = reply.error()
            if error is not None and error_texts.says_order_unknown(error):
                return Spoilt(IdUnknown(), reply.received_at)
            content = reply.content()
            listed = answers.statuses_in(content, ids) if isinstance(content, list) else {}
            # A list that tells of none of them is no answer.
            said = listed or reply.object()
            if len(ids) == 1 and any(key.lower() == "status" for key in said):
                said = {ids[0]: said}
            return {
                one: answers.status_answer(said[one], secrets)
                if one in said
                else IdUnknown(told=False)
                for one in ids
            }

        return await _of_each(ask, _bounded(provider_order_ids, STATUS_BATCH_MAX), account)

    async def refill(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, RefillAnswer]:
        """See Adapter.refill. One error for several orders may have come after some were taken."""
        asked = _bounded(provider_order_ids, REFILL_BATCH_MAX)
        if not asked:
            return {}
        secrets = _secrets(account)
        form = _form(account, "refill") | {"orders": ",".join(asked)}
        try:
            # As a submit is sent: on a fresh connection, and told whether a byte was begun.
            answer = await self.wire.submit(
                account.base_url, form, account.timeouts, may_send=lambda: True
            )
        except CallFailed as failed:
            lost = classify_failure(
                failed.cause, first_byte_begun=failed.first_byte_begun, secrets=secrets
            )
            if isinstance(lost, NotSent):
                raise ProviderUnreachable(TroubleKind.TRANSPORT, lost.reason) from failed
            return dict.fromkeys(asked, lost)
        return _refills(asked, answer, secrets)

    async def refill_status(
        self, account: ProviderAccount, provider_refill_ids: Sequence[str]
    ) -> Mapping[str, RefillStatusAnswer]:
        """See Adapter.refill_status; a spoilt batch is asked for its halves, as by `status`."""
        secrets = _secrets(account)

        async def ask(
            ids: Sequence[str],
        ) -> Mapping[str, RefillStatusAnswer] | Spoilt[RefillStatusAnswer]:
            reply = await self._ask(account, "refill_status", refills=",".join(ids))
            error = reply.error()
            if error is not None and error_texts.says_refill_unknown(error):
                return Spoilt(IdUnknown(), reply.received_at)
            said = answers.by_id(reply.content(), ids, "refill", "status")
            return {
                one: answers.refill_status_answer(said[one], secrets)
                if one in said
                else IdUnknown()
                for one in ids
            }

        return await _of_each(ask, _bounded(provider_refill_ids, STATUS_BATCH_MAX), account)

    async def cancel(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, CancelAnswer]:
        """See Adapter.cancel; to ask again for the halves of a spoilt batch changes nothing."""
        secrets = _secrets(account)

        async def ask(ids: Sequence[str]) -> Mapping[str, CancelAnswer] | Spoilt[CancelAnswer]:
            reply = await self._ask(account, "cancel", orders=",".join(ids))
            try:
                content = reply.content()
            except ProviderUnreachable as trouble:
                if trouble.kind is not TroubleKind.REFUSED:
                    raise
                return Spoilt(CancelRefused(trouble.reason), reply.received_at)
            said = answers.by_id(content, ids, "order", "cancel")
            return {one: answers.cancel_answer(said.get(one), secrets) for one in ids}

        return await _of_each(ask, _bounded(provider_order_ids, CANCEL_BATCH_MAX), account)

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        """See Adapter.balance. A provider that names no currency means the account's own."""
        reply = await self._ask(account, "balance")
        try:
            said = lower_keys(reply.object())
            currency = answers.currency(said.get("currency")) or account.currency
            return ProviderBalance(balance_micros(said.get("balance")), currency)
        except NotReadable as error:
            raise ProviderUnreachable(TroubleKind.UNREADABLE, f"The balance: {error}") from error

    async def services(self, account: ProviderAccount) -> Sequence[CatalogEntry]:
        """See Adapter.services. A service that cannot be read is left out and logged."""
        reply = await self._ask(account, "services", body_bytes_max=CATALOGUE_BODY_BYTES_MAX)
        return entries_of(account, reply.array(), answers.catalog_entry)

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


async def _of_each(
    ask: Ask[_Told], asked: tuple[str, ...], account: ProviderAccount
) -> Mapping[str, _Told | Unreadable]:
    """What was told of each id, or that this time nothing was."""
    if not asked:
        return {}
    told = await ask_in_pieces(ask, asked, seconds=account.timeouts.total_seconds)
    return {one: told.get(one, _SPOILT) for one in asked}


def _refills(
    asked: Sequence[str], answer: Answer, secrets: Sequence[str]
) -> Mapping[str, RefillAnswer]:
    try:
        content = Reply(answer, secrets).content()
    except ProviderUnreachable as trouble:
        if trouble.kind in _TURNED_AWAY:
            raise
        if trouble.kind is TroubleKind.REFUSED and len(asked) == 1:
            return {asked[0]: RefillRefused(trouble.reason)}
        return dict.fromkeys(asked, Unconfirmed(trouble.reason, excerpt(answer.body, secrets)))
    said = answers.by_id(content, asked, "order", "refill")
    left_out = Unconfirmed("Left out of the answer.", excerpt(answer.body, secrets))
    return {
        one: answers.refill_answer(said[one], secrets) if one in said else left_out for one in asked
    }


def _bounded(ids: Sequence[str], ids_max: int) -> tuple[str, ...]:
    """Each id once. Raises ValueError for more than one call may ask for."""
    asked = tuple(dict.fromkeys(ids))
    if len(asked) > ids_max:
        raise ValueError(f"At most {ids_max} ids are asked at once, not {len(asked)}.")
    return asked


def _form(account: ProviderAccount, action: str) -> dict[str, str]:
    # An account without a key is refused by the provider, and so paused like one with a wrong key.
    return {"key": account.credentials.get("key", ""), "action": action}


def _secrets(account: ProviderAccount) -> tuple[str, ...]:
    return tuple(account.credentials.values())
