"""What a route asks for by its type: the runtime of its process."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.core.runtime import Runtime


# A coroutine although nothing is awaited: FastAPI sends a plain function to a thread, and waiting
# for that thread costs more than all the rest of a short request.
async def current_runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(current_runtime)]
