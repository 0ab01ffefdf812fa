"""Settings: `SMMOS_…` environment variables, read once at start, frozen, never at import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.crypto import KeyRing

ENV_FILE_NAME = "env"
"""What a development stack leaves in its data folder, so that a second shell finds it."""

_S3_NEEDED: Final = ("files_s3_endpoint", "files_s3_bucket", "files_s3_key_id", "files_s3_secret")


class Settings(BaseSettings):
    """Everything a deployment can set. The descriptions are the documentation's table."""

    model_config = SettingsConfigDict(env_prefix="SMMOS_", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses development conveniences and simulators"
    )
    database_url: SecretStr = Field(
        description="PostgreSQL 15 or newer, as postgresql+asyncpg://user:password@host/database"
    )
    migration_database_url: SecretStr | None = Field(
        None, description="a role that may change the schema; by default the database URL"
    )
    redis_url: SecretStr = Field(
        description="Redis 7 or Valkey 8 and newer, as redis://host:6379/0"
    )
    master_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="comma list of base64 keys of 32 bytes; the first encrypts, all decrypt"
    )
    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="the one selling currency, fixed at first migrate"
    )
    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8000, ge=0, le=65535, description="port the API listens on")
    forwarded_allow_ips: str = Field(
        "127.0.0.1", description="proxies whose X-Forwarded-For is believed; never *"
    )
    metrics_token: SecretStr | None = Field(
        None, description="bearer token of GET /metrics; without one the route does not exist"
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="loopback port of a worker's own /metrics; none by default",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    log_format: Literal["json", "console"] = Field("json", description="how log lines are written")
    pool_size: int = Field(10, ge=1, le=200, description="database connections per process")
    pool_timeout_seconds: float = Field(
        2.0, gt=0, description="wait for a connection before answering 503"
    )
    statement_timeout_seconds: int = Field(5, ge=1, description="limit of one SQL statement")
    lock_timeout_seconds: int = Field(2, ge=1, description="limit of a wait for a row lock")
    body_max_bytes: int = Field(65_536, ge=1024, description="largest request body, else 413")
    rate_limit_default_per_minute: int = Field(
        600, ge=1, description="requests a minute per key and route group where a plan says nothing"
    )
    failed_auth_per_minute: int = Field(
        30, ge=1, description="refused keys a minute per address before 429"
    )
    panel_address_per_minute: int = Field(
        1200,
        ge=1,
        description="API v2 requests a minute per address, counted before the key is read",
    )
    poll_seconds_min: float = Field(1.0, gt=0, description="least wait of a worker's own poll")
    poll_seconds_max: float = Field(5.0, gt=0, description="longest wait of a worker's own poll")
    unready_seconds: float = Field(
        5.0, ge=0, le=60, description="how long a stopping API serves on while /readyz says 503"
    )
    drain_seconds: float = Field(
        50.0, gt=0, description="how long a stopping worker waits for calls under way"
    )
    queued_days_max: int = Field(
        7, ge=1, description="days after which an order that was never sent is canceled and repaid"
    )
    unknown_hours_max: int = Field(
        24, ge=1, description="hours after which an unconfirmed order is handed to an operator"
    )
    claim_two_above: str = Field(
        "100",
        pattern=r"^\d{1,9}(\.\d{1,6})?$",
        description="refunds above this amount, in the selling currency, take two operators",
    )
    claim_evidence_days: int = Field(
        180, ge=1, le=3650, description="days after which the files of a closed claim are deleted"
    )
    time_scale: float = Field(
        1.0, ge=1, le=10_000, description="divides waits, where a simulator delivers and only there"
    )
    data_dir: Path = Field(
        Path(".smmos"), description="folder of a development stack: data, logs, generated secrets"
    )
    files_backend: Literal["local", "s3"] = Field(
        "local", description="where uploaded files are kept: a folder, or S3-compatible storage"
    )
    files_dir: Path | None = Field(
        None,
        description="folder of local files, shared by all processes; by default the data folder's"
        " `files`",
    )
    files_bytes_max: int = Field(
        5_242_880, ge=1024, le=52_428_800, description="largest uploaded file, else 413"
    )
    files_book_bytes_max: int = Field(
        524_288_000, ge=1024, description="what all files of one account may take, else 409"
    )
    files_link_seconds: int = Field(
        300, ge=10, le=3600, description="how long a link to a file opens it"
    )
    files_s3_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@]+$",
        description="S3-compatible storage, as https://host or https://host:port, without a path",
    )
    files_s3_region: str = Field(
        "us-east-1",
        pattern=r"^[a-z0-9-]+$",
        description="region that requests to S3 are signed for",
    )
    files_s3_bucket: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="bucket of the files, used for nothing else and open to nobody else",
    )
    files_s3_key_id: str | None = Field(None, description="access key of that bucket")
    files_s3_secret: SecretStr | None = Field(None, description="secret of that access key")

    @property
    def files_folder(self) -> Path:
        """The folder of local files."""
        return self.files_dir or self.data_dir / "files"

    @field_validator("master_keys", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _name_the_driver(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not separator or scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
            raise ValueError("must be a postgresql:// URL")
        return SecretStr(f"postgresql+asyncpg://{rest}")

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        try:
            KeyRing([key.get_secret_value() for key in self.master_keys])
        except ValueError as error:
            raise ValueError(f"SMMOS_MASTER_KEYS: {error}") from error
        if self.poll_seconds_max < self.poll_seconds_min:
            raise ValueError("SMMOS_POLL_SECONDS_MAX must not be below SMMOS_POLL_SECONDS_MIN")
        if self.forwarded_allow_ips.strip() == "*":
            raise ValueError("SMMOS_FORWARDED_ALLOW_IPS must name the proxies, not *")
        if self.files_backend == "s3":
            absent = [name for name in _S3_NEEDED if getattr(self, name) is None]
            if absent:
                named = ", ".join(f"SMMOS_{name.upper()}" for name in absent)
                raise ValueError(f"SMMOS_FILES_BACKEND=s3 needs {named}")
        if self.environment == "production" and self.time_scale != 1:
            raise ValueError("SMMOS_TIME_SCALE is for development only")
        return self


def load_settings() -> Settings:
    """Read the environment, and beneath it the file that a running development stack left."""
    data_dir = Path(os.environ.get("SMMOS_DATA_DIR", ".smmos"))
    env_file = data_dir / ENV_FILE_NAME
    return Settings(_env_file=env_file if env_file.is_file() else None)
