"""Every adapter by its name: a new provider dialect is one file and one line here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from app.providers.adapters import manual, panel_v2, smoservice
from app.providers.protocol import Adapter
from app.providers.wire import Wire

ADAPTERS: Final[Mapping[str, Callable[[Wire], Adapter]]] = MappingProxyType(
    {
        panel_v2.NAME: panel_v2.PanelV2,
        smoservice.NAME: smoservice.SmoService,
        manual.NAME: lambda _wire: manual.Manual(),
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
    make = ADAPTERS.get(name)
    if make is None:
        raise AdapterUnknown(name)
    return make(wire)
