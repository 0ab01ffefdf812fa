"""Runs a command of ours and dies at one point of it, as by kill -9, or lacks what it once lacked.

`python -m tests.faults.crashing POINT COMMAND…`; the product has no hooks for this.
"""

# ruff: noqa: PLC0415 - each point loads only what it spoils, as a process starts slowly enough

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("the signal kills before this is reached")


def _leased() -> None:
    """The orders are leased and taken, and not yet marked as being sent."""
    from app.orders import dispatch

    async def die(*_arguments: object) -> NoReturn:
        _die()

    dispatch.mark_sending = die  # type: ignore[assignment]


def _sending() -> None:
    """The orders are marked as being sent, and not a byte is written."""
    from app.providers.wire import Wire

    async def die(*_arguments: object, **_named: object) -> NoReturn:
        _die()

    Wire.submit = die  # type: ignore[method-assign]


def _answered() -> None:
    """The provider has taken an order and said so, and nobody has written it down."""
    from app.providers.wire import Wire

    submit = Wire.submit

    async def submit_and_die(self: Wire, *arguments: Any, **named: Any) -> NoReturn:
        await submit(self, *arguments, **named)
        _die()

    Wire.submit = submit_and_die  # type: ignore[method-assign]


def _committed() -> None:
    """An order is committed, and its 201 is about to be sent."""
    from starlette.types import Message, Receive, Scope, Send
    from uvicorn import Config

    from app.cli import api

    server_config = api._server_config

    def mortal_config(*arguments: Any) -> Config:
        config = server_config(*arguments)
        app: Any = config.app

        async def mortal(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_or_die(message: Message) -> None:
                if message.get("status") == 201:
                    _die()
                await send(message)

            await app(scope, receive, send_or_die)

        config.app = mortal
        return config

    api._server_config = mortal_config  # type: ignore[assignment]


def _before_follow() -> None:
    """A worker of a time when there was no following of orders yet."""
    from app.orders.service import FOLLOW
    from workers import main

    del main.DRAINS[FOLLOW]


POINTS: Final[Mapping[str, Callable[[], None]]] = {
    "leased": _leased,
    "sending": _sending,
    "answered": _answered,
    "committed": _committed,
    "before-follow": _before_follow,
}


if __name__ == "__main__":
    _, point, *command = sys.argv
    POINTS[point]()
    from app.cli.main import main

    sys.argv = ["smmos", *command]
    main()
