"""Bodies and answers of the routes on syncs, what providers sell, and findings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt

from app.catalog.comparison import Facts, FindingKind, What
from app.catalog.importing import Wanted
from app.catalog.mirror import public_run_id
from app.catalog.mirror_models import (
    Finding,
    FindingState,
    ProviderService,
    ProviderServiceChange,
    SyncOutcome,
    SyncRun,
)
from app.catalog.models import Service
from app.catalog.operator_schemas import KindWord, Name, PlatformWord
from app.catalog.price_schemas import MarkupRuleFields
from app.catalog.quarantine import public_finding_id
from app.catalog.windows import Tier
from app.core.money import Money
from app.supply.service import public_provider_id
from app.web.fields import Line
from app.web.schemas import AnswerModel, InputModel, MoneyRead

IMPORTED_AT_ONCE_MAX = 100

ProviderServiceName = Annotated[Line, Field(max_length=64)]


class ProviderServiceRead(AnswerModel):
    """What a provider sells, by the facts that we go by."""

    provider_id: str
    provider_service: str
    name: str
    type: str = Field(description="The provider's own word.")
    category: str
    rate: MoneyRead = Field(description="Of 1000, or of one package, in the provider's currency.")
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool
    first_seen_at: datetime
    seen_at: datetime
    changed_at: datetime
    missing_since: datetime | None
    gone_at: datetime | None

    @classmethod
    def of(cls, row: ProviderService, currency: str) -> Self:
        return cls(
            provider_id=public_provider_id(row.provider_id),
            provider_service=row.provider_service,
            name=row.name,
            type=row.type,
            category=row.category,
            rate=MoneyRead.of(Money(row.rate_micros), currency),
            min_quantity=row.min_quantity,
            max_quantity=row.max_quantity,
            refill=row.refill,
            cancel=row.cancel,
            dripfeed=row.dripfeed,
            first_seen_at=row.first_seen_at,
            seen_at=row.seen_at,
            changed_at=row.changed_at,
            missing_since=row.missing_since,
            gone_at=row.gone_at,
        )


class ProviderServicePage(AnswerModel):
    data: list[ProviderServiceRead]
    next_cursor: str | None


def _told(facts: Facts) -> dict[str, Any]:
    """Facts with their money as decimal strings, as it is everywhere on the wire."""
    told = {name: value for name, value in facts.items() if name != "rate_micros"}
    if "rate_micros" in facts:
        told["rate"] = str(Money(facts["rate_micros"]))
    if "entries" in facts:
        told["entries"] = [_told(entry) for entry in facts["entries"]]
    return told


class ProviderServiceChangeRead(AnswerModel):
    """One change of what a provider sells; rates are in its currency."""

    provider_id: str
    provider_service: str
    at: datetime
    what: What
    before: dict[str, Any]
    after: dict[str, Any]

    @classmethod
    def of(cls, row: ProviderServiceChange) -> Self:
        return cls(
            provider_id=public_provider_id(row.provider_id),
            provider_service=row.provider_service,
            at=row.at,
            what=What(row.what),
            before=_told(row.before),
            after=_told(row.after),
        )


class ProviderServiceChangePage(AnswerModel):
    data: list[ProviderServiceChangeRead]
    next_cursor: str | None


class FindingRead(AnswerModel):
    """Something that a provider says and that only an operator may believe."""

    id: str
    provider_id: str
    provider_service: str
    kind: FindingKind
    before: dict[str, Any]
    after: dict[str, Any]
    state: FindingState
    opened_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    withdrawn_at: datetime | None

    @classmethod
    def of(cls, row: Finding) -> Self:
        return cls(
            id=public_finding_id(row.id),
            provider_id=public_provider_id(row.provider_id),
            provider_service=row.provider_service,
            kind=FindingKind(row.kind),
            before=_told(row.before),
            after=_told(row.after),
            state=FindingState(row.state),
            opened_at=row.opened_at,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
            note=row.note,
            withdrawn_at=row.withdrawn_at,
        )


class FindingPage(AnswerModel):
    data: list[FindingRead]
    next_cursor: str | None


class FindingDecision(InputModel):
    """Why the finding is accepted or rejected."""

    note: Annotated[Line, Field(max_length=500)] | None = None


class SyncRead(AnswerModel):
    """One sync of one provider: how it ended, and how often what happened."""

    id: str
    provider_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: SyncOutcome | None
    why: str | None
    counts: dict[str, int]

    @classmethod
    def of(cls, row: SyncRun) -> Self:
        return cls(
            id=public_run_id(row.id),
            provider_id=public_provider_id(row.provider_id),
            started_at=row.started_at,
            ended_at=row.ended_at,
            outcome=SyncOutcome(row.outcome) if row.outcome else None,
            why=row.why,
            counts=row.counts,
        )


class SyncPage(AnswerModel):
    data: list[SyncRead]
    next_cursor: str | None


class SyncAsked(AnswerModel):
    """A sync that a worker will make."""

    provider_id: str
    asked_at: datetime


class SyncRulePut(InputModel):
    price_jump_basis_points: StrictInt = Field(
        ge=0, le=100_000, description="A price that moves further waits for an operator."
    )


class SyncRuleRead(AnswerModel):
    """How far a provider's prices may move by themselves."""

    provider_id: str
    price_jump_basis_points: int


class ImportItem(InputModel):
    """One service of a provider, and what it is to be in our catalogue."""

    provider_id: Annotated[Line, Field(max_length=64)]
    provider_service: ProviderServiceName
    platform: PlatformWord
    kind: KindWord
    tier: Tier = Tier.STANDARD
    name: Name | None = Field(None, description="By default the provider's own.")
    category: Name | None = Field(None, description="By default the provider's own.")
    markup: MarkupRuleFields | None = Field(
        None, description="A rule of its own; by default its provider's, or the default rule."
    )

    def asked(self) -> Wanted:
        return Wanted(
            provider_id=self.provider_id,
            provider_service=self.provider_service,
            platform=self.platform,
            kind=self.kind,
            tier=self.tier,
            name=self.name,
            category=self.category,
            rule=self.markup.rule() if self.markup else None,
        )


class ImportBody(InputModel):
    services: list[ImportItem] = Field(min_length=1, max_length=IMPORTED_AT_ONCE_MAX)


class ImportedRead(AnswerModel):
    """A service of ours that an import made; it is off sale."""

    service_id: int
    name: str
    type: str
    rate: MoneyRead
    min_quantity: int
    max_quantity: int

    @classmethod
    def of(cls, service: Service, currency: str) -> Self:
        return cls(
            service_id=service.id,
            name=service.name,
            type=service.type,
            rate=MoneyRead.of(Money(service.rate_micros), currency),
            min_quantity=service.min_quantity,
            max_quantity=service.max_quantity,
        )


class ImportedList(AnswerModel):
    """In the order of the items."""

    data: list[ImportedRead]
