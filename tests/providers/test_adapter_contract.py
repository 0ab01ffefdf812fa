"""What every adapter promises, proved for each against a provider over real HTTP."""

from dataclasses import replace
from datetime import date
from typing import Any, Final

import pytest

from app.providers.aftercare import (
    CancelAsked,
    CancelRefused,
    RefillProgress,
    RefillRefused,
    RefillState,
    RefillTaken,
)
from app.providers.forms import (
    FORMS,
    LINES_FIELDS,
    OrderForm,
    ServiceType,
    billable_quantity,
    problems,
)
from app.providers.protocol import (
    Accepted,
    Capability,
    Found,
    IdUnknown,
    NotSent,
    NotThere,
    Progress,
    ProviderState,
    ProviderUnreachable,
    RefusalKind,
    Refused,
    Submission,
    Timeouts,
    TroubleKind,
    Unconfirmed,
)
from app.providers.registry import ADAPTERS, AdapterUnknown, get_adapter
from app.providers.wire import Wire
from tests.providers.conftest import LINK, SPOKEN_AT, Bench, likes

LINES: Final = ("one", "two", "three", "four", "five")

# The simulator's service of each type, and a form that it takes.
ORDERS: Final[dict[ServiceType, tuple[str, OrderForm]]] = {
    ServiceType.DEFAULT: ("102", OrderForm(LINK, 100)),
    ServiceType.PACKAGE: ("201", OrderForm(LINK)),
    ServiceType.SEO: ("701", OrderForm(LINK, 100, keywords=LINES)),
    ServiceType.CUSTOM_COMMENTS: ("301", OrderForm(LINK, comments=LINES)),
    ServiceType.CUSTOM_COMMENTS_PACKAGE: ("303", OrderForm(LINK, comments=LINES)),
    ServiceType.MENTIONS: ("401", OrderForm(LINK, 100, usernames=LINES)),
    ServiceType.MENTIONS_WITH_HASHTAGS: (
        "402",
        OrderForm(LINK, 100, usernames=LINES, hashtags=LINES),
    ),
    ServiceType.MENTIONS_CUSTOM_LIST: ("403", OrderForm(LINK, usernames=LINES)),
    ServiceType.MENTIONS_HASHTAG: ("404", OrderForm(LINK, 100, hashtag="#one")),
    ServiceType.MENTIONS_USER_FOLLOWERS: ("405", OrderForm(LINK, 100, username=LINK)),
    ServiceType.MENTIONS_MEDIA_LIKERS: ("406", OrderForm(LINK, 100, media=LINK)),
    ServiceType.COMMENT_LIKES: ("305", OrderForm(LINK, 100, username="one")),
    ServiceType.COMMENT_REPLIES: ("304", OrderForm(LINK, username="one", comments=LINES)),
    ServiceType.POLL: ("501", OrderForm(LINK, 100, answer_number=2)),
    ServiceType.INVITES_FROM_GROUPS: ("407", OrderForm(LINK, 100, groups=LINES)),
    ServiceType.SUBSCRIPTIONS: (
        "601",
        OrderForm(
            username="one", min=10, max=20, posts=3, old_posts=1, delay=5, expiry=date(2099, 1, 2)
        ),
    ),
    ServiceType.WEB_TRAFFIC: (
        "702",
        OrderForm(LINK, 100, country="US", device=1, type_of_traffic=2, referring_url=LINK),
    ),
}


def test_every_adapter_in_the_registry_is_in_the_contract() -> None:
    assert set(SPOKEN_AT) == set(ADAPTERS)
    assert set(ORDERS) == set(ServiceType)


async def test_an_adapter_is_what_it_is_registered_as(any_bench: Bench) -> None:
    adapter, dialect = any_bench.adapter, ADAPTERS[any_bench.account.adapter]
    assert adapter.name == any_bench.account.adapter
    assert adapter.capabilities == dialect.capabilities
    assert adapter.ids_per_status_call == dialect.ids_per_status_call >= 1


async def test_a_name_that_no_adapter_has_is_told_with_the_names_there_are() -> None:
    async with Wire() as wire:
        with pytest.raises(AdapterUnknown, match="manual, panel_v2, smmos, smoservice"):
            get_adapter("nobody", wire)


