"""The platform as it must not be: an order without an answer is sent again. `smmos` with that one
change, for the harness to find: `python -m tests.chaos.naive up` starts a stack of such workers.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Final

from app.cli.main import main
from app.embedded import Supervisor
from app.providers.protocol import NotSent, SubmitOutcome, Unconfirmed
from workers import dispatch

PROGRAM: Final = "tests.chaos.naive"


def believe_that_silence_means_no() -> None:
    """From now on this process takes an order for unsent where nobody knows."""
    outcome_of = dispatch._outcome_of

    def naive(task: asyncio.Task[SubmitOutcome]) -> SubmitOutcome:
        outcome = outcome_of(task)
        if isinstance(outcome, Unconfirmed):
            return NotSent(reason="no answer came, so it cannot have been taken")
        return outcome

    dispatch._outcome_of = naive


def start_workers_of_this_kind() -> None:
    """From now on this process starts naive workers."""
    spawn = Supervisor.spawn

    def spawned(self: Supervisor, name: str, argv: Sequence[str], **options: Any) -> int:
        if name == "worker":
            argv = [PROGRAM if word == "app.cli" else word for word in argv]
        return spawn(self, name, argv, **options)

    Supervisor.spawn = spawned  # type: ignore[method-assign]  # in this process alone


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        believe_that_silence_means_no()
    else:
        start_workers_of_this_kind()
    main()
