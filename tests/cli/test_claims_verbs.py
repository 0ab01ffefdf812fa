"""Claims from a shell: listed, shown with the rules' word, refused, reopened, approved."""

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.cli.test_orders_verbs import refuse, run
from tests.fixtures.world import World

pytestmark = pytest.mark.committing


async def test_a_claim_is_seen_refused_reopened_and_approved(
    shell: Shell, world: World, client: httpx.AsyncClient
) -> None:
    reseller = await world.reseller(balance="10.00")
    order = await world.order(reseller)
    answer = await client.post(
        "/v1/refund-claims",
        json={
            "order_id": order["id"],
            "reason": "not-as-described",
            "description": "They are from elsewhere.",
        },
        headers=reseller.headers,
    )
    claim = answer.json()["id"]
    why = ("--reason", "as the picture shows")

    assert claim in await run(shell, "claims", "list")
    shown = await run(shell, "claims", "show", claim)
    assert "needs-a-person" in shown
    assert "They are from elsewhere." in shown
    assert "is refused" in await run(shell, "claims", "refuse", claim, *why)
    assert claim not in await run(shell, "claims", "list")
    assert claim in await run(shell, "claims", "list", "--state", "refused")
    assert "is with_operator" in await run(shell, "claims", "reopen", claim, *why)
    much = await refuse(shell, "claims", "approve", claim, "--amount", "1.00", *why)
    assert "what is left of the charge" in much
    part = await refuse(shell, "claims", "approve", claim, "--amount", "0.40", *why)
    assert "must be 0.90, all that is left: no provider was given this order" in part
    assert "is approved" in await run(shell, "claims", "approve", claim, "--amount", "0.90", *why)

    assert str((await world.balance(reseller)).available) == "10.00"
    again = await refuse(shell, "claims", "approve", claim, *why)
    assert again == "The claim is closed.\n"
