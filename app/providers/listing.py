"""Reads a provider's list of services: what cannot be read is left out and told, never guessed."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from app.providers.protocol import (
    CatalogEntry,
    ProviderAccount,
    ProviderUnreachable,
    TroubleKind,
)
from app.providers.reading import NotReadable

_TOLD_MAX: Final = 5

_log: Final = structlog.stdlib.get_logger(__name__)


def entries_of(
    account: ProviderAccount, listed: Sequence[Any], read: Callable[[Any], CatalogEntry]
) -> list[CatalogEntry]:
    """The entries that `read` can read. Raises ProviderUnreachable where there is not one."""
    entries: list[CatalogEntry] = []
    unreadable: list[str] = []
    for position, item in enumerate(listed):
        try:
            entries.append(read(item))
        except NotReadable as error:
            unreadable.append(f"{position}: {error}")
    if unreadable:
        _log.warning(
            "provider_services_unreadable",
            provider_id=account.provider_id,
            count=len(unreadable),
            first=unreadable[:_TOLD_MAX],
        )
    if listed and not entries:
        raise ProviderUnreachable(TroubleKind.UNREADABLE, "Not one service can be read.")
    return entries
