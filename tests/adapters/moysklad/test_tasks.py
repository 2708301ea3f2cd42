"""Tasks at the gateway: their text, whose they are, how one in doubt is found again (CONTRACT-MOYSKLAD 2.7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from msgspec import structs

from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.tasks import describe, task_body
from core.effects import Account, CompleteTask, CreateTask, InspectTask, Refused
from tests.adapters.moysklad.support import KEY, NOW_MS, FakeTime, complains, facing_sandbox, says, scripted

MOSCOW = ZoneInfo("Europe/Moscow")
WHO = "00000000-0000-4000-8000-000000000101"
OTHER = "00000000-0000-4000-8000-000000000102"
MARK = "(звонок 0367-1.1)"
NUMBER = "+375290000001"
TASK = CreateTask(
    mark=MARK, number=NUMBER, missed_ms=NOW_MS, due_ms=NOW_MS + 1_800_000, name="ООО «Радуга»", contact="c-1",
    assignee=WHO, rang=("101", "102"),
)  # fmt: skip
ACCOUNT = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
MADE = says(200, {"id": "task-1"})


def gateway_of(transport: Any, zone: tzinfo = MOSCOW) -> MoySkladGateway:
    return MoySkladGateway(PhoneApi(transport, zone=zone), JsonApi(transport), now_ms=FakeTime())


def assignee(body: Any) -> str:
    return str(body["assignee"]["meta"]["href"].rpartition("/")[2])


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (TASK, f"Перезвонить: ООО «Радуга», +375290000001. Пропущенный звонок 16.07.2026 12:00, звонили: 101, 102 {MARK}"),
        (structs.replace(TASK, name="", rang=()), f"Перезвонить: +375290000001. Пропущенный звонок 16.07.2026 12:00 {MARK}"),
        (structs.replace(TASK, name=NUMBER, rang=()), f"Перезвонить: +375290000001. Пропущенный звонок 16.07.2026 12:00 {MARK}"),
    ],
)
def test_what_the_assignee_reads(task: CreateTask, text: str) -> None:
    assert describe(task, MOSCOW) == text
    body = task_body(task, WHO, MOSCOW)
    assert body["dueToDate"] == "2026-07-16 12:30:00.000"
    assert "agent" not in task_body(structs.replace(task, contact=""), WHO, MOSCOW)
    elsewhere = task_body(task, WHO, ZoneInfo("Asia/Tashkent"))
    assert elsewhere["dueToDate"] == "2026-07-16 12:30:00.000", "the zone of the Phone API is none of the JSON API's"
    assert elsewhere["description"] == text.replace("12:00", "14:00")


@pytest.mark.parametrize(
    ("rows", "made"),
    [
        ([{"id": "t-9", "description": f"… {MARK}", "assignee": {"meta": {"href": f"x/{WHO}"}}}], False),
        ([{"id": "t-9", "description": "… (звонок 0367-1.12)"}], True),
        ([], True),
    ],
)
async def test_one_in_doubt_is_looked_for_by_its_mark(rows: list[Any], made: bool) -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(says(200, {"rows": rows}), MADE)
        performed = await gateway_of(transport).perform(structs.replace(TASK, look=True), ACCOUNT)
        expected = {"task": "task-1", "existed": False} if made else {"task": "t-9", "existed": True}
        assert performed.result == {**expected, "assignee": WHO}
        assert script.seen[0].path.startswith("/api/entity/task?filter=description~%28")
        assert performed.exchanges[0].response == {"received": len(rows), "rows": [{"id": row["id"]} for row in rows]}


async def test_where_tasks_cannot_be_filtered_the_latest_are_looked_through() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(complains(412, 1034), says(200, {"rows": [{"id": "t-9", "description": f"… {MARK}"}]}))
        performed = await gateway_of(transport).perform(structs.replace(TASK, look=True), ACCOUNT)
        assert performed.result["task"] == "t-9"
        assert "order=created%2Cdesc" in script.seen[1].path


@pytest.mark.parametrize("look", [complains(403, 1016), complains(412, 3007)])
async def test_if_it_cannot_be_looked_for_it_is_not_repeated(look: Any) -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(look)
        with pytest.raises(Refused):
            await gateway_of(transport).perform(structs.replace(TASK, look=True), ACCOUNT)
        assert len(script.seen) == 1


async def test_a_client_who_was_deleted_costs_the_link_only() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(complains(404, 1021, parameter="agent"), MADE)
        await gateway_of(transport).perform(TASK, ACCOUNT)
        assert "agent" not in script.seen[1].body
        assert assignee(script.seen[1].body) == WHO


@pytest.mark.parametrize(("gone", "other"), [("agent", ""), ("agent", OTHER), ("assignee", OTHER)])
async def test_where_it_is_not_said_who_is_gone_the_task_is_made_all_the_same(gone: str, other: str) -> None:
    """``parameter`` is one of the fields that an error may lack (CONTRACT-MOYSKLAD 1.8, 2.3)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        missing = "agent" in body if gone == "agent" else assignee(body) == WHO
        return await (complains(404, 1021) if missing else MADE)(request)

    async with scripted(Api.JSON) as (script, transport):
        script.then(*[answer] * 4)
        performed = await gateway_of(transport).perform(TASK, replace(ACCOUNT, assignee=other))
        assert performed.result["assignee"] == (WHO if gone == "agent" else OTHER)
        assert ("agent" in script.seen[-1].body) is (gone == "assignee")


