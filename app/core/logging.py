"""Structured logs: one line an event, with the request id, and with secrets blacked out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

_SECRET_NAMES: Final = re.compile(
    r"(authorization|password|secret|credential|api_?key|token|cookie|master_key|link|comments)",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(r"smm_(live|test|pub|op)_[0-9A-Za-z_]+|\b(key=)[^&\s]+")
_URL_PASSWORD: Final = re.compile(r"://([^:/@\s]*):[^@\s]+@")
# What a constraint refused may be a person's.
_FAILING_ROW: Final = re.compile(r"DETAIL:[^\n]*")
_REDACTED: Final = "[redacted]"
_DEPTH_MAX: Final = 4


def configure_logging(level: str, log_format: str) -> None:
    """Send structlog and the standard library's loggers to stderr, redacted."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These say at info what our own lines say better; httpx would also log provider URLs.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "arq", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Black out values by name and API keys and passwords by shape, some levels deep."""
    for name, value in event.items():
        event[name] = _REDACTED if _SECRET_NAMES.search(name) else _clean(value, _DEPTH_MAX)
    return event


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        text = _URL_PASSWORD.sub(r"://\1:[redacted]@", value)
        text = _FAILING_ROW.sub(f"DETAIL: {_REDACTED}", text)
        return _SECRET_TEXT.sub(lambda match: f"{match[2] or ''}{_REDACTED}", text)
    if not depth and isinstance(value, dict | list | tuple):
        return _REDACTED  # deeper than we look: not shown
    if isinstance(value, dict):
        return {
            name: _REDACTED if _SECRET_NAMES.search(str(name)) else _clean(inner, depth - 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(inner, depth - 1) for inner in value]
    return value
