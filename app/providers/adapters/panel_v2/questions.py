"""What is asked in API v2: the fields of an order, as its type has them."""

from datetime import date

from app.providers.forms import FORMS, filled
from app.providers.protocol import Submission


def order_fields(submission: Submission) -> dict[str, str]:
    """The fields of `action=add`: those of the type that say something, and no others.

    Where the provider counts for itself no quantity is told: two figures could differ.
    """
    form = submission.form
    said = form.said()
    fields = {
        field: _wire_text(getattr(form, field))
        for field in FORMS[submission.service_type].fields
        if field in said
    }
    return {"service": submission.provider_service} | fields


def _wire_text(value: str | int | date | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return "\n".join(filled(value))
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else str(value)
