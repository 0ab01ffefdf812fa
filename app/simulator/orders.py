"""One order's delivery as a function of time: asked twice at one time, it says the same."""

from dataclasses import dataclass

from app.simulator.catalog import PACKAGES, SimulatedService, money_text


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the simulator delivers, and how long its time faults last."""

    units_per_second: float = 50
    start_delay_seconds: float = 0.5
    hang_seconds: float = 60
    slow_byte_seconds: float = 0.05
    seconds_per_post: float = 5


@dataclass(slots=True)
class SimulatedOrder:
    """An accepted order. It ends when `deliver_max` of its units are delivered."""

    id: int
    service: SimulatedService
    link: str
    quantity: int
    at: float
    start_count: int
    deliver_max: int
    """All units: Completed. Fewer: Partial. None: Canceled."""

    delivers_from: float
    runs: int = 1
    """Of a drip-feed; its runs are billed and delivered as one, whatever the interval."""

    is_canceled: bool = False
    """It was ended by a cancel that was asked for; asked again, it is so still."""

    _delivered_before: float = 0
    _paced_at: float = 0

    @property
    def units(self) -> int:
        """What is counted down: a package is one order of many units."""
        return units_of(self.service, self.quantity * self.runs)

    @property
    def ends_short(self) -> bool:
        return self.deliver_max < self.units

    @property
    def charge_micros(self) -> int:
        return self.service.charge_micros(self.quantity * self.runs)

    def repace(self, now: float, units_per_second: float) -> None:
        """Keep what the pace so far has delivered, before another one holds."""
        self._delivered_before = self._delivered(now, units_per_second)
        self._paced_at = now

    def cut(self, now: float, units_per_second: float) -> None:
        """End here, with what is delivered by now."""
        self.is_canceled = True
        self.deliver_max = self.delivered(now, units_per_second)
        self.delivers_from = min(self.delivers_from, now)

    def delivered(self, now: float, units_per_second: float) -> int:
        return int(self._delivered(now, units_per_second))

    def ended(self, now: float, units_per_second: float) -> bool:
        started = now >= self.delivers_from
        return started and self.delivered(now, units_per_second) >= self.deliver_max

    def credit_micros(self) -> int:
        """What an order that ended short gives back, for the undelivered share."""
        return self.charge_micros * (self.units - self.deliver_max) // self.units

    def status(self, now: float, units_per_second: float) -> dict[str, str]:
        """The order as `action=status` tells it, everything as text."""
        word, charge = "In progress", self.charge_micros
        if self.ended(now, units_per_second):
            charge -= self.credit_micros()
            word = "Completed" if not self.ends_short else "Partial"
            word = word if self.deliver_max else "Canceled"
        elif now < self.delivers_from:
            word = "Pending"
        return {
            "charge": money_text(charge),
            "start_count": str(self.start_count),
            "status": word,
            "remains": str(self.units - self.delivered(now, units_per_second)),
            "currency": "USD",
        }

    def _delivered(self, now: float, units_per_second: float) -> float:
        seconds = max(0.0, now - max(self.delivers_from, self._paced_at))
        return min(float(self.deliver_max), self._delivered_before + seconds * units_per_second)


def units_of(service: SimulatedService, quantity: int) -> int:
    """How many units an order of this quantity delivers."""
    return service.package_units if service.type in PACKAGES else quantity
