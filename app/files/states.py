"""The life of a stored file."""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """Announced and perhaps stored; belonging to something; unwanted, its bytes to be removed.

    stored → attached → deleted, or stored → deleted; a deleted file's row goes after its bytes.
    """

    STORED = "stored"
    ATTACHED = "attached"
    DELETED = "deleted"
