"""Logs: one line an event, and no secret in it by name, by shape, or by depth."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.core import apikeys
from app.core.apikeys import KeyKind
from app.core.crypto import KeyRing, new_master_key
from app.core.logging import configure_logging, get_logger, redact

API_KEY = apikeys.mint(KeyKind.LIVE, KeyRing([new_master_key()])).text


def redacted(event: dict[str, Any]) -> str:
    return repr(redact(None, "info", event))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What our configuration writes, with the process's own put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("info", "json")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "name",
    ["authorization", "Password", "client_secret", "credentials", "api_key", "apikey", "token",
     "set-cookie", "master_keys", "link", "comments"],
)  # fmt: skip
def test_a_value_under_a_secret_name_is_blacked_out_at_any_depth(name: str) -> None:
    for event in ({name: "canary"}, {"a": {name: "canary"}}, {"a": [{"b": {name: ["canary"]}}]}):
        assert "canary" not in redacted(event)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"refused {API_KEY} from 10.0.0.1", API_KEY),
        ("postgresql+asyncpg://smmos:canary@db/smmos", "canary"),
        ("redis://:canary@cache:6379/0", "canary"),
        ("POST /api/v2?key=canary&action=add", "canary"),
    ],
    ids=["api-key", "database-url", "redis-url", "provider-key"],
)
def test_a_secret_is_known_by_its_shape_wherever_it_stands(text: str, secret: str) -> None:
    for event in ({"event": text}, {"a": [text]}, {"a": {"b": (text,)}}):
        assert secret not in redacted(event)


def test_what_lies_deeper_than_we_look_is_not_shown() -> None:
    event: dict[str, Any] = {"password": "canary"}
    for _ in range(12):
        event = {"inner": event}
    assert "canary" not in redacted(event)


def test_what_is_no_secret_is_left_as_it_is() -> None:
    event = {"event": "order_placed", "order_id": 7, "states": ["queued"], "rate": 0.5}
    assert redact(None, "info", dict(event)) == event


def test_a_log_line_is_one_line_of_json_with_its_context(logged: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        get_logger("test").info("order\nplaced", note="two\nlines", password="canary")
    [line] = logged.getvalue().splitlines()
    said = json.loads(line)
    assert said["request_id"] == "r1"
    assert said["level"] == "info"
    assert said["note"] == "two\nlines"
    assert "canary" not in line


def test_exceptions_and_other_peoples_loggers_are_redacted_too(logged: io.StringIO) -> None:
    def fail() -> None:
        raise ConnectionError("cannot reach redis://:canary@cache")

    try:
        fail()
    except ConnectionError:
        get_logger("test").exception("failed")
        logging.getLogger("somebody").exception("failed at %s", "redis://:canary@cache")
    lines = logged.getvalue().splitlines()
    assert len(lines) == 2
    assert all("ConnectionError" in line for line in lines)
    assert "canary" not in logged.getvalue()


def test_below_the_configured_level_nothing_is_said(logged: io.StringIO) -> None:
    get_logger("test").debug("quiet")
    logging.getLogger("httpx").info("GET https://provider/?key=1")
    assert logged.getvalue() == ""
