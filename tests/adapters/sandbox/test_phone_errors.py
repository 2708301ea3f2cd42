"""Every refusal of the Phone API with its status and codes (CONTRACT-MOYSKLAD 1.8), and that it leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sandbox import AccountSeed
from tests.adapters.sandbox.support import ORIGIN, REMAP, Json, Rig, flat, link, running

UNKNOWN = "00000000-0000-4000-8000-000000000bad"
VALID: Json = {
    "externalId": "one",
    "number": "+79160000099",
    "isIncoming": True,
    "startTime": "2026-07-16 12:00:00.000",
}
EMPLOYEE = f"{ORIGIN}{REMAP}/entity/employee/{UNKNOWN}"
COUNTERPARTY = f"{ORIGIN}{REMAP}/entity/counterparty/{UNKNOWN}"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"externalId": None}, (412, [3000])),
        ({"externalId": ""}, (412, [3000])),
        (dict.fromkeys(VALID), (412, [3000, 3000, 3000, 3000])),
        ({"isIncoming": "true"}, (400, [2017])),
        ({"number": 79160000099}, (400, [2017])),
        ({"externalId": "x" * 256}, (412, [3007])),
        # times: the format is fixed, ISO forms and offsets are refused
        ({"startTime": "2026-07-16T12:00:00"}, (412, [3007])),
        ({"startTime": "2026-07-16 12:00:00+03:00"}, (412, [3007])),
        ({"startTime": "2026-07-16 12:00:00Z"}, (412, [3007])),
        ({"startTime": "2026-07-16 12:00"}, (412, [3007])),
        ({"startTime": "2026-02-30 12:00:00"}, (412, [3007])),
        ({"startTime": 1784192400000}, (412, [3007])),
        ({"endTime": "yesterday"}, (412, [3007])),
        ({"duration": "5"}, (400, [2017])),
        ({"duration": -1}, (400, [2017])),
        ({"duration": True}, (400, [2017])),
        ({"recordUrl": "https://pbx.test/a"}, (400, [2017])),
        ({"recordUrl": ["ftp://pbx.test/a", "a"]}, (412, [3007, 3007])),
        ({"comment": 5}, (400, [2017])),
        ({"events": {"eventType": "SHOW"}}, (400, [2017])),
        ({"events": [{"eventType": "ENDTIME", "extension": "101", "sequence": 1}]}, (412, [3005])),
        ({"events": [{"eventType": "SHOW", "sequence": 1}]}, (412, [3000])),
        ({"events": [{}]}, (412, [3000, 3000, 3000])),
        # links are flat; a wrapper has neither href nor type
        ({"counterparty": link("counterparty", UNKNOWN)}, (400, [2010, 2011])),
        ({"counterparty": {"type": "counterparty"}}, (400, [2010])),
        ({"counterparty": {"href": COUNTERPARTY}}, (400, [2011])),
        ({"counterparty": flat("not a link", "counterparty")}, (400, [2013])),
        ({"counterparty": flat(COUNTERPARTY.replace("moysklad", "example"), "counterparty")}, (400, [2013])),
        ({"counterparty": flat(COUNTERPARTY, "employee")}, (412, [1060])),
        ({"counterparty": flat(EMPLOYEE, "counterparty")}, (412, [1051])),
        ({"counterparty": flat(COUNTERPARTY, "counterparty")}, (404, [1021])),
        ({"employee": link("employee", UNKNOWN)}, (400, [2010, 2011])),
        ({"employee": flat(EMPLOYEE, "employee")}, (404, [1021])),
    ],
)
async def test_create_refused(rig: Rig, change: Json, error: tuple[int, list[int]]) -> None:
    reply = await rig.phone("POST", "/call", {**VALID, **change})
    assert reply.error == error
    assert (await rig.tool("GET", "/calls"))["total"] == 0


async def test_missing_fields_are_named(rig: Rig) -> None:
    reply = await rig.phone("POST", "/call", {"number": "+79160000099"})
    assert [one["parameter"] for one in reply.body["errors"]] == ["externalId", "isIncoming", "startTime"]
    assert reply.body["errors"][0] == {
        "error": "Ошибка сохранения объекта: поле 'externalId' не может быть пустым или отсутствовать",
        "code": 3000,
        "parameter": "externalId",
    }


async def test_a_refused_put_changes_nothing(rig: Rig) -> None:
    call = await rig.call()
    body = {
        "extension": "101",
        "comment": "x",
        "events": [
            {"eventType": "SHOW", "extension": "101", "sequence": 1},
            {"eventType": "BAD", "extension": "101", "sequence": 2},
        ],
    }
    assert (await rig.phone("PUT", f"/call/{call['id']}", body)).error == (412, [3005])
    assert (await rig.phone("GET", f"/call/{call['id']}")).body == call
    assert await rig.cards() == {}


@pytest.mark.parametrize(
    ("raw", "media", "error"),
    [
        (b"{not json", "application/json", (400, [2001])),
        (b"", "application/json", (400, [2001])),
        (b'"text"', "application/json", (400, [2005])),
        (b"[{}]", "application/json", (400, [2009])),
        (b"{}", "text/plain", (400, [1037])),
        (b"{}", None, (400, [1037])),
        (b'{"a":' * 11 + b"1" + b"}" * 11, "application/json", (400, [2017])),
        (b"{}", "application/json; charset=utf-8", (412, [3000] * 4)),
    ],
)
async def test_bodies_that_are_no_call(rig: Rig, raw: bytes, media: str | None, error: tuple[int, list[int]]) -> None:
    reply = await rig.phone("POST", "/call", data=raw, headers={"Content-Type": media})
    assert reply.error == error


@pytest.mark.parametrize(("mode", "codes"), [("1037", [1037]), ("2001", [2001]), ("accepted", [3000] * 4)])
async def test_wrong_content_type_switch(rig: Rig, mode: str, codes: list[int]) -> None:
    await rig.switch(wrong_content_type=mode)
    reply = await rig.phone("POST", "/call", data=b"{}", headers={"Content-Type": "text/plain"})
    assert reply.codes == codes


async def test_a_body_over_10_mb(rig: Rig) -> None:
    reply = await rig.phone("POST", "/call", {**VALID, "comment": "x" * (10 * 1024 * 1024)})
    assert reply.error == (413, [1044])
    assert "10 МБ" in reply.body["errors"][0]["error"]


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/call", (405, [1039])),
        ("DELETE", f"/call/{UNKNOWN}", (405, [1039])),
        ("POST", f"/call/{UNKNOWN}", (405, [1039])),
        ("GET", f"/call/{UNKNOWN}/event", (405, [1039])),
        ("POST", "/employee", (405, [1039])),
        ("GET", "/calls", (404, [1002])),
        ("GET", "", (404, [1002])),
        ("PUT", "/call/extid/with%2Fslash", (404, [1002])),
        ("GET", f"/call/{UNKNOWN}", (404, [1021])),
        ("PUT", f"/call/{UNKNOWN}", (404, [1021])),
        ("PUT", "/call/extid/nobody", (404, [1021])),
        ("POST", f"/call/{UNKNOWN}/event", (404, [1021])),
        ("POST", "/call/extid/nobody/event", (404, [1021])),
        ("GET", "/call/not-a-uuid", (400, [1000])),
    ],
)
async def test_paths(rig: Rig, method: str, path: str, error: tuple[int, list[int]]) -> None:
    body: Any = {} if method in ("POST", "PUT") else None
    assert (await rig.phone(method, path, body)).error == error


async def test_bad_id_code_switch(rig: Rig) -> None:
    await rig.switch(bad_id_code=1052)
    assert (await rig.phone("PUT", "/call/nope", {})).error == (400, [1052])


async def test_no_key_or_a_wrong_one(rig: Rig) -> None:
    for key in (None, "", "0" * 40, rig.token):
        reply = await rig.phone("GET", "/employee", headers={"Lognex-Phone-Auth-Token": key})
        assert reply.error == (401, [1056])
        assert "X-Lognex-Auth" in reply.headers
    bearer = {"Lognex-Phone-Auth-Token": None, "Authorization": f"Bearer {rig.key}"}
    assert (await rig.phone("GET", "/employee", headers=bearer)).error == (401, [1056])


@pytest.mark.parametrize("encoding", [None, "", "deflate, br", "identity", "gzip;q=0", "*"])
async def test_without_gzip_415_and_nothing_else(rig: Rig, encoding: str | None) -> None:
    headers = {"Accept-Encoding": encoding}
    reply = await rig.phone("GET", "/employee", headers=headers)
    assert (reply.status, reply.body) == (415, "")
    await rig.switch(phone_requires_gzip=False)
    reply = await rig.phone("GET", "/employee", headers=headers)
    assert reply.status == 200
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("encoding", ["gzip", "gzip, deflate", "br;q=1.0, GZIP;q=0.5"])
async def test_gzip_in_a_list_is_enough(rig: Rig, encoding: str) -> None:
    reply = await rig.phone("GET", "/employee", headers={"Accept-Encoding": encoding})
    assert (reply.status, reply.headers["Content-Encoding"]) == (200, "gzip")
    await rig.switch(answers_compressed=False)
    reply = await rig.phone("GET", "/employee", headers={"Accept-Encoding": encoding})
    assert reply.status == 200
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("application/json", 200),
        ("application/json;charset=utf-8", 200),
        ("application/json; charset=UTF-8", 200),
        ("text/html", 400),
        ("application/xml", 400),
    ],
)
async def test_accept(rig: Rig, accept: str | None, status: int) -> None:
    reply = await rig.phone("GET", "/employee", headers={"Accept": accept})
    assert reply.status == status
    if status == 400:
        assert reply.codes == [1062]


async def test_accounts_do_not_see_each_other() -> None:
    other = AccountSeed(name="other", phone_key="k" * 40, api_token="t" * 40)
    async with running(accounts=(other,)) as rig:
        call = await rig.call(externalId="mine")
        headers = {"Lognex-Phone-Auth-Token": "k" * 40}
        path = f"/call/{call['id']}"
        assert (await rig.phone("GET", path, headers=headers)).error == (404, [1021])
        assert (await rig.phone("GET", "/employee", headers=headers)).body == {"employees": []}
        same = await rig.phone("POST", "/call", {**VALID, "externalId": "mine"}, headers=headers)
        assert same.status == 200


async def test_solution_not_installed() -> None:
    bare = AccountSeed(name="bare", phone_key="k" * 40, api_token="t" * 40, phone_solution_installed=False)
    async with running(accounts=(bare,)) as rig:
        rig.key = "k" * 40
        assert (await rig.phone("GET", "/employee")).error == (403, [55008])


async def test_pretty_print(rig: Rig) -> None:
    async with rig.client.get(
        "/api/phone/1.0/employee",
        headers={
            "Lognex-Phone-Auth-Token": rig.key,
            "Accept-Encoding": "gzip",
            "Lognex-Pretty-Print-JSON": "true",
        },
    ) as response:
        assert "\n" in await response.text()
