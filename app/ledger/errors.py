"""What the ledger refuses."""

from __future__ import annotations

from app.core.errors import AppError


class InsufficientFunds(AppError):
    status = 402
    code = "insufficient-funds"
    title = "The balance does not cover the charge"


class SpendingStopped(AppError):
    status = 403
    code = "spending-stopped"
    title = "This account may not spend"


class LedgerConflictError(RuntimeError):
    """A cause was posted before with other amounts: a bug, never a refusal."""


class CurrencyChangedError(RuntimeError):
    """The selling currency differs from the one this database was set up with."""
