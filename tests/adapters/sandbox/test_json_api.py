"""The rest of the JSON API: auth, employees, orders, tasks, sales channels, webhooks (CONTRACT-MOYSKLAD 2.1, 2.6-2.8)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_LOGIN, SANDBOX_PASSWORD, SANDBOX_PHONE_KEY, AccountSeed
from adapters.sandbox.seed import AttributeSeed
from tests.adapters.sandbox.support import ORIGIN, REMAP, Json, Rig, flat, link, running

UNKNOWN = "00000000-0000-4000-8000-000000000bad"


def basic(login: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


async def order_body(rig: Rig) -> Json:
    """The least a customer order needs."""
    organizations = (await rig.remap("GET", "/entity/organization")).body["rows"]
    return {
        "organization": {"meta": organizations[0]["meta"]},
        "agent": link("counterparty", rig.counterparty_id("ООО «Радуга»")),
    }


# -- auth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer nope", "Basic ???", basic(SANDBOX_LOGIN, "wrong"), basic("who", "x"), "Digest x"],
)
async def test_bad_credentials(rig: Rig, authorization: str | None) -> None:
    reply = await rig.remap("GET", "/context/employee", headers={"Authorization": authorization})
    assert reply.error == (401, [1056])
    assert "Неправильный пароль или имя пользователя" in reply.body["errors"][0]["error"]


async def test_basic_and_a_new_token(rig: Rig) -> None:
    headers = {"Authorization": basic(SANDBOX_LOGIN, SANDBOX_PASSWORD)}
    reply = await rig.remap("POST", "/security/token", headers=headers)
    assert reply.status == 200
    old, rig.token = rig.token, reply.body["access_token"]
    assert len(rig.token) == 40
    assert (await rig.remap("GET", "/context/employee")).body["name"] == "Администратор"
    rig.token = old
    assert (await rig.remap("GET", "/context/employee")).error == (401, [1056])
    assert (await rig.remap("GET", "/context/employee", headers=headers)).status == 200


async def test_415_and_accept(rig: Rig) -> None:
    reply = await rig.remap("GET", "/context/employee", headers={"Accept-Encoding": "deflate"})
    assert (reply.status, reply.body) == (415, "")
    # the phone side's leniency does not reach this API
    await rig.switch(phone_requires_gzip=False)
    assert (await rig.remap("GET", "/context/employee", headers={"Accept-Encoding": None})).status == 415
    assert (await rig.remap("GET", "/context/employee", headers={"Accept": "text/xml"})).error == (400, [1062])


# -- employees -----------------------------------------------------------------------------------------------


async def test_employees_have_no_extension(rig: Rig) -> None:
    reply = await rig.remap("GET", "/entity/employee")
    rows = reply.body["rows"]
    assert reply.body["meta"]["size"] == len(rows) == 7
    anna = next(one for one in rows if one["name"] == "Анна Ковалёва")
    assert (anna["uid"], anna["firstName"], anna["lastName"]) == ("anna@sandbox", "Анна", "Ковалёва")
    assert not {"extension", "extention"} & set(anna)
    assert anna["meta"]["href"] == rig.employee_href("101")
    assert (await rig.remap("GET", f"/entity/employee/{anna['id']}")).body == anna
    found = await rig.remap("GET", "/entity/employee", params={"search": "орлов"})
    assert [one["name"] for one in found.body["rows"]] == ["Дарья Орлова"]
    by_uid = await rig.remap("GET", "/entity/employee", params={"filter": "uid=egor@sandbox"})
    assert [one["name"] for one in by_uid.body["rows"]] == ["Егор Шевчук"]
    assert (await rig.remap("GET", f"/entity/employee/{UNKNOWN}")).error == (404, [1021])


@pytest.mark.parametrize("crm", [True, False])
async def test_context_employee_tells_of_the_crm_option(crm: bool) -> None:
    seed = AccountSeed(name="one", phone_key="k" * 40, api_token="t" * 40, crm=crm)
    async with running(demo=False, accounts=(seed,)) as rig:
        rig.token = seed.api_token
        permissions = (await rig.remap("GET", "/context/employee")).body["permissions"]
        assert ("tariff_crm" in permissions) is crm
        assert "admin" in permissions


# -- orders --------------------------------------------------------------------------------------------------


async def test_order_with_state_channel_and_sum(rig: Rig) -> None:
    states = (await rig.remap("GET", "/entity/customerorder/metadata")).body["states"]
    channel = (await rig.remap("GET", "/entity/saleschannel")).body["rows"][0]
    assert channel["name"] == "Телефонный звонок"
    body = {
        **await order_body(rig),
        "state": {"meta": states[1]["meta"]},
        "salesChannel": {"meta": channel["meta"]},
        "owner": link("employee", rig.account.by_extension["102"]),
        "description": "Звонок",
        "moment": "2026-07-16 11:59:59",
        "positions": [{"quantity": 2, "price": 150}, {"quantity": 1, "price": 1000}],
        "source": "телефон",
    }
    made = (await rig.remap("POST", "/entity/customerorder", body)).body
    assert (made["name"], made["moment"], made["sum"]) == ("00001", "2026-07-16 11:59:00.000", 1300.0)
    assert made["state"]["meta"]["href"] == states[1]["meta"]["href"]
    assert made["salesChannel"]["meta"]["href"] == channel["meta"]["href"]
    assert "source" not in made
    second = (await rig.remap("POST", "/entity/customerorder", await order_body(rig))).body
    assert second["name"] == "00002"
    assert second["state"]["meta"]["href"] == states[0]["meta"]["href"]
    view = (await rig.tool("GET", "/orders"))["orders"]
    assert [one["name"] for one in view] == ["00001", "00002"]
    assert view[0]["agent"] == rig.counterparty_id("ООО «Радуга»")


async def test_orders_are_found_by_agent_and_state(rig: Rig) -> None:
    for minute in ("10", "30", "20"):
        await rig.remap("POST", "/entity/customerorder", {**await order_body(rig), "moment": f"2026-07-16 11:{minute}:00"})
    agent = (await order_body(rig))["agent"]["meta"]["href"]
    params = {"filter": f"agent={agent};state.name=Новый", "order": "moment,desc", "limit": "100", "expand": "agent,state"}
    rows = (await rig.remap("GET", "/entity/customerorder", params=params)).body["rows"]
    assert [one["name"] for one in rows] == ["00002", "00003", "00001"]
    assert rows[0]["agent"]["name"] == "ООО «Радуга»"
    assert rows[0]["state"]["name"] == "Новый"
    params["filter"] = f"agent={agent};state.name=Отгружен"
    assert (await rig.remap("GET", "/entity/customerorder", params=params)).body["rows"] == []


async def test_an_order_misses_both_required_fields(rig: Rig) -> None:
    reply = await rig.remap("POST", "/entity/customerorder", {"description": "x"})
    assert reply.error == (412, [3000, 3000])
    assert [one["parameter"] for one in reply.body["errors"]] == ["organization", "agent"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"agent": link("counterparty", UNKNOWN)}, (404, [1021])),
        ({"agent": link("counterparty", UNKNOWN, "https://online.moysklad.ru")}, (400, [1059])),
        ({"agent": link("employee", UNKNOWN)}, (412, [1060])),
        ({"moment": "2026-07-16T12:00:00"}, (400, [2016])),
        ({"positions": [{"quantity": "x"}]}, (400, [2016])),
        (
            {"state": {"meta": flat(f"{ORIGIN}{REMAP}/entity/customerorder/metadata/states/{UNKNOWN}", "state")}},
            (404, [1021]),
        ),
    ],
)
async def test_order_refused(rig: Rig, change: Json, error: tuple[int, list[int]]) -> None:
    reply = await rig.remap("POST", "/entity/customerorder", {**await order_body(rig), **change})
    assert reply.error == error


async def test_order_sync_id_does_not_use_up_a_number(rig: Rig) -> None:
    body = {**await order_body(rig), "syncId": "33333333-3333-4333-8333-333333333333"}
    first = (await rig.remap("POST", "/entity/customerorder", body)).body
    assert (await rig.remap("POST", "/entity/customerorder", body)).body == first
    assert (await rig.remap("POST", "/entity/customerorder", await order_body(rig))).body["name"] == "00002"


async def test_a_required_attribute_makes_the_minimal_order_fail() -> None:
    seed = AccountSeed(
        name="attrs", phone_key="k" * 40, api_token="t" * 40, organizations=("О",),
        attributes=(AttributeSeed(name="Откуда", required=True),),
    )  # fmt: skip
    async with running(demo=False, accounts=(seed,)) as rig:
        rig.token = seed.api_token
        agent = (await rig.remap("POST", "/entity/counterparty", {"name": "К"})).body
        organization = (await rig.remap("GET", "/entity/organization")).body["rows"][0]
        body: Json = {"organization": {"meta": organization["meta"]}, "agent": {"meta": agent["meta"]}}
        assert (await rig.remap("POST", "/entity/customerorder", body)).error == (412, [3000])
        attribute = (await rig.remap("GET", "/entity/customerorder/metadata/attributes")).body["rows"][0]
        body["attributes"] = [{"meta": attribute["meta"], "value": "звонок"}]
        made = await rig.remap("POST", "/entity/customerorder", body)
        assert made.status == 200
        assert [(one["name"], one["value"]) for one in made.body["attributes"]] == [("Откуда", "звонок")]


async def test_sales_channel_needs_name_and_type(rig: Rig) -> None:
    assert (await rig.remap("POST", "/entity/saleschannel", {})).error == (412, [3000, 3000])
    bad = await rig.remap("POST", "/entity/saleschannel", {"name": "Сайт", "type": "SITE"})
    assert bad.error == (412, [3005])
    made = await rig.remap("POST", "/entity/saleschannel", {"name": "Сайт", "type": "ECOMMERCE"})
    assert (made.status, made.body["type"]) == (200, "ECOMMERCE")


# -- tasks ---------------------------------------------------------------------------------------------------


async def test_task_for_a_missed_call(rig: Rig) -> None:
    assert (await rig.remap("POST", "/entity/task", {})).error == (412, [3000, 3000])
    body = {
        "description": "Перезвонить",
        "assignee": link("employee", rig.account.by_extension["101"]),
        "agent": link("counterparty", rig.counterparty_id("ООО «Радуга»")),
        "dueToDate": "2026-07-16 12:30:00",
    }
    made = await rig.remap("POST", "/entity/task", body)
    assert made.status == 200
    assert made.body["done"] is False
    assert (await rig.remap("PUT", f"/entity/task/{made.body['id']}", {"done": True})).body["done"] is True
    view = (await rig.tool("GET", "/tasks"))["tasks"]
    assert [(one["description"], one["assignee"]) for one in view] == [("Перезвонить", rig.account.by_extension["101"])]


async def test_tasks_need_the_crm_option() -> None:
    seed = AccountSeed(name="poor", phone_key="k" * 40, api_token="t" * 40, crm=False)
    async with running(demo=False, accounts=(seed,)) as rig:
        rig.token = seed.api_token
        assert (await rig.remap("POST", "/entity/task", {})).error == (403, [1043])


# -- webhooks ------------------------------------------------------------------------------------------------


class Receiver:
    """Somebody's webhook address: answers what it is told and remembers what came."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: asyncio.Queue[tuple[str, str, Json]] = asyncio.Queue()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        """One delivery."""
        status = self.answers.pop(0) if self.answers else 204
        agent = request.headers["User-Agent"]
        await self.got.put((request.query["requestId"], agent, await request.json()))
        return web.Response(status=status)

    async def next(self) -> tuple[str, str, Json]:
        """The next delivery, waited for."""
        async with asyncio.timeout(5):
            return await self.got.get()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running receiver."""
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hook"))
        yield made


async def subscribe(rig: Rig, url: str, **change: Any) -> Json:
    """Create a webhook for new counterparties."""
    body = {"url": url, "action": "CREATE", "entityType": "counterparty", **change}
    reply = await rig.remap("POST", "/entity/webhook", body)
    assert reply.status == 200, reply.body
    made: Json = reply.body
    return made


async def test_webhook_life(rig: Rig) -> None:
    made = await subscribe(rig, "https://me.test/hook")
    assert (made["method"], made["enabled"], made["diffType"]) == ("POST", True, "NONE")
    path = f"/entity/webhook/{made['id']}"
    assert (await rig.remap("PUT", path, {"enabled": False})).body["enabled"] is False
    assert (await rig.remap("GET", "/entity/webhook")).body["meta"]["size"] == 1
    gone = await rig.remap("DELETE", path)
    assert (gone.status, gone.body) == (200, "")
    assert (await rig.remap("GET", path)).error == (404, [1021])


async def test_webhook_rules(rig: Rig) -> None:
    base = {"url": "https://me.test/0", "action": "CREATE", "entityType": "counterparty"}
    assert (await rig.remap("POST", "/entity/webhook", {})).error == (412, [3000, 3000, 3000])
    for change, codes in (
        ({"url": "https://me.test/" + "x" * 255}, [3040]),
        ({"action": "READ"}, [3005]),
        ({"entityType": "note"}, [3005]),
        ({"diffType": "FIELDS"}, [3007]),
    ):
        assert (await rig.remap("POST", "/entity/webhook", {**base, **change})).codes == codes
    for number in range(5):
        await subscribe(rig, f"https://me.test/{number}")
    assert (await rig.remap("POST", "/entity/webhook", base)).error == (412, [3006])
    sixth = {**base, "url": "https://me.test/6"}
    assert (await rig.remap("POST", "/entity/webhook", sixth)).error == (412, [3007])


async def test_webhook_delivery_and_retry_with_the_same_request_id(rig: Rig, receiver: Receiver) -> None:
    await subscribe(rig, receiver.url)
    receiver.answers = [500, 404]
    made = (await rig.remap("POST", "/entity/counterparty", {"name": "Новый"})).body
    seen = [await receiver.next() for _ in range(3)]
    assert len({request_id for request_id, _, _ in seen}) == 1
    _, agent, body = seen[-1]
    assert agent.startswith("MoySklad webhook touch agent 2.0")
    assert body["events"] == [
        {
            "meta": {"type": "counterparty", "href": made["meta"]["href"]},
            "action": "CREATE",
            "accountId": made["accountId"],
        }
    ]
    assert body["auditContext"]["uid"] == SANDBOX_LOGIN
    assert body["auditContext"]["moment"] == "2026-07-16 12:00:00"


async def test_webhook_gives_up_after_four_attempts(rig: Rig, receiver: Receiver) -> None:
    await subscribe(rig, receiver.url)
    receiver.answers = [500] * 4
    await rig.remap("POST", "/entity/counterparty", {"name": "Первый"})
    first = {(await receiver.next())[0] for _ in range(4)}
    await rig.remap("POST", "/entity/counterparty", {"name": "Второй"})
    assert (await receiver.next())[0] not in first
    assert len(first) == 1
    journal: list[Json] = []
    async with asyncio.timeout(5):
        while len(journal) < 2:
            journal = (await rig.tool("GET", "/webhooks"))["deliveries"]
    assert journal[0]["statuses"] == [500] * 4
    assert journal[0]["delivered"] is False


async def test_webhook_fields_and_echo_suppression(rig: Rig, receiver: Receiver) -> None:
    await subscribe(rig, receiver.url, action="UPDATE", diffType="FIELDS")
    path = f"/entity/counterparty/{rig.counterparty_id('Магазин «Уют»')}"
    quiet = {"X-Lognex-WebHook-DisableByPrefix": receiver.url[:20]}
    await rig.remap("PUT", path, {"code": "тихо"}, headers=quiet)
    await rig.remap("PUT", path, {"phone": "1", "email": None})
    _, _, body = await receiver.next()
    assert body["events"][0]["updatedFields"] == ["phone", "email"]
    assert receiver.got.empty()


# -- what an account does not let its users do ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "method", "code"),
    [("view", "GET", 1016), ("create", "POST", 1045), ("edit", "PUT", 1017), ("delete", "DELETE", 1018), ("tariff", "POST", 1070)],
)
async def test_a_right_that_is_denied(rig: Rig, right: str, method: str, code: int) -> None:
    task = {"description": "x", "assignee": link("employee", rig.account.by_extension["101"])}
    made = (await rig.remap("POST", "/entity/task", task)).body
    denied = frozenset({("task", right)})
    rig.account.denied = denied
    path = "/entity/task" if method in ("GET", "POST") else f"/entity/task/{made['id']}"
    assert (await rig.remap(method, path, task if method in ("POST", "PUT") else None)).error == (403, [code])
    assert (await rig.remap("GET", "/entity/customerorder")).status == 200
    rig.account.denied = frozenset()
    assert (await rig.remap(method, path, task if method in ("POST", "PUT") else None)).status == 200


async def test_rights_and_required_fields_are_switched_by_a_seed(rig: Rig) -> None:
    base = {"name": "sandbox", "phone_key": SANDBOX_PHONE_KEY, "api_token": SANDBOX_API_TOKEN}
    required = {"attributes": [{"name": "Откуда", "required": True}]}
    for seed, codes in (
        ({"denied": [{"entity": "customerorder", "right": "create"}]}, [1045]),
        (required, [3000]),
        ({"attributes": [{"name": "Откуда", "required": False}]}, []),
    ):
        assert (await rig.tool("POST", "/seed", {"accounts": [{**base, **seed}]})) is not None
        reply = await rig.remap("POST", "/entity/customerorder", await order_body(rig))
        assert (reply.codes if codes else [reply.status]) == (codes or [200])


async def test_states_tell_whether_an_order_is_done_with(rig: Rig) -> None:
    states = (await rig.remap("GET", "/entity/customerorder/metadata")).body["states"]
    assert {each["name"]: each["stateType"] for each in states} == {
        "Новый": "Regular", "Подтверждён": "Regular", "Отгружен": "Successful", "Отменён": "Unsuccessful",
    }  # fmt: skip


@pytest.mark.parametrize("allowed", [True, False])
async def test_tasks_are_filtered_by_their_text_or_not_at_all(rig: Rig, allowed: bool) -> None:
    await rig.switch(task_text_filter=allowed)
    assignee = link("employee", rig.account.by_extension["101"])
    for text in ("Перезвонить (звонок 1)", "Перезвонить (звонок 12)"):
        await rig.remap("POST", "/entity/task", {"description": text, "assignee": assignee})
    reply = await rig.remap("GET", "/entity/task", params={"filter": "description~(звонок 1)"})
    if allowed:
        assert [each["description"] for each in reply.body["rows"]] == ["Перезвонить (звонок 1)"]
    else:
        assert reply.error == (412, [1034])


async def test_webhooks_are_the_administrator_s_alone(rig: Rig) -> None:
    employee = {"name": "Анна", "extension": "701"}
    seed = {"name": "staff", "phone_key": "d" * 40, "api_token": "e" * 40, "token_extension": "701", "employees": [employee]}
    await rig.tool("POST", "/seed", {"accounts": [seed]})
    hers = {"Authorization": f"Bearer {'e' * 40}"}
    assert (await rig.remap("GET", "/entity/webhook", headers=hers)).error == (403, [1016])
    body = {"url": "https://x.example", "action": "CREATE", "entityType": "counterparty"}
    assert (await rig.remap("POST", "/entity/webhook", body, headers=hers)).error == (403, [1045])
    assert (await rig.remap("GET", "/entity/counterparty", headers=hers)).status == 200
