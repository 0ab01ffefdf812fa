"""The entry point: which command stands in which module, and the one place where refusals end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

import typer

from app.cli.refusals import told_plainly

# A process imports what its own command needs and no more: an API should start as fast as it can.
_MODULES: Final = MappingProxyType(
    {
        "up": "up",
        "demo": "demo.command",
        "api": "api",
        "worker": "worker",
        "simulator": "simulator",
        "migrate": "migrate",
        "backup": "backup",
        "restore": "backup",
        "restored": "backup",
        "doctor": "doctor.command",
        "ledger-check": "money",
        "trial-balance": "money",
        "credits": "money",
        "operators": "people",
        "resellers": "people",
        "keys": "people",
        "providers": "supply",
        "catalogue": "catalogue",
        "orders": "orders",
        "schedules": "schedules",
        "claims": "claims",
        "policies": "policies",
        "secrets": "secrets",
        "openapi": "documents",
        "settings-table": "documents",
        "check-migrations": "migration_checks",
    }
)


def application(wanted: str | None = None) -> typer.Typer:
    """The command line with the one wanted command, or with all where that is none of ours."""
    names = [_MODULES[wanted]] if wanted and wanted in _MODULES else list(_MODULES.values())
    commands = typer.Typer(
        name="smmos",
        help="SMMOS, a reseller order platform.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        callback=_keep_subcommands,
    )
    for name in dict.fromkeys(names):
        commands.add_typer(import_module(f"app.cli.{name}").commands)
    return commands


def _keep_subcommands() -> None:
    """Typer would take a single command for the whole application."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a refusal is one line on stderr and exit code 1."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    with told_plainly():
        application(argv[0] if argv else None)(argv, prog_name="smmos")
