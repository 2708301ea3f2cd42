"""Calls through the gateway, under every behaviour the contract leaves open (CONTRACT-MOYSKLAD 1.4, 1.9, 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.moysklad.errors import Api, ApiRefusal
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.moments import to_moscow
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.transport import Trail
from adapters.sandbox.faults import FaultRule
from core.effects import (
    Account,
    CardAction,
    CardEvent,
    ConfirmCall,
    Effect,
    Gateway,
    InspectCall,
    Performed,
    Refused,
    RegisterCall,
    Unavailable,
    UpdateCall,
)
from tests.adapters.moysklad.support import KEY, NOW_MS, Responder, Rig, complains, facing_sandbox, hangs_up, says, scripted

KNOWN = "+79161234567"  # «ИП Смирнова О. В.» of the demo account
UNKNOWN = "+79160000099"
MOSCOW = ZoneInfo("Europe/Moscow")


def show(extension: str, sequence: int = 1) -> CardEvent:
    return CardEvent(action=CardAction.SHOW, sequence=sequence, extension=extension)


def ringing(number: str = UNKNOWN, **fields: Any) -> RegisterCall:
    return RegisterCall(
        **{
            "external_id": "0367-1700000000.1",
            "number": number,
            "incoming": True,
            "start_ms": NOW_MS,
            "cards": (show("101"),),
            **fields,
        }
    )


async def failing(rig: Rig, effect: Effect) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await rig.perform(effect)
    return caught.value


async def test_a_call_from_ring_to_end(rig: Rig) -> None:
    port: Gateway = rig.gateway  # the port of core, as the reactor sees it
    assert port is rig.gateway
    registered = await rig.perform(ringing(KNOWN, cards=(show("101", 1), show("102", 2))))
    assert registered.result == {
        "call": rig.calls()[0].id,
        "contact": rig.counterparty_id("ИП Смирнова О. В."),
        "owner": rig.employee_id("102"),
    }
    assert rig.cards() == {"101": 1, "102": 1}
    call = registered.result["call"]
    ended = await rig.perform(
        UpdateCall(
            external_id="0367-1700000000.1",
            call=call,
            cards=(CardEvent(action=CardAction.HIDE_ALL, sequence=3),),
            extension="101",
            employee=rig.employee_id("101"),
            start_ms=NOW_MS,
            end_ms=NOW_MS + 61_500,
            recordings=("https://pbx.example/1.wav",),
            comment="Отвечен",
        )
    )
    assert ended.result == {}
    (row,) = rig.calls()
    assert (row.start_ms, row.end_ms, row.duration_ms) == (NOW_MS, NOW_MS + 61_500, 61_500)
    assert (row.extension, row.employee_id, row.comment) == ("101", rig.employee_id("101"), "Отвечен")
    assert rig.cards() == {}
    assert (await rig.perform(InspectCall(call=call))).result == {"recordings": ["https://pbx.example/1.wav"]}
    assert rig.requests() == ["POST /call", f"PUT /call/{call}", f"GET /call/{call}"]
    assert [len(one.exchanges) for one in (registered, ended)] == [1, 1]


async def test_the_contact_given_wins_over_the_number(rig: Rig) -> None:
    other = rig.counterparty_id("ООО «Радуга»")
    assert (await rig.perform(ringing(KNOWN, contact=other))).result["contact"] == other


async def test_a_call_that_matches_nobody_has_no_contact(rig: Rig) -> None:
    result = (await rig.perform(ringing())).result
    assert result == {"call": rig.calls()[0].id, "contact": None}


@pytest.mark.parametrize("switch", ["reject-3006", "return-existing", "update-existing", "create-duplicate"])
async def test_a_repeated_post_names_a_call_whatever_the_server_does(switch: str) -> None:
    async with facing_sandbox(repeated_external_id=switch) as rig:
        first = await rig.perform(ringing())
        again = await rig.perform(ringing())
        if switch == "create-duplicate":
            assert len(rig.calls()) == 2
        else:
            assert again.result["call"] == first.result["call"]
            assert len(rig.calls()) == 1
        assert again.result.get("existed", False) is (switch == "reject-3006")


async def test_an_existing_row_is_returned_unchanged(rig: Rig) -> None:
    first = await rig.perform(ringing(KNOWN, comment="первый"))
    rig.inside.calls[first.result["call"]].events.clear()
    again = await rig.perform(ringing(KNOWN, comment="второй", cards=(show("103"),)))
    assert again.result == {**first.result, "existed": True}
    assert rig.requests()[-2:] == ["POST /call", "PUT /call/extid/0367-1700000000.1"]
    (row,) = rig.calls()
    assert (row.comment, list(row.events)) == ("первый", [])
    assert rig.cards() == {"101": 1}


async def test_a_returned_row_that_began_at_another_time_existed() -> None:
    async with facing_sandbox(repeated_external_id="return-existing") as rig:
        await rig.perform(ringing(start_ms=NOW_MS - 5_000))
        assert (await rig.perform(ringing())).result["existed"] is True


@pytest.mark.parametrize(
    ("told", "existed"),
    [
        ("2026-07-16 12:00:00.700", False),
        ("2026-07-16 12:00:00", False),
        ("2026-07-16 12:00:01.000", False),
        ("2026-07-16 14:00:00.700", False),
        ("2026-07-16 17:30:01.000", False),
        ("2026-07-16 11:59:55.700", True),
        ("2026-07-16 12:07:00.700", True),
        ("soon", False),
        (None, False),
    ],
)
async def test_a_start_told_in_seconds_or_in_the_accounts_own_zone_is_the_one_that_was_sent(told: Any, existed: bool) -> None:
    """A card of a new call that is taken for an older one is shown a second time (CONTRACT-MOYSKLAD 1.7, 6.5)."""
    async with scripted(Api.PHONE) as (script, transport):
        script.then(says(200, {"id": "c1", "startTime": told}))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        performed = await gateway.perform(ringing(start_ms=NOW_MS + 700), Account(enterprise="0367", phone_key=KEY))
        assert performed.result.get("existed", False) is existed


@pytest.mark.parametrize("switch", ["reject-3006", "return-existing", "create-duplicate"])
@pytest.mark.parametrize(
    ("action", "happened"),
    [("drop_before", False), ("drop_after", True), ("html_502", False), ("status_after", True), ("status", False)],
)
async def test_a_lost_post_is_in_doubt_until_asked_for(switch: str, action: Any, happened: bool) -> None:
    async with facing_sandbox(repeated_external_id=switch) as rig:
        rig.break_with(FaultRule(action=action, api="phone", method="POST", nth=1, status=504, code=0))
        failure = await failing(rig, ringing(KNOWN))
        assert failure.ambiguous
        assert len(failure.exchanges) == 1
        confirmed = await rig.perform(ConfirmCall(external_id="0367-1700000000.1"))
        if happened:
            (row,) = rig.calls()
            assert confirmed.result == {
                "call": row.id,
                "contact": rig.counterparty_id("ИП Смирнова О. В."),
                "owner": rig.employee_id("102"),
                "recordings": [],
            }
        else:
            assert confirmed.result == {"call": None, "contact": None, "recordings": []}
            assert rig.calls() == []
            await rig.perform(ringing(KNOWN))
        assert len(rig.calls()) == 1
        assert rig.cards() == {"101": 1}


async def test_asking_changes_nothing(rig: Rig) -> None:
    await rig.perform(ringing(comment="как было", recordings=("https://pbx.example/1.wav",)))
    before = replace(rig.calls()[0])
    result = (await rig.perform(ConfirmCall(external_id="0367-1700000000.1"))).result
    assert result["recordings"] == ["https://pbx.example/1.wav"]
    after = rig.calls()[0]
    assert (after.comment, after.end_ms, after.record_urls) == ("как было", before.end_ms, before.record_urls)
    assert [(one.method, one.request) for one in (await rig.perform(ConfirmCall(external_id="none"))).exchanges] == [
        ("PUT", {"comment": None})
    ]


async def test_asking_in_vain_is_not_ambiguous(rig: Rig) -> None:
    rig.break_with(FaultRule(action="drop_before", api="phone", method="PUT"))
    assert not (await failing(rig, ConfirmCall(external_id="x"))).ambiguous


async def test_an_odd_external_id_stays_one_path_segment(rig: Rig) -> None:
    await rig.perform(ringing(external_id="t2 rec?1#2%3F"))
    assert (await rig.perform(ConfirmCall(external_id="t2 rec?1#2%3F"))).result["call"] == rig.calls()[0].id


async def test_a_customer_deleted_meanwhile_does_not_cost_the_call(rig: Rig) -> None:
    gone = "00000000-0000-4000-8000-00000000dead"
    performed = await rig.perform(ringing(KNOWN, contact=gone))
    assert performed.result["contact"] == rig.counterparty_id("ИП Смирнова О. В.")
    assert [one.status for one in performed.exchanges] == [404, 200]
    assert "counterparty" not in performed.exchanges[1].request


@pytest.mark.parametrize("effect", [UpdateCall(external_id="x", call="89fc07ad-2c8d-11e6-8a84-bae500000051", comment="x")])
async def test_an_unknown_call_is_refused(rig: Rig, effect: Effect) -> None:
    with pytest.raises(Refused) as caught:
        await rig.perform(effect)
    assert caught.value.code == 1021
    assert len(caught.value.exchanges) == 1
    with pytest.raises(Refused):
        await rig.perform(InspectCall(call="89fc07ad-2c8d-11e6-8a84-bae500000051"))


async def test_an_update_of_nothing_asks_nothing(rig: Rig) -> None:
    assert await rig.perform(UpdateCall(external_id="x", call="1")) == Performed(result={}, exchanges=())
    assert rig.requests() == []


async def test_a_lost_update_is_in_doubt_and_its_recordings_can_be_read_back(rig: Rig) -> None:
    call = (await rig.perform(ringing())).result["call"]
    rig.break_with(FaultRule(action="drop_after", api="phone", method="PUT", nth=1))
    update = UpdateCall(external_id="0367-1700000000.1", call=call, recordings=("https://pbx.example/1.wav",))
    assert (await failing(rig, update)).ambiguous
    assert (await rig.perform(InspectCall(call=call))).result == {"recordings": ["https://pbx.example/1.wav"]}
    assert rig.requests().count(f"PUT /call/{call}") == 1


@pytest.mark.parametrize("key", ["wrong", ""])
async def test_a_wrong_key_is_refused_with_a_remedy(rig: Rig, key: str) -> None:
    with pytest.raises(Refused) as caught:
        await rig.gateway.perform(ringing(), replace(rig.account, phone_key=key))
    assert caught.value.code == (1056 if key else None)
    assert "key" in caught.value.remedy


async def test_an_inactive_employee_is_refused_with_a_remedy() -> None:
    async with facing_sandbox(inactive_employee_3045=True) as rig:
        rig.inside.employees[rig.employee_id("101")].active = False
        with pytest.raises(Refused) as caught:
            await rig.perform(ringing())
        assert caught.value.code == 3045
        assert "login" in caught.value.remedy
        assert rig.calls() == []


@pytest.mark.parametrize(("headers", "body"), [(True, True), (False, True), (False, False)])
async def test_too_many_requests_are_refused_at_the_door(headers: bool, body: bool) -> None:
    async with facing_sandbox(phone_limit_headers=headers, phone_429_body=body) as rig:
        # our own turnstiles would wait now; a program with the same key knows nothing of the others
        phone_only = replace(rig.account, api_token="")
        async with rig.another_program() as first, rig.another_program() as second:
            for program in (first, second):
                for _ in range(50):
                    await program.directory.find(phone_only, ("101",), Trail())
                    program.directory.forget(phone_only)
            with pytest.raises(Unavailable) as caught:
                await rig.perform(ringing())
        assert not caught.value.ambiguous
        assert caught.value.retry_after_ms is not None
        assert 0 < caught.value.retry_after_ms <= 5_000
        assert rig.calls() == []


async def test_gzip_refused_on_the_way_is_told() -> None:
    async with scripted() as (script, transport):
        script.then(says(415))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        with pytest.raises(Refused) as caught:
            await gateway.perform(ringing(), Account(enterprise="0367", phone_key=KEY))
    assert "Accept-Encoding" in caught.value.remedy


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # the parameter may be named in any way, or not at all
        ([complains(412, 3006, parameter="extid"), says(200, {"id": "c1"})], {"call": "c1", "contact": None, "existed": True}),
        ([complains(412, 3006), says(200, {"id": "c1"})], {"call": "c1", "contact": None, "existed": True}),
        ([complains(412, 3006), complains(404, 1021)], Unavailable),
        ([complains(412, 3006), hangs_up], Unavailable),
        ([complains(412, 3006), complains(404, 1002)], ApiRefusal),
        ([says(200, {"id": None})], Unavailable),
        ([says(200, [])], Unavailable),
        ([says(204)], Unavailable),
        ([says(200, {"id": "c1", "recordUrl": None, "counterparty": None, "new": {}})], {"call": "c1", "contact": None}),
    ],
)
async def test_answers_to_a_post(answers: list[Responder], expected: Any) -> None:
    async with scripted() as (script, transport):
        script.then(*answers)
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY)
        if isinstance(expected, dict):
            performed = await gateway.perform(ringing(), account)
            assert performed.result == expected
            assert len(performed.exchanges) == len(answers)
        else:
            with pytest.raises(expected) as caught:
                await gateway.perform(ringing(), account)
            assert len(caught.value.exchanges) == len(answers)


@pytest.mark.parametrize(
    ("answer", "absent"),
    [
        (complains(404, 1021), True),
        (complains(412, 1021), True),
        (says(404), True),
        (complains(404, 1002), False),
        (says(404, text="<html>404</html>", html=True), False),
        (complains(401, 1056), False),
    ],
)
async def test_only_moysklad_itself_can_say_that_a_call_is_absent(answer: Responder, absent: bool) -> None:
    async with scripted(Api.PHONE) as (script, transport):
        script.then(answer)
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY)
        if absent:
            assert (await gateway.perform(ConfirmCall(external_id="x"), account)).result["call"] is None
        else:
            with pytest.raises((Refused, Unavailable)):
                await gateway.perform(ConfirmCall(external_id="x"), account)


def test_the_clock_of_the_sandbox_and_ours_agree() -> None:
    assert to_moscow(NOW_MS, MOSCOW) == "2026-07-16 12:00:00.000"
