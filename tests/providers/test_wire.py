"""The wire against servers that misbehave on purpose, over real sockets."""

import asyncio
import gzip
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import pytest

from app.providers.classify import classify_failure
from app.providers.protocol import NotSent, Timeouts, Unconfirmed
from app.providers.wire import SUBMIT_BODY_BYTES_MAX, Answer, CallFailed, Wire
from tests.fixtures.pace import GIVE_UP_SECONDS

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Handler: TypeAlias = Callable[[Reader, Writer], Awaitable[None]]

PATIENT = Timeouts(
    connect_seconds=GIVE_UP_SECONDS, read_seconds=GIVE_UP_SECONDS, total_seconds=GIVE_UP_SECONDS
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FORM = {"key": "k", "action": "add"}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that lets `handler` do with each connection as it likes."""

    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass  # The client hung up first, which is what several of these tests are about.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2"
    finally:
        server.close()


async def read_request(reader: Reader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def replying(answer: bytes) -> Handler:
    async def handler(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return handler


async def submit(url: str, timeouts: Timeouts = PATIENT) -> Answer:
    async with Wire() as wire:
        return await wire.submit(url, FORM, timeouts, may_send=lambda: True)


async def outcome_of(url: str, timeouts: Timeouts = PATIENT) -> NotSent | Unconfirmed:
    with pytest.raises(CallFailed) as failed:
        await submit(url, timeouts)
    return classify_failure(failed.value.cause, first_byte_begun=failed.value.first_byte_begun)


def reset(writer: Writer) -> None:
    """Close with RST instead of FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def test_the_form_arrives_as_it_was_given() -> None:
    seen: list[bytes] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    async with serving(handler) as url, Wire() as wire:
        answer = await wire.submit(
            url, {"link": "https://x.test/a?b=ä&c", "n": "1"}, PATIENT, may_send=lambda: True
        )
    assert (answer.status, answer.body) == (200, b"{}")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v2 HTTP/1.1\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in head.lower()
    assert body == b"link=https%3A%2F%2Fx.test%2Fa%3Fb%3D%C3%A4%26c&n=1"


async def test_three_providers_that_let_all_their_calls_hang_starve_no_other() -> None:
    with ExitStack() as closing:
        hung = [closing.enter_context(socket.socket()) for _ in range(3)]
        for one in hung:  # the system takes the connections, and nobody ever reads from them
            one.bind(("127.0.0.1", 0))
            one.listen(1024)
        async with serving(replying(OK)) as url, Wire() as wire:
            addresses = [f"http://127.0.0.1:{one.getsockname()[1]}/" for one in hung] * 200
            calls = [
                asyncio.create_task(wire.submit(address, FORM, PATIENT, may_send=lambda: True))
                for address in addresses
            ]
            await asyncio.sleep(0)  # they ask for their places before the healthy one does
            answer = await wire.submit(url, FORM, PATIENT, may_send=lambda: True)
            under_way = sum(not call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
    assert (answer.body, under_way) == (b"{}", len(calls))


async def test_not_one_byte_leaves_when_the_deadline_passes_while_connecting() -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handler(reader: Reader, _writer: Writer) -> None:
        received.set_result(await reader.read())

    answers = iter([True, False])
    async with serving(handler) as url, Wire() as wire:
        with pytest.raises(CallFailed) as failed:
            await wire.submit(url, FORM, PATIENT, may_send=lambda: next(answers))
        # The connection stood, and its whole content was nothing.
        assert await asyncio.wait_for(received, GIVE_UP_SECONDS) == b""
    assert not failed.value.first_byte_begun
    assert isinstance(classify_failure(failed.value.cause, first_byte_begun=False), NotSent)


async def test_nothing_is_connected_when_the_deadline_has_passed_before() -> None:
    connections: list[Reader] = []

    async def handler(reader: Reader, _writer: Writer) -> None:
        connections.append(reader)

    async with serving(handler) as url, Wire() as wire:
        with pytest.raises(CallFailed) as failed:
            await wire.submit(url, FORM, PATIENT, may_send=lambda: False)
    assert not failed.value.first_byte_begun
    assert connections == []


async def test_a_refused_connection_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    assert isinstance(await outcome_of(f"http://127.0.0.1:{port}/"), NotSent)


@pytest.mark.parametrize(
    "timeouts",
    [
        replace(PATIENT, connect_seconds=0.2),
        replace(PATIENT, total_seconds=0.2),
    ],
)
async def test_a_time_out_while_connecting_is_not_sent(timeouts: Timeouts) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # Nobody accepts: once the queue is full the next handshake hangs.
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        outcome = await outcome_of(f"http://127.0.0.1:{address[1]}/", timeouts)
        for client in waiting:
            client.close()
    assert isinstance(outcome, NotSent)


async def test_a_failed_tls_handshake_is_not_sent() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(b"this is no TLS\r\n")

    async with serving(handler) as url:
        assert isinstance(await outcome_of(url.replace("http:", "https:")), NotSent)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "", "ftp://x.test/", "http://[::1", "http://127.0.0.1:99999/", "http://xn--zz/"],
)
async def test_an_address_that_is_none_is_not_sent(url: str) -> None:
    assert isinstance(await outcome_of(url), NotSent)