async def test_a_call_that_the_dialect_does_not_have_says_so_and_nothing_of_any_order(
    any_bench: Bench,
) -> None:
    adapter, account = any_bench.adapter, any_bench.account
    calls = [
        (Capability.POLLS, adapter.status),
        (Capability.REFILL, adapter.refill),
        (Capability.REFILL, adapter.refill_status),
        (Capability.CANCEL, adapter.cancel),
        (Capability.LOOKUP, adapter.find),
    ]
    for capability, call in calls:
        if capability in adapter.capabilities:
            assert await call(account, []) == {}
            continue
        with pytest.raises(ProviderUnreachable) as raised:
            await call(account, ["1"])
        assert raised.value.kind == TroubleKind.NOT_OFFERED
    if Capability.BALANCE not in adapter.capabilities:
        with pytest.raises(ProviderUnreachable) as raised:
            await adapter.balance(account)
        assert raised.value.kind == TroubleKind.NOT_OFFERED


async def test_two_attempts_never_get_one_id(any_bench: Bench) -> None:
    ids = {await any_bench.accepted_id(likes(reference=f"ref-{number}")) for number in range(3)}
    assert len(ids) == 3


async def test_what_may_not_be_sent_was_not_taken(any_bench: Bench) -> None:
    outcome = await any_bench.adapter.submit(any_bench.account, likes(), may_send=lambda: False)
    assert isinstance(outcome, NotSent)
    assert await any_bench.oracle() == []


async def test_what_may_no_longer_be_sent_once_connected_was_not_taken(bench: Bench) -> None:
    answers = iter([True, False])
    outcome = await bench.adapter.submit(bench.account, likes(), may_send=lambda: next(answers))
    assert isinstance(outcome, NotSent)
    assert await bench.oracle() == []


async def test_an_order_of_every_type_is_taken_as_it_was_submitted_or_not_sent_at_all(
    bench: Bench,
) -> None:
    taken = []
    for service_type, (service, form) in ORDERS.items():
        assert problems(service_type, form) == ()
        outcome = await bench.submit(Submission(service, service_type, form, "ref-1"))
        if isinstance(outcome, Refused):
            # The dialect has no fields for it: nothing was asked, and so nothing answered.
            assert Capability.SUBSCRIPTIONS not in bench.adapter.capabilities
            assert (outcome.kind, outcome.answer) == (RefusalKind.PERMANENT, "")
            continue
        assert isinstance(outcome, Accepted), (service_type, outcome)
        # The simulator counts for itself.
        quantity = billable_quantity(service_type, form)
        link = form.link or form.username
        taken.append((outcome.provider_order_id, service, link, quantity))
    assert taken == [
        (str(order["provider_order"]), str(order["service"]), order["link"], order["quantity"])
        for order in await bench.oracle()
    ]


async def test_what_a_type_requires_a_provider_requires_too(bench: Bench) -> None:
    bench.needs(Capability.SUBSCRIPTIONS)
    for service_type, (service, form) in ORDERS.items():
        for field in FORMS[service_type].required:
            empty: dict[str, Any] = {field: () if field in LINES_FIELDS else None}
            lacking = Submission(service, service_type, replace(form, **empty), "ref-1")
            assert isinstance(await bench.submit(lacking), Refused), (service_type, field)
    assert await bench.oracle() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("refuse", RefusalKind.PERMANENT),
        ("refuse_funds", RefusalKind.NO_FUNDS),
        ("refuse_unseen", RefusalKind.UNSEEN),
        ("link_busy", RefusalKind.LINK_BUSY),
        ("maintenance", RefusalKind.MAINTENANCE),
        ("too_many_requests", RefusalKind.RATE_LIMITED),
    ],
)
async def test_a_refused_order_was_not_taken(bench: Bench, fault: str, kind: RefusalKind) -> None:
    await bench.script(fault)
    outcome = await bench.submit()
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind
    assert await bench.oracle() == []


@pytest.mark.parametrize(
    "fault", ["accept_then_timeout", "lost_reply", "http_500_after_accept", "garbage"]
)
async def test_a_lost_reply_is_unconfirmed_never_refused(bench: Bench, fault: str) -> None:
    await bench.script(fault)
    assert isinstance(await bench.submit(), Unconfirmed)
    assert len(await bench.oracle()) == 1


async def test_a_call_ends_when_the_accounts_time_for_it_is_over(bench: Bench) -> None:
    bench.account = replace(bench.account, timeouts=Timeouts(total_seconds=0))
    assert isinstance(await bench.submit(), NotSent)
    with pytest.raises(ProviderUnreachable):
        await bench.adapter.balance(bench.account)
    assert await bench.oracle() == []


