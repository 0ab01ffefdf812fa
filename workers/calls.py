"""What calls to providers share: how they are measured and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.metrics import PROVIDER_CALLS, PROVIDER_SECONDS
from app.providers.protocol import ProviderUnreachable


@contextmanager
def counted(provider_name: str, call: str) -> Iterator[None]:
    """Measure one call, and count it by what became of it."""
    started = time.monotonic()
    outcome = "answered"
    try:
        yield
    except ProviderUnreachable as trouble:
        outcome = trouble.kind
        raise
    finally:
        PROVIDER_SECONDS.labels(provider_name, call).observe(time.monotonic() - started)
        PROVIDER_CALLS.labels(provider_name, call, outcome).inc()
