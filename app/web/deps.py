"""What a route asks for by its type: the process's parts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.core.runtime import Runtime
from app.core.uow import UnitOfWork


def current_runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def current_uow(request: Request) -> UnitOfWork:
    return current_runtime(request).uow


RuntimeDep = Annotated[Runtime, Depends(current_runtime)]
UowDep = Annotated[UnitOfWork, Depends(current_uow)]
