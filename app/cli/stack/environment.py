"""What the processes of a stack are told, and the file by which a second shell joins them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from app.cli.refusals import CommandFailed, variable
from app.cli.stack.files import write_private
from app.cli.stack.secrets import StackSecrets
from app.cli.stack.servers import Servers
from app.core.settings import ENV_FILE_NAME, Settings

# Between two looks of its own a worker waits for what the doorbell does not tell: polls that fall
# due. With waits divided by the time scale, a second would be most of an order's life.
_UNLESS_SET: Final = MappingProxyType(
    {
        "poll_seconds_min": "0.1",
        "poll_seconds_max": "0.3",
        "drain_seconds": "8",
        # No proxy has to notice.
        "unready_seconds": "0.2",
    }
)


def stack_variables(servers: Servers, kept: StackSecrets, *, time_scale: float) -> dict[str, str]:
    """The `SMMOS_…` variables that all processes of a stack share."""
    if os.environ.get(variable("environment")) == "production":
        raise CommandFailed("This is a development stack; SMMOS_ENVIRONMENT says production.")
    unless_set = {
        variable(field): value
        for field, value in _UNLESS_SET.items()
        if variable(field) not in os.environ
    }
    ours = {
        "environment": "development",
        "database_url": servers.database_url,
        "redis_url": servers.redis_url,
        "master_keys": kept.master_keys,
        "metrics_token": kept.metrics_token,
        "time_scale": f"{time_scale:g}",
        "data_dir": str(servers.data_dir),
    }
    return unless_set | {variable(field): value for field, value in ours.items()}


def settings_from(variables: Mapping[str, str]) -> Settings:
    """The settings that a process started with these variables reads."""
    given = {name.removeprefix("SMMOS_").lower(): value for name, value in variables.items()}
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]  # parsed from text


def write_env_file(data_dir: Path, variables: Mapping[str, str]) -> Path:
    """Leave the variables where commands in a second shell, or a shell itself, find them."""
    file = data_dir / ENV_FILE_NAME
    lines = [f"{name}={_quoted(value)}\n" for name, value in variables.items()]
    write_private(file, "".join(lines))
    return file


def remove_env_file(data_dir: Path) -> None:
    """From now on commands in that folder have no stack to join."""
    (data_dir / ENV_FILE_NAME).unlink(missing_ok=True)


def _quoted(value: str) -> str:
    """In the spelling that a POSIX shell and dotenv both read."""
    if "'" in value or "\n" in value:
        raise CommandFailed("A setting with a quote or a line break cannot be kept in a file.")
    return f"'{value}'"
