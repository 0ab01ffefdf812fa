"""The secrets of a development stack: made at its first start, kept in its data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.cli.refusals import CommandFailed
from app.cli.stack.files import write_private
from app.core.crypto import new_master_key

_FILE: Final = "secrets.json"


def _token() -> str:
    return secrets.token_urlsafe(24)


class StackSecrets(BaseModel):
    """What must be the same at the next start. The file is readable by its owner only."""

    model_config = ConfigDict(frozen=True)

    # Tells this folder's simulator from one whose orders another folder remembers.
    instance: str = Field(default_factory=lambda: secrets.token_hex(3))
    master_key: str = Field(default_factory=new_master_key)
    metrics_token: str = Field(default_factory=_token)
    provider_key: str = Field(default_factory=_token)
    reseller_key: str | None = None
    operator_key: str | None = None
    simulator_port: int | None = None

    @property
    def master_keys(self) -> str:
        """What the person who starts the stack has set wins: their database was sealed with it."""
        return os.environ.get("SMMOS_MASTER_KEYS") or self.master_key


def recall(data_dir: Path) -> StackSecrets:
    """What was kept, or fresh secrets for a fresh folder."""
    file = data_dir / _FILE
    try:
        return StackSecrets.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return StackSecrets()
    except ValidationError:
        # The text of the error would show the secrets in the file.
        raise CommandFailed(f"{file} is damaged. Choose another data folder.") from None


def remember(data_dir: Path, kept: StackSecrets) -> None:
    """Keep them for the next start."""
    write_private(data_dir / _FILE, kept.model_dump_json(indent=2))
