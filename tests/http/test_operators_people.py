"""Operators and people: accounts, keys, standing, credits, the staff, the audit log."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.money import Money
from app.core.runtime import Runtime
from app.operators.permissions import PERMISSIONS, Permission, Role
from app.resellers.auth import KeyCache
from tests.fixtures.world import OperatorCaller, World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import BODIES, OPERATORS, Guarded
from tests.http.test_reads import walk


async def post(
    client: httpx.AsyncClient,
    operator: OperatorCaller,
    path: str,
    body: Any = None,
    key: str = "key-1",
) -> httpx.Response:
    headers = operator.headers | {"Idempotency-Key": key}
    return await client.post(f"/v1/operator{path}", json=body, headers=headers)


@pytest.mark.policy("PRI-4")
@pytest.mark.parametrize("guarded", OPERATORS, ids=str)
async def test_a_role_opens_exactly_the_routes_of_its_permissions(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    needed = guarded.route.needs.permission  # type: ignore[union-attr]
    for role in Role:
        operator = await world.operator(roles=[role])

        answer = await guarded.call(client, operator.headers)

        assert (answer.status_code != 403) == (needed in PERMISSIONS[role])


def test_each_permission_is_needed_by_a_route_and_granted_by_a_role_besides_admin() -> None:
    needed = {guarded.route.needs.permission for guarded in OPERATORS}  # type: ignore[union-attr]
    assert needed == set(Permission)
    granted = set().union(*(PERMISSIONS[role] for role in Role if role is not Role.ADMIN))
    # Only an administrator opens accounts and adds staff.
    assert set(Permission) - granted == {Permission.RESELLERS_WRITE, Permission.OPERATORS_WRITE}


class TestResellers:
    @pytest.mark.policy("TOS-3")
    async def test_an_account_is_opened_with_a_key_that_works(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()

        made = await post(client, operator, "/resellers", BODIES["operatorCreateReseller"])
        assert made.status_code == 201
        reseller = made.json()
        key = await post(
            client,
            operator,
            f"/resellers/{reseller['id']}/api-keys",
            {"name": "first", "scopes": ["orders:read"], "mode": "test"},
        )

        assert key.status_code == 201
        assert key.json()["key"].startswith("smm_test_")
        headers = {"Authorization": f"Bearer {key.json()['key']}"}
        account = (await client.get("/v1/account", headers=headers)).json()
        assert (account["id"], account["mode"]) == (reseller["id"], "test")
        read = await client.get(
            f"/v1/operator/resellers/{reseller['id']}", headers=operator.headers
        )
        told = read.json()
        assert reseller == {name: told[name] for name in reseller}
        assert (told["plan"]["code"], told["plan"]["limits_per_minute"]) == ("standard", {})
        revoked = await client.delete(
            f"/v1/operator/resellers/{reseller['id']}/api-keys/{key.json()['id']}",
            headers=operator.headers,
        )
        assert revoked.status_code == 204

    @pytest.mark.refuses("operatorCreateReseller", "email-taken")
    async def test_an_address_has_one_account_in_any_case_of_its_letters(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        body = BODIES["operatorCreateReseller"] | {"email": reseller.email.title()}

        problem(await post(client, operator, "/resellers", body), 409, "email-taken")

    @pytest.mark.refuses("operatorCreateReseller", "invalid-input")
    async def test_a_plan_that_there_is_not_is_refused(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        body = BODIES["operatorCreateReseller"] | {"plan": "gold"}

        answer = await post(client, operator, "/resellers", body)

        assert pointers(problem(answer, 422, "invalid-input")) == ["/plan"]

    @pytest.mark.parametrize(
        "email",
        ["c4n4ry", "c4n4ry@", "@c4n4ry.example", "c4n4ry@exa mple.com", "c4n4ry\u0000@example.com"],
    )
    async def test_an_address_that_is_none_is_refused_without_being_repeated(
        self, email: str, client: httpx.AsyncClient, world: World
    ) -> None:
        body = BODIES["operatorCreateReseller"] | {"email": email}

        answer = await post(client, await world.operator(), "/resellers", body)

        assert pointers(problem(answer, 422, "validation-failed")) == ["/email"]
        assert "c4n4ry" not in answer.text

    async def test_accounts_are_listed_page_by_page(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        ids = [(await world.reseller()).id for _ in range(3)]

        for limit in (1, 2, 3):
            listed = await walk(client, operator, "/v1/operator/resellers", limit)
            assert [one["id"] for one in listed] == ids[::-1]

    async def test_the_keys_of_a_reseller_are_listed_as_they_were_made(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller, other = (
            await world.operator(),
            await world.reseller(),
            await world.reseller(),
        )
        path = f"/resellers/{reseller.id}/api-keys"
        wanted = {
            "name": "shop",
            "scopes": ["orders:read"],
            "allowed_cidrs": ["192.0.2.0/24"],
            "expires_at": "2126-01-01T00:00:00Z",
            "panel": {"get_allowed": True, "window_seconds": 5},
        }
        made = await post(client, operator, path, wanted | {"mode": "test"})

        support = await world.operator(roles=[Role.SUPPORT])
        newest, first = await walk(client, support, f"/v1/operator{path}", 1)
        assert newest == {name: said for name, said in made.json().items() if name != "key"} | {
            "mode": "test"
        }
        assert wanted.items() <= newest.items()
        assert (first["id"], first["mode"]) == (reseller.key_id, "live")
        await client.delete(f"/v1/operator{path}/{newest['id']}", headers=operator.headers)
        [revoked, _] = await walk(client, support, f"/v1/operator{path}", 50)
        assert revoked["revoked_at"] is not None
        elsewhere = f"/v1/operator/resellers/{other.id}/api-keys"
        assert [one["id"] for one in await walk(client, support, elsewhere, 50)] == [other.key_id]


class TestStanding:
    @pytest.mark.policy("TOS-5")
    @pytest.mark.policy("TOS-6")
    @pytest.mark.parametrize("standing", ["suspended", "terminated"])
    async def test_spending_stops_at_once_and_goes_on_when_it_is_restored(
        self, standing: str, client: httpx.AsyncClient, world: World, app: FastAPI
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        service = await world.service()
        order = await world.order(reseller, service)
        path = f"/resellers/{reseller.id}/standing"

        changed = await post(client, operator, path, {"standing": standing, "reason": "chargeback"})

        assert (changed.json()["standing"], changed.json()["standing_reason"]) == (
            standing,
            "chargeback",
        )
        placing: dict[str, Any] = {"headers": reseller.headers | {"Idempotency-Key": "k"}}
        # Still remembered by this process, the key gets as far as the wallet.
        believed = await client.post("/v1/orders", json=order_body(service), **placing)
        problem(believed, 403, "spending-stopped")
        app.state.key_cache = KeyCache()
        known = await client.post("/v1/orders", json=order_body(service), **placing)
        problem(known, 403, "account-suspended")
        canceled = await client.post(f"/v1/orders/{order['id']}/cancel", headers=reseller.headers)
        assert canceled.status_code == 200

        await post(client, operator, path, {"standing": "active", "reason": "cleared up"})
        app.state.key_cache = KeyCache()
        placed = await client.post("/v1/orders", json=order_body(service), **placing)
        assert placed.status_code == 201

    async def test_a_standing_that_there_is_not_is_refused(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()

        answer = await post(
            client,
            operator,
            f"/resellers/{reseller.id}/standing",
            {"standing": "c4n4ry", "reason": "r"},
        )

        assert pointers(problem(answer, 422, "validation-failed")) == ["/standing"]
        assert "c4n4ry" not in answer.text


class TestCredits:
    async def test_a_credit_is_given_once_however_often_it_is_asked_for(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller(balance="1.00")
        path = f"/resellers/{reseller.id}/credits"
        body = {"amount": "5.000001", "note": "bank transfer 7"}

        first = await post(client, operator, path, body)
        again = await post(client, operator, path, body)

        assert first.status_code == 201
        assert first.json()["balance"]["amount"] == "6.000001"
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        assert (await world.balance(reseller)).available == Money.parse("6.000001")
        read = await client.get(
            f"/v1/operator/resellers/{reseller.id}/balance", headers=operator.headers
        )
        assert read.json()["balance"]["amount"] == "6.000001"

    async def test_what_was_given_is_read_back_among_what_moved_the_money(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller(balance="1.00")
        path = f"/resellers/{reseller.id}"
        await post(client, operator, f"{path}/credits", {"amount": "5.00", "note": "wire 7"})
        await world.order(reseller)

        support = await world.operator(roles=[Role.SUPPORT])
        url = f"/v1/operator{path}/transactions"
        every = await walk(client, support, url, 1)
        given = await walk(client, support, url, 1, kind="credit")

        assert every == await walk(client, reseller, "/v1/transactions", 100)
        assert every[0]["kind"] == "order_hold"
        assert given == every[1:]
        assert (given[0]["amount"]["amount"], given[0]["note"]) == ("5.00", "wire 7")

    async def test_the_limits_of_a_plan_are_read_where_its_reseller_is(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller(limits={"orders": 7})

        path = f"/v1/operator/resellers/{reseller.id}"
        plan = (await client.get(path, headers=operator.headers)).json()["plan"]

        default = runtime.settings.rate_limit_default_per_minute
        assert (plan["limits_per_minute"], plan["default_per_minute"]) == ({"orders": 7}, default)

    @pytest.mark.refuses("operatorCreateCredit", "idempotency-key-reused")
    async def test_one_key_does_not_serve_two_accounts_or_amounts(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, one, other = (
            await world.operator(),
            await world.reseller(),
            await world.reseller(),
        )
        body = {"amount": "5.00", "note": "n"}
        await post(client, operator, f"/resellers/{one.id}/credits", body)

        for reseller, change in ((other, {}), (one, {"amount": "6.00"})):
            answer = await post(
                client, operator, f"/resellers/{reseller.id}/credits", body | change
            )
            problem(answer, 422, "idempotency-key-reused")

    @pytest.mark.refuses("operatorCreateCredit", "insufficient-funds")
    async def test_money_is_taken_out_again_as_far_as_it_is_there(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller(balance="5.00")
        path = f"/resellers/{reseller.id}/credits"

        too_much = await post(client, operator, path, {"amount": "-5.000001", "note": "n"})
        all_of_it = await post(client, operator, path, {"amount": "-5.00", "note": "n"})

        problem(too_much, 402, "insufficient-funds")
        assert all_of_it.json()["balance"]["amount"] == "0.00"

    @pytest.mark.refuses("operatorCreateCredit", "invalid-input")
    async def test_a_credit_of_nothing_is_refused(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()

        for amount in ("0", "-0.00"):
            answer = await post(
                client,
                operator,
                f"/resellers/{reseller.id}/credits",
                {"amount": amount, "note": "n"},
            )
            assert pointers(problem(answer, 422, "invalid-input")) == ["/amount"]

    @pytest.mark.parametrize(
        "amount",
        [
            *(5, 5.0, True, None, ["5"], {"micros": 5}),
            *("", "NaN", "Infinity", "1e3", "+5", " 5", "5,00", "0.0000001", "٥", "5\u0000"),
            *("9" * 13, "9" * 5000),
        ],
    )
    async def test_an_amount_that_is_no_plain_decimal_string_is_refused(
        self, amount: object, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()

        answer = await post(
            client, operator, f"/resellers/{reseller.id}/credits", {"amount": amount, "note": "n"}
        )

        assert pointers(problem(answer, 422, "validation-failed")) == ["/amount"]

    async def test_the_test_book_is_not_what_is_credited(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller(balance="1.00")

        await post(
            client, operator, f"/resellers/{reseller.id}/credits", {"amount": "1.00", "note": "n"}
        )

        assert (await world.balance(reseller)).available == Money.parse("2.00")


class TestStaff:
    async def test_a_person_is_added_and_signs_in_with_a_key(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        body = BODIES["operatorCreateOperator"] | {"roles": ["support", "finance", "support"]}

        made = await post(client, operator, "/operators", body)
        assert made.status_code == 201
        assert made.json()["roles"] == ["finance", "support"]
        key = await post(
            client, operator, f"/operators/{made.json()['id']}/keys", {"name": "laptop"}
        )

        assert key.json()["key"].startswith("smm_op_")
        headers = {"Authorization": f"Bearer {key.json()['key']}"}
        assert (await client.get("/v1/operator/orders", headers=headers)).status_code == 200
        problem(await client.get("/v1/operator/operators", headers=headers), 403, "scope-missing")
        keys = f"/v1/operator/operators/{made.json()['id']}/keys"
        [told] = await walk(client, operator, keys, 1)
        assert (told["id"], told["name"]) == (key.json()["id"], "laptop")
        assert (told["last4"], "key" in told) == (key.json()["last4"], False)
        listed = await walk(client, operator, "/v1/operator/operators", 1)
        assert [one["id"] for one in listed] == [made.json()["id"], operator.id]

    @pytest.mark.refuses("operatorCreateOperator", "operator-email-taken")
    async def test_a_key_that_is_revoked_opens_nothing_and_its_owner_has_others(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        admin, person = await world.operator(), await world.operator(roles=[Role.SUPPORT])
        path = f"/v1/operator/operators/{person.id}/keys"
        made = (await client.post(path, json={"name": "lost"}, headers=admin.headers)).json()
        lost = {"Authorization": f"Bearer {made['key']}"}
        assert (await client.get("/v1/operator/orders", headers=lost)).status_code == 200

        for _ in range(2):
            ended = await client.delete(f"{path}/{made['id']}", headers=admin.headers)
            assert ended.status_code == 204

        problem(await client.get("/v1/operator/orders", headers=lost), 401, "unauthorized")
        assert (await client.get("/v1/operator/orders", headers=person.headers)).status_code == 200
        listed = (await client.get(path, headers=admin.headers)).json()["data"]
        assert [key["revoked_at"] is None for key in listed] == [False, True]
        other = f"/v1/operator/operators/{admin.id}/keys"
        missed = await client.delete(f"{other}/{made['id']}", headers=admin.headers)
        problem(missed, 404, "not-found")

    @pytest.mark.refuses("operatorArchiveOperator", "last-admin")
    async def test_who_leaves_the_staff_opens_nothing_and_an_admin_stays(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        first, second = await world.operator(), await world.operator()

        async def leave(who: OperatorCaller) -> httpx.Response:
            path = f"/v1/operator/operators/{who.id}"
            return await client.delete(path, headers=first.headers)

        assert [(await leave(second)).status_code for _ in range(2)] == [204, 204]
        answer = await client.get("/v1/operator/orders", headers=second.headers)
        problem(answer, 401, "unauthorized")
        problem(await leave(first), 409, "last-admin")
        assert (await client.get("/v1/operator/orders", headers=first.headers)).status_code == 200

    async def test_an_address_belongs_to_one_person(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        body = BODIES["operatorCreateOperator"] | {"email": operator.email.upper()}

        problem(await post(client, operator, "/operators", body), 409, "operator-email-taken")


class TestAuditLog:
    @pytest.mark.policy("PRI-4")
    @pytest.mark.policy("TOS-5")
    async def test_each_act_is_one_row_and_the_rows_are_a_chain(
        self, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        operator, reseller = await world.operator(), await world.reseller()
        standing = {"standing": "limited", "reason": "too many refunds"}
        await post(client, operator, f"/resellers/{reseller.id}/standing", standing)
        await post(
            client, operator, f"/resellers/{reseller.id}/credits", {"amount": "5", "note": "n"}
        )
        refused = await post(
            client, operator, f"/resellers/{reseller.id}/credits", {"amount": "0", "note": "n"}, "2"
        )
        problem(refused, 422, "invalid-input")

        rows = await walk(client, operator, "/v1/operator/audit-log", 1)

        assert [row["action"] for row in rows] == ["credit.create", "reseller.standing"]
        assert {row["actor"] for row in rows} == {f"operator:{operator.id}"}
        assert {row["subject"] for row in rows} == {f"reseller:{reseller.id}"}
        assert rows[1]["data"] == standing
        assert [row["seq"] for row in rows] == [2, 1]
        async with runtime.uow.begin() as session:
            kept = (
                await session.execute(text("SELECT prev_hash, hash FROM audit_log ORDER BY seq"))
            ).all()
        assert kept[1].prev_hash == kept[0].hash
        assert rows[0]["hash"] == kept[1].hash.hex()

    async def test_a_reseller_who_changes_keys_is_told_in_it_too(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, operator = await world.reseller(), await world.operator()
        made = await client.post(
            "/v1/api-keys", json=BODIES["createApiKey"], headers=reseller.headers
        )
        path = f"/v1/api-keys/{made.json()['id']}"
        await client.post(f"{path}/rotate", json={}, headers=reseller.headers)
        await client.delete(path, headers=reseller.headers)

        rows = await walk(client, operator, "/v1/operator/audit-log", 10)

        assert [row["action"] for row in rows] == ["key.revoke", "key.rotate", "key.create"]
        assert {row["actor"] for row in rows} == {f"reseller:{reseller.key_id}"}

    async def test_no_row_of_it_holds_a_secret(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        provider = BODIES["operatorCreateProvider"] | {"credentials": {"key": "c4n4ry"}}
        made = await post(client, operator, "/providers", provider)
        await client.patch(
            f"/v1/operator/providers/{made.json()['id']}",
            json={"credentials": {"key": "c4n4ry-2"}},
            headers=operator.headers,
        )

        answer = await client.get("/v1/operator/audit-log", headers=operator.headers)

        assert len(answer.json()["data"]) == 2
        assert "c4n4ry" not in answer.text
