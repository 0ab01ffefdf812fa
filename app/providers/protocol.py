"""The words in which the platform and every provider's adapter speak of an order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from app.providers import forms
from app.providers.aftercare import (
    CancelAsked,
    CancelRefused,
    RefillProgress,
    RefillRefused,
    RefillTaken,
)

STATUS_BATCH_MAX: Final = 100
"""Providers answer at most this many ids in one status call."""

LOOKUP_BATCH_MAX: Final = 20
REFILL_BATCH_MAX: Final = 100
CANCEL_BATCH_MAX: Final = 100

ANSWER_CHARS_MAX: Final = 2000
"""How much of a provider's answer is kept as evidence."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one call may take; the total bounds a server that trickles."""

    connect_seconds: float = 5
    read_seconds: float = 30
    total_seconds: float = 45


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Our account with one provider: all that an adapter needs to make a call."""

    provider_id: str
    adapter: str
    base_url: str
    # Never in a repr: accounts are logged, credentials are not.
    credentials: Mapping[str, str] = field(repr=False)
    currency: str
    timeouts: Timeouts = field(default_factory=Timeouts)


ServiceType = forms.ServiceType
OrderForm = forms.OrderForm


@dataclass(frozen=True, slots=True)
class Submission:
    """One order as the provider needs to know it.

    `reference` is our own name for this attempt, the same whenever it is told again.
    """

    provider_service: str
    service_type: ServiceType
    form: OrderForm
    reference: str


class RefusalKind(StrEnum):
    """Why a provider took no order, in the terms in which the platform must react."""

    PERMANENT = "permanent"
    """This order will never be taken: the next route, else fail and refund."""

    SERVICE_GONE = "service_gone"
    """Permanent for this route, and the route should be taken off sale."""

    NO_FUNDS = "no_funds"
    MAINTENANCE = "maintenance"
    CREDENTIALS = "credentials"

    LINK_BUSY = "link_busy"
    """Wait behind the order that the provider already runs on this link."""

    RATE_LIMITED = "rate_limited"

    UNSEEN = "unseen"
    """An error text nobody has classified: a person must look before anything moves."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider gave a valid order id. Whether the id is new, only the database can say."""

    provider_order_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider answered and certainly took no order."""

    kind: RefusalKind
    reason: str
    answer: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Not one byte of the order was written: it is safe to try again."""

    reason: str
    ours: bool = False
    """We never came to try: it says nothing of the provider."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The order may have been taken: never send it again, never refund it, on this alone."""

    reason: str
    answer: str = ""


SubmitOutcome = Accepted | Refused | NotSent | Unconfirmed
"""Reasons and answers are redacted and safe to store in Postgres."""


class ProviderState(StrEnum):
    """Where a provider says that an order stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"

    PAUSED = "paused"
    """A subscription that delivers nothing for now."""

    EXPIRED = "expired"
    """A subscription whose time is over; what it delivered is charged."""

    FAILED = "failed"
    """The provider gave up. No proof that nothing was delivered or charged: review, no refund."""

    UNKNOWN = "unknown"
    """A word nobody has mapped: keep the last good state, count it, never end the order."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a provider said of one order; numbers are as told, the order's life judges them."""

    state: ProviderState
    remains: int | None
    start_count: int | None
    charge_micros: int | None
    currency: str | None
    raw_status: str

    posts: int | None = None
    """Of a subscription: how many posts it has delivered to."""


@dataclass(frozen=True, slots=True)
class IdUnknown:
    """The provider says that it has no such id; or has left it out of its answer, if not `told`."""

    told: bool = True


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The provider's answer for this one id made no sense."""

    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The provider has the order that we sent under this reference, and calls it so."""

    provider_order_id: str


@dataclass(frozen=True, slots=True)
class NotThere:
    """The provider has no order under this reference as it answers; one may still be on its way."""


StatusAnswer = Progress | IdUnknown | Unreadable
LookupAnswer = Found | NotThere | Unreadable
RefillAnswer = RefillTaken | RefillRefused | Unconfirmed
"""A refill whose answer is lost or senseless may have been taken, like an order's."""

RefillStatusAnswer = RefillProgress | IdUnknown | Unreadable
CancelAnswer = CancelAsked | CancelRefused | Unreadable


