"""Orders at the gateway: what they are made of, what they do without, and what is remembered (CONTRACT-MOYSKLAD 2.7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.orders import MAX_PAGES, PAGE, describe, order_body
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.terms import AGAIN_MS, FRESH_MS, Named, chosen, named
from adapters.sandbox.faults import FaultRule
from adapters.sandbox.seed import AccountSeed
from core.effects import Account, CreateOrder, Refused
from tests.adapters.moysklad.support import KEY, NOW_MS, FakeTime, Rig, Script, complains, facing_sandbox, says, scripted

MOSCOW = ZoneInfo("Europe/Moscow")
BASE = "https://api.moysklad.ru/api/remap/1.2/entity"
SYNC = "7d0b0f6e-0000-4000-8000-000000000001"
ORDER = CreateOrder(sync_id=SYNC, contact="c-1", number="+375290000001", incoming=True, start_ms=NOW_MS, source="Звонок")
ACCOUNT = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
ONE = says(200, {"meta": {"size": 1}, "rows": [{"id": "o-1", "name": "ООО"}]})
NO_CHANNELS = says(200, {"meta": {"size": 0}, "rows": []})
MADE = says(200, {"id": "order-1", "name": "00001"})
STATES = says(
    200,
    {
        "states": [
            {"id": "s-new", "name": "Новый", "stateType": "Regular"},
            {"id": "s-won", "name": "Закрыт", "stateType": "Successful"},
            {"id": "s-lost", "name": "Отказ", "stateType": "Unsuccessful"},
        ]
    },
)


def gateway_of(transport: Any, clock: FakeTime | None = None) -> MoySkladGateway:
    return MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport), now_ms=clock or FakeTime())


def asked(script: Script) -> list[str]:
    """Method and path of every request, without the API's base."""
    return [f"{each.method} {each.path.removeprefix('/api/entity')}".partition("?")[0] for each in script.seen]


def test_the_body_holds_what_is_known_and_nothing_else() -> None:
    organization = Named(id="o-1", name="ООО")
    bare = order_body(structs.replace(ORDER, source=""), organization, None, None, MOSCOW)
    assert bare == {
        "syncId": SYNC,
        "organization": {"meta": {"href": f"{BASE}/organization/o-1", "type": "organization", "mediaType": "application/json"}},
        "agent": {"meta": {"href": f"{BASE}/counterparty/c-1", "type": "counterparty", "mediaType": "application/json"}},
        "description": "Входящий звонок 16.07.2026 12:00, номер +375290000001.",
    }
    owned = structs.replace(ORDER, owner="e-1")
    full = order_body(owned, organization, Named(id="s-1", name=""), Named(id="ch-1", name=""), MOSCOW)
    assert full["owner"]["meta"]["href"] == f"{BASE}/employee/e-1"
    assert full["state"]["meta"] == {
        "href": f"{BASE}/customerorder/metadata/states/s-1", "type": "state", "mediaType": "application/json",
    }  # fmt: skip
    assert full["salesChannel"]["meta"]["href"] == f"{BASE}/saleschannel/ch-1"


@pytest.mark.parametrize(
    ("source", "incoming", "text"),
    [
        ("Горячая линия", True, "Горячая линия. Входящий звонок 16.07.2026 12:00, номер +375290000001."),
        ("Исходящий звонок", False, "Исходящий звонок 16.07.2026 12:00, номер +375290000001."),
    ],
)
def test_the_description_names_source_and_call(source: str, incoming: bool, text: str) -> None:
    assert describe(structs.replace(ORDER, source=source, incoming=incoming), MOSCOW) == text


def test_things_are_chosen_by_id_or_by_name() -> None:
    rows = named([{"id": "A", "name": "Новый "}, {"id": "B", "name": "A"}, {"id": "C", "archived": True}, {"name": "no id"}, 7])
    assert [row.id for row in rows] == ["A", "B"]
    assert chosen(rows, " новый") == rows[0]
    assert chosen(rows, "a") == rows[0]
    assert chosen(rows, "") is None
    assert chosen(rows, "c") is None


async def test_what_an_order_is_made_of_is_asked_once_in_a_while() -> None:
    clock = FakeTime()
    async with scripted(Api.JSON) as (script, transport):
        gateway, effect = gateway_of(transport, clock), structs.replace(ORDER, state="Новый")
        script.then(ONE, STATES, NO_CHANNELS, says(200, {"id": "ch-1"}), MADE, MADE)
        for _ in range(2):
            await gateway.perform(effect, ACCOUNT)
        assert asked(script) == [
            "GET /organization", "GET /customerorder/metadata", "GET /saleschannel", "POST /saleschannel",
            "POST /customerorder", "POST /customerorder",
        ]  # fmt: skip
        clock.now_ms += FRESH_MS
        script.then(ONE, STATES, says(200, {"rows": [{"id": "ch-1", "name": "звонок"}]}), MADE)
        await gateway.perform(effect, ACCOUNT)
        gateway.forget(ACCOUNT)
        script.then(ONE, STATES, says(200, {"rows": [{"id": "ch-1", "name": "звонок"}]}), MADE)
        await gateway.perform(effect, ACCOUNT)
        assert not script.answers


