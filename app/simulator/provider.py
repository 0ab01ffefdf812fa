"""The pretend provider itself: its books, its orders and what it has accepted."""

import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from app.simulator.catalog import SERVICES, SimulatedService
from app.simulator.faults import Fault, Faults
from app.simulator.journal import Journal
from app.simulator.orders import Pace, SimulatedOrder, units_of

FIRST_ORDER_ID: Final = 23_501
OPENING_BALANCE_MICROS: Final = 1_000_000 * 1_000_000


class Provider:
    """All state of one simulator. What it accepted is in the journal before it is answered.

    A journal that goes on keeps its own pace and balance; those given are for a new one.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        pace: Pace | None = None,
        key: str | None = None,
        seed: int = 0,
        balance_micros: int = OPENING_BALANCE_MICROS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.pace = pace or Pace()
        self.faults = Faults(seed)
        self.calls: Counter[str] = Counter()
        self.orders: dict[int, SimulatedOrder] = {}
        self.now = now
        self._journal = journal
        self._credits_due: dict[int, SimulatedOrder] = {}
        self._balance_micros = balance_micros
        self._restore()

    def balance_micros(self) -> int:
        self._credit_ended(self.now())
        return self._balance_micros

    def set_balance(self, balance_micros: int) -> None:
        self._record({"kind": "balance", "at": self.now(), "balance_micros": balance_micros})

    def set_pace(self, pace: Pace) -> None:
        """Deliver at another speed from now on; what is delivered stays delivered."""
        self._record({"kind": "pace", "at": self.now(), "pace": asdict(pace)})

    def accept(
        self, service: SimulatedService, link: str, quantity: int, ending: Fault | None
    ) -> SimulatedOrder:
        """Take an order and its charge; the caller has checked both."""
        now = self.now()
        units = units_of(service, quantity)
        order_id = FIRST_ORDER_ID + len(self.orders)
        self._record(
            {
                "kind": "accepted",
                "at": now,
                "id": order_id,
                "service": service.id,
                "link": link,
                "quantity": quantity,
                "deliver_max": self._deliver_max(units, ending),
                "delivers_from": now + self.pace.start_delay_seconds,
            }
        )
        return self.orders[order_id]

    def cancel(self, order: SimulatedOrder) -> bool:
        """End a running order here and now; False when it had ended by itself."""
        now = self.now()
        if order.ended(now, self.pace.units_per_second):
            return False
        self._record({"kind": "cut", "at": now, "id": order.id})
        return True

    def status_of(self, order: SimulatedOrder) -> dict[str, str]:
        return order.status(self.now(), self.pace.units_per_second)

    def accepted(self) -> list[dict[str, Any]]:
        """The oracle: everything that was ever accepted, whatever was answered."""
        return [
            {
                "provider_order": order.id,
                "service": order.service.id,
                "link": order.link,
                "quantity": order.quantity,
                "at": datetime.fromtimestamp(order.at, UTC).isoformat(),
            }
            for order in self.orders.values()
        ]

    def close(self) -> None:
        self._journal.close()

    def _restore(self) -> None:
        """Go on from the journal; a new one begins with the pace and balance we were given."""
        begun = False
        for record in self._journal.records():
            self._apply(record)
            begun = True
        if not begun:
            self.set_pace(self.pace)
            self.set_balance(self._balance_micros)

    def _deliver_max(self, units: int, ending: Fault | None) -> int:
        if ending is Fault.CANCEL:
            return 0
        if ending is Fault.PARTIAL and units > 1:
            return min(units - 1, max(1, int(units * self.faults.share())))
        return units

    def _record(self, record: dict[str, Any]) -> None:
        """First the file, then the memory: a restart reads what memory would have said."""
        self._journal.append(record)
        self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        at = record["at"]
        match record["kind"]:
            case "accepted":
                self._open(record)
            case "pace":
                for order in self.orders.values():
                    order.repace(at, self.pace.units_per_second)
                self.pace = Pace(**record["pace"])
            case "cut":
                order = self.orders[record["id"]]
                order.cut(at, self.pace.units_per_second)
                self._credits_due[order.id] = order
            case "balance":
                self._credit_ended(at)
                self._balance_micros = record["balance_micros"]
            case kind:
                raise ValueError(f"The journal has a record of unknown kind {kind!r}.")

    def _open(self, record: dict[str, Any]) -> None:
        order = SimulatedOrder(
            id=record["id"],
            service=SERVICES[record["service"]],
            link=record["link"],
            quantity=record["quantity"],
            at=record["at"],
            start_count=zlib.crc32(record["link"].encode()) % 10_000,
            deliver_max=record["deliver_max"],
            delivers_from=record["delivers_from"],
        )
        self.orders[order.id] = order
        self._balance_micros -= order.charge_micros
        if order.ends_short:
            self._credits_due[order.id] = order

    def _credit_ended(self, now: float) -> None:
        speed = self.pace.units_per_second
        ended = [order for order in self._credits_due.values() if order.ended(now, speed)]
        for order in ended:
            self._balance_micros += order.credit_micros()
            del self._credits_due[order.id]