async def test_a_silent_server_is_unconfirmed() -> None:
    async def handler(reader: Reader, _writer: Writer) -> None:
        await reader.read()

    async with serving(handler) as url:
        hasty = replace(PATIENT, read_seconds=0.2)
        assert isinstance(await outcome_of(url, hasty), Unconfirmed)


async def test_a_server_that_trickles_is_cut_off_by_the_total_time_out() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    # No byte is late, so that only the total ends the call: fifty seconds before the answer does.
    async with serving(handler) as url:
        outcome = await outcome_of(url, replace(PATIENT, total_seconds=1.5))
    assert isinstance(outcome, Unconfirmed)
    assert "Timeout" in outcome.reason


@pytest.mark.parametrize("when", ["at once", "after the request", "within the answer"])
async def test_a_reset_is_unconfirmed(when: str) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        if when != "at once":
            await read_request(reader)
        if when == "within the answer":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{")
            await writer.drain()
        reset(writer)

    async with serving(handler) as url:
        assert isinstance(await outcome_of(url), Unconfirmed)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_half_an_answer_or_none_is_unconfirmed(answer: bytes) -> None:
    async with serving(replying(answer)) as url:
        assert isinstance(await outcome_of(url), Unconfirmed)


async def test_a_gzip_bomb_costs_little_memory_and_is_unconfirmed() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with serving(replying(head + bomb)) as url:
        tracemalloc.start()
        outcome = await outcome_of(url)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(outcome, Unconfirmed)
    assert "BodyTooLarge" in outcome.reason
    assert peak_bytes < 8_000_000


async def test_a_body_may_be_as_long_as_its_limit_and_not_a_byte_longer() -> None:
    for extra, fits in ((0, True), (1, False)):
        body = b"x" * (SUBMIT_BODY_BYTES_MAX + extra)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        async with serving(replying(answer)) as url:
            if fits:
                assert (await submit(url)).body == body
            else:
                assert isinstance(await outcome_of(url), Unconfirmed)


async def test_a_redirect_is_told_and_not_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(replying(moved)) as url:
        assert (await submit(url)).status == 302


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(replying(OK)) as url:
        assert (await submit(url)).status == 200


async def test_a_submit_connects_afresh_while_reading_calls_keep_their_connection() -> None:
    connections: list[int] = []
    heads: list[bytes] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        connections.append(1)
        for _ in range(10):
            try:
                heads.append(await read_request(reader))
            except asyncio.IncompleteReadError:
                return
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))
            await writer.drain()

    async with serving(handler) as url, Wire() as wire:
        for _ in range(3):
            await wire.submit(url, FORM, PATIENT, may_send=lambda: True)
        assert len(connections) == 3
        for _ in range(3):
            await wire.read(url, FORM, PATIENT)
        assert len(connections) == 4
    # What one provider sets is sent to none, itself included.
    assert not any(b"cookie" in head.lower() for head in heads)
