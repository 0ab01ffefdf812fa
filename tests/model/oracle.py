"""The providers as they are in truth: what they took, whatever the database knows of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.orders.provider_lists import Listed
from app.providers.protocol import (
    Found,
    IdUnknown,
    LookupAnswer,
    NotThere,
    Progress,
    ProviderState,
    StatusAnswer,
)

FIRST_ID = 1000
OPENING_BALANCE = 100_012_345
"""Told to the micro, so that a charge of any size shows in it."""


@dataclass(slots=True)
class Taken:
    """An order that a provider took, under its own id; `number` is ours."""

    given: str
    number: int
    reference: str
    link: str
    service: str
    quantity: int
    cost: int
    at: datetime
    state: ProviderState = ProviderState.IN_PROGRESS
    remains: int | None = None
    charge: int | None = None

    def told(self) -> Progress:
        state, charge = self.state, self.charge
        return Progress(state, self.remains, None, charge, "USD", raw_status=str(state))


@dataclass(slots=True)
class ProviderInTruth:
    """One provider. Nobody undoes what it did: a restored database does not."""

    id: UUID
    took: list[Taken] = field(default_factory=list)
    balance: int = OPENING_BALANCE
    next_id: int = FIRST_ID

    def take(self, taken: Taken) -> None:
        self.took.append(taken)
        self.balance -= taken.cost

    def new_id(self) -> str:
        self.next_id += 1
        return str(self.next_id)

    def of(self, number: int) -> list[Taken]:
        return [one for one in self.took if one.number == number]

    def end(self, taken: Taken, state: ProviderState) -> None:
        """What was not delivered is paid back at once."""
        if taken.state is not ProviderState.IN_PROGRESS:
            return
        undone = {ProviderState.PARTIAL: taken.quantity // 2, ProviderState.CANCELED: None}
        taken.state, taken.remains = state, undone.get(state, 0)
        share = {ProviderState.PARTIAL: taken.cost // 2, ProviderState.CANCELED: 0}
        taken.charge = share.get(state, taken.cost)
        self.balance += taken.cost - taken.charge

    def look_up(self, reference: str) -> LookupAnswer:
        for one in self.took:
            if one.reference == reference:
                return Found(one.given)
        return NotThere()

    def tell(self, given: Iterable[str]) -> dict[str, StatusAnswer]:
        known = {one.given: one for one in self.took}
        return {one: known[one].told() if one in known else IdUnknown() for one in given}

    def listed(self) -> list[Listed]:
        return [
            Listed(one.given, one.link, one.quantity, one.service, one.cost, one.at)
            for one in self.took
        ]
