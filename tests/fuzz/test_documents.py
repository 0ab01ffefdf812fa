"""What the documents say holds against the served API, whatever is sent to it.

A little of it runs with all tests; `./run fuzz` goes through every boundary of every field, and
tries many times more.
"""

from collections.abc import Iterator
from copy import deepcopy

import pytest

from app.main import openapi_documents
from app.operators import auth as operators_auth
from tests.fixtures.profiles import is_deep
from tests.fixtures.servers import Servers
from tests.fuzz import campaign
from tests.fuzz.serving import UNLIMITED, Platform, platform

EXAMPLES = 50 if is_deep() else 1
THEIR_OWN_ACCESS = [
    "revokeApiKey",
    "rotateApiKey",
    "operatorRevokeApiKey",
    "operatorChangeStanding",
]
"""Left out: one call of these with an id out of a list, and all others answer 401."""

pytestmark = pytest.mark.timeout(7_200 if is_deep() else 120)


@pytest.fixture(scope="module")
def served(servers: Servers, template: str) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators_auth, "PER_MINUTE", UNLIMITED)
        with platform(servers, template) as running:
            yield running


@pytest.mark.parametrize("name", ["openapi.yaml", "openapi-operator.yaml"])
def test_nothing_that_is_sent_breaks_the_api_or_what_its_document_says(
    served: Platform, name: str
) -> None:
    document = deepcopy(openapi_documents()[name])
    key = served.reseller_key if name == "openapi.yaml" else served.operator_key
    found = campaign.run(
        document,
        url=served.url,
        key=key,
        examples=EXAMPLES,
        thorough=is_deep(),
        leave_out=THEIR_OWN_ACCESS,
    )
    assert (found.errors, found.wrong) == ([], {}), found.report()
    # Every operation was called, and not only refused for the key.
    assert len(found.operations) == _operations(document) - _left_out(document)
    assert found.answers.keys() & {200, 201}
    assert not [status for status in found.answers if status >= 500]
    assert served.violations() == []


def _operations(document: dict[str, dict[str, dict[str, object]]]) -> int:
    return sum(len(path) for path in document["paths"].values())


def _left_out(document: dict[str, dict[str, dict[str, dict[str, str]]]]) -> int:
    return sum(
        operation["operationId"] in THEIR_OWN_ACCESS
        for path in document["paths"].values()
        for operation in path.values()
    )
