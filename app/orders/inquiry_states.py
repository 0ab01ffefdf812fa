"""The words of an inquiry: what each kind of evidence can say, and by what it was resolved."""

from __future__ import annotations

from enum import StrEnum


class LookupVerdict(StrEnum):
    """What the provider said when asked for the attempt by our own reference."""

    FOUND = "found"
    NOT_THERE = "not_there"
    UNREADABLE = "unreadable"


class BalanceVerdict(StrEnum):
    """What the provider's balance says, before and after, beside all other charges."""

    TAKEN = "taken"
    ABSENT = "absent"
    UNCLEAR = "unclear"


class IdsVerdict(StrEnum):
    """What the ids say that the provider gave between two orders of ours."""

    FOUND = "found"
    """One id of ours that no order has, and one order without an id."""

    ABSENT = "absent"
    """None of ours, and the orders at both ends are known."""

    AMBIGUOUS = "ambiguous"
    """Ids of ours that could belong to several orders, or that do not look like this one."""

    LOOKING = "looking"


class ResolvedBy(StrEnum):
    """What told what became of an order that hung."""

    OWN_EVIDENCE = "own_evidence"
    LOOKUP = "lookup"
    BALANCE = "balance"
    STATUS = "status"
    OPERATOR = "operator"
    POLICY = "policy"
