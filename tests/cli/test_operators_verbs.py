"""What operators do from a shell: the same rules as over HTTP, and each act in the audit log."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from app.core.audit import AuditRow
from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.operators import service as operators
from app.supply import service as supply
from tests.cli.conftest import Shell

pytestmark = pytest.mark.committing


def audit_log(settings: Settings) -> list[AuditRow]:
    """What people did, oldest first."""

    async def read() -> list[AuditRow]:
        async with (
            open_runtime(settings, name="test", with_doorbell=False) as runtime,
            runtime.uow.begin() as session,
        ):
            rows = await operators.audit_page(session, before=None, limit=100)
            return list(reversed(rows))

    return asyncio.run(read())


def add_reseller(shell: Shell) -> str:
    done = shell(
        "resellers", "add", "--name", "Ann", "--email", "ann@example.com", "--country", "DE"
    )
    assert done.code == 0
    return done.out.strip()


def test_a_reseller_is_added_credited_and_given_a_key_each_act_audited(
    shell: Shell, settings: Settings
) -> None:
    reseller = add_reseller(shell)
    credited = shell("credits", "add", reseller, "10.50", "--note", "welcome")
    key = shell("keys", "make", reseller, "--name", "shop", "--scope", "orders:read")
    listed = shell("resellers", "list")

    assert credited.out == "Ann has 10.50 USD\n"
    assert re.search(r"smm_live_\w+", key.out)
    assert reseller in listed.out
    assert "10.50" in listed.out
    acts = audit_log(settings)
    assert [act.action for act in acts] == ["reseller.create", "credit.create", "key.create"]
    assert all(act.actor.startswith("command:") for act in acts)
    assert "smm_live_" not in "".join(act.body for act in acts)


def test_what_was_set_for_a_reseller_and_what_moved_its_money_is_read_back(shell: Shell) -> None:
    reseller = add_reseller(shell)
    shell("credits", "add", reseller, "10.50", "--note", "wire 17")
    shell("credits", "add", reseller, "-0.50", "--note", "too much")

    shown = dict(
        re.split(r"\s{2,}", line, maxsplit=1)
        for line in shell("resellers", "show", reseller).out.splitlines()[2:]
        if "  " in line
    )
    [_, back, put] = shell(
        "resellers", "transactions", reseller, "--kind", "credit"
    ).out.splitlines()

    assert (shown["id"], shown["plan"], shown["balance"]) == (reseller, "standard", "10.00 USD")
    assert re.fullmatch(r"every other group \d+", shown["requests a minute"])
    assert back.split()[1:] == ["credit", "-0.50", "10.00", "too", "much"]
    assert put.split()[1:] == ["credit", "10.50", "10.50", "wire", "17"]
    none = shell("resellers", "transactions", reseller, "--kind", "order_hold")
    assert (none.code, none.out) == (0, "none\n")
    assert shell("resellers", "show", "rsl_nope").code == 1


def test_a_credit_can_be_taken_out_again_and_never_more_than_is_there(shell: Shell) -> None:
    reseller = add_reseller(shell)
    shell("credits", "add", reseller, "10.00", "--note", "too much")

    assert shell("credits", "add", reseller, "-4.00", "--note", "back").out == "Ann has 6.00 USD\n"
    refused = shell("credits", "add", reseller, "-6.01", "--note", "back")

    assert (refused.code, refused.err) == (1, "The balance does not cover the charge.\n")
    assert shell("ledger-check").out == "clean\n"
    balanced = shell("trial-balance").out
    assert re.search(r"wallet\s+6\.00", balanced)
    assert re.search(r"clearing\s+-6\.00", balanced)
    assert re.search(r"all\s+0\.00", balanced)


@pytest.mark.parametrize("amount", ["0", "1.1234567", "ten", "NaN"])
def test_an_amount_that_is_none_is_refused_by_name(shell: Shell, amount: str) -> None:
    done = shell("credits", "add", add_reseller(shell), amount, "--note", "x")

    assert done.code == 1
    assert done.err.startswith("amount: ")


def test_arguments_obey_the_rules_of_the_api(shell: Shell) -> None:
    done = shell("resellers", "add", "--name", " ", "--email", "nobody", "--country", "Germany")

    assert done.code == 1
    assert {line.partition(":")[0] for line in done.err.splitlines()} == {
        "name",
        "email",
        "country",
    }


def test_an_address_that_is_taken_is_refused_without_a_trace(
    shell: Shell, settings: Settings
) -> None:
    add_reseller(shell)
    again = shell(
        "resellers", "add", "--name", "Bo", "--email", "ANN@example.com", "--country", "DE"
    )

    assert again.code == 1
    assert "exists already" in again.err
    assert len(audit_log(settings)) == 1


def test_a_revoked_key_stays_revoked(shell: Shell) -> None:
    reseller = add_reseller(shell)
    key = shell("keys", "make", reseller, "--name", "shop", "--scope", "claims").out.split()[0]

    assert shell("keys", "revoke", reseller, key).code == 0
    assert shell("keys", "revoke", reseller, key).code == 0
    assert shell("keys", "revoke", reseller, "key_nope").code == 1
    [_, listed] = shell("keys", "list", reseller).out.splitlines()
    assert listed.split()[:3] == [key, "shop", "live"]
    assert len(re.findall(r"\d{4}-\d\d-\d\dT", listed)) == 2  # made and revoked
    other = ("keys", "make", reseller, "--name", "try", "--scope", "claims", "--mode", "test")
    test_key = shell(*other).out.split()[0]
    assert shell("keys", "revoke", reseller, test_key).code == 0


def test_an_operator_is_added_with_a_key_that_is_shown_once(shell: Shell) -> None:
    done = shell("operators", "add", "--name", "Op", "--email", "op@example.com", "--role", "admin")

    assert done.code == 0
    assert re.search(r"smm_op_\w+", done.out)


def test_a_provider_is_added_paused_and_resumed_and_its_key_is_never_shown(
    shell: Shell, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "hush-hush")
    added = shell(
        *("providers", "add", "--name", "North", "--currency", "USD"),
        *("--base-url", "http://127.0.0.1:9/api/v2"),
    )
    provider = added.out.strip()

    assert "is paused" in shell("providers", "pause", provider).out
    assert "operator" in shell("providers", "list").out
    lines = [line.split() for line in shell("providers", "show", provider).out.splitlines()]
    for told in (["pause_reason", "operator"], ["calls_per_minute", "60"], ["may_probe_ids", "no"]):
        assert told in lines
    assert "is active" in shell("providers", "resume", provider).out
    asked = shell("providers", "balance", provider)
    assert (asked.code, "North did not answer" in asked.err) == (1, True)
    acts = audit_log(settings)
    assert [a.action for a in acts] == ["provider.create", "provider.pause", "provider.resume"]
    assert "hush" not in "".join(act.body for act in acts) + shell("providers", "list").out


def test_a_provider_of_another_dialect_is_asked_for_what_that_signs_in_with(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_USER_ID", "17")
    monkeypatch.setenv("PROVIDER_API_KEY", "hush-hush")
    account = ("--currency", "USD", "--base-url", "http://127.0.0.1:9/api")
    added = shell("providers", "add", "--name", "South", "--adapter", "smoservice", *account)
    assert added.code == 0
    by_hand = shell(
        "providers", "add", "--name", "People", "--adapter", "manual", "--currency", "USD"
    )
    assert by_hand.code == 0, by_hand.err
    refused = shell("providers", "add", "--name", "East", "--adapter", "telex", *account)
    assert (refused.code, "No adapter is called 'telex'" in refused.err) == (1, True)


def test_what_currencies_are_worth_is_read_from_a_shell(shell: Shell, settings: Settings) -> None:
    async def say() -> None:
        async with (
            open_runtime(settings, name="test", with_doorbell=False) as runtime,
            runtime.uow.begin() as session,
        ):
            for number, currency in enumerate(("EUR", "GBP", "EUR"), 1):
                moment = datetime(2026, number, 1, tzinfo=UTC)
                rate = number * 1_100_000
                await supply.set_rate(session, currency, rate, valid_from=moment)

    asyncio.run(say())
    listed = shell("providers", "rates", "--currency", "eur")

    assert [line.split() for line in listed.out.splitlines()[1:]] == [
        ["EUR", "3.30", "2026-03-01T00:00:00Z"],
        ["EUR", "1.10", "2026-01-01T00:00:00Z"],
    ]
    assert len(shell("providers", "rates", "--limit", "1").out.splitlines()) == 2


def test_who_leaves_the_staff_is_listed_as_gone(shell: Shell, settings: Settings) -> None:
    for name in ("Ann", "Ben"):
        email = f"{name.lower()}@example.com"
        shell("operators", "add", "--name", name, "--email", email, "--role", "admin")
    ben, ann = [line.split()[0] for line in shell("operators", "list").out.splitlines()[1:]]

    left = shell("operators", "archive", ben)
    stays = shell("operators", "archive", ann)

    assert (left.code, left.out.strip()) == (0, f"{ben} has left")
    assert (stays.code, "name another first" in stays.err) == (1, True)
    assert audit_log(settings)[-1].action == "operator.archive"
