"""The ready file: where a running stack answers, with which keys, under which process ids."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from app.cli.stack.files import write_private


class StackPids(BaseModel):
    """Processes as they live now; servers that others run have none."""

    api: list[int]
    worker: list[int]
    simulator: list[int]
    postgres: int | None
    redis: int | None


class Ready(BaseModel):
    """What the ready file says; it is there while the stack is ready, and only then."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    base_urls: list[str]
    reseller_key: str
    operator_key: str
    provider_url: str | None
    provider_control_url: str | None
    database_url: str
    redis_url: str
    worker_metrics_url: str
    pids: StackPids

    def write(self, file: Path) -> None:
        """Put it in place whole, readable by its owner only: it holds keys."""
        write_private(file, self.model_dump_json(indent=2) + "\n")
