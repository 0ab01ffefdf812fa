"""Starts that are refused: what is wrong is said, nothing runs, and the folder stays free."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import (
    BinaryMissing,
    DataDirectoryUnusable,
    EmbeddedStack,
    PortTaken,
    ServerDidNotStart,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: as root the servers run as another user, who could not pass through it."""
    path = Path(tempfile.mkdtemp(prefix="smmos-test-"))
    yield path
    shutil.rmtree(path)


def test_only_the_main_thread_may_start_what_dies_with_its_thread(folder: Path) -> None:
    raised: list[BaseException] = []

    def start() -> None:
        try:
            EmbeddedStack(folder, durable=False).start()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(raised[0])


def test_a_failed_start_leaves_nothing_running_and_the_folder_free(
    folder: Path,
) -> None:
    bad = {"shared_buffers": "nonsense"}
    stack = EmbeddedStack(folder, durable=False, postgres_settings=bad)

    for _ in range(2):
        with pytest.raises(ServerDidNotStart, match="shared_buffers"):
            stack.start()
        assert stack.postgres_pid is None
        assert stack.redis_pid is None


def test_a_port_asked_for_by_number_is_refused_when_it_is_in_use(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            EmbeddedStack(folder, durable=False, redis_port=port).start()


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(DataDirectoryUnusable, match=f"{folder}/file/below cannot be written"):
        EmbeddedStack(folder / "file" / "below").start()


def test_a_damaged_memory_is_named_and_its_secrets_are_not_shown(folder: Path) -> None:
    (folder / "stack.json").write_text('{"postgres_password": ["secret"]}')

    with pytest.raises(DataDirectoryUnusable, match="it is damaged") as raised:
        EmbeddedStack(folder).start()
    assert "secret" not in str(raised.value)


def test_a_missing_program_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMMOS_PG_BIN", str(folder))

    with pytest.raises(BinaryMissing, match="SMMOS_PG_BIN"):
        EmbeddedStack(folder).start()
