"""The Phone API's calls against the bodies that CONTRACT-MOYSKLAD 1.4 pastes from the documentation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox import AccountSeed, CounterpartySeed, EmployeeSeed
from tests.adapters.sandbox.support import ORIGIN, PHONE, REMAP, Json, Rig, flat, running

COUNTERPARTY = "88fc07ad-2c8d-11e6-8a84-bae500000050"
OWNER = "88fc07ac-2c8d-11e6-8a84-bae500000050"
CALLER = "88fc07ad-2c8d-11e6-8a84-bae500001324"
COLLEAGUE = "88fc07ad-2c8d-11e6-8a84-bae500001325"

DOC_ACCOUNT = AccountSeed(
    name="doc",
    phone_key="d03627d59c1948a0f9a6aa1e267c954bfd0301ec",
    api_token="5a0db0c0ffee00000000000000000000000000d0",
    employees=(
        EmployeeSeed(name="Ответственный", extension="100", id=OWNER),
        EmployeeSeed(name="Коллега", extension="101", id=COLLEAGUE),
        EmployeeSeed(name="Без номера", id=CALLER),
    ),
    counterparties=(CounterpartySeed(name="Клиент", phone="8 495 999-99-99", owner_extension="100", id=COUNTERPARTY),),
)

FULL_CREATE: Json = {
    "externalId": "AkjhDlkJDlkjD09D",
    "number": "+74959999999",
    "counterparty": {
        "href": "https://api.moysklad.ru/api/remap/1.2/entity/counterparty/88fc07ad-2c8d-11e6-8a84-bae500000050",
        "type": "counterparty",
        "mediaType": "application/json",
    },
    "extension": "100",
    "employee": {
        "href": "https://api.moysklad.ru/api/remap/1.2/entity/employee/88fc07ad-2c8d-11e6-8a84-bae500001324",
        "type": "employee",
        "mediaType": "application/json",
    },
    "isIncoming": True,
    "startTime": "2017-01-01 00:00:05.000",
    "endTime": "2017-01-01 00:00:05.000",
    "duration": 0,
    "recordUrl": ["http://some_url.ru"],
    "comment": "example comment",
    "events": [
        {
            "eventType": "SHOW",
            "extension": "101",
            "sequence": 1,
            "employee": {
                "href": "https://api.moysklad.ru/api/remap/1.2/entity/employee/88fc07ad-2c8d-11e6-8a84-bae500001325",
                "type": "employee",
                "mediaType": "application/json",
            },
        }
    ],
}
MINIMAL_CREATE: Json = {
    "externalId": "AkjhDlkJDlkjD09D",
    "number": "+74959999999",
    "extension": "101",
    "isIncoming": True,
    "startTime": "2017-01-01 00:00:05.000",
    "events": [{"eventType": "SHOW", "extension": "101", "sequence": 1}],
}
MINIMAL_UPDATE: Json = {
    "endTime": "2017-01-01 00:01:05.000",
    "recordUrl": ["http://some_url.ru"],
    "comment": "updated example comment",
    "events": [{"eventType": "HIDE", "extension": "101", "sequence": 2}],
}


@pytest.fixture
async def doc() -> Any:
    """A sandbox in which the documentation's own ids exist."""
    async with running(demo=False, accounts=(DOC_ACCOUNT,)) as made:
        made.key = DOC_ACCOUNT.phone_key
        made.token = DOC_ACCOUNT.api_token
        yield made


async def test_full_create_answers_as_the_documentation_shows(doc: Rig) -> None:
    reply = await doc.phone("POST", "/call", FULL_CREATE)
    assert reply.status == 200
    assert reply.headers["Content-Encoding"] == "gzip"
    call_id = reply.body["id"]
    assert reply.body == {
        "meta": flat(f"{ORIGIN}{PHONE}/call/{call_id}", "call"),
        "id": call_id,
        "externalId": "AkjhDlkJDlkjD09D",
        "number": "+74959999999",
        "counterparty": flat(f"{ORIGIN}{REMAP}/entity/counterparty/{COUNTERPARTY}", "counterparty"),
        "counterpartyowner": {
            "extention": "100",
            "meta": flat(f"{ORIGIN}{REMAP}/entity/employee/{OWNER}", "employee"),
        },
        "extension": "100",
        "comment": "example comment",
        "employee": flat(f"{ORIGIN}{REMAP}/entity/employee/{CALLER}", "employee"),
        "isIncoming": True,
        "startTime": "2017-01-01 00:00:05.000",
        "endTime": "2017-01-01 00:00:05.000",
        "duration": 0,
        "recordUrl": ["http://some_url.ru"],
    }
    assert await doc.cards() == {"101": ["+74959999999"]}
    assert (await doc.phone("GET", f"/call/{call_id}")).body == reply.body


