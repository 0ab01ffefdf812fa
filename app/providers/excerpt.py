"""Makes a provider's words safe to keep: short, without what is secret, storable in Postgres."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from app.providers.protocol import ANSWER_CHARS_MAX

REDACTED: Final = "[redacted]"
REASON_CHARS_MAX: Final = 300

# Postgres text takes no NUL, UTF-8 no lone surrogate; other control characters spoil logs.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def excerpt(text: str | bytes, secrets: Iterable[str], *, limit: int = ANSWER_CHARS_MAX) -> str:
    """The beginning of `text`; a secret that the provider echoes is cut out before the cut."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    for spelling in _spellings(secrets):
        text = text.replace(spelling, REDACTED)
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)[:limit]


def reason(text: str, secrets: Iterable[str]) -> str:
    """Like `excerpt`, of the length of a sentence or two."""
    return excerpt(text, secrets, limit=REASON_CHARS_MAX)


def _spellings(secrets: Iterable[str]) -> Iterator[str]:
    """A form, a URL or a JSON text may echo a secret in its own spelling."""
    for secret in secrets:
        if secret:
            yield from {
                secret,
                quote(secret, safe=""),
                quote_plus(secret),
                json.dumps(secret)[1:-1],
                # As PHP writes JSON.
                json.dumps(secret)[1:-1].replace("/", "\\/"),
            }
