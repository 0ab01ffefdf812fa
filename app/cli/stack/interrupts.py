"""How a person or a service manager ends a command: once, and then it may finish stopping."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ASKING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt here, the first of them only.

    What comes after must not break off the orderly stop that the first one began; should that
    hang, SIGKILL still ends everything, because children die with their parent.
    """

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        for asking in _ASKING:
            signal.signal(asking, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {asking: signal.signal(asking, interrupt) for asking in _ASKING}
    try:
        yield
    finally:
        for asking, handler in before.items():
            signal.signal(asking, handler)
