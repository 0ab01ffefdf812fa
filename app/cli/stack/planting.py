"""What `smmos up` sows: a reseller with money, an administrator, a provider, five services."""

from __future__ import annotations

import asyncio
from typing import Final

from app.cli.context import opened
from app.cli.migrate import bring_to_head
from app.cli.stack.secrets import StackSecrets
from app.cli.stack.seed import (
    SeedProvider,
    SeedReseller,
    ensure_operator,
    ensure_operator_key,
    ensure_provider,
    ensure_reseller,
    ensure_reseller_key,
    ensure_services,
    routed_to,
)
from app.core.money import Money
from app.core.settings import Settings

RESELLER: Final = SeedReseller("Demo Reseller", "reseller@example.com", Money.parse("1000.00"))


def prepare_database(
    settings: Settings, kept: StackSecrets, *, simulator_url: str | None
) -> StackSecrets:
    """Migrate and sow, all idempotent; the secrets with the keys that are valid now."""
    return asyncio.run(_prepare(settings, kept, simulator_url))


async def _prepare(
    settings: Settings, kept: StackSecrets, simulator_url: str | None
) -> StackSecrets:
    await bring_to_head(settings)
    async with opened(settings) as runtime, runtime.uow.begin() as session:
        keys = runtime.keys
        operator = await ensure_operator(
            session, name="Demo Operator", email="operator@example.com"
        )
        operator_key = await ensure_operator_key(session, keys, operator, kept.operator_key)
        book = await ensure_reseller(session, RESELLER)
        reseller_key = await ensure_reseller_key(session, keys, book, kept.reseller_key)
        if simulator_url is not None:
            wanted = SeedProvider(
                f"Simulated provider {kept.instance}", simulator_url, kept.provider_key
            )
            provider = await ensure_provider(session, keys, wanted)
            await ensure_services(session, routed_to(provider), operator_id=operator.id)
    return kept.model_copy(update={"operator_key": operator_key, "reseller_key": reseller_key})
