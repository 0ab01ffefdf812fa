"""What is refused to callers by who they are, and to accounts by what they ask."""

from __future__ import annotations

from app.core.errors import AppError


class EmailTaken(AppError):
    status = 409
    code = "email-taken"
    title = "An account with this e-mail address exists already"


class AccountSuspended(AppError):
    status = 403
    code = "account-suspended"
    title = "This account may not do that in its present standing"


class ScopeTooWide(AppError):
    status = 403
    code = "scope-too-wide"
    title = "A key can make keys only with scopes that it has itself"


class TooManyKeys(AppError):
    status = 409
    code = "too-many-keys"
    title = "This account has as many active keys as it may have"
