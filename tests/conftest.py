"""Names the fixtures that tests ask for; each is written, with its reasons, in `tests/fixtures`."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Before the fixtures are imported, or their assertions are not rewritten: hence each E402 below.
pytest.register_assert_rewrite("tests.fixtures")

from tests.fixtures import profiles  # noqa: E402, F401 - registers them
from tests.fixtures.database import copies, database_url, shared_database, template  # noqa: E402
from tests.fixtures.pace import within_a_minute  # noqa: E402
from tests.fixtures.running import another_runtime, clock, runtime, settings, shared_engine  # noqa: E402
from tests.fixtures.servers import servers, stack  # noqa: E402
from tests.fixtures.sockets import sockets_stay_local  # noqa: E402
from tests.fixtures.supplying import background, simulator, simulator_server, worker  # noqa: E402
from tests.fixtures.web import another_client, app, built_app, client, client_from  # noqa: E402
from tests.fixtures.world import world  # noqa: E402

STACKS = ("tests/faults/", "tests/cli/test_whole_stack.py")
"""What starts whole stacks of processes: one after the other, on one worker, and first."""


class StacksTogether(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out function by function, with all its parameters, but for those of STACKS.
    `--dist loadgroup` does not group with this release of pytest (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return "stacks" if nodeid.startswith(STACKS) else nodeid.partition("[")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StacksTogether:
    return StacksTogether(config, log)


__all__ = [
    "another_client",
    "another_runtime",
    "app",
    "background",
    "built_app",
    "client",
    "client_from",
    "clock",
    "copies",
    "database_url",
    "runtime",
    "servers",
    "settings",
    "shared_database",
    "shared_engine",
    "simulator",
    "simulator_server",
    "sockets_stay_local",
    "stack",
    "template",
    "within_a_minute",
    "worker",
    "world",
]
