"""The pretend provider as a real server: answers that go wrong on the wire, and its death."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.simulator.faults import Fault
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import FIRST_ORDER_ID, Provider
from app.simulator.server import BackgroundServer
from tests.fixtures.pace import GIVE_UP_SECONDS

HTTP_FAULTS = {
    Fault.HTTP_500: (500, False),
    Fault.HTTP_500_AFTER_ACCEPT: (500, True),
    Fault.HTML: (200, False),
    Fault.GARBAGE: (200, True),
    Fault.SLOW_BYTES: (200, True),
    Fault.TOO_MANY_REQUESTS: (429, False),
}
FORM = {
    "key": "k",
    "action": "add",
    "service": "102",
    "link": "https://example.com/p/1",
    "quantity": "100",
}


@pytest.fixture
def real(background: BackgroundServer) -> Iterator[tuple[Provider, httpx.AsyncClient]]:
    pace = Pace(hang_seconds=10 * GIVE_UP_SECONDS, slow_byte_seconds=0.002)
    provider = Provider(Journal(None), pace=pace)
    with background.serving(provider) as addresses:
        base_url = addresses.provider_url.removesuffix("/api/v2")
        http = httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=GIVE_UP_SECONDS)
        yield provider, http


@pytest.mark.parametrize("fault", HTTP_FAULTS)
async def test_a_fault_of_the_answer_takes_the_order_or_leaves_it(
    real: tuple[Provider, httpx.AsyncClient], fault: Fault
) -> None:
    provider, http = real
    status, taken = HTTP_FAULTS[fault]
    async with http:
        await http.put("/control/script", json={"next": [fault.value]})
        answer = await http.post("/api/v2", data=FORM)
    assert answer.status_code == status
    assert len(provider.accepted()) == taken
    assert ("retry-after" in answer.headers) == (status == 429)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("lost_reply", httpx.RemoteProtocolError), ("accept_then_timeout", httpx.ReadTimeout)],
)
async def test_an_order_can_be_taken_without_a_word(
    real: tuple[Provider, httpx.AsyncClient], fault: str, error: type[Exception]
) -> None:
    provider, http = real
    async with http:
        await http.put("/control/script", json={"next": [fault]})
        hasty = httpx.Timeout(GIVE_UP_SECONDS, read=0.5)
        with pytest.raises(error):
            await http.post("/api/v2", data=FORM, timeout=hasty)
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while len(provider.accepted()) < 1:  # noqa: ASYNC110 - another thread's doing
                await asyncio.sleep(0.01)
        # The next is served as if nothing had been.
        assert (await http.post("/api/v2", data=FORM)).json() == {"order": FIRST_ORDER_ID + 1}


def answers_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def process(port: int, state_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A simulator as a process of its own, killed without a warning at the end."""
    code = (
        "import sys; from pathlib import Path; from app.simulator.server import run; "
        "run('127.0.0.1', int(sys.argv[1]), state_file=Path(sys.argv[2]))"
    )
    running = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code, str(port), str(state_file)]
    )
    try:
        deadline = time.monotonic() + 10
        while not answers_on(port):
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.02)
        yield running
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait(10)


async def test_a_killed_simulator_forgets_nothing_it_answered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    state_file = tmp_path / "state.jsonl"
    url = f"http://127.0.0.1:{port}"
    answered: list[int] = []
    busy = asyncio.Event()

    async def add_until_it_dies(http: httpx.AsyncClient) -> None:
        for _ in range(10_000):
            try:
                answer = await http.post(f"{url}/api/v2", data=FORM)
            except httpx.TransportError:
                return
            answered.append(answer.json()["order"])
            if len(answered) == 100:
                busy.set()

    async with httpx.AsyncClient(trust_env=False) as http:
        with process(port, state_file) as running:
            adding = [asyncio.create_task(add_until_it_dies(http)) for _ in range(4)]
            await asyncio.wait_for(busy.wait(), GIVE_UP_SECONDS)
            running.kill()
            await asyncio.gather(*adding)
        with process(port, state_file):
            oracle = (await http.get(f"{url}/control/accepted")).json()
    assert set(answered) <= {order["provider_order"] for order in oracle}
    assert len(oracle) - len(answered) <= len(adding)
