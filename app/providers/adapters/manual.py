"""Services that people fulfil: nothing goes over a wire, and operators tell how orders stand.

An order is taken at once, under an id that is made of the attempt's own reference, so that the
same attempt always gets the same id and no two get one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.providers.protocol import (
    Accepted,
    Capability,
    CatalogEntry,
    NotSent,
    ProviderAccount,
    Submission,
    SubmitOutcome,
)
from app.providers.unoffered import Unoffered

NAME: Final = "manual"
CAPABILITIES: Final[frozenset[Capability]] = frozenset()
IDS_PER_STATUS_CALL: Final = 1
_TAKEN: Final = "Taken for people to fulfil."


@dataclass(frozen=True, slots=True)
class Manual(Unoffered):
    """The adapter without a wire; it can do nothing but take an order."""

    name: str = NAME
    capabilities: frozenset[Capability] = CAPABILITIES
    ids_per_status_call: int = IDS_PER_STATUS_CALL

    async def submit(
        self,
        account: ProviderAccount,  # noqa: ARG002 - Adapter's
        submission: Submission,
        *,
        may_send: Callable[[], bool],
    ) -> SubmitOutcome:
        """See Adapter.submit. What may not be sent is not taken here either."""
        if not may_send():
            return NotSent("The deadline for sending has passed.", ours=True)
        return Accepted(f"{self.name}-{submission.reference}", _TAKEN)

    async def services(
        self,
        account: ProviderAccount,  # noqa: ARG002 - Adapter's
    ) -> Sequence[CatalogEntry]:
        """See Adapter.services. There is no list but our own catalogue."""
        return ()
