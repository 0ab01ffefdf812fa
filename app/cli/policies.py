"""`smmos policies`: the operator's promises by clause, which of them are built, and their tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.output import print_table

commands = typer.Typer()
ROOT: Final = Path(__file__).resolve().parents[2]
_MARKER: Final = re.compile(r'policy\("([A-Z]{3}-\d[a-z]?)"\)')
_TEST: Final = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Clause:
    """One promise, and what the software does about it. A document is served, not done."""

    id: str
    behaviour: str
    built: bool = False
    document: bool = False


CLAUSES: Final = (
    Clause("TOS-1", "versioned terms; mutating calls wait for acceptance"),
    Clause("TOS-2a", "a catalogue by platform and kind, with a form per type", built=True),
    Clause("TOS-2b", "API v2, WordPress plugin, SDKs, a brand per account"),
    Clause("TOS-3", "validated accounts; keys with scopes, expiry, addresses and rotation"),
    Clause(
        "TOS-4", "dispatch without a human; estimate and risk notice on each service", built=True
    ),
    Clause("TOS-5", "documented limits in headers; an escalation ladder"),
    Clause("TOS-6", "one act ends an account, at once and everywhere"),
    Clause("PRI-1", "an inventory of every personal column"),
    Clause("PRI-2", "purposes", document=True),
    Clause("PRI-3", "only what an order needs reaches a provider; disclosures are recorded"),
    Clause(
        "PRI-4", "encryption at rest with rotating keys, roles, a chained audit log", built=True
    ),
    Clause("PRI-5", "nothing of end customers is taken; a reference is no e-mail", built=True),
    Clause("DPA-1", "the least payload; unknown fields refused", built=True),
    Clause("DPA-2", "retention by category"),
    Clause("DPA-3", "export and erasure"),
    Clause("REF-1", "three grounds for a claim, each with its rule", built=True),
    Clause("REF-2", "claims within 7 days, with evidence", built=True),
    Clause("REF-3", "refunds by the undelivered share, exact", built=True),
    Clause("REF-4", "claims belong to an account and an order", built=True),
    Clause(
        "REF-5", "drops and changed minds are refused; a cancel before dispatch is free", built=True
    ),
    Clause("REF-6", "non-delivery is decided at 168 hours", built=True),
    Clause("CPY-1", "licences", document=True),
    Clause("CPY-2", "brand text against reserved names"),
    Clause("CPY-3", "copyright notices"),
    Clause("CPY-4", "counter-notices"),
    Clause("CPY-5", "strikes"),
    Clause("AUP-1", "orders are screened before money moves"),
    Clause("AUP-2", "nothing is sold without an attestation of a lawful method", built=True),
    Clause("AUP-3", "limits, metered overage, many keys counted as one account"),
    Clause("AUP-4", "cases, decisions, appeals; forfeits are in the ledger"),
    Clause("SEC-1", "secure headers, keyed hashes, sealed secrets, a doctor", built=True),
    Clause("SEC-2", "no card data, anywhere"),
    Clause("SEC-3", "leaked keys, security contact, operators' log-in"),
    Clause("SEC-4", "incident register with its clock"),
    Clause("COO-1", "no cookies from the API"),
    Clause("SLA-1", "uptime measured from outside; announced maintenance"),
    Clause("SLA-2", "delivery windows by tier; late orders told", built=True),
    Clause("SLA-3", "tickets with a business-hours clock"),
    Clause("SLA-4", "credits for downtime"),
    Clause("DIS-1", "disclaimers", document=True),
)


def tests_by_clause(folder: Path) -> dict[str, list[str]]:
    """The tests that are marked with each clause, by reading the test files."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        for marker in _MARKER.finditer(text):
            test = _TEST.search(text, marker.end())
            if test:
                found.setdefault(marker[1], []).append(test[1])
    return found


@commands.command()
def policies(
    tests: Annotated[bool, typer.Option(help="Name the tests, not only their number.")] = False,
) -> None:
    """List the policy clauses: what is done about each, and whether it is built and tested."""
    marked = tests_by_clause(ROOT / "tests")
    rows = []
    for clause in CLAUSES:
        state = "document" if clause.document else ("built" if clause.built else "not yet")
        names = marked.get(clause.id, [])
        shown = " ".join(names) if tests else str(len(names))
        rows.append((clause.id, state, clause.behaviour, shown))
    print_table("", ("clause", "state", "what is done", "tests"), rows)
