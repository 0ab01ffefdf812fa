"""What is refused to operators."""

from __future__ import annotations

from app.core.errors import AppError


class LastAdmin(AppError):
    status = 409
    code = "last-admin"
    title = "The last admin of the staff cannot leave: name another first"


class OperatorEmailTaken(AppError):
    status = 409
    code = "operator-email-taken"
    title = "An operator with this e-mail address exists already"
