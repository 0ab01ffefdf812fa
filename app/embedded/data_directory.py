"""A stack's folder: who owns it now, and what it remembers from one start to the next."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.embedded.errors import DataDirectoryTaken, DataDirectoryUnusable

_MEMORY: Final = "stack.json"
_LOCK: Final = "lock"


def _new_secret() -> str:
    return secrets.token_urlsafe(24)


class Memory(BaseModel):
    """What must be the same at the next start. The file is readable by its owner only."""

    model_config = ConfigDict(frozen=True)

    # Tells this folder from an earlier one that stood under the same name.
    instance: str = Field(default_factory=lambda: secrets.token_hex(8))
    postgres_password: str = Field(default_factory=_new_secret)
    redis_password: str = Field(default_factory=_new_secret)
    postgres_port: int | None = None
    redis_port: int | None = None


class DataDirectory:
    """One folder, one live owner: the lock falls by itself when its holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def take(self) -> None:
        """Make the folder where it is missing, and own it; raise when another process does."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataDirectoryUnusable(
                f"The data folder {self.path} cannot be written: {error.strerror}. Choose another"
                " folder, or give this one to the user that starts the command."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0).decode().strip() or "unknown"
            os.close(lock)
            raise DataDirectoryTaken(
                f"The data folder {self.path} is in use by process {holder}. Stop that process, or"
                " choose another folder."
            ) from error
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Give the folder up; harmless when it is not owned."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def recall(self) -> Memory:
        """What was remembered, or fresh secrets for a fresh folder."""
        file = self.path / _MEMORY
        try:
            return Memory.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return Memory()
        except (OSError, ValidationError) as error:
            # The text of a validation error would show the secrets in the file.
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise DataDirectoryUnusable(f"{file} cannot be read: {reason}.") from None

    def remember(self, memory: Memory) -> None:
        """Write the memory whole or not at all."""
        file, fresh = self.path / _MEMORY, self.path / f"{_MEMORY}.new"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(memory.model_dump_json(indent=2))
        if os.geteuid() == 0:
            # In another user's folder: that user must still be able to start without us.
            owner = self.path.stat()
            os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.replace(file)
