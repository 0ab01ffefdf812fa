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
from app.simulator.forms import Wanted
from app.simulator.journal import Journal
from app.simulator.manners import Manner
from app.simulator.orders import Pace, SimulatedOrder, units_of
from app.simulator.refills import SimulatedRefill
from app.simulator.subscriptions import SimulatedSubscription

FIRST_ORDER_ID: Final = 23_501
FIRST_REFILL_ID: Final = 801
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
        self.manners: frozenset[Manner] = frozenset()
        self.orders: dict[int, SimulatedOrder] = {}
        self.subscriptions: dict[int, SimulatedSubscription] = {}
        self.refills: dict[int, SimulatedRefill] = {}
        self.references: dict[str, int] = {}
        self.now = now
        self._journal = journal
        self._credits_due: dict[int, SimulatedOrder] = {}
        self._balance_micros = balance_micros
        self._restore()

    @property
    def accepted_count(self) -> int:
        return len(self.orders) + len(self.subscriptions)

    def balance_micros(self) -> int:
        now = self.now()
        self._credit_ended(now)
        return self._balance_micros - sum(
            one.charged_micros(now) - one.charged_before_micros
            for one in self.subscriptions.values()
        )

    def set_balance(self, balance_micros: int) -> None:
        self._record({"kind": "balance", "at": self.now(), "balance_micros": balance_micros})

    def set_pace(self, pace: Pace) -> None:
        """Deliver at another speed from now on; what is delivered stays delivered."""
        self._record({"kind": "pace", "at": self.now(), "pace": asdict(pace)})

    def accept(
        self,
        service: SimulatedService,
        wanted: Wanted,
        ending: Fault | None,
        *,
        reference: str | None = None,
    ) -> int:
        """Take an order and its charge; the caller has checked both."""
        now = self.now()
        order_id = FIRST_ORDER_ID + self.accepted_count
        taken: dict[str, Any] = {"at": now, "id": order_id, "service": service.id}
        if wanted.terms is not None:
            terms = asdict(wanted.terms) | {"seconds_per_post": self.pace.seconds_per_post}
            taken |= {"kind": "subscribed", "username": wanted.link, "terms": terms}
        else:
            units = units_of(service, wanted.quantity * wanted.runs)
            taken |= {
                "kind": "accepted",
                "link": wanted.link,
                "quantity": wanted.quantity,
                "runs": wanted.runs,
                "deliver_max": self._deliver_max(units, ending),
                "delivers_from": now + self.pace.start_delay_seconds,
            }
        self._record(taken if reference is None else taken | {"reference": reference})
        return order_id

    def find(self, order_id: int) -> SimulatedOrder | SimulatedSubscription | None:
        return self.orders.get(order_id) or self.subscriptions.get(order_id)

    def cancel(self, order: SimulatedOrder | SimulatedSubscription) -> bool:
        """End a running order here and now; False when it had ended by itself."""
        if order.is_canceled:
            return True
        now = self.now()
        if isinstance(order, SimulatedSubscription):
            ended, kind = order.ended(now), "unsubscribed"
        else:
            ended, kind = order.ended(now, self.pace.units_per_second), "cut"
        if not ended:
            self._record({"kind": kind, "at": now, "id": order.id})
        return not ended

    def refill(self, order_id: int) -> SimulatedRefill | str:
        """Take a refill of an order that was delivered in full, or say why not."""
        now = self.now()
        order = self.orders.get(order_id)
        if order is None:
            return "Incorrect order ID"
        done = order.ended(now, self.pace.units_per_second) and not order.ends_short
        running = (one for one in self.refills.values() if one.order_id == order_id)
        if not order.service.refill or not done or any(not one.ended(now) for one in running):
            return "Refill is not available"
        begins_at = now + self.pace.start_delay_seconds
        refill_id = FIRST_REFILL_ID + len(self.refills)
        seconds = max(1, order.units // 10) / max(self.pace.units_per_second, 1e-9)
        self._record(
            {
                "kind": "refilled",
                "at": now,
                "id": refill_id,
                "order_id": order_id,
                "begins_at": begins_at,
                "ends_at": begins_at + seconds,
                "rejected": self.faults.strikes_refill() is not None,
            }
        )
        return self.refills[refill_id]

    def refill_status(self, refill_id: int) -> str | None:
        refill = self.refills.get(refill_id)
        return None if refill is None else refill.status(self.now())

    def status_of(self, order: SimulatedOrder | SimulatedSubscription) -> dict[str, str]:
        if isinstance(order, SimulatedSubscription):
            return order.status(self.now())
        return order.status(self.now(), self.pace.units_per_second)

    def accepted(self) -> list[dict[str, Any]]:
        """The oracle: everything that was ever accepted, whatever was answered."""
        everything: list[SimulatedOrder | SimulatedSubscription] = []
        everything += self.orders.values()
        everything += self.subscriptions.values()
        return [
            {
                "provider_order": order.id,
                "service": order.service.id,
                "link": order.link,
                "quantity": order.quantity,
                "at": datetime.fromtimestamp(order.at, UTC).isoformat(),
            }
            for order in sorted(everything, key=lambda order: order.id)
        ]

    def accepted_refills(self) -> list[dict[str, Any]]:
        """The oracle of refills, whatever was answered."""
        return [
            {
                "refill": refill.id,
                "provider_order": refill.order_id,
                "at": datetime.fromtimestamp(refill.at, UTC).isoformat(),
            }
            for refill in self.refills.values()
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
        if "reference" in record:
            self.references[record["reference"]] = record["id"]
        match record["kind"]:
            case "accepted":
                self._open(record)
            case "subscribed":
                self._subscribe(record)
            case "unsubscribed":
                self.subscriptions[record["id"]].cancel(at)
            case "refilled":
                facts = {name: value for name, value in record.items() if name != "kind"}
                self.refills[record["id"]] = SimulatedRefill(**facts)
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
                for one in self.subscriptions.values():
                    one.charged_before_micros = one.charged_micros(at)
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
            runs=record.get("runs", 1),
        )
        self.orders[order.id] = order
        self._balance_micros -= order.charge_micros
        if order.ends_short:
            self._credits_due[order.id] = order

    def _subscribe(self, record: dict[str, Any]) -> None:
        self.subscriptions[record["id"]] = SimulatedSubscription(
            id=record["id"],
            service=SERVICES[record["service"]],
            username=record["username"],
            at=record["at"],
            **record["terms"],
        )

    def _credit_ended(self, now: float) -> None:
        speed = self.pace.units_per_second
        ended = [order for order in self._credits_due.values() if order.ended(now, speed)]
        for order in ended:
            self._balance_micros += order.credit_micros()
            del self._credits_due[order.id]
