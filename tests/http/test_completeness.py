"""No route declares a refusal that no test provokes."""

from typing import Final

import pytest

from tests.http.routes import EVERY

# Declared with every body, because bodies share a list; these routes have no rule beyond schemas.
_NO_RULE_BEYOND_THE_SCHEMA: Final = {
    "createOrderBatch",  # a rule that one order breaks is that order's own outcome
    "changeAccount",
    "createApiKey",
    "rotateApiKey",
    "operatorCreateApiKey",
    "operatorChangeStanding",
    "operatorChangeProvider",
    "operatorAttestService",
    "operatorChangeRoute",
    "operatorPutSyncRule",
    "operatorAcceptFinding",
    "operatorRejectFinding",
    "operatorPutMarkupRule",
    "operatorHoldOrder",
    "operatorCancelOrder",
    "operatorPauseSchedule",
    "operatorCancelSchedule",
    "operatorResolveRefill",
    "createRefundClaim",
    "createRefundClaimMessage",
    "operatorRefuseClaim",
    "operatorReopenClaim",
    "operatorCreateClaimMessage",
    "operatorCreateOperator",
    "operatorCreateOperatorKey",
}
UNPROVABLE: Final = {(operation, "invalid-input") for operation in _NO_RULE_BEYOND_THE_SCHEMA}


def test_each_refusal_that_a_route_declares_has_a_test(request: pytest.FixtureRequest) -> None:
    modules = {item.path.stem for item in request.session.items}
    if not {"test_intake", "test_keys", "test_operators_orders"} <= modules:
        pytest.skip("only meaningful when all tests of this folder were collected")
    proven = {mark.args for item in request.session.items for mark in item.iter_markers("refuses")}
    declared = {(guarded.operation, code) for guarded in EVERY for code in guarded.refuses}

    assert declared - proven == UNPROVABLE
    assert proven <= declared
