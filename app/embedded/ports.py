"""Ports for local servers that no outgoing connection can take away between two starts."""

import secrets
import socket

from app.embedded.errors import PortTaken

# Below the range that Linux gives to outgoing connections: a client that retries a stopped server
# on a port inside that range can be given the very port as its own, and connect to itself.
_PORTS = range(20_000, 32_000)
_TRIES_MAX = 200


def choose_port(asked: int | None, remembered: int | None) -> int:
    """The asked port or an error; else the remembered one when free; else any free one."""
    if asked is not None:
        if not is_free(asked):
            raise PortTaken(f"Port {asked} on 127.0.0.1 is in use.")
        return asked
    if remembered is not None and is_free(remembered):
        return remembered
    for _ in range(_TRIES_MAX):
        port = secrets.choice(_PORTS)
        if is_free(port):
            return port
    raise PortTaken(f"{_TRIES_MAX} ports between {_PORTS.start} and {_PORTS.stop} were all in use.")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As the servers do it: connections that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