async def test_the_first_orders_of_an_account_ask_for_its_channels_once_together() -> None:
    async with scripted(Api.JSON) as (script, transport):
        gateway = gateway_of(transport)
        script.then(ONE, NO_CHANNELS, says(200, {"id": "ch-1"}), MADE, MADE)
        await asyncio.gather(*(gateway.perform(structs.replace(ORDER, sync_id=each), ACCOUNT) for each in (SYNC, SYNC[:-1] + "2")))
        assert sorted(asked(script)) == [
            "GET /organization", "GET /saleschannel", "POST /customerorder", "POST /customerorder", "POST /saleschannel",
        ]  # fmt: skip


async def test_what_is_not_among_the_known_ones_is_looked_for_soon() -> None:
    clock = FakeTime()
    async with scripted(Api.JSON) as (script, transport):
        gateway, effect = gateway_of(transport, clock), structs.replace(ORDER, source="", state="Особый")
        script.then(ONE, STATES, MADE, MADE)
        performed = await gateway.perform(effect, ACCOUNT)
        assert performed.result["without"] == "the state: Особый is none of the account's"
        await gateway.perform(effect, ACCOUNT)  # it was looked for just now
        clock.now_ms += AGAIN_MS
        script.then(says(200, {"states": [{"id": "s-9", "name": "особый"}]}), MADE)
        performed = await gateway.perform(effect, ACCOUNT)
        assert (performed.result["state"], performed.result["without"]) == ("особый", "")
        assert script.seen[-1].body["state"]["meta"]["href"].endswith("/states/s-9")


@pytest.mark.parametrize(
    ("rows", "chosen_one", "error"),
    [
        ([], "", "MoySklad has no legal entity to make an order for"),
        ([{"id": "1", "name": "A", "archived": True}], "", "MoySklad has no legal entity to make an order for"),
        ([{"id": "1", "name": "A"}, {"id": "2", "name": "Б"}], "", "MoySklad has 2 legal entities and the settings choose none"),
        ([{"id": "1", "name": "A"}, {"id": "2", "name": "Б"}], "В", "the legal entity of the settings, В, is not in MoySklad"),
        ([{"id": "1", "name": "A"}, {"id": "2", "name": "Б"}], "б", ""),
        ([{"id": "1", "name": "A"}, {"id": "2", "name": "Б"}], "2", ""),
        ([{"id": "1", "name": "A"}], "В", ""),
    ],
)
async def test_for_whom_it_is(rows: list[Any], chosen_one: str, error: str) -> None:
    clock = FakeTime()
    async with scripted(Api.JSON) as (script, transport):
        gateway, account = gateway_of(transport, clock), replace(ACCOUNT, organization=chosen_one)
        script.then(says(200, {"rows": rows}), MADE)
        if not error:
            await gateway.perform(structs.replace(ORDER, source=""), account)
            return
        with pytest.raises(Refused, match=error) as refused:
            await gateway.perform(structs.replace(ORDER, source=""), account)
        assert refused.value.remedy


async def test_what_may_be_absent_is_given_up_one_by_one_under_the_same_name() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(ONE, STATES, says(200, {"rows": [{"id": "ch-1", "name": "Звонок"}]}))
        script.then(complains(404, 1021, parameter="owner"), complains(412, 1021), complains(404, 1021, parameter="salesChannel"))
        script.then(MADE)
        effect = structs.replace(ORDER, owner="e-1", state="Новый")
        performed = await gateway_of(transport).perform(effect, ACCOUNT)
        assert performed.result["without"] == "the owner: Ошибка 1021; the state: Ошибка 1021; the sales channel: Ошибка 1021"
        assert (performed.result["state"], performed.result["channel"]) == ("", "")
        posted = [each.body for each in script.seen if each.method == "POST"]
        assert {body["syncId"] for body in posted} == {SYNC}
        assert set(posted[-1]) == {"syncId", "organization", "agent", "description"}