@pytest.mark.parametrize("no", [complains(404, 1021, parameter="assignee"), complains(412, 3045)])
async def test_an_employee_who_is_gone_gives_way_to_the_one_the_settings_name(no: Any) -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(no, MADE)
        performed = await gateway_of(transport).perform(TASK, replace(ACCOUNT, assignee=OTHER))
        assert performed.result["assignee"] == assignee(script.seen[1].body) == OTHER
    async with scripted(Api.JSON) as (script, transport):
        script.then(no)
        with pytest.raises(Refused):
            await gateway_of(transport).perform(TASK, ACCOUNT)


async def test_whoever_the_settings_name_may_be_an_extension() -> None:
    async with facing_sandbox() as rig:
        account = replace(rig.account, assignee="102")
        performed = await rig.gateway.perform(structs.replace(TASK, assignee="", contact=""), account)
        assert performed.result["assignee"] == rig.employee_id("102")
        with pytest.raises(Refused, match="nobody can be named"):
            await rig.gateway.perform(structs.replace(TASK, assignee="", contact=""), replace(account, assignee="999"))
    async with scripted(Api.JSON) as (_, transport):
        with pytest.raises(Refused, match="no main API token"):
            await gateway_of(transport).perform(TASK, replace(ACCOUNT, api_token=""))


async def test_nobody_is_nobody() -> None:
    async with scripted(Api.JSON) as (script, transport):
        with pytest.raises(Refused, match="nobody can be named for the task") as refused:
            await gateway_of(transport).perform(structs.replace(TASK, assignee=""), ACCOUNT)
        assert refused.value.remedy == "choose who gets such tasks in the integration's settings"
        assert script.seen == []


async def test_whether_a_task_is_still_to_be_done_is_read_and_nothing_else_of_it_is_kept() -> None:
    async with scripted(Api.JSON) as (script, transport):
        body = {"id": "t", "done": False, "description": "Перезвонить: +375290000001", "updated": "2026-11-23 15:28:00.250"}
        script.then(says(200, body), says(200, {**body, "done": True}))
        script.then(says(200, {"done": True, "completed": "2026-11-23 15:28:00"}), says(200, {"done": True}))
        script.then(complains(404, 1021), complains(403, 1017))
        gateway, effect = gateway_of(transport, ZoneInfo("Asia/Tashkent")), InspectTask(task="t")
        performed = await gateway.perform(effect, ACCOUNT)
        assert performed.result == {"open": True, "ended_ms": None}
        assert "+375290000001" not in str(performed.exchanges)
        at_ms = 1_795_436_880_000  # 15:28 in Moscow
        ended = [(await gateway.perform(effect, ACCOUNT)).result for _ in range(4)]
        assert ended == [{"open": False, "ended_ms": since} for since in (at_ms + 250, at_ms, None, None)]
        with pytest.raises(Refused):
            await gateway.perform(effect, ACCOUNT)
        assert [(each.method, each.path) for each in script.seen] == [("GET", "/api/entity/task/t")] * 6


async def test_a_task_is_ended_also_when_somebody_deleted_it() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(says(200, {"id": "t"}), complains(404, 1021), complains(403, 1017))
        gateway, effect = gateway_of(transport), CompleteTask(task="t")
        assert (await gateway.perform(effect, ACCOUNT)).result == {"gone": False}
        assert (await gateway.perform(effect, ACCOUNT)).result == {"gone": True}
        with pytest.raises(Refused):
            await gateway.perform(effect, ACCOUNT)
        assert [(each.method, each.path, each.body) for each in script.seen] == [("PUT", "/api/entity/task/t", {"done": True})] * 3
