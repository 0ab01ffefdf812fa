"""The model: what must have become of every micro, reckoned beside the product."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from uuid import UUID

from app.orders.states import ENDED, OrderState
from app.providers.protocol import Progress, ProviderState
from app.schedules.states import ScheduleState


@dataclass(slots=True)
class Bought:
    """An order as it must stand. `lease` and `attempt` are those of its last handover; `provider`
    is who delivers it, by its place among them, `given` the id under which it is followed there.
    """

    book: UUID
    charge: int
    units: int | None
    cost: int
    provider: int
    state: OrderState = OrderState.QUEUED
    refunded: int = 0
    lease: UUID | None = None
    attempt: UUID | None = None
    plan: int | None = None
    given: str | None = None

    @property
    def held(self) -> int:
        return 0 if self.state in ENDED else self.charge

    @property
    def earned(self) -> int:
        return self.charge - self.refunded if self.state in ENDED else 0


@dataclass(slots=True)
class Plan:
    """A drip-feed as it must stand."""

    book: UUID
    charge: int
    quantity: int
    runs: int
    provider: int
    started: int = 0
    state: ScheduleState = ScheduleState.ACTIVE
    refunded: int = 0

    @property
    def unrun(self) -> int:
        """What it holds for the runs that have not started: the equal shares, and the remainder."""
        if self.started == self.runs:
            return 0
        return self.charge - self.started * (self.charge // self.runs)

    @property
    def held(self) -> int:
        return 0 if self.state is ScheduleState.CANCELED else self.unrun

    def next_share(self) -> int:
        share = self.charge // self.runs
        return share if self.started + 1 < self.runs else self.charge - share * (self.runs - 1)


@dataclass(slots=True)
class Books:
    """Everybody's money, and everything that was bought with it."""

    available: dict[UUID, int]
    spendable: dict[UUID, bool]
    orders: dict[int, Bought] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    said_ids: dict[UUID, tuple[int, str]] = field(default_factory=dict)
    """What is known of each attempt: its provider, and the order id that this one gave."""

    def take(self, book: UUID, charge: int) -> None:
        self.available[book] -= charge
        assert self.available[book] >= 0

    def end(self, order_id: int, state: OrderState, refunded: int) -> None:
        order = self.orders[order_id]
        assert order.state not in ENDED
        assert state in ENDED
        assert 0 <= refunded <= order.charge
        order.state, order.refunded = state, refunded
        self.available[order.book] += refunded

    def held(self, book: UUID) -> int:
        orders = sum(order.held for order in self.orders.values() if order.book == book)
        return orders + sum(plan.held for plan in self.plans.values() if plan.book == book)

    @property
    def earned(self) -> int:
        return sum(order.earned for order in self.orders.values())

    def has_id(self, order: Bought) -> bool:
        """Whether the provider has named the order of its last attempt, as far as we know."""
        return order.attempt in self.said_ids

    def is_taken(self, given: str, *, besides: Bought) -> bool:
        """Whether another order is followed under this id at the same provider."""
        return any(
            order.given == given and order.provider == besides.provider
            for order in self.orders.values()
            if order is not besides
        )

    def is_in_use(self, given: str, *, besides: Bought) -> bool:
        """Whether the provider has said this id of another order, whatever came of that."""
        said = (besides.provider, given)
        return any(
            one == said and attempt != besides.attempt for attempt, one in self.said_ids.items()
        )


def price(rate: int, quantity: int, unit: int) -> int:
    """The exact price, and what is less than a micro of it to the house."""
    return ceil(Fraction(rate * quantity, unit))


def final(order: Bought, said: Progress) -> tuple[OrderState, int] | None:
    """How a provider's word ends an order, and what goes back; None when it ends nothing (yet)."""
    match said.state:
        case ProviderState.COMPLETED:
            return OrderState.COMPLETED, 0
        case ProviderState.CANCELED if not said.charge_micros:
            return OrderState.CANCELED, order.charge
        case ProviderState.PARTIAL | ProviderState.CANCELED:
            if order.units is None:
                return _by_charge(order, said.charge_micros)
            return _by_units(order, order.units, said)
        case _:
            return None


def _by_charge(order: Bought, taken: int | None) -> tuple[OrderState, int] | None:
    if taken is None or not 0 <= taken < order.cost:
        return None
    if taken == 0:
        return OrderState.CANCELED, order.charge
    return OrderState.PARTIAL, floor(Fraction(order.charge * (order.cost - taken), order.cost))


def _by_units(order: Bought, units: int, said: Progress) -> tuple[OrderState, int] | None:
    remains = said.remains
    if remains is None or not 0 <= remains <= units:
        return None
    if remains == 0:
        # What is said to be canceled and delivered in full contradicts itself.
        return (OrderState.COMPLETED, 0) if said.state is ProviderState.PARTIAL else None
    if remains == units:
        return OrderState.CANCELED, order.charge
    return OrderState.PARTIAL, floor(Fraction(order.charge * remains, units))
