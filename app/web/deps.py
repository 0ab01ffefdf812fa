"""What a route asks for by its type: the process's parts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.core.runtime import Runtime
from app.core.uow import UnitOfWork


# Coroutines although nothing is awaited: FastAPI sends a plain function to a thread, and waiting
# for that thread costs more than all the rest of a short request.
async def current_runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


async def current_uow(request: Request) -> UnitOfWork:
    runtime: Runtime = request.app.state.runtime
    return runtime.uow


RuntimeDep = Annotated[Runtime, Depends(current_runtime)]
UowDep = Annotated[UnitOfWork, Depends(current_uow)]