async def test_whose_token_may_name_no_owner_has_orders_without_one() -> None:
    """Naming an owner takes a right (CONTRACT-MOYSKLAD 2.5); which field it was that may not be changed is not always said."""
    async with scripted(Api.JSON) as (script, transport):
        script.then(ONE, complains(403, 1017), MADE)
        performed = await gateway_of(transport).perform(structs.replace(ORDER, source="", owner="e-1"), ACCOUNT)
        assert performed.result["without"] == "the owner: Ошибка 1017"
        assert "owner" not in script.seen[-1].body
    async with scripted(Api.JSON) as (script, transport):
        script.then(ONE, complains(403, 1017))
        with pytest.raises(Refused, match="1017"):
            await gateway_of(transport).perform(structs.replace(ORDER, source=""), ACCOUNT)


async def test_a_refusal_of_the_order_itself_is_a_refusal() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(ONE, complains(412, 3000, parameter="attributes"))
        with pytest.raises(Refused, match="3000"):
            await gateway_of(transport).perform(structs.replace(ORDER, source=""), ACCOUNT)


async def test_an_open_order_is_found_among_many_that_are_closed() -> None:
    async with scripted(Api.JSON) as (script, transport):
        state = {"meta": {"href": f"{BASE}/customerorder/metadata/states/s-won", "type": "state"}}
        closed = [{"id": f"x{number}", "state": state} for number in range(PAGE)]
        script.then(says(200, {"rows": closed}), STATES, says(200, {"rows": [*closed[:3], {"id": "open", "name": "00042"}]}))
        performed = await gateway_of(transport).perform(structs.replace(ORDER, unless_open=True), ACCOUNT)
        assert performed.result == {"order": None, "name": "", "open": "00042"}
        assert "filter=agent%3Dhttps%3A%2F%2Fapi.moysklad.ru" in script.seen[0].path
        assert "order=moment%2Cdesc" in script.seen[0].path
        assert performed.exchanges[0].response["received"] == PAGE
        assert len(performed.exchanges[0].response["rows"]) == 20


async def test_orders_beyond_a_thousand_are_forgotten() -> None:
    async with scripted(Api.JSON) as (script, transport):
        state = {"meta": {"href": f"{BASE}/customerorder/metadata/states/s-lost", "type": "state"}}
        page = says(200, {"rows": [{"id": f"x{number}", "state": state} for number in range(PAGE)]})
        script.then(page, STATES, *[page] * (MAX_PAGES - 1), ONE, MADE)
        performed = await gateway_of(transport).perform(structs.replace(ORDER, unless_open=True, source=""), ACCOUNT)
        assert performed.result["order"] == "order-1"


async def test_an_order_of_its_own_that_arrived_is_no_reason_to_make_none() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(says(200, {"rows": [{"id": "order-1", "name": "00001", "syncId": SYNC}]}))
        performed = await gateway_of(transport).perform(structs.replace(ORDER, unless_open=True), ACCOUNT)
        assert performed.result == {"order": "order-1", "name": "00001", "open": None}


async def test_a_state_nobody_knows_is_open() -> None:
    async with scripted(Api.JSON) as (script, transport):
        unknown = {"meta": {"href": f"{BASE}/customerorder/metadata/states/s-77", "type": "state"}}
        script.then(says(200, {"rows": [{"id": "x", "name": "00007", "state": unknown}]}), STATES)
        performed = await gateway_of(transport).perform(structs.replace(ORDER, unless_open=True), ACCOUNT)
        assert performed.result["open"] == "00007"


async def test_calls_of_one_customer_at_once_look_one_after_another() -> None:
    async with facing_sandbox() as rig:
        account = replace(rig.account, organization="ООО «Песочница»")
        contact = next(iter(rig.inside.of_type("counterparty")))
        thrifty = structs.replace(ORDER, contact=contact, unless_open=True)
        effects = [structs.replace(thrifty, sync_id=SYNC[:-1] + str(number)) for number in range(4)]
        done = await asyncio.gather(*(rig.gateway.perform(effect, account) for effect in effects))
        assert sorted(each.result["order"] is None for each in done) == [False, True, True, True]


async def test_a_repeat_gives_the_first_one(rig: Rig) -> None:
    account = replace(rig.account, organization="ООО «Песочница»")
    contact = next(iter(rig.inside.of_type("counterparty")))
    first, second = [await rig.gateway.perform(structs.replace(ORDER, contact=contact), account) for _ in range(2)]
    assert first.result["order"] == second.result["order"]


async def test_without_a_token_there_is_no_order() -> None:
    async with scripted(Api.JSON) as (_, transport):
        with pytest.raises(Refused, match="no main API token"):
            await gateway_of(transport).perform(ORDER, replace(ACCOUNT, api_token=""))


def test_seeds_and_rules_are_what_the_sandbox_takes() -> None:
    assert AccountSeed(name="x", phone_key="y", api_token="z").denied == ()
    assert FaultRule(action="status").status == 500
