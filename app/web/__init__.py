"""What routers share: problems, guards, limits, pages, idempotency, request ids."""
