"""The fault catalogue: every row, what proves it, and which tests say that they prove it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TESTS: Final = REPOSITORY / "tests"
MARK: Final = "fault"


class Standing(StrEnum):
    """What there is to prove a row with."""

    TESTED = "tested"
    NOT_BUILT = "not built"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Row:
    """One way to break the platform. `needs` is the slice without which it cannot happen yet."""

    number: int
    name: str
    needs: str | None = None
    drill: bool = False

    @property
    def standing(self) -> Standing:
        if self.drill:
            return Standing.DRILL
        if self.needs is not None and not (REPOSITORY / "app" / self.needs).is_dir():
            return Standing.NOT_BUILT
        return Standing.TESTED


ROWS: Final = {
    row.number: row
    for row in (
        Row(1, "worker killed after the lease, before it sends"),
        Row(2, "worker killed after the commit of sending, before the first byte"),
        Row(3, "worker killed after the provider took the order, before it is recorded"),
        Row(4, "workers killed again and again"),
        Row(5, "two workers, doubled rings"),
        Row(6, "worker stopped for longer than its lease"),
        Row(7, "Redis flushed under load"),
        Row(8, "Redis restarted"),
        Row(9, "Redis down for long"),
        Row(10, "Redis hangs"),
        Row(11, "Redis full, or evicting"),
        Row(12, "PostgreSQL restarted"),
        Row(13, "database connections killed in mid-transaction"),
        Row(14, "database connection cut at COMMIT"),
        Row(15, "disk of PostgreSQL full", drill=True),
        Row(16, "connection pool exhausted"),
        Row(17, "lock waits and deadlocks"),
        Row(18, "provider takes the order, then times out"),
        Row(19, "provider answers 5xx"),
        Row(20, "provider trickles"),
        Row(21, "provider answers garbage"),
        Row(22, "provider limits the rate"),
        Row(23, "provider cannot be reached"),
        Row(24, "provider reports nonsense"),
        Row(25, "provider does not know an order that it took"),
        Row(26, "status polls doubled and out of order"),
        Row(27, "webhook receiver misbehaves", needs="webhooks"),
        Row(28, "webhook worker killed after the POST, before it is recorded", needs="webhooks"),
        Row(29, "event of a transaction that was rolled back", needs="webhooks"),
        Row(30, "payment notice repeated, old or tampered with", needs="payments"),
        Row(31, "two notices of one payment, wrong amounts, unknown payers", needs="payments"),
        Row(32, "one Idempotency-Key used at once by many"),
        Row(33, "one Idempotency-Key with another body, or by another reseller"),
        Row(34, "API killed after the commit, before the answer"),
        Row(35, "client hangs up"),
        Row(36, "many orders race for a balance that pays for some"),
        Row(37, "key revoked or reseller suspended in mid-flight"),
        Row(38, "refunds from several sides at once"),
        Row(39, "cancel races the handover"),
        Row(40, "hostile numbers"),
        Row(41, "hostile text"),
        Row(42, "clocks that disagree", drill=True),
        Row(43, "rolling deploy under load"),
        Row(44, "hard stop of everything under load"),
        Row(45, "migration while serving"),
        Row(46, "old and new workers together"),
        Row(47, "ledger tampered with"),
        Row(48, "secrets looked for in all that leaves the house"),
        Row(49, "event loop blocked"),
        Row(50, "file descriptors and memory exhausted", drill=True),
    )
}


def tested_rows() -> dict[int, set[Path]]:
    """The files in which each row has tests, as their marks say: read, not run."""
    found: dict[int, set[Path]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            found[number].add(path)
    return dict(found)


def _marked(module: ast.Module) -> Iterator[int]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=numbers) if name == MARK:
                for one in numbers:
                    if isinstance(one, ast.Constant) and isinstance(one.value, int):
                        yield one.value
