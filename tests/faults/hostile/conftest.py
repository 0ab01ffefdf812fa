"""What hostile rows use beside the stack: they hurt what is around processes, never a process."""

from collections.abc import Iterator

import httpx
import pytest

pytest.register_assert_rewrite("tests.faults.hostile.desk")

from tests.faults.conftest import RunningStack  # noqa: E402
from tests.faults.hostile.desk import Desk, Shop  # noqa: E402
from tests.faults.hostile.raw_provider import RawProvider, raw_provider  # noqa: E402


@pytest.fixture
def desk(stack: RunningStack) -> Iterator[Desk]:
    """The operator's desk at the first of the two."""
    ready = stack.ready()
    with httpx.Client(
        base_url=ready["base_url"],
        headers={"Authorization": f"Bearer {ready['operator_key']}"},
        trust_env=False,
        timeout=30,
    ) as client:
        yield Desk(stack, client)


@pytest.fixture
def shop(desk: Desk) -> Shop:
    """A reseller of this test only, with money to spend."""
    return desk.shop()


@pytest.fixture
def provider() -> Iterator[RawProvider]:
    """A provider that does as it is told, byte by byte."""
    with raw_provider() as serving:
        yield serving
