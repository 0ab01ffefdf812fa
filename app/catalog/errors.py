"""What the catalogue refuses."""

from __future__ import annotations

from app.core.errors import AppError


class ServiceUnknown(AppError):
    status = 422
    code = "service-unknown"
    title = "No service on sale has this id"


class ServiceUnavailable(AppError):
    status = 409
    code = "service-unavailable"
    title = "This service cannot be ordered at the moment"


class NotAttested(AppError):
    status = 409
    code = "not-attested"
    title = "A service is sold only with an operator's attestation of how it is delivered"


class OutreachNotAllowed(AppError):
    status = 409
    code = "outreach-not-allowed"
    title = "A service that reaches people who did not ask must be allowed to before it is sold"


class RouteExists(AppError):
    status = 409
    code = "route-exists"
    title = "The service has this route already"


class RouteQuarantined(AppError):
    status = 409
    code = "route-quarantined"
    title = "What this route sells waits for a decision on a finding, or was rejected by one"


class SyncRunning(AppError):
    status = 409
    code = "sync-running"
    title = "A sync of this provider is under way"


class FindingDecided(AppError):
    status = 409
    code = "finding-decided"
    title = "This finding was decided or withdrawn already"


class NothingToAccept(AppError):
    status = 409
    code = "nothing-to-accept"
    title = "The provider lists this id more than once: there are no facts of it to accept"
