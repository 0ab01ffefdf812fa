"""Clients as the field writes them, over a real socket: PHP, HTTP/1.0, JSON, multipart."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.catalog.models import Service
from tests.fixtures.pace import GIVE_UP_SECONDS
from tests.fixtures.world import World
from tests.panel.conftest import wire_fields

PHP: str | None = shutil.which("php")
SCRIPT = Path(__file__).parent / "client.php"

Ask = Callable[[dict[str, Any]], Awaitable[Any]]


async def by_http_1_0(port: int, form: dict[str, Any]) -> Any:
    """As old libraries send it: no Host, no keep-alive, the answer ends with the connection."""
    body = httpx.Request("POST", "http://x", data=form).content
    head = (
        b"POST /api/v2/ HTTP/1.0\r\n"
        b"User-Agent: Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + body)
    await writer.drain()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    status, _, rest = answer.partition(b"\r\n")
    assert b" 200 " in status
    return json.loads(rest.partition(b"\r\n\r\n")[2])


async def by_json(port: int, fields: dict[str, Any]) -> Any:
    return await _post(port, json=fields)


async def by_form(port: int, fields: dict[str, Any]) -> Any:
    return await _post(port, data=fields)


async def by_multipart(port: int, fields: dict[str, Any]) -> Any:
    return await _post(port, files={name: (None, str(value)) for name, value in fields.items()})


async def _post(port: int, **content: Any) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.post("/api/v2", **content)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def run_every_action(ask: Ask, key: str, service: Service) -> dict[str, Any]:
    """What a shop does in a day, one action after the other; all the answers."""
    told = {"add": await ask({"key": key, "action": "add"} | wire_fields(service))}
    number = told["add"]["order"]
    for action, fields in {
        "services": {},
        "status": {"orders": f"{number},1"},
        "refill": {"orders": str(number)},
        "refill_status": {"refills": "1"},
        "balance": {},
        "cancel": {"orders": str(number)},
    }.items():
        told[action] = await ask({"key": key, "action": action} | fields)
    return told


def hold_to_the_wire(told: dict[str, Any], service: Service) -> None:
    """Each answer of such a day, whole."""
    number = told["add"]["order"]
    assert told["add"] == {"order": number}
    assert [(one["service"], one["type"]) for one in told["services"]] == [(service.id, "Default")]
    pending = {"start_count": "0", "status": "Pending", "remains": "1000", "currency": "USD"}
    bad = {"error": "Incorrect order ID"}
    assert told["status"] == {str(number): {"charge": "0.90"} | pending, "1": bad}
    too_early = {
        "error": "Only an order that was delivered, in full or in part, can be refilled",
    }
    assert told["refill"] == [{"order": number, "refill": too_early}]
    assert told["refill_status"] == [{"refill": 1, "status": {"error": "Refill not found"}}]
    assert told["balance"] == {"balance": "9.10", "currency": "USD"}
    assert told["cancel"] == [{"order": number, "cancel": 1}]


@pytest.mark.parametrize("way", [by_form, by_json, by_multipart, by_http_1_0])
async def test_each_kind_of_client_runs_every_action(
    way: Callable[[int, dict[str, Any]], Awaitable[Any]], live_port: int, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service(refill=True)
    told = await run_every_action(lambda form: way(live_port, form), reseller.key, service)
    hold_to_the_wire(told, service)


@pytest.mark.skipif(PHP is None, reason="php-cli is not installed on this machine")
async def test_the_fields_php_client_runs_every_action(live_port: int, world: World) -> None:
    reseller, service = await world.reseller(), await world.service(refill=True)
    assert PHP is not None
    process = await asyncio.create_subprocess_exec(
        *(PHP, str(SCRIPT), f"http://127.0.0.1:{live_port}/api/v2", reseller.key, str(service.id)),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    hold_to_the_wire(json.loads(out), service)