@dataclass(frozen=True, slots=True)
class ProviderBalance:
    """What our account with the provider still holds."""

    amount_micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One service as the provider sells it; the type is the wire's own word."""

    service: str
    name: str
    service_type: str
    category: str
    rate_micros: int
    min: int
    max: int
    refill: bool
    cancel: bool
    dripfeed: bool


class TroubleKind(StrEnum):
    """Why a call that reads (status, balance, services) gave nothing."""

    TRANSPORT = "transport"
    """No whole answer came: connecting, a time-out, a broken connection."""

    SERVER = "server"
    """The provider answered 408 or 5xx."""

    UNREADABLE = "unreadable"
    """An answer came and it is not what the protocol promises."""

    RATE_LIMITED = "rate_limited"
    CREDENTIALS = "credentials"
    MAINTENANCE = "maintenance"

    REFUSED = "refused"
    """The provider answered with some other error."""

    NOT_OFFERED = "not_offered"
    """The dialect has no such call; its adapter's capabilities said so, and nothing was sent."""


class ProviderUnreachable(Exception):
    """A call failed as a whole; nothing may be concluded about any order."""

    def __init__(
        self, kind: TroubleKind, reason: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    @property
    def answered(self) -> bool:
        """Whether the provider itself said anything: a 5xx may come from what stands before it."""
        return self.kind not in {TroubleKind.TRANSPORT, TroubleKind.SERVER}


class Capability(StrEnum):
    """What not every dialect can do: the platform looks here before it calls."""

    POLLS = "polls"
    """`status` can be asked; without it people tell how their orders stand."""

    BALANCE = "balance"
    LOOKUP = "lookup"
    """An order can be looked up by our own reference."""

    REFILL = "refill"
    """`refill` and `refill_status`."""

    CANCEL = "cancel"
    SUBSCRIPTIONS = "subscriptions"
    """Orders of that type are taken, and their status tells of posts."""


class Adapter(Protocol):
    """One dialect of provider API. An adapter keeps no state between calls."""

    @property
    def name(self) -> str:
        """The name under which the registry and the provider's account know it."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """A call beyond them raises ProviderUnreachable, kind NOT_OFFERED."""
        ...

    @property
    def ids_per_status_call(self) -> int:
        """How many orders one call on the wire tells of, so that a budget can count the calls."""
        ...

    async def submit(
        self, account: ProviderAccount, submission: Submission, *, may_send: Callable[[], bool]
    ) -> SubmitOutcome:
        """Hand one order over, once; wire trouble is an outcome, never an exception.

        `may_send` is asked again after connecting and before the first byte; False is NotSent.
        """
        ...

    async def status(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, StatusAnswer]:
        """Every asked id is in the answer, at most STATUS_BATCH_MAX of them.

        Takes at most twice the account's total time-out, however many calls it makes.
        Raises ProviderUnreachable when the call as a whole failed.
        """
        ...

    async def find(
        self, account: ProviderAccount, references: Sequence[str]
    ) -> Mapping[str, LookupAnswer]:
        """Whether the provider has what was submitted under each reference; none is left out.

        At most LOOKUP_BATCH_MAX of them, in the time that `status` may take. Raises
        ProviderUnreachable when the call as a whole failed.
        """
        ...

    async def refill(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, RefillAnswer]:
        """Ask once for the refill of each order, at most REFILL_BATCH_MAX of them.

        Raises ProviderUnreachable when certainly no refill was taken. All else is told per id, and
        what is Unconfirmed is not asked for again on that alone.
        """
        ...

    async def refill_status(
        self, account: ProviderAccount, provider_refill_ids: Sequence[str]
    ) -> Mapping[str, RefillStatusAnswer]:
        """Like `status`, of refills, at most STATUS_BATCH_MAX of them."""
        ...

    async def cancel(
        self, account: ProviderAccount, provider_order_ids: Sequence[str]
    ) -> Mapping[str, CancelAnswer]:
        """Ask to end each order where it stands, at most CANCEL_BATCH_MAX of them.

        May be repeated: what is canceled stays so. Raises ProviderUnreachable when the call as a
        whole gave no answer, although it may have been heard.
        """
        ...

    async def balance(self, account: ProviderAccount) -> ProviderBalance:
        """Raises ProviderUnreachable when the provider did not say."""
        ...

    async def services(self, account: ProviderAccount) -> Sequence[CatalogEntry]:
        """What the provider sells now. Raises ProviderUnreachable when it did not say."""
        ...
