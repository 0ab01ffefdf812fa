"""A provider's own words of refusal, as they may be told to a reseller: naming nobody. Pure."""

from __future__ import annotations

import re
from typing import Final

REASON_CHARS_MAX: Final = 200
_LEFT_OUT: Final = "…"
_ADDRESS: Final = re.compile(
    r"\S*@\S+"  # an e-mail address, a name on a messenger
    r"|https?://\S+"
    r"|\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b\S*",  # a host, with or without its path
    re.IGNORECASE,
)


def told_reason(said: str, *, provider_name: str) -> str | None:
    """What was said without addresses and without the provider's name; None where that is all."""
    text = _ADDRESS.sub(_LEFT_OUT, said)
    text = re.sub(re.escape(provider_name), _LEFT_OUT, text, flags=re.IGNORECASE)
    text = " ".join(text.split())[:REASON_CHARS_MAX]
    return text if text.strip(f"{_LEFT_OUT} .") else None
