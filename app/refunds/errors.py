"""What claims refuse."""

from __future__ import annotations

from app.core.errors import AppError


class ClaimWindowClosed(AppError):
    status = 422
    code = "claim-window-closed"
    title = "The time in which this order could be claimed on is over"


class ClaimNeedsRun(AppError):
    status = 422
    code = "claim-needs-run"
    title = "This order is delivered in runs: claim on the run that it is about"


class ClaimOpen(AppError):
    status = 409
    code = "claim-open"
    title = "There is an open claim on this order"


class ClaimStateConflict(AppError):
    status = 409
    code = "claim-state-conflict"
    title = "The claim is not in a state in which this can be done"


class SecondApproverNeeded(AppError):
    status = 409
    code = "second-approver-needed"
    title = "Somebody else has to approve this amount"
