"""What the rest of the telephony asks, as it asks it (CONTRACT-ASTERISK, "What other parts of the telephony ask")."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from adapters.http.guard import Guard
from tests.adapters.directory.support import KNOWN, KNOWN_NAME, PERSON, STRANGER, client, configure, searches, trouble
from tests.adapters.http.support import SECRETS, edge
from tests.rig import ENTERPRISE, Rig

ROOMS = ("/internal/ms", "")
NAMES = {"phone": KNOWN, "enterprise_number": ENTERPRISE}


async def get(rig: Rig, what: str, phone: str = KNOWN, **more: str) -> tuple[int, Any]:
    query = {"phone": phone, "enterprise_number": ENTERPRISE, **more}
    async with rig.http.get(f"/internal/ms/{what}", params=query) as answer:
        text = await answer.text()
        assert not any(secret in text for secret in SECRETS)
        return answer.status, await answer.json()


async def test_customer_name(rig: Rig) -> None:
    assert await get(rig, "customer-name") == (
        200,
        {"name": KNOWN_NAME, "source": "moysklad", "rule": "own phone", "matches": 1},
    )
    status, told = await get(rig, "customer-name", PERSON)
    assert (status, told["name"]) == (200, "ТД «Северный склад» (Ольга, бухгалтерия)")
    assert await get(rig, "customer-name", STRANGER) == (
        200,
        {"name": None, "source": "moysklad", "reason": "nobody has this number"},
    )


@pytest.mark.parametrize("name", ["+375290000066", "375 29 000-00-66", "80290000066", "Клиент 375290000066"])
async def test_a_name_made_of_the_number_is_no_name(rig: Rig, name: str) -> None:
    await client(rig, name, "+375290000066")
    status, told = await get(rig, "customer-name", "+375290000066")
    assert (status, told["name"], told["reason"]) == (200, None, "the customer's only name is the number")


async def test_an_empty_phone_is_a_hidden_caller_whom_nobody_knows(rig: Rig) -> None:
    status, told = await get(rig, "customer-name", "")
    assert (status, told["name"]) == (200, None)


async def test_of_several_one_is_chosen_and_that_is_said(rig: Rig) -> None:
    await client(rig, "+375290000066", "+375290000066")
    await client(rig, "ООО Настоящее", "80290000066")
    status, told = await get(rig, "customer-name", "+375290000066")
    assert (status, told["name"], told["matches"]) == (200, "ООО Настоящее", 2)
    assert told["rule"].startswith("own phone; of 2: not archived, a name made by hand before")


async def test_customer_profile(rig: Rig) -> None:
    status, told = await get(rig, "customer-profile", PERSON)
    assert status == 200
    assert {name: told[name] for name in ("last_name", "first_name", "middle_name", "enterprise_name")} == {
        "last_name": None,
        "first_name": "Ольга",
        "middle_name": None,
        "enterprise_name": "ТД «Северный склад»",
    }
    assert told["source"]["raw"]["name"] == "ТД «Северный склад»"
    _, nobody = await get(rig, "customer-profile", STRANGER)
    assert (nobody["enterprise_name"], nobody["source"]["raw"], nobody["reason"]) == (None, {}, "nobody has this number")


async def test_a_natural_person_s_own_fields(rig: Rig) -> None:
    name = "Павлов Игорь Петрович"
    await client(rig, name, "+375290000066", companyType="individual")
    _, told = await get(rig, "customer-profile", "+375290000066")
    assert (told["last_name"], told["first_name"], told["middle_name"]) == ("Павлов", "Игорь", "Петрович")
    assert told["enterprise_name"] is None
    assert (await get(rig, "customer-name", "+375290000066"))[1]["name"] == name


async def test_responsible_extension(rig: Rig) -> None:
    status, told = await get(rig, "responsible-extension")
    assert (status, told["extension"], told["manager_name"]) == (200, "152", "Егор Шевчук")
    assert len(told["manager_id"]) == 36
    _, nobody = await get(rig, "responsible-extension", STRANGER)
    assert nobody == {"extension": None, "manager_id": None, "reason": "nobody has this number"}


@pytest.mark.parametrize("room", ROOMS)
async def test_the_posted_forms_at_the_root_and_inside(rig: Rig, room: str) -> None:
    status, told = await rig.post(f"{room}/customer-by-phone", NAMES)
    assert (status, told["success"], told["display_name"]) == (200, True, KNOWN_NAME)
    assert told["person_uid"] == f"ms:{told['customer']['id']}"
    assert (told["customer"]["phones"], told["customer"]["manager_name"]) == ([KNOWN], "Егор Шевчук")
    assert told["customer"]["link"].startswith("https://online.moysklad.ru/app/#company/edit?id=")
    status, nobody = await rig.post(f"{room}/customer-by-phone", {**NAMES, "phone": STRANGER})
    assert (status, nobody) == (200, {"success": False, "error": "nobody has this number"})
    status, told = await rig.post(f"{room}/responsible-extension", NAMES)
    assert (status, told["success"], told["extension"], told["manager_name"]) == (200, True, "152", "Егор Шевчук")
    status, nobody = await rig.post(f"{room}/responsible-extension", {**NAMES, "phone": STRANGER})
    assert (status, nobody) == (200, {"success": False, "error": "nobody has this number"})


async def test_customer_by_phone_by_get_is_the_same(rig: Rig) -> None:
    posted = await rig.post("/internal/ms/customer-by-phone", NAMES)
    status, got = await get(rig, "customer-by-phone")
    assert (status, {**got, "source": "moysklad"}) == posted


async def test_enrichment_asks_anew_and_names_the_other_numbers(rig: Rig) -> None:
    await get(rig, "customer-name", PERSON)
    await get(rig, "customer-name", "+79998887766")
    before = await searches(rig)
    query = {"phone": PERSON, "enterprise_number": ENTERPRISE}
    async with rig.http.post("/internal/ms/enrich-customer", params=query) as answer:
        status, told = answer.status, await answer.json()
    assert (status, told["success"], told["full_name"]) == (200, True, "ТД «Северный склад» (Ольга, бухгалтерия)")
    assert (told["source"], told["person_uid"]) == ("moysklad", f"ms:{told['external_id']}")
    assert told["linked_phones"] == ["+78127418790", "+79998887766"]
    assert told["updated_count"] == 2, "the number itself, and the one that somebody had asked about"
    assert await searches(rig) == before + 1
    async with rig.http.post("/internal/ms/enrich-customer", json={"phone": PERSON, "enterprise_number": ENTERPRISE}) as answer:
        assert (await answer.json())["success"]


async def test_enrichment_of_a_stranger_and_without_moysklad(rig: Rig) -> None:
    query = {"phone": STRANGER, "enterprise_number": ENTERPRISE}
    async with rig.http.post("/internal/ms/enrich-customer", params=query) as answer:
        told = await answer.json()
    empty: dict[str, Any] = {"full_name": None, "external_id": None, "person_uid": None, "linked_phones": [], "updated_count": 0}
    assert told == {"success": False, "source": "moysklad", **empty, "error": "nobody has this number"}
    await trouble(rig, action="drop_before", api="remap")
    async with rig.http.post("/internal/ms/enrich-customer", params={**query, "phone": KNOWN}) as answer:
        told = await answer.json()
    assert (told["success"], told["external_id"], told["updated_count"]) == (False, None, 0)
    assert "connection was lost" in told["error"]


async def test_debug_explains_the_choice(rig: Rig) -> None:
    await get(rig, "customer-name", KNOWN)
    await client(rig, "80290000001", "80290000001")
    rig.clock.now_ms += 5_000
    status, told = await get(rig, "customer-debug", "80290000001")
    assert status == 200
    assert (told["number"], told["display_name"], told["searched"]["digits"]) == (KNOWN, KNOWN_NAME, "290000001")
    assert "80290000001" in told["searched"]["spellings"]
    assert told["searched"]["then"] == ["0001", "00-01", "00 01"]
    assert (told["cache"]["state"], told["cache"]["from"], told["cache"]["age_s"]) == ("fresh", "memory", 5)
    (request,) = told["requests"]
    assert (request["method"], request["status"], request["received"], request["matching"]) == ("GET", 200, 2, 2)
    assert [(each["name"], each["name_made_of_a_number"]) for each in told["found"]] == [
        (KNOWN_NAME, False),
        ("80290000001", True),
    ]
    assert told["rule"].startswith("own phone; of 2")
    assert (told["responsible"]["extension"], told["chosen"]["name"]) in (("152", KNOWN_NAME), (None, KNOWN_NAME))
    assert set(told["timing"]) == {"settings_ms", "took_ms", "answer_from"}


@pytest.mark.parametrize("phone", ["anonymous", "151"])
async def test_debug_says_also_why_nobody_is_asked(rig: Rig, phone: str) -> None:
    status, told = await get(rig, "customer-debug", phone)
    assert (status, told["requests"], told["chosen"]) == (200, [], None)
    assert told["reason"]


# -- errors and empty answers ---------------------------------------------------------------------------------------

GETS = ("customer-name", "customer-profile", "customer-debug", "customer-by-phone", "responsible-extension")
POSTS = ("customer-by-phone", "responsible-extension", "enrich-customer")


@pytest.mark.parametrize("what", GETS)
@pytest.mark.parametrize("missing", ["phone", "enterprise_number"])
async def test_a_field_that_is_missing_is_named(rig: Rig, what: str, missing: str) -> None:
    query = {name: value for name, value in NAMES.items() if name != missing}
    for given in (query, {**query, missing: " "}):
        async with rig.http.get(f"/internal/ms/{what}", params=given) as answer:
            told = await answer.json()
            assert (answer.status, told["field"], told["error"]) == (400, missing, f"{missing} is missing")


@pytest.mark.parametrize("what", POSTS)
async def test_a_posted_field_that_is_missing_is_named(rig: Rig, what: str) -> None:
    for body, field in (({"phone": KNOWN}, "enterprise_number"), ({"enterprise_number": "0367"}, "phone"), ([], "")):
        status, told = await rig.post(f"/internal/ms/{what}", body)
        assert (status, told["field"]) == (400, field)
    status, _ = await rig.post(f"/internal/ms/{what}", {"phone": "1" * 300, "enterprise_number": "0367"})
    assert status == 400


async def test_an_enterprise_that_nobody_knows(rig: Rig) -> None:
    for what in GETS:
        status, told = await get(rig, what, enterprise_number="9999")
        assert (status, told["field"]) == (404, "enterprise_number")
    for what in POSTS:
        status, told = await rig.post(f"/internal/ms/{what}", {**NAMES, "enterprise_number": "9999"})
        assert (status, told["field"]) == (404, "enterprise_number")


async def test_a_number_in_a_body_may_be_a_number(rig: Rig) -> None:
    status, told = await rig.post("/customer-by-phone", {"phone": 375290000001, "enterprise_number": ENTERPRISE})
    assert (status, told["display_name"]) == (200, KNOWN_NAME)


async def test_an_integration_that_is_off_is_no_error(rig: Rig) -> None:
    await configure(rig, enabled=False)
    off = "the integration is switched off"
    assert (await get(rig, "customer-name"))[1] == {"name": None, "source": "nowhere", "reason": off}
    assert (await get(rig, "responsible-extension"))[1] == {"extension": None, "manager_id": None, "reason": off}
    assert (await rig.post("/customer-by-phone", NAMES))[1] == {"success": False, "error": off}
    assert (await rig.post("/responsible-extension", NAMES))[1] == {"success": False, "error": off}
    assert (await get(rig, "customer-profile"))[1]["reason"] == off
    assert (await get(rig, "customer-debug"))[1]["reason"] == off


# -- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("what", ["customer-by-phone", "responsible-extension"])
async def test_the_addresses_at_the_root_are_as_closed_as_those_inside(rig: Rig, room: str, what: str) -> None:
    nobody_near = Guard([ip_network("192.0.2.0/24")], "inside-token", "admin-token")
    async with edge(rig, nobody_near) as client_:
        for path in (f"{room}/{what}", f"{room}/{what.replace('c', '%63', 1).replace('r', '%72', 1)}", f"{room}/{what}/"):
            for headers in ({}, {"Authorization": "Bearer admin-token"}, {"X-Forwarded-For": "192.0.2.1"}):
                async with client_.post(path, json=NAMES, headers=headers) as answer:
                    assert answer.status == 403, (path, headers)
        async with client_.get(f"{room}/{what}") as answer:
            assert answer.status == 403
        async with client_.post(f"{room}/{what}", json=NAMES, headers={"Authorization": "Bearer inside-token"}) as answer:
            assert answer.status == 200
    near = Guard([ip_network("127.0.0.0/8")], "", "")
    async with edge(rig, near) as client_:
        for headers in ({"Origin": "https://evil.example"}, {"X-Forwarded-For": "10.0.0.1"}, {"Host": "evil.example"}):
            async with client_.post(f"{room}/{what}", json=NAMES, headers=headers) as answer:
                assert answer.status == 403, headers
