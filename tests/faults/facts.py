"""Gathers what the oracle judges by: from the provider, the database, clients and processes."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.core.crypto import KeyRing
from app.orders.inputs import open_form
from app.orders.states import OrderState
from tests.faults.oracle import Facts, Known, Taken

if TYPE_CHECKING:
    from tests.faults.stacks import RunningStack

SIMULATOR: Final = "the simulated provider"
_ORDERS: Final = """
SELECT o.id, o.state, o.charge, o.held, o.refunded, i.sealed,
       o.provider_order_id, coalesce(p.base_url = $1, true) AS at_simulator,
       EXISTS (SELECT 1 FROM order_events e WHERE e.order_id = o.id AND e.type = 'write_off')
           AS written_off
FROM orders o JOIN order_inputs i ON i.order_id = o.id LEFT JOIN providers p ON p.id = o.provider_id
"""


def facts_of(stack: "RunningStack") -> Facts:
    """All that a stack with one simulated provider has to say for itself.

    What a test's own provider took is for the test to judge.
    """
    heard = stack.heard
    return Facts(
        taken=[
            Taken(str(one["provider_order"]), one["link"], SIMULATOR) for one in stack.accepted()
        ],
        known=_known(stack),
        providers=frozenset({SIMULATOR}),
        numbers=frozenset(row["id"] for row in stack.sql("SELECT id FROM schedules")),
        acknowledged={key: frozenset(ids) for key, ids in heard.acknowledged.items()},
        statuses=dict(heard.statuses),
        memory_bytes=_memory_bytes(stack),
    )


def _known(stack: "RunningStack") -> list[Known]:
    keys = KeyRing([stack.secret("master_key")])
    known = []
    for row in stack.sql(_ORDERS, stack.ready()["provider_url"]):
        form = open_form(keys, row["id"], row["sealed"])
        known.append(
            Known(
                id=row["id"],
                target=form.link or form.username or "",
                state=OrderState(row["state"]),
                charge=row["charge"],
                held=row["held"],
                refunded=row["refunded"],
                provider_order=row["provider_order_id"],
                provider=SIMULATOR if row["at_simulator"] else "another",
                written_off=row["written_off"],
            )
        )
    return known


def _memory_bytes(stack: "RunningStack") -> dict[str, int]:
    pids = stack.ready()["pids"]
    sizes: dict[str, int] = {}
    for name in ("api", "worker"):
        for pid in pids[name]:
            status = Path(f"/proc/{pid}/status")
            # One that was killed a moment ago has none, and a zombie has no such line.
            told = status.read_text().splitlines() if status.exists() else []
            sizes |= {
                f"{name} {pid}": int(line.split()[1]) * 1024
                for line in told
                if line.startswith("VmRSS:")
            }
    return sizes
