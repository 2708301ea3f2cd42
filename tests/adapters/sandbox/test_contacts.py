"""Counterparties of the JSON API: create, find, contact persons, notes, metadata (CONTRACT-MOYSKLAD 2.4, 2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sandbox import AccountSeed, demo_account
from adapters.sandbox.seed import AttributeSeed
from tests.adapters.sandbox.support import ORIGIN, REMAP, Json, Rig, flat, link, running

UNKNOWN = "00000000-0000-4000-8000-000000000bad"
SYNC = "11111111-1111-4111-8111-111111111111"
RAINBOW: Json = {
    "name": "ООО Радуга",
    "description": "Сеть стройматериалов Радуга ЭКСПО",
    "code": "rainbowCode",
    "externalCode": "extRainbw",
    "email": "raduga@stroi.ru",
    "phone": "+7 495 331 22 33",
    "tags": ["Строители", "Радуга", "Ремонт"],
}


async def names(rig: Rig, **params: str) -> list[str]:
    """The names a list request finds."""
    reply = await rig.remap("GET", "/entity/counterparty", params=params)
    assert reply.status == 200, reply.body
    return [one["name"] for one in reply.body["rows"]]


async def test_create_as_documented(rig: Rig) -> None:
    metadata = (await rig.remap("GET", "/entity/counterparty/metadata")).body
    state = metadata["states"][1]
    body = {**RAINBOW, "state": {"meta": flat(state["meta"]["href"], "state")}}
    reply = await rig.remap("POST", "/entity/counterparty", body)
    assert reply.status == 200
    answer = reply.body
    for name, value in RAINBOW.items():
        assert answer[name] == value
    base = f"{ORIGIN}{REMAP}/entity/counterparty"
    assert answer["meta"]["href"] == f"{base}/{answer['id']}"
    assert answer["meta"]["metadataHref"] == f"{base}/metadata"
    assert answer["id"] not in answer["meta"]["uuidHref"]
    assert answer["state"]["meta"]["href"] == state["meta"]["href"]
    assert set(answer["owner"]) == {"meta"}
    assert answer["companyType"] == "legal"
    assert answer["archived"] is False
    assert answer["updated"] == "2026-07-16 12:00:00.000"
    for name, kind in (("contactpersons", "contactperson"), ("notes", "note"), ("accounts", "account")):
        expected = flat(f"{base}/{answer['id']}/{name}", kind)
        assert answer[name] == {"meta": {**expected, "size": 0, "limit": 1000, "offset": 0}}
    assert (await rig.remap("GET", f"/entity/counterparty/{answer['id']}")).body == answer


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, (412, [3000])),
        ({"name": ""}, (412, [3000])),
        ({"name": 5}, (400, [2016])),
        ({"name": "x" * 256}, (412, [3040])),
        ({"name": "a", "email": "nonsense"}, (412, [3015])),
        ({"name": "a", "tags": "x"}, (400, [2016])),
        ({"name": "a", "shared": "yes"}, (400, [2016])),
        ({"name": "a", "companyType": "llc"}, (412, [3005])),
        ({"name": "a", "owner": {}}, (400, [2010])),
        ({"name": "a", "owner": flat(f"{ORIGIN}{REMAP}/entity/employee/{UNKNOWN}", "employee")}, (400, [2010])),
        ({"name": "a", "owner": {"meta": {"href": f"{ORIGIN}/x"}}}, (400, [2011])),
        ({"name": "a", "owner": {"meta": flat(f"{ORIGIN}/x", "employee")}}, (400, [2013])),
        ({"name": "a", "owner": link("employee", UNKNOWN, "http://127.0.0.1:1")}, (400, [1059])),
        ({"name": "a", "owner": link("employee", UNKNOWN)}, (404, [1021])),
        ({"name": "a", "owner": link("counterparty", UNKNOWN)}, (412, [1060])),
        ({"name": "a", "syncId": "x"}, (400, [1052])),
        ({"name": "a", "contactpersons": [{"phone": "1"}]}, (412, [3000])),
    ],
)
async def test_create_refused(rig: Rig, body: Json, error: tuple[int, list[int]]) -> None:
    before = (await rig.tool("GET", "/counterparties"))["counterparties"]
    reply = await rig.remap("POST", "/entity/counterparty", body)
    assert reply.error == error
    code = error[1][0]
    assert reply.body["errors"][0]["moreInfo"] == f"https://dev.moysklad.ru/doc/api/remap/1.2/#error_{code}"
    assert (await rig.tool("GET", "/counterparties"))["counterparties"] == before


async def test_sync_id_replays(rig: Rig) -> None:
    body = {"name": "Один", "phone": "+79160000055", "syncId": SYNC}
    first = await rig.remap("POST", "/entity/counterparty", body)
    again = await rig.remap("POST", "/entity/counterparty", {**body, "name": "Другой"})
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert await names(rig, filter=f"syncId={SYNC}") == ["Один"]
    other = {"syncId": "22222222-2222-4222-8222-222222222222"}
    path = f"/entity/counterparty/{first.body['id']}"
    assert (await rig.remap("PUT", path, other)).error == (412, [1047])
    assert (await rig.remap("PUT", path, {"syncId": SYNC, "name": "Новое"})).body["name"] == "Новое"


async def test_put_changes_what_is_named(rig: Rig) -> None:
    made = (await rig.remap("POST", "/entity/counterparty", RAINBOW)).body
    path = f"/entity/counterparty/{made['id']}"
    rig.clock.now_ms += 60_000
    changed = await rig.remap("PUT", path, {"phone": "8 916 000 00 44", "code": None, "unknown": 1})
    assert changed.status == 200
    assert changed.body["phone"] == "8 916 000 00 44"
    assert "code" not in changed.body
    assert changed.body["name"] == made["name"]
    assert changed.body["updated"] == "2026-07-16 12:01:00.000"
    assert (await rig.remap("PUT", path, {"name": None})).error == (412, [3000])
    # the Phone API follows the change
    assert "counterparty" in await rig.call(number="+79160000044")
    old = await rig.call(number="+74953312233")
    assert old["counterparty"]["href"].endswith(rig.counterparty_id("ООО «Радуга»"))


async def test_a_batch_answers_each_on_its_own(rig: Rig) -> None:
    reply = await rig.remap("POST", "/entity/counterparty", [{}, {"name": "Есть"}, {"email": "x"}])
    assert reply.status == 400
    assert [one.get("name") for one in reply.body] == [None, "Есть", None]
    assert reply.body[0]["errors"][0]["code"] == 3000
    good = await rig.remap("POST", "/entity/counterparty", [{"name": "A"}, {"name": "B"}])
    assert (good.status, [one["name"] for one in good.body]) == (200, ["A", "B"])
    many = await rig.remap("POST", "/entity/counterparty", [{"name": "A"}] * 1001)
    assert many.error == (413, [1044])


@pytest.mark.parametrize(
    ("search", "with_digits", "as_typed"),
    [
        ("9161234567", ["ИП Смирнова О. В."], []),
        ("79161234567", ["ИП Смирнова О. В."], []),
        ("+7 (916)", ["ИП Смирнова О. В."], ["ИП Смирнова О. В."]),
        ("смирнова", ["ИП Смирнова О. В."], ["ИП Смирнова О. В."]),
        ("9998887766", ["ТД «Северный склад»"], []),  # a contact person's phone
        ("375290000002", ["ТД «Северный склад»"], ["ТД «Северный склад»"]),
        ("игорь", ["ТД «Северный склад»"], ["ТД «Северный склад»"]),
        ("290000001", ["ОДО «Белтрейд»"], []),
        ("0000000000", [], []),
    ],
)
async def test_search(rig: Rig, search: str, with_digits: list[str], as_typed: list[str]) -> None:
    assert await names(rig, search=search) == with_digits
    await rig.switch(search_normalises_digits=False)
    assert await names(rig, search=search) == as_typed


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("phone~916", ["ИП Смирнова О. В."]),
        ("phone=~-67", ["ИП Смирнова О. В."]),
        ("phone~=8", ["Магазин «Уют»", "ТД «Северный склад»"]),
        ("phone~9161234567", []),
        ("phone~9998887766", []),  # filter does not reach contact persons
        ("phone=+7 495 331 22 33", ["ООО «Радуга»"]),
        ("name=ооо «радуга»", ["ООО «Радуга»"]),
        ("companyType=legal;name~уют", ["Магазин «Уют»"]),
        ("email=;name~=и", ["ИП Смирнова О. В."]),
        ("email!=", []),
        ("archived=true", []),
        ("updated>=2026-07-16 12:00;name~уют", ["Магазин «Уют»"]),
        ("updated>2026-07-16 12:00:00", []),
    ],
)
async def test_filter(rig: Rig, wanted: str, found: list[str]) -> None:
    assert await names(rig, filter=wanted) == found


async def test_filter_by_owner(rig: Rig) -> None:
    assert await names(rig, filter=f"owner={rig.employee_href('151')}") == ["Магазин «Уют»"]
    foreign = rig.employee_href("151").replace(ORIGIN, "http://127.0.0.1:9")
    reply = await rig.remap("GET", "/entity/counterparty", params={"filter": f"owner={foreign}"})
    assert reply.error == (400, [1059])


@pytest.mark.parametrize("wanted", ["phones=1", "owner=7", "owner~x", "updated=soon", "name>a", "archived~t"])
async def test_bad_filters(rig: Rig, wanted: str) -> None:
    reply = await rig.remap("GET", "/entity/counterparty", params={"filter": wanted})
    assert reply.error == (412, [1034])


async def test_archived_are_found_only_when_asked_or_switched(rig: Rig) -> None:
    path = f"/entity/counterparty/{rig.counterparty_id('Магазин «Уют»')}"
    await rig.remap("PUT", path, {"archived": True})
    assert await names(rig, search="уют") == []
    assert await names(rig, search="уют", filter="archived=true") == ["Магазин «Уют»"]
    assert "counterparty" not in await rig.call(number="88002500432")
    await rig.switch(search_includes_archived=True)
    assert await names(rig, search="уют") == ["Магазин «Уют»"]


async def test_envelope_paging_and_order(rig: Rig) -> None:
    reply = await rig.remap("GET", "/entity/counterparty", params={"limit": "2", "offset": "2", "order": "name,desc"})
    base = f"{ORIGIN}{REMAP}/entity/counterparty"
    assert reply.body["meta"] == {
        "href": base,
        "type": "counterparty",
        "mediaType": "application/json",
        "size": 5,
        "limit": 2,
        "offset": 2,
        "nextHref": f"{base}?order=name%2Cdesc&limit=2&offset=4",
        "previousHref": f"{base}?order=name%2Cdesc&limit=2&offset=0",
    }
    assert reply.body["context"]["employee"]["meta"]["href"] == f"{ORIGIN}{REMAP}/context/employee"
    assert [one["name"] for one in reply.body["rows"]] == ["ОДО «Белтрейд»", "Магазин «Уют»"]
    whole = await rig.remap("GET", "/entity/counterparty")
    assert (whole.body["meta"]["limit"], whole.body["meta"]["offset"], len(whole.body["rows"])) == (1000, 0, 5)
    for bad in ({"limit": "1001"}, {"limit": "x"}, {"offset": "-1"}, {"order": "nothing"}):
        assert (await rig.remap("GET", "/entity/counterparty", params=bad)).error == (400, [1040])


@pytest.mark.parametrize(("limit", "expanded"), [("100", True), ("101", False), (None, False)])
async def test_expand_needs_a_small_limit(rig: Rig, limit: str | None, expanded: bool) -> None:
    params = {"search": "Северный", "expand": "contactpersons,owner"}
    if limit is not None:
        params["limit"] = limit
    row = (await rig.remap("GET", "/entity/counterparty", params=params)).body["rows"][0]
    assert ("rows" in row["contactpersons"]) is expanded
    assert ("name" in row["owner"]) is expanded
    if expanded:
        phones = [one["phone"] for one in row["contactpersons"]["rows"]]
        assert phones == ["+7 (999) 888-77-66", "375290000002"]
        assert row["owner"]["name"] == "Вера Синицына"
    one = await rig.remap("GET", f"/entity/counterparty/{row['id']}", params={"expand": "contactpersons"})
    assert len(one.body["contactpersons"]["rows"]) == 2


@pytest.mark.parametrize(("shape", "kind"), [("array", list), ("object", dict)])
async def test_contact_person_and_note_answers(rig: Rig, shape: str, kind: type[Any]) -> None:
    await rig.switch(subresource_answer=shape)
    path = f"/entity/counterparty/{rig.counterparty_id('Магазин «Уют»')}"
    person = {"name": "Пётр", "phone": "8 (903) 111-22-33", "position": "кладовщик"}
    for name, body in (("contactpersons", person), ("notes", {"description": "звонил"})):
        reply = await rig.remap("POST", f"{path}/{name}", body)
        assert reply.status == 200
        assert isinstance(reply.body, kind)
        made = reply.body[0] if isinstance(reply.body, list) else reply.body
        assert made["agent"]["meta"]["href"].endswith(path.removeprefix("/entity"))
        listed = await rig.remap("GET", f"{path}/{name}")
        assert listed.body["rows"] == [made]
        assert listed.body["meta"]["size"] == 1
        assert (await rig.remap("POST", f"{path}/{name}", {})).error == (412, [3000])
    assert "counterparty" in await rig.call(number="+79031112233")
    view = (await rig.tool("GET", "/counterparties"))["counterparties"]
    shop = next(one for one in view if one["name"] == "Магазин «Уют»")
    assert [one["description"] for one in shop["notes"]] == ["звонил"]


async def test_contact_persons_in_a_put_replace_the_collection(rig: Rig) -> None:
    path = f"/entity/counterparty/{rig.counterparty_id('ТД «Северный склад»')}"
    body = {"contactpersons": [{"name": "Новая", "phone": "+79030000001", "syncId": SYNC}]}
    for _ in range(2):
        assert (await rig.remap("PUT", path, body)).body["contactpersons"]["meta"]["size"] == 1
    assert "counterparty" not in await rig.call(number="+79998887766")
    assert "counterparty" in await rig.call(number="+79030000001")


async def test_metadata_minimum_when_there_is_nothing() -> None:
    bare = AccountSeed(name="bare", phone_key="k" * 40, api_token="t" * 40)
    async with running(demo=False, accounts=(bare,)) as rig:
        rig.token = bare.api_token
        for kind in ("counterparty", "customerorder"):
            reply = await rig.remap("GET", f"/entity/{kind}/metadata")
            assert set(reply.body) == {"meta", "createShared"}


async def test_attributes_in_metadata_both_ways() -> None:
    seed = AccountSeed(
        name="attrs", phone_key="k" * 40, api_token="t" * 40,
        attributes=(AttributeSeed(name="Откуда", required=True), AttributeSeed(name="VIP", entity="counterparty")),
    )  # fmt: skip
    async with running(demo=False, accounts=(seed,)) as rig:
        rig.token = seed.api_token
        path = "/entity/customerorder/metadata"
        plain = (await rig.remap("GET", path)).body["attributes"]
        assert (plain["meta"]["size"], "rows" in plain) == (1, False)
        rows = (await rig.remap("GET", path, params={"expand": "attributes"})).body["attributes"]["rows"]
        assert [(one["name"], one["required"]) for one in rows] == [("Откуда", True)]
        assert (await rig.remap("GET", f"{path}/attributes")).body["rows"] == rows
        await rig.switch(metadata_attributes="inline")
        assert (await rig.remap("GET", path)).body["attributes"] == rows


async def test_two_users_of_the_same_name_are_two_rows(rig: Rig) -> None:
    for _ in range(2):
        await rig.remap("POST", "/entity/counterparty", {"name": "Тёзка"})
    assert await names(rig, filter="name=Тёзка") == ["Тёзка", "Тёзка"]


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", f"/entity/counterparty/{UNKNOWN}", (404, [1021])),
        ("GET", "/entity/counterparty/nope", (400, [1052])),
        ("DELETE", f"/entity/counterparty/{UNKNOWN}", (405, [1039])),
        ("GET", "/entity/phonecall", (404, [1002])),
        ("POST", f"/entity/counterparty/{UNKNOWN}/notes", (404, [1021])),
    ],
)
async def test_paths(rig: Rig, method: str, path: str, error: tuple[int, list[int]]) -> None:
    assert (await rig.remap(method, path, {} if method == "POST" else None)).error == error


def test_the_demo_knows_a_number_typed_with_brackets() -> None:
    assert "+7 (916) 123-45-67" in [one.phone for one in demo_account().counterparties]
