"""The adapter without a wire: an order is taken under an id that is made of its own attempt."""

from app.providers.adapters.manual import Manual
from app.providers.protocol import Accepted, NotSent, ProviderAccount
from tests.providers.conftest import likes

ACCOUNT = ProviderAccount("prv_1", "manual", "", {}, "USD")


async def test_the_same_attempt_has_the_same_id_and_another_has_another() -> None:
    async def id_of(reference: str) -> str:
        outcome = await Manual().submit(ACCOUNT, likes(reference=reference), may_send=lambda: True)
        assert isinstance(outcome, Accepted)
        return outcome.provider_order_id

    first = await id_of("0192d3a4-5b6c-7d8e-9f00-112233445566")
    assert first == "manual-0192d3a4-5b6c-7d8e-9f00-112233445566"
    assert await id_of("0192d3a4-5b6c-7d8e-9f00-112233445566") == first
    assert await id_of("0192d3a4-5b6c-7d8e-9f00-112233445567") != first


async def test_an_order_whose_time_to_be_sent_has_passed_is_not_taken_by_people_either() -> None:
    outcome = await Manual().submit(ACCOUNT, likes(), may_send=lambda: False)
    assert isinstance(outcome, NotSent)
    assert outcome.ours


async def test_it_can_be_asked_for_nothing_and_has_no_list_of_services() -> None:
    assert Manual().capabilities == frozenset()
    assert await Manual().services(ACCOUNT) == ()
