"""What supply refuses."""

from __future__ import annotations

from app.core.errors import AppError


class ProviderNameTaken(AppError):
    status = 409
    code = "provider-name-taken"
    title = "There is a provider of that name already"
