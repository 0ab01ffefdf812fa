"""The calls that not every dialect has, for the adapters of those that do not."""

# ruff: noqa: ARG002 - the arguments are those of Adapter, and nothing is done with them

from collections.abc import Mapping, Sequence

from app.providers.protocol import (
    CancelAnswer,
    LookupAnswer,
    ProviderAccount,
    ProviderBalance,
    ProviderUnreachable,
    RefillAnswer,
    RefillStatusAnswer,
    StatusAnswer,
    TroubleKind,
)


class Unoffered:
    """Each call raises ProviderUnreachable, kind NOT_OFFERED; an adapter overrides what it has."""

    __slots__ = ()
    name: str

    async def status(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, StatusAnswer]:
        raise self._not_offered("status")

    async def find(
        self, account: ProviderAccount, references: Sequence[str]
    ) -> Mapping[str, LookupAnswer]:
        raise self._not_offered("look-up by reference")

    async def refill(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, RefillAnswer]:
        raise self._not_offered("refill")

    async def refill_status(
        self, account: ProviderAccount, provider_refill_ids: Sequence[str]
    ) -> Mapping[str, RefillStatusAnswer]:
        raise self._not_offered("refill_status")

    async def cancel(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, CancelAnswer]:
        raise self._not_offered("cancel")

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        raise self._not_offered("balance")

    def _not_offered(self, call: str) -> ProviderUnreachable:
        return ProviderUnreachable(TroubleKind.NOT_OFFERED, f"{self.name} has no {call}.")