@pytest.mark.parametrize("fault", ["accept_then_timeout", "lost_reply", "http_500_after_accept"])
async def test_an_order_whose_answer_was_lost_is_found_by_its_reference(
    bench: Bench, fault: str
) -> None:
    bench.needs(Capability.LOOKUP)
    await bench.script(fault, None)
    assert isinstance(await bench.submit(likes(reference="lost")), Unconfirmed)
    await bench.accepted_id(likes(reference="told"))
    lost, told = [str(one["provider_order"]) for one in await bench.oracle()]
    answers = await bench.adapter.find(bench.account, ["lost", "told", "never"])
    assert answers == {"lost": Found(lost), "told": Found(told), "never": NotThere()}


async def test_a_look_up_that_failed_says_nothing_of_any_order(bench: Bench) -> None:
    bench.needs(Capability.LOOKUP)
    locked_out = replace(bench.account, credentials={"key": "another"})
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.find(locked_out, ["ref-1"])
    assert raised.value.kind == TroubleKind.CREDENTIALS


@pytest.mark.parametrize("fault", ["http_500", "html"])
async def test_a_failure_that_took_nothing_is_unconfirmed_all_the_same(
    bench: Bench, fault: str
) -> None:
    await bench.script(fault)
    assert isinstance(await bench.submit(), Unconfirmed)
    assert await bench.oracle() == []


async def test_an_answer_byte_by_byte_is_still_an_answer(bench: Bench) -> None:
    await bench.script("slow_bytes")
    assert isinstance(await bench.submit(), Accepted)


@pytest.mark.parametrize(
    ("submission", "kind"),
    [
        (likes(service="999"), RefusalKind.SERVICE_GONE),
        (likes(OrderForm(LINK, 1)), RefusalKind.PERMANENT),
        (likes(OrderForm("nonsense", 100)), RefusalKind.PERMANENT),
    ],
)
async def test_an_order_that_breaks_the_services_rules_is_refused(
    bench: Bench, submission: Submission, kind: RefusalKind
) -> None:
    outcome = await bench.submit(submission)
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


async def test_one_status_tells_how_each_order_ended(bench: Bench) -> None:
    await bench.script(None, "partial", "cancel")
    done, short, dropped = [await bench.accepted_id() for _ in range(3)]
    answers = await bench.adapter.status(bench.account, [done, short, dropped, "99"])

    assert set(answers) == {done, short, dropped, "99"}
    assert answers["99"] == IdUnknown()
    ended = {order_id: said for order_id, said in answers.items() if isinstance(said, Progress)}
    assert ended[done].state == ProviderState.COMPLETED
    assert ended[short].state == ProviderState.PARTIAL
    assert ended[dropped].state == ProviderState.CANCELED
    # A dialect may tell no figures; it never tells false ones.
    told = {(said.remains, said.charge_micros) for said in ended.values()} - {(None, None)}
    if told:
        assert (ended[done].remains, ended[done].charge_micros) == (0, 30_000)
        assert 0 < (ended[short].remains or 0) < 100
        assert (ended[dropped].remains, ended[dropped].charge_micros) == (100, 0)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("status_html", TroubleKind.UNREADABLE), ("status_500", TroubleKind.SERVER)],
)
async def test_a_status_call_that_failed_says_nothing_of_any_order(
    bench: Bench, fault: str, kind: TroubleKind
) -> None:
    order_id = await bench.accepted_id()
    await bench.put("faults", {fault: 1})
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.status(bench.account, [order_id])
    assert raised.value.kind == kind


async def test_a_subscription_is_followed_by_its_posts(bench: Bench) -> None:
    bench.needs(Capability.SUBSCRIPTIONS)
    service, form = ORDERS[ServiceType.SUBSCRIPTIONS]
    order_id = await bench.accepted_id(Submission(service, ServiceType.SUBSCRIPTIONS, form, "r"))
    await bench.put("speed", {"seconds_per_post": 0})
    done = await bench.accepted_id(Submission(service, ServiceType.SUBSCRIPTIONS, form, "r"))
    answers = await bench.adapter.status(bench.account, [order_id, done])

    running, ended = answers[order_id], answers[done]
    assert isinstance(running, Progress)
    assert (running.state, running.posts) == (ProviderState.IN_PROGRESS, 0)
    assert isinstance(ended, Progress)
    assert (ended.state, ended.posts) == (ProviderState.COMPLETED, 4)
    assert 0 < (ended.charge_micros or 0) <= 4 * 20 * 400