@pytest.mark.parametrize("by_extid", [False, True])
async def test_minimal_life_cycle(doc: Rig, by_extid: bool) -> None:
    created = await doc.phone("POST", "/call", MINIMAL_CREATE)
    assert created.status == 200
    body = created.body
    assert (body["endTime"], body["duration"], body["recordUrl"]) == (None, None, [])
    # linked by its number alone, and the employee came with the extension
    assert body["counterparty"]["href"].endswith(COUNTERPARTY)
    assert body["employee"]["href"].endswith(COLLEAGUE)
    assert await doc.cards() == {"101": ["+74959999999"]}

    path = "/call/extid/AkjhDlkJDlkjD09D" if by_extid else f"/call/{body['id']}"
    updated = await doc.phone("PUT", path, MINIMAL_UPDATE)
    assert updated.status == 200
    assert updated.body["endTime"] == "2017-01-01 00:01:05.000"
    assert updated.body["duration"] == 60_000
    assert updated.body["comment"] == "updated example comment"
    assert await doc.cards() == {}


async def test_unmatched_number_answers_as_seen_in_production(rig: Rig) -> None:
    answer = await rig.call(number="+375297111222", extension="152", comment="Test call")
    assert set(answer) == {
        "meta", "id", "externalId", "number", "extension", "employee", "isIncoming",
        "startTime", "endTime", "duration", "recordUrl", "comment",
    }  # fmt: skip
    assert answer["employee"]["href"] == rig.employee_href("152")


async def test_put_fills_only_what_is_empty(rig: Rig) -> None:
    call = await rig.call(extension="101", endTime="2026-07-16 12:01:00", comment="first")
    reply = await rig.phone(
        "PUT",
        f"/call/{call['id']}",
        {
            "extension": "102",
            "employee": flat(rig.employee_href("102"), "employee"),
            "endTime": "2026-07-16 12:05:00",
            "duration": 1,
            "comment": "second",
            "externalId": "other",
            "number": "1",
            "isIncoming": False,
            "startTime": "2026-07-16 11:00:00",
            "unknown": {"x": 1},
        },
    )
    assert reply.body == {**call, "comment": "second"}


async def test_put_fills_an_empty_extension_and_brings_the_employee(rig: Rig) -> None:
    call = await rig.call()
    assert "extension" not in call
    reply = await rig.phone("PUT", f"/call/{call['id']}", {"extension": "151"})
    assert reply.body["employee"]["href"] == rig.employee_href("151")


async def test_employee_brings_the_extension_and_takes_precedence(rig: Rig) -> None:
    employee = flat(rig.employee_href("102"), "employee")
    assert (await rig.call(employee=employee))["extension"] == "102"
    both = await rig.call(employee=employee, extension="101")
    assert (both["extension"], both["employee"]["href"]) == ("102", rig.employee_href("102"))


async def test_comment_null_changes_nothing_and_is_cut(rig: Rig) -> None:
    call = await rig.call(comment="x" * 5000)
    assert len(call["comment"]) == 4096
    reply = await rig.phone("PUT", f"/call/{call['id']}", {"comment": None})
    assert reply.body["comment"] == call["comment"]
    for text in ("one", "two"):
        reply = await rig.phone("PUT", f"/call/{call['id']}", {"comment": text})
        assert reply.body["comment"] == text


async def test_record_url_appends_and_doubles(rig: Rig) -> None:
    call = await rig.call(recordUrl=["https://pbx.test/a"])
    path = f"/call/{call['id']}"
    await rig.phone("PUT", path, {"recordUrl": ["https://pbx.test/b"]})
    reply = await rig.phone("PUT", path, {"recordUrl": ["https://pbx.test/b"]})
    assert reply.body["recordUrl"] == ["https://pbx.test/a", "https://pbx.test/b", "https://pbx.test/b"]
    await rig.switch(record_url_deduplicated=True)
    reply = await rig.phone("PUT", path, {"recordUrl": ["https://pbx.test/a", "https://pbx.test/c"]})
    assert reply.body["recordUrl"][2:] == ["https://pbx.test/b", "https://pbx.test/c"]


@pytest.mark.parametrize(
    ("computed", "sent", "shown"),
    [
        (True, {"endTime": "2026-07-16 12:00:30", "duration": 5}, ("2026-07-16 12:00:30.000", 30_000)),
        (True, {"duration": 4_500}, ("2026-07-16 12:00:04.500", 4_500)),
        (False, {"endTime": "2026-07-16 12:00:30"}, ("2026-07-16 12:00:30.000", None)),
        (False, {"endTime": "2026-07-16 12:00:30", "duration": 5}, ("2026-07-16 12:00:30.000", 5)),
        (False, {"duration": 4_500}, (None, 4_500)),
    ],
)
async def test_end_and_duration(rig: Rig, computed: bool, sent: Json, shown: tuple[Any, Any]) -> None:
    await rig.switch(duration_computed=computed)
    answer = await rig.call(**sent)
    assert (answer["endTime"], answer["duration"]) == shown
    row = await rig.row(answer["id"])
    assert row["effective_duration_ms"] == (30_000 if "endTime" in sent else 4_500)


