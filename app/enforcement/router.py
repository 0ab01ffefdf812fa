"""The operators' route on the standing of an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.core import audit
from app.core.db import Session
from app.core.errors import NotFound
from app.enforcement import service
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.resellers import service as resellers
from app.resellers.models import Standing
from app.resellers.schemas import ResellerRead
from app.web.deps import RuntimeDep
from app.web.fields import Line
from app.web.openapi import BODY, GUARDED, refusals
from app.web.schemas import InputModel

router = APIRouter(
    prefix="/v1/operator/resellers/{reseller_id}",
    tags=["resellers"],
    route_class=OperatorRoute,
)


class StandingChange(InputModel):
    """A new standing, and why."""

    standing: Standing
    reason: Annotated[Line, Field(max_length=500)]


@router.post("/standing", responses=refusals(*GUARDED, *BODY, NotFound))
@needs(Permission.STANDING_WRITE)
async def operator_change_standing(
    reseller_id: str, body: StandingChange, operator: OperatorDep, runtime: RuntimeDep
) -> ResellerRead:
    """Limit, suspend, terminate or restore an account; its spending stops or goes on at once."""

    async def transaction(session: Session) -> ResellerRead:
        reseller = await resellers.get_public(session, reseller_id)
        changed = await service.change_standing(
            session, reseller.id, body.standing, reason=body.reason
        )
        await audit.record(
            session,
            operator.actor,
            "reseller.standing",
            f"reseller:{reseller_id}",
            body.model_dump(mode="json"),
        )
        return ResellerRead.of(changed)

    return await runtime.uow.run(transaction)
