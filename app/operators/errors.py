"""What is refused to operators."""

from __future__ import annotations

from app.core.errors import AppError


class OperatorEmailTaken(AppError):
    status = 409
    code = "operator-email-taken"
    title = "An operator with this e-mail address exists already"
