"""Real PostgreSQL and Valkey as children of this process: for the demo, development and tests."""

from app.embedded.errors import (
    BinaryMissing,
    DataDirectoryTaken,
    DataDirectoryUnusable,
    EmbeddedError,
    PortTaken,
    ServerDidNotStart,
)
from app.embedded.stack import EmbeddedStack, temporary_stack
from app.embedded.supervisor import Supervisor

__all__ = [
    "BinaryMissing",
    "DataDirectoryTaken",
    "DataDirectoryUnusable",
    "EmbeddedError",
    "EmbeddedStack",
    "PortTaken",
    "ServerDidNotStart",
    "Supervisor",
    "temporary_stack",
]
