"""What one local server is made from."""

from dataclasses import dataclass
from pathlib import Path

from app.embedded.process import Account


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """The facts of one server, none of which changes while its stack lives."""

    program: Path
    home: Path
    log: Path
    account: Account | None
    password: str
    durable: bool