@pytest.mark.parametrize(
    ("mode", "status", "same", "rows"),
    [
        ("reject-3006", 412, False, 1),
        ("return-existing", 200, True, 1),
        ("update-existing", 200, True, 1),
        ("create-duplicate", 200, False, 2),
    ],
)
async def test_repeated_external_id(rig: Rig, mode: str, status: int, same: bool, rows: int) -> None:
    await rig.switch(repeated_external_id=mode)
    first = await rig.call(externalId="twice")
    again = {**_create(), "externalId": "twice", "comment": "again"}
    reply = await rig.phone("POST", "/call", again)
    assert reply.status == status
    if status == 412:
        assert reply.error == (412, [3006])
    else:
        assert (reply.body["id"] == first["id"]) is same
    assert (await rig.tool("GET", "/calls?external_id=twice"))["total"] == rows
    # the extid routes keep meaning the first call
    put = await rig.phone("PUT", "/call/extid/twice", {"endTime": "2026-07-16 12:09:00"})
    assert put.body["id"] == first["id"]
    assert put.body.get("comment") == ("again" if mode == "update-existing" else None)


@pytest.mark.parametrize(
    ("mode", "own", "person"),
    [("off", None, None), ("phones", "102", None), ("with-contact-persons", "102", "103")],
)
async def test_number_match(rig: Rig, mode: str, own: str | None, person: str | None) -> None:
    await rig.switch(number_match=mode)
    for number, owner in (("89161234567", own), ("+79998887766", person)):
        answer = await rig.call(number=number)
        assert answer.get("counterpartyowner", {}).get("extention") == owner
        assert ("counterparty" in answer) is (owner is not None)


async def test_given_counterparty_takes_precedence_over_the_number(rig: Rig) -> None:
    other = rig.counterparty_id("Магазин «Уют»")
    href = f"{ORIGIN}{REMAP}/entity/counterparty/{other}"
    answer = await rig.call(number="+79161234567", counterparty=flat(href, "counterparty"))
    assert answer["counterparty"]["href"] == href


@pytest.mark.parametrize("on", [False, True])
async def test_retroactive_linking(rig: Rig, on: bool) -> None:
    await rig.switch(retroactive_linking=on)
    call = await rig.call(number="+79160000077")
    await rig.remap("POST", "/entity/counterparty", {"name": "Новый", "phone": "8 916 000 00 77"})
    later = await rig.phone("GET", f"/call/{call['id']}")
    assert ("counterparty" in later.body) is on


async def test_times_are_moscow(rig: Rig) -> None:
    answer = await rig.call(startTime="2026-07-16 12:00:00")
    assert answer["startTime"] == "2026-07-16 12:00:00.000"
    row = await rig.row(answer["id"])
    assert row["start_ms"] == rig.clock.now_ms  # 09:00 UTC


async def test_get_by_extid_exists_only_where_switched_on(rig: Rig) -> None:
    call = await rig.call(externalId="here")
    assert (await rig.phone("GET", "/call/extid/here")).error == (404, [1002])
    await rig.switch(extid_get=True)
    assert (await rig.phone("GET", "/call/extid/here")).body == call
    assert (await rig.phone("GET", "/call/extid/nowhere")).error == (404, [1021])


async def test_extension_nobody_has(rig: Rig) -> None:
    assert "employee" not in await rig.call(extension="777")
    await rig.switch(unknown_extension="reject-3007")
    reply = await rig.phone("POST", "/call", {**_create(), "extension": "777"})
    assert reply.error == (412, [3007])
    event = {"eventType": "SHOW", "extension": "777", "sequence": 1}
    call = await rig.call()
    assert (await rig.phone("POST", f"/call/{call['id']}/event", event)).error == (412, [3007])


async def test_the_journal_forgets_the_oldest_call_and_its_card() -> None:
    async with running() as rig:
        rig.world.state.options = replace(rig.world.state.options, max_calls=2)
        show = [{"eventType": "SHOW", "extension": "101", "sequence": 1}]
        first = await rig.call(externalId="a", events=show)
        for name in ("b", "c"):
            await rig.call(externalId=name)
        assert (await rig.tool("GET", "/calls"))["total"] == 2
        assert (await rig.phone("GET", f"/call/{first['id']}")).error == (404, [1021])
        assert (await rig.phone("PUT", "/call/extid/a", {})).error == (404, [1021])
        assert await rig.cards() == {}


def _create() -> Json:
    return {
        "externalId": "one",
        "number": "+79160000099",
        "isIncoming": True,
        "startTime": "2026-07-16 12:00:00.000",
    }
