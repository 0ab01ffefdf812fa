"""Refusals that belong to HTTP itself: keys, scopes, limits, bodies, paths."""

from __future__ import annotations

from app.core.errors import AppError


class Unauthorized(AppError):
    status = 401
    code = "unauthorized"
    title = "A valid API key is needed"


class ScopeMissing(AppError):
    status = 403
    code = "scope-missing"
    title = "This key may not do that"


class RateLimited(AppError):
    status = 429
    code = "rate-limited"
    title = "Too many requests, wait and try again"


class BodyTooLarge(AppError):
    status = 413
    code = "body-too-large"
    title = "The request body is too large"


class BodyMalformed(AppError):
    status = 400
    code = "body-malformed"
    title = "The request body is not valid JSON"


class ContentTypeUnsupported(AppError):
    status = 415
    code = "content-type-unsupported"
    title = "The request body must be application/json"


class ValidationFailed(AppError):
    status = 422
    code = "validation-failed"
    title = "The request breaks a rule of its schema"


class RouteUnknown(AppError):
    status = 404
    code = "route-unknown"
    title = "There is no such route"


class MethodNotAllowed(AppError):
    status = 405
    code = "method-not-allowed"
    title = "This route does not take that method"


class InternalError(AppError):
    """Something broke on our side; the request id finds it in the logs."""
