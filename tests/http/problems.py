"""Reading refusals: every one is the same kind of document."""

import re
from typing import Any

import httpx

_INSTANCE = re.compile(r"urn:smmos:request:[0-9A-Za-z._-]+")


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The document of a refusal, which must be of this status and code and well formed."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    document: dict[str, Any] = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"https://smmos.com/problems/{code}"
    assert document["title"]
    assert document["detail"]
    assert _INSTANCE.fullmatch(document["instance"])
    assert document["instance"].endswith(answer.headers["x-request-id"])
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """The fields that a refusal blames."""
    return [field["pointer"] for field in document["errors"]]
