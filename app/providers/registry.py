"""Every adapter by its name: a new provider dialect is one file and one line here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from app.providers.adapters import manual, panel_v2, smmos, smoservice
from app.providers.protocol import Adapter, Capability
from app.providers.wire import Wire


class Dialect(NamedTuple):
    """How an adapter is made, what an account must hold to sign in, and what the adapter can do.

    Rules ask here, where there is no wire; the adapter itself says the same.
    """

    make: Callable[[Wire], Adapter]
    credentials: tuple[str, ...]
    capabilities: frozenset[Capability]
    ids_per_status_call: int
    calls: bool = True
    """Whether it calls anybody, so that an account must say where."""


ADAPTERS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        panel_v2.NAME: Dialect(
            panel_v2.PanelV2, ("key",), panel_v2.CAPABILITIES, panel_v2.IDS_PER_STATUS_CALL
        ),
        smoservice.NAME: Dialect(
            smoservice.SmoService,
            ("user_id", "api_key"),
            smoservice.CAPABILITIES,
            smoservice.IDS_PER_STATUS_CALL,
        ),
        smmos.NAME: Dialect(smmos.Smmos, ("key",), smmos.CAPABILITIES, smmos.IDS_PER_STATUS_CALL),
        manual.NAME: Dialect(
            lambda _wire: manual.Manual(),
            (),
            manual.CAPABILITIES,
            manual.IDS_PER_STATUS_CALL,
            calls=False,
        ),
    }
)


class AdapterUnknown(LookupError):
    """No adapter has the name that a provider's account asks for."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No adapter is called {name!r}; there are: {', '.join(sorted(ADAPTERS))}."
        )
        self.name = name


def get_adapter(name: str, wire: Wire) -> Adapter:
    """The adapter of that name, speaking over `wire`. Raises AdapterUnknown."""
    return dialect_of(name).make(wire)


def dialect_of(name: str) -> Dialect:
    """Raises AdapterUnknown."""
    dialect = ADAPTERS.get(name)
    if dialect is None:
        raise AdapterUnknown(name)
    return dialect
