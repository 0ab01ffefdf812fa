"""Large sums take two people, and people are known by their keys."""

import httpx
import pytest

from app.core.audit import Actor
from app.core.ids import parse_public_id
from app.core.money import Money
from app.core.runtime import Runtime
from app.refunds import desk
from app.refunds.errors import SecondApproverNeeded
from tests.fixtures.world import World


async def test_nobody_at_a_command_line_is_one_of_the_two_who_approve_a_large_sum(
    world: World, client: httpx.AsyncClient, runtime: Runtime
) -> None:
    reseller = await world.reseller(balance="10.00")
    order = await world.order(reseller)
    body = {"order_id": order["id"], "reason": "not-as-described", "description": "Not theirs."}
    filed = await client.post("/v1/refund-claims", json=body, headers=reseller.headers)
    claim_id = parse_public_id("clm", filed.json()["id"])
    assert claim_id is not None

    with pytest.raises(SecondApproverNeeded):
        async with runtime.uow.begin() as session:
            await desk.approve(
                session,
                claim_id,
                amount=None,
                reason="As the picture shows.",
                by=Actor("command", "root"),
                two_above=Money.parse("0.10"),
            )
    claim = await client.get(f"/v1/refund-claims/{filed.json()['id']}", headers=reseller.headers)
    assert claim.json()["status"] == "under_review"
