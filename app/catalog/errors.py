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


class RouteExists(AppError):
    status = 409
    code = "route-exists"
    title = "The service has this route already"
