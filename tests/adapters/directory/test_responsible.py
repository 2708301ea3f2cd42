"""Whose telephone should ring: ``algorithm`` ``ms`` of the smart redirect (PRODUCT E2)."""

from __future__ import annotations

import asyncio

from adapters.directory.desk import LATE, NO_TOKEN, Where
from core.contacts import BY_MAPPING, BY_ROSTER
from tests.adapters.directory.support import (
    HURRIED,
    KNOWN,
    STRANGER,
    asked,
    client,
    configure,
    desk_of,
    moysklad,
    patient,
    searches,
    trouble,
)
from tests.adapters.http.support import dial
from tests.eventually import until
from tests.rig import ENTERPRISE, Rig, running, service_beside

QUESTION = "responsible-extension"


async def owner_id(rig: Rig, extension: str) -> str:
    async with rig.sandbox.get("/sandbox/accounts") as answer:
        (account,) = (await answer.json())["accounts"]
    return str(next(each["id"] for each in account["employees"] if each["extension"] == extension))


async def test_the_owner_s_extension_costs_two_requests_and_then_none(rig: Rig) -> None:
    desk = desk_of(rig)
    found, answer = await desk.responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (answer.extension, answer.manager_name, answer.rule) == ("152", "Егор Шевчук", BY_ROSTER)
    assert (answer.manager_id, found.where) == (await owner_id(rig, "152"), Where.MOYSKLAD)
    assert (await desk.responsible(QUESTION, ENTERPRISE, "+79161234567"))[1].extension == "102"
    found, again = await desk.responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (again, found.where) == (answer, Where.MEMORY)
    assert await asked(rig, "phone") == ["GET /employee"]
    assert await searches(rig) == 2


async def test_extensions_are_in_the_table_for_the_next_start(rig: Rig) -> None:
    await desk_of(rig).responsible(QUESTION, ENTERPRISE, KNOWN)
    await rig.service.directory.table.flush()
    async with service_beside(rig.dsn, str(rig.sandbox.make_url("")).rstrip("/"), rig.clock) as other:
        found, answer = await patient(other.directory).desk.responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (answer.extension, found.where) == ("152", Where.DATABASE)
    assert len(await asked(rig, "phone")) == 1


async def test_the_settings_mapping_needs_no_directory(rig: Rig) -> None:
    await configure(rig, employee_mapping={"999": {"name": "Егор", "employee_id": await owner_id(rig, "152")}})
    _, answer = await desk_of(rig).responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (answer.extension, answer.rule) == ("999", BY_MAPPING)
    _, again = await desk_of(rig).responsible(QUESTION, ENTERPRISE, KNOWN)
    assert again == answer


async def test_nobody_for_a_stranger_and_for_an_owner_without_an_extension(rig: Rig) -> None:
    desk = desk_of(rig)
    _, stranger = await desk.responsible(QUESTION, ENTERPRISE, STRANGER)
    assert (stranger.extension, stranger.manager_id, stranger.reason) == ("", "", "nobody has this number")
    await client(rig, "ООО Без добавочного", "+375290000088")  # the administrator's own, who has no telephone
    _, without = await desk.responsible(QUESTION, ENTERPRISE, "+375290000088")
    assert (without.extension, without.manager_name) == ("", "Администратор")
    assert without.reason == "the responsible employee has no extension"


async def test_an_archived_owner_is_nobody(rig: Rig) -> None:
    person = {"name": "Егор Шевчук", "extension": "152", "active": False}
    seed = {"name": "sandbox", "phone_key": "5a0db0c0ffee00000000000000000000000000a1"}
    seed |= {"api_token": "5a0db0c0ffee00000000000000000000000000b2", "employees": [person]}  # type: ignore[dict-item]
    async with rig.sandbox.post("/sandbox/seed", json={"accounts": [seed]}) as answer:
        assert answer.status == 200, await answer.text()
    _, found = await desk_of(rig).responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (found.extension, found.reason) == ("", "the responsible employee is archived")


async def test_extensions_that_do_not_come_in_time_are_there_for_the_next_question(rig: Rig) -> None:
    await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    await trouble(rig, action="delay_ms", delay_ms=1_000, api="phone")
    desk = desk_of(rig, times=HURRIED)
    found, answer = await desk.responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (answer.extension, answer.manager_name, found.is_late) == ("", "Егор Шевчук", True)
    assert answer.reason == "extensions are not known"
    await until(lambda: rig.service.directory.lookups.open == 0)
    assert (await desk.responsible(QUESTION, ENTERPRISE, KNOWN))[1].extension == "152"


async def test_both_are_asked_for_at_once(rig: Rig) -> None:
    await trouble(rig, action="hang", api="remap")
    asking = asyncio.create_task(desk_of(rig).responsible(QUESTION, ENTERPRISE, KNOWN))
    while not await asked(rig, "phone"):  # noqa: ASYNC110 - the sandbox tells of it in its log only
        await asyncio.sleep(0.01)
    assert not asking.done(), "the customer is still looked for, and the extensions are there already"
    asking.cancel()
    await rig.service.directory.lookups.close()


# -- what calls teach -----------------------------------------------------------------------------------------------



async def test_with_the_phone_key_alone_a_call_teaches_who_is_responsible(database_url: str) -> None:
    async with running(database_url, config={"api_token": ""}) as rig:
        desk = desk_of(rig)
        assert (await desk.responsible(QUESTION, ENTERPRISE, KNOWN))[1].extension == ""
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        found, answer = await desk.responsible(QUESTION, ENTERPRISE, KNOWN)
        assert (answer.extension, found.where) == ("152", Where.MEMORY)
        named = await desk.who("customer-name", ENTERPRISE, KNOWN)
        assert (named.reason, named.known is not None and named.known.is_named) == (NO_TOKEN, False)
        assert await asked(rig) == [], "the JSON API cannot be asked"


async def test_a_new_owner_is_learned_from_the_next_call(rig: Rig) -> None:
    desk = desk_of(rig)
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    assert (await desk.responsible(QUESTION, ENTERPRISE, KNOWN))[1].extension == "152"
    async with rig.sandbox.get("/sandbox/counterparties") as answer:
        shown = (await answer.json())["counterparties"]
    firm = next(each["id"] for each in shown if each["name"] == "ОДО «Белтрейд»")
    owner = await owner_id(rig, "101")
    meta = {"href": f"https://api.moysklad.ru/api/remap/1.2/entity/employee/{owner}", "type": "employee"}
    await moysklad(rig, "PUT", f"/entity/counterparty/{firm}", {"owner": {"meta": {**meta, "mediaType": "application/json"}}})
    await rig.post("/internal/ms/incoming-call", dial("1757840799.9"))
    await rig.settle()
    _, found = await desk.responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (found.extension, found.manager_id) == ("101", owner)
    assert await searches(rig) == 1, "the first call's: the second one and both questions knew"


async def test_late_is_said_as_such(rig: Rig) -> None:
    await trouble(rig, action="hang", api="remap")
    await rig.service.settings.current(ENTERPRISE)
    found, answer = await desk_of(rig, times=HURRIED).responsible(QUESTION, ENTERPRISE, KNOWN)
    assert (answer.extension, answer.reason, found.is_late) == ("", LATE, True)
    await rig.service.directory.lookups.close()
