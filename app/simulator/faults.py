"""Which fault strikes next: drawn from one seeded random, or told by a script."""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

SCRIPT_ENTRIES_MAX: Final = 100_000


class Fault(StrEnum):
    """Every way in which the simulator can misbehave."""

    # Of an answer to add, without an order taken.
    REFUSE = "refuse"
    REFUSE_FUNDS = "refuse_funds"
    REFUSE_UNSEEN = "refuse_unseen"
    LINK_BUSY = "link_busy"
    MAINTENANCE = "maintenance"
    TOO_MANY_REQUESTS = "too_many_requests"
    HTTP_500 = "http_500"
    HTML = "html"
    # Of an answer to add, with the order taken.
    HTTP_500_AFTER_ACCEPT = "http_500_after_accept"
    ACCEPT_THEN_TIMEOUT = "accept_then_timeout"
    LOST_REPLY = "lost_reply"
    GARBAGE = "garbage"
    SLOW_BYTES = "slow_bytes"
    WRONG_ID = "wrong_id"
    # Of how an order ends.
    PARTIAL = "partial"
    CANCEL = "cancel"
    # Of an answer to status, as a whole and for one id.
    STATUS_HTML = "status_html"
    STATUS_500 = "status_500"
    STATUS_UNKNOWN_ID = "status_unknown_id"
    NONSENSE_PROGRESS = "nonsense_progress"
    # Of an answer to refill, with the refills taken, and of how a refill ends.
    REFILL_LOST_REPLY = "refill_lost_reply"
    REFILL_REJECT = "refill_reject"


ENDINGS: Final = (Fault.PARTIAL, Fault.CANCEL)
STATUS_CALL: Final = (Fault.STATUS_HTML, Fault.STATUS_500)
STATUS_ID: Final = (Fault.STATUS_UNKNOWN_ID, Fault.NONSENSE_PROGRESS)
REFILL_CALL: Final = (Fault.REFILL_LOST_REPLY,)
REFILL_ENDINGS: Final = (Fault.REFILL_REJECT,)
_NOT_OF_ADD: Final = (*STATUS_CALL, *STATUS_ID, *REFILL_CALL, *REFILL_ENDINGS)
ADD_ANSWERS: Final = tuple(fault for fault in Fault if fault not in (*ENDINGS, *_NOT_OF_ADD))
_GROUPS: Final = (ADD_ANSWERS, ENDINGS, STATUS_CALL, STATUS_ID, REFILL_CALL, REFILL_ENDINGS)


class ControlInvalid(ValueError):
    """A control request says something impossible; `field` is the one to blame."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True)
class AddPlan:
    """What is to go wrong with one add, decided before it is looked at."""

    answer: Fault | None = None
    ending: Fault | None = None


class Faults:
    """The switched-on faults. The same seed and the same calls give the same faults."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._probabilities: Mapping[Fault, float] = MappingProxyType({})
        self._script: deque[Fault | None] = deque()

    def switch(self, wanted: Mapping[str, object]) -> None:
        """Replace all probabilities and start the random anew. Raises ControlInvalid."""
        seed = wanted.get("seed", self._seed)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise ControlInvalid("seed", "Not an integer.")
        probabilities = {
            _fault(name, name): _probability(name, value)
            for name, value in wanted.items()
            if name != "seed"
        }
        for group in _GROUPS:
            # One draw decides within a group, so that each probability is what it says.
            if sum(probabilities.get(fault, 0.0) for fault in group) > 1 + 1e-9:
                last = [fault for fault in probabilities if fault in group][-1]
                raise ControlInvalid(last, "The probabilities of faults that exclude it exceed 1.")
        self._seed, self._random = seed, random.Random(seed)
        self._probabilities = MappingProxyType(probabilities)

    def clear(self) -> None:
        """Behave from now on; a script is forgotten too."""
        self._probabilities = MappingProxyType({})
        self._script.clear()

    def script(self, entries: Sequence[object]) -> None:
        """Faults of exactly the next adds; null is none. Raises ControlInvalid."""
        if len(entries) > SCRIPT_ENTRIES_MAX:
            raise ControlInvalid("next", f"More than {SCRIPT_ENTRIES_MAX} entries.")
        told = [None if entry is None else _fault(entry, "next") for entry in entries]
        for fault in told:
            if fault in _NOT_OF_ADD:
                raise ControlInvalid("next", f"{fault} is no fault of an add.")
        self._script = deque(told)

    def described(self) -> dict[str, object]:
        """What is switched on, in the words of `switch`, and what is left of the script."""
        probabilities = {fault.value: share for fault, share in self._probabilities.items()}
        return {"seed": self._seed, **probabilities, "next": list(self._script)}

    def plan_add(self) -> AddPlan:
        if self._script:
            fault = self._script.popleft()
            return AddPlan(ending=fault) if fault in ENDINGS else AddPlan(answer=fault)
        return AddPlan(answer=self._draw(ADD_ANSWERS), ending=self._draw(ENDINGS))

    def strikes_status_call(self) -> Fault | None:
        return self._draw(STATUS_CALL)

    def strikes_status_id(self) -> Fault | None:
        return self._draw(STATUS_ID)

    def strikes_refill_call(self) -> Fault | None:
        return self._draw(REFILL_CALL)

    def strikes_refill(self) -> Fault | None:
        return self._draw(REFILL_ENDINGS)

    def share(self) -> float:
        """How much of an order that ends Partial is delivered: some, and not all."""
        return self._random.uniform(0.1, 0.9)

    def choice(self, below: int) -> int:
        return self._random.randrange(below)

    def _draw(self, group: Sequence[Fault]) -> Fault | None:
        if not self._probabilities:
            return None
        point = self._random.random()
        for fault in group:
            point -= self._probabilities.get(fault, 0.0)
            if point < 0:
                return fault
        return None


def _fault(name: object, field: str) -> Fault:
    try:
        return Fault(str(name))
    except ValueError as error:
        raise ControlInvalid(field, f"There is no fault {str(name)[:60]!r}.") from error


def _probability(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ControlInvalid(name, "Not a probability from 0 to 1.")
    return float(value)
