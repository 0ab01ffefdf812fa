"""What every route owes, proven by walking all of them: guards, limits, bodies, absent ids."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core import apikeys
from app.core.apikeys import KeyKind
from app.core.runtime import Runtime, open_runtime
from app.operators import auth as operators_auth
from app.resellers.scopes import Scope
from tests.fixtures.world import Caller, World
from tests.http.conftest import ChangeStanding
from tests.http.problems import pointers, problem
from tests.http.routes import EVERY, OPERATORS, RESELLERS, Guarded, that_refuse

# Every group of routes that a plan can limit.
GROUPS = {guarded.route.needs.group for guarded in RESELLERS}  # type: ignore[union-attr]
# The rest may be called with every key.
SCOPED = tuple(guarded for guarded in RESELLERS if guarded.route.needs.scope)  # type: ignore[union-attr]


async def good_caller(world: World, guarded: Guarded) -> Caller:
    return await world.operator() if guarded.is_operators else await world.reseller()


class Garbage:
    """A body of a megabyte that knows whether anybody asked for it."""

    def __init__(self) -> None:
        self.was_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.was_read = True
        for _ in range(16):
            yield b"\x00" * 65_536


@pytest.mark.policy("SEC-1")
@pytest.mark.parametrize("guarded", that_refuse("unauthorized"))
async def test_without_a_key_nothing_of_the_body_is_read(
    guarded: Guarded, client: httpx.AsyncClient
) -> None:
    garbage = Garbage()
    answer = await client.request(
        guarded.method,
        guarded.path(),
        content=garbage,
        headers={"Content-Type": "application/json"},
    )

    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not garbage.was_read


@pytest.mark.parametrize("guarded", EVERY, ids=str)
async def test_a_key_of_the_other_side_is_no_key(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    other = await world.reseller() if guarded.is_operators else await world.operator()

    problem(await guarded.call(client, other.headers), 401, "unauthorized")


@pytest.mark.policy("TOS-3")
@pytest.mark.parametrize("guarded", that_refuse("scope-missing", among=SCOPED))
async def test_a_key_without_the_scope_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    needed: Scope = guarded.route.needs.scope  # type: ignore[union-attr, assignment]
    caller = await world.reseller(scopes=set(Scope) - {needed})
    garbage = Garbage()
    content = garbage if guarded.takes_body else None

    answer = await client.request(
        guarded.method, guarded.path(), content=content, headers=caller.headers
    )

    assert needed in problem(answer, 403, "scope-missing")["detail"]
    assert not garbage.was_read


@pytest.mark.policy("PRI-4")
@pytest.mark.parametrize("guarded", that_refuse("scope-missing", among=OPERATORS))
async def test_an_operator_without_the_permission_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    nobody = await world.operator(roles=[])

    answer = await guarded.call(client, nobody.headers)

    permission = guarded.route.needs.permission  # type: ignore[union-attr]
    assert permission in problem(answer, 403, "scope-missing")["detail"]


@pytest.mark.policy("AUP-3")
@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("guarded", that_refuse("rate-limited"))
async def test_a_call_over_the_limit_is_told_when_to_come_back(
    guarded: Guarded, client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators_auth, "PER_MINUTE", 1)
    limited = (
        await world.operator()
        if guarded.is_operators
        else await world.reseller(limits=dict.fromkeys(GROUPS, 1))
    )
    first = await guarded.call(client, limited.headers)
    assert first.status_code != 429
    assert first.headers["ratelimit"].split(";")[1] == "r=0"

    second = await guarded.call(client, limited.headers)

    problem(second, 429, "rate-limited")
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert second.headers["ratelimit-policy"].endswith('";q=1;w=60')


@pytest.mark.parametrize("guarded", that_refuse("unavailable"))
async def test_without_the_database_the_answer_is_503(
    guarded: Guarded, client: httpx.AsyncClient, app: FastAPI, runtime: Runtime
) -> None:
    kind = KeyKind.OPERATOR if guarded.is_operators else KeyKind.LIVE
    key = apikeys.mint(kind, runtime.keys).text
    away = SecretStr("postgresql+asyncpg://nobody:nothing@127.0.0.1:9/nowhere")
    settings = runtime.settings.model_copy(update={"database_url": away})
    async with open_runtime(settings, name="test", with_doorbell=False) as cut_off:
        app.state.runtime = cut_off
        answer = await guarded.call(client, {"Authorization": f"Bearer {key}"})

    problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("guarded", that_refuse("body-malformed"))
async def test_a_body_that_is_no_json_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    answer = await send(client, guarded, await good_caller(world, guarded), b'{"CANARY":')

    problem(answer, 400, "body-malformed")
    assert "CANARY" not in answer.text


@pytest.mark.parametrize("guarded", that_refuse("body-too-large"))
async def test_a_body_over_64_kilobytes_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    answer = await send(client, guarded, await good_caller(world, guarded), b" " * 65_537)

    problem(answer, 413, "body-too-large")


@pytest.mark.parametrize("guarded", that_refuse("content-type-unsupported"))
async def test_a_body_of_another_type_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)
    answer = await send(client, guarded, caller, b"a=b", content_type="text/plain")

    problem(answer, 415, "content-type-unsupported")


@pytest.mark.policy("DPA-1")
@pytest.mark.parametrize(
    "guarded", [p for p in that_refuse("validation-failed") if p.values[0].takes_body]
)
async def test_a_field_that_is_not_known_is_refused_by_its_name(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)
    answer = await client.request(
        guarded.method,
        guarded.path(),
        json={**(guarded.body or {}), "misspelt": "CANARY"},
        headers=caller.headers | {"Idempotency-Key": "a-key"},
    )

    # A union of bodies names the chosen one in between.
    [pointer] = pointers(problem(answer, 422, "validation-failed"))
    assert pointer.endswith("/misspelt")
    assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    "guarded", [p for p in that_refuse("validation-failed") if not p.values[0].takes_body]
)
async def test_a_parameter_that_breaks_its_rule_is_refused_by_its_name(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)
    parameter = "limit" if "cursor-invalid" in guarded.refuses else guarded.template.split("{")[1]
    name = parameter.split("}")[0]
    answer = await client.request(
        guarded.method,
        guarded.path(**{name: "0"}),
        params={"limit": "0"} if name == "limit" else None,
        headers=caller.headers,
    )

    assert pointers(problem(answer, 422, "validation-failed")) == [name]


@pytest.mark.parametrize("guarded", [g for g in EVERY if "cursor-invalid" in g.refuses], ids=str)
async def test_a_filter_that_a_list_does_not_have_is_refused_by_its_name(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)

    answer = await client.get(
        guarded.path(), params={"limit": "1", "misspelt": "CANARY"}, headers=caller.headers
    )

    assert pointers(problem(answer, 422, "validation-failed")) == ["misspelt"]
    assert "CANARY" not in answer.text


@pytest.mark.parametrize("guarded", that_refuse("not-found"))
async def test_under_an_absent_id_there_is_nothing(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)

    problem(await guarded.call(client, caller.headers), 404, "not-found")


ODD_IDS = ("1", "rsl_", "key_0", "rsl_" + "g" * 32, "ключ", "%00", "9" * 400, "a" * 900)


@pytest.mark.parametrize("guarded", [g for g in EVERY if "_id}" in g.template], ids=str)
async def test_an_id_of_another_shape_is_a_404_or_a_422(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    caller = await good_caller(world, guarded)
    name = guarded.template.split("{")[1].split("}")[0]
    for odd in ODD_IDS:
        answer = await guarded.call(client, caller.headers, **{name: odd})

        assert (answer.status_code, answer.json()["code"]) in {
            (404, "not-found"),
            (422, "validation-failed"),
        }


@pytest.mark.policy("TOS-5")
@pytest.mark.parametrize("guarded", that_refuse("account-suspended"))
@pytest.mark.parametrize("standing", ["suspended", "terminated"])
async def test_a_suspended_account_may_not_begin_anything(
    guarded: Guarded,
    standing: str,
    client: httpx.AsyncClient,
    world: World,
    change_standing: ChangeStanding,
) -> None:
    caller = await world.reseller()
    await change_standing(caller.reseller_id, standing)

    problem(await guarded.call(client, caller.headers), 403, "account-suspended")


@pytest.mark.parametrize(
    "guarded", [g for g in RESELLERS if "account-suspended" not in g.refuses], ids=str
)
async def test_a_suspended_account_may_still_read_cancel_and_revoke(
    guarded: Guarded, client: httpx.AsyncClient, world: World, change_standing: ChangeStanding
) -> None:
    caller = await world.reseller()
    await change_standing(caller.reseller_id, "suspended")

    assert (await guarded.call(client, caller.headers)).status_code in {200, 204, 404}


async def send(
    client: httpx.AsyncClient,
    guarded: Guarded,
    caller: Caller,
    content: bytes,
    content_type: str = "application/json",
) -> httpx.Response:
    headers = caller.headers | {"Content-Type": content_type, "Idempotency-Key": "a-key"}
    return await client.request(guarded.method, guarded.path(), content=content, headers=headers)
