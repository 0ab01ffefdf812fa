"""One refill's life as a function of time: a tenth of its order, delivered once more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimulatedRefill:
    """A refill that was taken."""

    id: int
    order_id: int
    at: float
    begins_at: float
    ends_at: float
    rejected: bool

    def ended(self, now: float) -> bool:
        return now >= (self.begins_at if self.rejected else self.ends_at)

    def status(self, now: float) -> str:
        """The word of `action=refill_status`."""
        if now < self.begins_at:
            return "Pending"
        if self.rejected:
            return "Rejected"
        return "In progress" if now < self.ends_at else "Completed"