async def test_a_refill_is_taken_once_and_followed_to_its_end(bench: Bench) -> None:
    bench.needs(Capability.REFILL)
    followers, views = likes(service="101"), likes(service="103")
    order_id, without = await bench.accepted_id(followers), await bench.accepted_id(views)
    answers = await bench.adapter.refill(bench.account, [order_id, without, "99"])

    taken = answers[order_id]
    assert isinstance(taken, RefillTaken)
    assert isinstance(answers[without], RefillRefused)
    assert answers["99"] == RefillRefused("Incorrect order ID")
    [refill] = await bench.oracle("refills")
    assert str(refill["provider_order"]) == order_id
    told = await bench.adapter.refill_status(bench.account, [taken.provider_refill_id, "99"])
    assert told == {
        taken.provider_refill_id: RefillProgress(RefillState.COMPLETED, "Completed"),
        "99": IdUnknown(),
    }


async def test_a_refill_whose_reply_is_lost_is_unconfirmed_and_was_taken(bench: Bench) -> None:
    bench.needs(Capability.REFILL)
    order_id = await bench.accepted_id(likes(service="101"))
    await bench.put("faults", {"refill_lost_reply": 1})
    answers = await bench.adapter.refill(bench.account, [order_id])
    assert isinstance(answers[order_id], Unconfirmed)
    assert len(await bench.oracle("refills")) == 1


async def test_a_refill_that_is_rejected_later_says_so(bench: Bench) -> None:
    bench.needs(Capability.REFILL)
    order_id = await bench.accepted_id(likes(service="101"))
    await bench.put("faults", {"refill_reject": 1})
    taken = (await bench.adapter.refill(bench.account, [order_id]))[order_id]
    assert isinstance(taken, RefillTaken)
    told = await bench.adapter.refill_status(bench.account, [taken.provider_refill_id])
    assert [said.state for said in told.values() if isinstance(said, RefillProgress)] == [
        RefillState.REJECTED
    ]


async def test_a_cancel_is_asked_for_and_says_nothing_of_a_refund(bench: Bench) -> None:
    bench.needs(Capability.CANCEL)
    await bench.put("speed", {"units_per_second": 1, "start_delay_seconds": 1000})
    running, fixed = await bench.accepted_id(), await bench.accepted_id(likes(service="103"))
    answers = await bench.adapter.cancel(bench.account, [running, fixed, "99"])
    assert answers[running] == CancelAsked()
    assert isinstance(answers[fixed], CancelRefused)
    assert answers["99"] == CancelRefused("Incorrect order ID")
    told = (await bench.adapter.status(bench.account, [running]))[running]
    assert isinstance(told, Progress)
    assert told.state == ProviderState.CANCELED


async def test_the_balance_falls_by_what_an_order_costs(bench: Bench) -> None:
    before = await bench.adapter.balance(bench.account)
    await bench.accepted_id()
    after = await bench.adapter.balance(bench.account)
    assert before.currency == after.currency == "USD"
    assert before.amount_micros - after.amount_micros == 30_000


async def test_the_catalogue_has_what_is_sold(bench: Bench) -> None:
    entries = {entry.service: entry for entry in await bench.adapter.services(bench.account)}
    assert entries["102"].rate_micros == 300_000
    assert (entries["102"].min, entries["102"].max) == (10, 100_000)
    assert entries["102"].service_type == "Default"


async def test_a_provider_that_is_gone_is_unreachable_and_takes_nothing(bench: Bench) -> None:
    gone = replace(bench.account, base_url="http://127.0.0.1:1/api/v2")
    assert isinstance(await bench.adapter.submit(gone, likes(), may_send=lambda: True), NotSent)
    for call in (bench.adapter.status, bench.adapter.refill, bench.adapter.cancel):
        with pytest.raises(ProviderUnreachable) as raised:
            await call(gone, ["1"])
        assert raised.value.kind in {TroubleKind.TRANSPORT, TroubleKind.NOT_OFFERED}
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.balance(gone)
    assert raised.value.kind == TroubleKind.TRANSPORT


async def test_a_wrong_key_is_a_matter_of_credentials(bench: Bench) -> None:
    wrong = dict.fromkeys(bench.account.credentials, "wrong")
    locked_out = replace(bench.account, credentials=wrong)
    outcome = await bench.adapter.submit(locked_out, likes(), may_send=lambda: True)
    assert isinstance(outcome, Refused)
    assert outcome.kind == RefusalKind.CREDENTIALS
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.status(locked_out, ["1"])
    assert raised.value.kind == TroubleKind.CREDENTIALS
