"""Every guarded route of the API, found by walking the routers, and a good body for each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from fastapi import APIRouter

from app.main import OPERATOR_ROUTERS, RESELLER_ROUTERS, openapi_documents
from app.operators.auth import OperatorRoute
from app.resellers.auth import ResellerRoute

NOBODY: Final = "0" * 32
ABSENT: Final = {
    "order_id": "1",
    "refill_id": "1",
    "schedule_id": "1",
    "service_id": "999999999",
    "key_id": f"key_{NOBODY}",
    "reseller_id": f"rsl_{NOBODY}",
    "provider_id": f"prv_{NOBODY}",
    "operator_id": f"opr_{NOBODY}",
    "route_id": f"rte_{NOBODY}",
    "currency": "EUR",
    "finding_id": f"fnd_{NOBODY}",
    "subject": f"prv_{NOBODY}",
    "claim_id": f"clm_{NOBODY}",
}
"""Ids of the right shape under which there is nothing."""

_ORDER: Final = {"service_id": 999999999, "link": "https://example.com/a", "quantity": 100}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "createOrder": _ORDER,
    "createOrderBatch": {"orders": [_ORDER]},
    "changeAccount": {"name": "Another Name"},
    "createApiKey": {"name": "second", "scopes": ["orders:read"]},
    "rotateApiKey": {"overlap_hours": 1},
    "operatorCreateReseller": {"name": "Shop", "email": "shop@example.com", "country": "DE"},
    "operatorCreateApiKey": {"name": "first", "scopes": ["orders:read"]},
    "operatorChangeStanding": {"standing": "suspended", "reason": "under review"},
    "operatorCreateCredit": {"amount": "5.00", "note": "bank transfer"},
    "operatorCreateProvider": {
        "name": "Upstream",
        "adapter": "panel_v2",
        "base_url": "https://upstream.example/api/v2",
        "credentials": {"key": "upstream-key"},
        "currency": "USD",
    },
    "operatorChangeProvider": {"in_flight_max": 4},
    "operatorPutExchangeRate": {"rate": "1.10"},
    "operatorCreateService": {
        "name": "Followers",
        "category": "Growth",
        "platform": "example",
        "kind": "followers",
        "type": "default",
        "rate": "0.90",
        "min_quantity": 10,
        "max_quantity": 1000,
    },
    "operatorChangeService": {"rate": "1.00"},
    "operatorAttestService": {"method": "advertising", "document": "contract 7"},
    "operatorCreateRoute": {
        "provider_id": ABSENT["provider_id"],
        "provider_service": "101",
        "cost": "0.50",
    },
    "operatorChangeRoute": {"priority": 1},
    "operatorImportServices": {
        "services": [
            {
                "provider_id": ABSENT["provider_id"],
                "provider_service": "101",
                "platform": "example",
                "kind": "followers",
            }
        ]
    },
    "operatorPutSyncRule": {"price_jump_basis_points": 1000},
    "operatorAcceptFinding": {"note": "seen"},
    "operatorRejectFinding": {},
    "operatorPutMarkupRule": {"percent_basis_points": 3000},
    "operatorHoldOrder": {"reason": "under review"},
    "operatorCancelOrder": {"reason": "asked by phone"},
    "operatorPauseSchedule": {"reason": "under review"},
    "operatorCancelSchedule": {"reason": "asked by phone"},
    "operatorResolveOrder": {"outcome": "written_off", "reason": "nobody knows"},
    "operatorTellProgress": {"status": "in_progress", "start_count": 100, "remains": 40},
    "operatorResolveRefill": {"outcome": "not_taken", "reason": "their log shows no refill"},
    "createRefundClaim": {
        "order_id": 1,
        "reason": "not-delivered",
        "description": "Nothing has arrived.",
    },
    "createRefundClaimMessage": {"body": "Is there any news?"},
    "operatorApproveClaim": {"reason": "the evidence shows it"},
    "operatorRefuseClaim": {"reason": "the evidence does not show it"},
    "operatorReopenClaim": {"reason": "new evidence came by mail"},
    "operatorCreateClaimMessage": {"body": "Please send a picture."},
    "operatorCreateOperator": {
        "name": "Sam",
        "email": "sam@example.com",
        "roles": ["support"],
    },
    "operatorCreateOperatorKey": {"name": "laptop"},
}


@dataclass(frozen=True, slots=True)
class Guarded:
    """One route: how to call it, what it needs of its caller, and what it declares to refuse."""

    operation: str
    method: str
    template: str
    route: ResellerRoute | OperatorRoute
    refuses: frozenset[str]

    def __str__(self) -> str:
        return self.operation

    @property
    def is_operators(self) -> bool:
        return isinstance(self.route, OperatorRoute)

    @property
    def body(self) -> dict[str, Any] | None:
        """A body that its schema takes, for a route that takes one."""
        return BODIES[self.operation] if self.takes_body else None

    @property
    def takes_body(self) -> bool:
        return self.route.body_field is not None

    def path(self, **ids: object) -> str:
        """The path with these ids, and with absent ones for the rest."""
        return self.template.format(**(ABSENT | ids))

    async def call(
        self, client: httpx.AsyncClient, headers: dict[str, str], **ids: object
    ) -> httpx.Response:
        """Call it with a body that its schema takes."""
        key = {"Idempotency-Key": "a-key"}
        return await client.request(
            self.method, self.path(**ids), json=self.body, headers=key | headers
        )


def _walk(name: str, routers: tuple[APIRouter, ...]) -> Iterator[Guarded]:
    document = openapi_documents()[name]
    for router in routers:
        for route in router.routes:
            assert isinstance(route, ResellerRoute | OperatorRoute)
            [method] = route.methods or {""}
            declared = document["paths"][route.path][method.lower()]
            yield Guarded(
                operation=declared["operationId"],
                method=method,
                template=route.path,
                route=route,
                refuses=frozenset(_codes(declared)),
            )


def _codes(operation: dict[str, Any]) -> Iterator[str]:
    for answer in operation["responses"].values():
        yield from re.findall(r"`([a-z0-9-]+)`:", answer["description"])


RESELLERS: Final = tuple(_walk("openapi.yaml", RESELLER_ROUTERS))
OPERATORS: Final = tuple(_walk("openapi-operator.yaml", OPERATOR_ROUTERS))
EVERY: Final = RESELLERS + OPERATORS


def that_refuse(code: str, *, among: tuple[Guarded, ...] = EVERY) -> list[Any]:
    """A test's parameters: each route that declares this refusal, noted as proven by that test."""
    return [
        pytest.param(
            guarded, id=guarded.operation, marks=pytest.mark.refuses(guarded.operation, code)
        )
        for guarded in among
        if code in guarded.refuses
    ]
