"""Fixtures that only the tests of the API's front door need."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from app.core.runtime import Runtime
from app.enforcement import service as enforcement
from app.resellers.models import Standing

ChangeStanding = Callable[[UUID, str], Awaitable[None]]


@pytest.fixture
def change_standing(runtime: Runtime) -> ChangeStanding:
    """Sets the standing of an account, as an operator would."""

    async def change(reseller_id: UUID, standing: str) -> None:
        async with runtime.uow.begin() as session:
            await enforcement.change_standing(
                session, reseller_id, Standing(standing), reason="test"
            )

    return change
