"""Takes an order or refuses it, whatever dialect it was asked for in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.simulator import forms
from app.simulator.catalog import SERVICES
from app.simulator.faults import Fault
from app.simulator.provider import Provider

_REFUSALS: Final[Mapping[Fault, str]] = {
    Fault.REFUSE: "Bad link",
    Fault.REFUSE_FUNDS: "Not enough funds on balance",
    Fault.REFUSE_UNSEEN: "The stars do not allow it",
    Fault.LINK_BUSY: (
        "You have active order with this link. Please wait until order being completed."
    ),
    Fault.MAINTENANCE: "The panel is under maintenance",
}
_NOT_TAKEN: Final = frozenset({Fault.TOO_MANY_REQUESTS, Fault.HTTP_500, Fault.HTML})


@dataclass(frozen=True, slots=True)
class Taken:
    """The id to tell, which a fault may have made another order's, and the order's charge."""

    order_id: int
    charge_micros: int
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Why no order was taken, in the standard's words, and the fault that spoils the answer."""

    error: str
    fault: Fault | None = None


def take(
    provider: Provider, form: Mapping[str, str], *, reference: str | None = None
) -> Taken | NotTaken:
    """One order in the fields of API v2. What is taken is in the books before it is answered, with
    the customer's own reference where the dialect has one.
    """
    plan = provider.faults.plan_add()
    if plan.answer is not None and plan.answer in _REFUSALS:
        return NotTaken(_REFUSALS[plan.answer])
    if plan.answer in _NOT_TAKEN:
        return NotTaken("Too many requests", plan.answer)
    service = SERVICES.get(forms.whole(form.get("service", "")) or 0)
    if service is None:
        return NotTaken("Incorrect service ID")
    try:
        wanted = forms.read(service, form)
    except forms.Unfit as unfit:
        return NotTaken(str(unfit))
    # A subscription is paid post by post, and needs the money for its first one.
    charge_micros = service.charge_micros(wanted.quantity * wanted.runs)
    if charge_micros > provider.balance_micros():
        return NotTaken("Not enough funds on balance")
    order_id = provider.accept(service, wanted, plan.ending, reference=reference)
    if plan.answer is Fault.WRONG_ID:
        order_id = _another_id(provider, order_id)
    return Taken(order_id, charge_micros, plan.answer)


def _another_id(provider: Provider, order_id: int) -> int:
    """An id that another order already has; the first order ever has no other to borrow."""
    earlier = provider.accepted_count - 1
    return order_id - 1 - provider.faults.choice(earlier) if earlier else order_id
