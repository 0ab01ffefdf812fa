"""The resellers' view of the catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.catalog import service
from app.catalog.schemas import ServicePage, ServiceRead
from app.core.cursors import CursorInvalid
from app.core.errors import NotFound
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.openapi import GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/services", tags=["services"], route_class=ResellerRoute)

ServiceId = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX)]


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="services-read", winds_down=True)
async def list_services(
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ServicePage:
    """What can be ordered now, newest first."""
    page = Page(runtime.cursors, f"services|{caller.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        services = await service.on_sale_page(session, after=page.after_int(), limit=page.read)
    shown, next_cursor = page.cut(services, lambda one: one.id)
    data = [ServiceRead.of(one, runtime.settings.currency) for one in shown]
    return ServicePage(data=data, next_cursor=next_cursor)


@router.get("/{service_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Scope.ORDERS_READ, group="services-read", winds_down=True)
async def get_service(service_id: ServiceId, runtime: RuntimeDep) -> ServiceRead:
    """One service on sale."""
    async with runtime.uow.begin() as session:
        found = await service.get_on_sale(session, service_id)
    return ServiceRead.of(found, runtime.settings.currency)
