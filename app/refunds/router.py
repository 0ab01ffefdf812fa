"""The resellers' claim routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.runtime import Runtime
from app.core.uow import now_of
from app.files.errors import TooManyFiles
from app.files.models import StoredFile
from app.files.receiving import UPLOAD, UPLOAD_BODY, StorageDep, receive
from app.refunds import evidence, service
from app.refunds.errors import ClaimNeedsRun, ClaimOpen, ClaimStateConflict, ClaimWindowClosed
from app.refunds.models import Claim
from app.refunds.schemas import (
    ClaimCreate,
    ClaimDetail,
    ClaimListQuery,
    ClaimPage,
    ClaimRead,
    EvidenceRead,
    MessageCreate,
    MessagePage,
    MessageRead,
)
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.idempotency import IdempotencyKeyHeader, Made, once_if_keyed
from app.web.openapi import BODY, GUARDED, IF_KEYED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/refund-claims", tags=["refund claims"], route_class=ResellerRoute)

ClaimId = Annotated[str, Path(description="The claim's id, `clm_…`.")]
GROUP = "claims"


@router.post(
    "",
    status_code=201,
    response_model=ClaimRead,
    responses=refusals(
        *GUARDED, *BODY, *IF_KEYED, NotFound, ClaimNeedsRun, ClaimWindowClosed, ClaimOpen
    ),
)
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def create_refund_claim(
    request: Request,
    body: ClaimCreate,
    caller: CallerDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Claim a refund of an order, within 168 hours of its purchase; what the facts decide is
    decided at once.
    """

    async def effect(session: Session) -> Made:
        claim = await service.file(
            session,
            runtime.keys,
            caller.book_id,
            body.order_id,
            reason=body.reason,
            description=body.description,
            actor=caller.actor,
            time_scale=runtime.settings.time_scale,
        )
        read = ClaimRead.of(claim, runtime.keys, runtime.settings.currency)
        return Made(read, f"/v1/refund-claims/{read.id}")

    return await once_if_keyed(
        request, runtime, owner=caller.owner, key=idempotency_key, status=201, effect=effect
    )


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def list_refund_claims(
    caller: CallerDep, runtime: RuntimeDep, query: Annotated[ClaimListQuery, Query()]
) -> ClaimPage:
    """Your claims, newest first."""
    filters = query.model_dump_json(exclude={"limit", "cursor"})
    page = Page(runtime.cursors, f"claims|{caller.owner}|{filters}", query.limit, query.cursor)
    async with runtime.uow.begin() as session:
        claims = await service.page(
            session,
            caller.book_id,
            order_id=query.order_id,
            states=query.states(),
            after=page.after_uuid(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(claims, lambda claim: claim.id)
    data = [ClaimRead.of(claim, runtime.keys, runtime.settings.currency) for claim in shown]
    return ClaimPage(data=data, next_cursor=next_cursor)


@router.get("/{claim_id}", responses=refusals(*GUARDED, NotFound))
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def get_refund_claim(
    claim_id: ClaimId, caller: CallerDep, runtime: RuntimeDep
) -> ClaimDetail:
    """One of your claims, with what happened to it and its evidence."""
    async with runtime.uow.begin() as session:
        claim = await service.get_in_book(session, caller.book_id, claim_id)
        return await _detail(session, runtime, claim)


async def _detail(session: Session, runtime: Runtime, claim: Claim) -> ClaimDetail:
    events = await service.events(session, claim.id)
    files = await evidence.of_claim(session, claim.id)
    shown = [read_evidence(session, runtime, file) for file in files]
    return ClaimDetail.of_all(claim, runtime.keys, runtime.settings.currency, events, shown)


def read_evidence(session: Session, runtime: Runtime, file: StoredFile) -> EvidenceRead:
    """A file with a link that opens it from now on, for a few minutes."""
    seconds = runtime.settings.files_link_seconds
    return EvidenceRead.of(file, runtime.keys, now=now_of(session), seconds=seconds)


@router.post("/{claim_id}/withdraw", responses=refusals(*GUARDED, NotFound, ClaimStateConflict))
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def withdraw_refund_claim(
    claim_id: ClaimId, caller: CallerDep, runtime: RuntimeDep
) -> ClaimRead:
    """Take a claim back while it is open; the order goes on as it is."""

    async def transaction(session: Session) -> ClaimRead:
        claim = await service.withdraw(session, caller.book_id, claim_id, actor=caller.actor)
        return ClaimRead.of(claim, runtime.keys, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.get(
    "/{claim_id}/messages",
    responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed),
)
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def list_refund_claim_messages(
    claim_id: ClaimId,
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> MessagePage:
    """What was said about one of your claims, from the first message on."""
    page = Page(runtime.cursors, f"claim-messages|{caller.owner}|{claim_id}", limit, cursor)
    after = page.after_uuid()
    async with runtime.uow.begin() as session:
        claim = await service.get_in_book(session, caller.book_id, claim_id)
        said = await service.messages(session, claim.id, after=after, limit=page.read)
    shown, next_cursor = page.cut(said, lambda message: message.id)
    return MessagePage(
        data=[MessageRead.of(one, runtime.keys) for one in shown], next_cursor=next_cursor
    )


@router.post(
    "/{claim_id}/messages",
    status_code=201,
    response_model=MessageRead,
    responses=refusals(*GUARDED, *BODY, *IF_KEYED, NotFound, ClaimStateConflict),
)
@needs(Scope.CLAIMS, group=GROUP, winds_down=True)
async def create_refund_claim_message(
    request: Request,
    claim_id: ClaimId,
    body: MessageCreate,
    caller: CallerDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Write to the operators about an open claim."""

    async def effect(session: Session) -> Made:
        claim = await service.get_in_book(session, caller.book_id, claim_id)
        said = await service.write(
            session, runtime.keys, claim.id, body=body.body, actor=caller.actor, by_operator=False
        )
        return Made(MessageRead.of(said, runtime.keys))

    return await once_if_keyed(
        request, runtime, owner=caller.owner, key=idempotency_key, status=201, effect=effect
    )


@router.post(
    "/{claim_id}/evidence",
    status_code=201,
    openapi_extra=UPLOAD_BODY,
    responses=refusals(*GUARDED, *UPLOAD, NotFound, ClaimStateConflict, TooManyFiles),
)
@needs(Scope.CLAIMS, group="claims-evidence", winds_down=True)
async def create_refund_claim_evidence(
    request: Request,
    claim_id: ClaimId,
    caller: CallerDep,
    runtime: RuntimeDep,
    storage: StorageDep,
) -> EvidenceRead:
    """Add a file to an open claim: a picture, a PDF or a text. The same file is added once."""
    async with runtime.uow.begin() as session:
        found = await evidence.check_room(session, caller.book_id, claim_id)
    file = await receive(request, storage, book_id=caller.book_id, purpose=evidence.PURPOSE)

    async def transaction(session: Session) -> EvidenceRead:
        added = await evidence.attach(session, found, file, actor=caller.actor)
        return read_evidence(session, runtime, added)

    return await runtime.uow.run(transaction, repeatable=True)
