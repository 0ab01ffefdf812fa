"""What schedules refuse."""

from __future__ import annotations

from app.core.errors import AppError


class OrderNotPausable(AppError):
    status = 409
    code = "order-not-pausable"
    title = "Only a drip-feed with runs to come can be paused"


class OrderNotResumable(AppError):
    status = 409
    code = "order-not-resumable"
    title = "Only a drip-feed that is paused can be resumed"
