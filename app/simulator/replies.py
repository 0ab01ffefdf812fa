"""What the simulator is about to answer, before it is sent."""

from dataclasses import dataclass
from typing import Any

from app.simulator.faults import Fault


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, and the fault that spoils how it is sent."""

    payload: Any
    fault: Fault | None = None
    status: int = 200
    media_type: str = "application/json"
