"""What the simulator sells: few services of each type, whose ids never change."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class WireType(StrEnum):
    """The types as API v2 spells them."""

    DEFAULT = "Default"
    PACKAGE = "Package"
    CUSTOM_COMMENTS = "Custom Comments"


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One service; the rate is for 1000 units, of a package for one."""

    id: int
    name: str
    category: str
    rate_micros: int
    min: int
    max: int
    type: WireType = WireType.DEFAULT
    package_units: int = 0
    refill: bool = False
    cancel: bool = False
    dripfeed: bool = False

    def charge_micros(self, quantity: int) -> int:
        """What `quantity` units cost our customer, rounded up; a package has one price."""
        if self.type is WireType.PACKAGE:
            return self.rate_micros
        return -(-self.rate_micros * quantity // 1000)

    def listing(self) -> dict[str, Any]:
        """The service as `action=services` tells it: numbers as text, flags as booleans."""
        return {
            "service": self.id,
            "name": self.name,
            "type": self.type.value,
            "category": self.category,
            "rate": money_text(self.rate_micros),
            "min": str(self.min),
            "max": str(self.max),
            "refill": self.refill,
            "cancel": self.cancel,
            "dripfeed": self.dripfeed,
        }


def money_text(micros: int) -> str:
    """An amount as providers write it: at least two decimals, no trailing zeros beyond them."""
    whole, part = divmod(abs(micros), 1_000_000)
    decimals = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


_SERVICES: Final = (
    SimulatedService(
        101,
        "Instagram Followers",
        "Instagram",
        900_000,
        50,
        100_000,
        refill=True,
        cancel=True,
        dripfeed=True,
    ),
    SimulatedService(
        102, "Instagram Likes", "Instagram", 300_000, 10, 100_000, cancel=True, dripfeed=True
    ),
    SimulatedService(103, "TikTok Views", "TikTok", 20_000, 100, 1_000_000, dripfeed=True),
    SimulatedService(
        104, "YouTube Views", "YouTube", 1_800_000, 100, 500_000, refill=True, cancel=True
    ),
    SimulatedService(105, "Telegram Members", "Telegram", 1_250_000, 10, 50_000, refill=True),
    SimulatedService(106, "X Reposts", "X", 2_400_000, 10, 20_000, cancel=True),
    SimulatedService(
        201,
        "Instagram Starter Package",
        "Instagram",
        4_500_000,
        1,
        1,
        WireType.PACKAGE,
        package_units=1000,
    ),
    SimulatedService(
        202,
        "YouTube Launch Package",
        "YouTube",
        12_000_000,
        1,
        1,
        WireType.PACKAGE,
        package_units=5000,
        cancel=True,
    ),
    SimulatedService(
        301,
        "Instagram Custom Comments",
        "Instagram",
        8_000_000,
        5,
        1_000,
        WireType.CUSTOM_COMMENTS,
        cancel=True,
    ),
    SimulatedService(
        302, "YouTube Custom Comments", "YouTube", 15_000_000, 1, 500, WireType.CUSTOM_COMMENTS
    ),
)
SERVICES: Final = MappingProxyType({service.id: service for service in _SERVICES})
