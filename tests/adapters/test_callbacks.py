"""The task to call a customer back, from the wire to MoySklad: whose it is, that there is one, and when it is done with."""

from __future__ import annotations

import time
from typing import Any

import pytest

from adapters.callbacks import WithCallbacks, answer, clients
from adapters.memory_callbacks import MemoryCallbacks
from adapters.sandbox import Switches
from core.effects import Account, ClaimCallback, CreateTask, KeepTask, RegisterCall, Turn
from tests.adapters.directory.support import moysklad
from tests.moysklad_model import MoySkladModel
from tests.phone import BELTRADE, STRANGER, Phone, phone
from tests.rig import ENTERPRISE

CRM = "Ваш тарифный план не позволяет работать с CRM"
NO_CRM = f"{CRM} | the customer's tariff has no CRM option; it is needed for this request"


def asking(**settings: Any) -> dict[str, Any]:
    """Settings that ask for a task for each missed call."""
    actions = {"create_client": False, "create_task": "on_missed", "task_minutes": 15}
    return {"incoming_call_actions": actions, **settings}


async def employee(at: Phone, extension: str) -> str:
    """The uuid of whoever has this extension."""
    found = await at.rig.service.moysklad.accounts.list_employees(await at.account())
    return next(each.employee_id for each in found.employees if each.extension == extension)


async def test_a_missed_client_has_a_task_until_somebody_talks_with_him(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        first = await at.call(BELTRADE)
        (task,) = await at.see("tasks")
        assert task["description"] == (
            f"Перезвонить: ОДО «Белтрейд», {BELTRADE}. Пропущенный звонок 23.11.2026 15:13, звонили: 101, 152"
            f" (звонок 0367-{first})"
        )
        assert task["assignee"] == await employee(at, "152")  # responsible for the client
        assert task["dueToDate"] == "2026-11-23 15:28:00.000"
        assert task["agent"] == (await at.rig.rows())[0]["counterparty"]["id"]
        assert not task["done"]

        second = await at.call(BELTRADE)
        claimed, looked = (await at.results(second))[-2:]
        assert claimed == {"granted": False, "by": first, "task": task["id"], "talked_ms": None, "held_by": ""}
        assert looked == {"open": True, "ended_ms": None}
        await at.call(BELTRADE, answers="101")
        assert [each["done"] for each in await at.see("tasks")] == [True]

        await at.call(BELTRADE)
        assert [each["done"] for each in await at.see("tasks")] == [True, False]


async def test_a_client_whose_task_was_ticked_off_in_moysklad_gets_another_when_he_is_missed_again(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.call(BELTRADE)
        (task,) = await at.see("tasks")
        assert (await moysklad(at.rig, "PUT", f"/entity/task/{task['id']}", {"done": True}))["done"]
        # MoySklad's clock is the real one here, and whoever was missed before the task was ended has been called back.
        at.rig.clock.now_ms = max(at.rig.clock.now_ms, time.time_ns() // 1_000_000) + 60_000
        await at.call(BELTRADE)
        assert [each["done"] for each in await at.see("tasks")] == [True, False]
        await at.call(BELTRADE)
        assert len(await at.see("tasks")) == 2
        await at.call(BELTRADE, answers="101")
        assert [each["done"] for each in await at.see("tasks")] == [True, True]


async def test_calling_the_client_back_ends_the_task_too(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.call(STRANGER, rings=("101",))
        await at.call_out("103", STRANGER, answered=False)
        assert [each["done"] for each in await at.see("tasks")] == [False]
        await at.call_out("103", STRANGER.replace("+375", "80"), answered=True)
        assert [each["done"] for each in await at.see("tasks")] == [True]


@pytest.mark.parametrize(
    ("rings", "settings", "who"),
    [
        (("101",), {}, "101"),
        (("101", "102"), {"unrecognized_extension": "103"}, "103"),
        (("101", "102"), {"task_assignee": "150"}, "150"),
        (("375290000009",), {"task_assignee": "150"}, "150"),
    ],
)
async def test_whose_the_task_of_a_stranger_is(database_url: str, rings: tuple[str, ...], settings: Any, who: str) -> None:
    async with phone(database_url, asking(**settings)) as at:
        await at.call(STRANGER, rings=rings)
        (task,) = await at.see("tasks")
        assert task["assignee"] == await employee(at, who)
        assert task.get("agent") is None
        assert task["description"].startswith(f"Перезвонить: {STRANGER}. ")


async def test_a_task_that_nobody_can_be_named_for_waits_for_the_settings(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        call = await at.call(STRANGER)
        assert await at.see("tasks") == []
        ((parked, reason),) = await at.parked()
        assert parked == call
        assert reason == (
            "nobody can be named for the task: the client has no responsible employee, and not one known extension rang"
            " | choose who gets such tasks in the integration's settings"
        )

        await at.save({"task_assignee": await employee(at, "151")})
        await at.orders_worked_off()
        assert [each["assignee"] for each in await at.see("tasks")] == [await employee(at, "151")]
        assert await at.parked() == []


async def test_a_hidden_caller_cannot_be_called_back(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.call("anonymous", rings=("101",))
        assert await at.see("tasks") == []
        assert await at.parked() == []


async def test_two_calls_missed_at_the_same_moment_make_one_task(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        calls = [await at.call(BELTRADE, ends=False) for _ in range(2)]
        for call in calls:
            await at.end(call, BELTRADE)
        await at.rig.wait(30_000)
        assert len(await at.see("tasks")) == 1


@pytest.mark.parametrize("filtered", [True, False])
async def test_a_lost_answer_makes_no_second_task(database_url: str, filtered: bool) -> None:
    async with phone(database_url, asking(), Switches(limits_enforced=False, task_text_filter=filtered)) as at:
        await at.fault(action="drop_after", api="remap", method="POST", path_regex="^/entity/task$", times=1)
        await at.call(BELTRADE)
        await at.rig.wait(120_000)
        assert len(await at.see("tasks")) == 1
        await at.call(BELTRADE, answers="101")
        assert [each["done"] for each in await at.see("tasks")] == [True]


async def test_an_account_without_the_crm_option_is_told_once_and_served_when_it_has_it(database_url: str) -> None:
    async with phone(database_url, asking()) as at:
        await at.seed(crm=False)
        first = await at.call(STRANGER, rings=("101",))
        await at.call(BELTRADE)
        await at.call("+375291110000", rings=("103",))
        assert await at.parked() == [(first, NO_CRM)]
        asked = [(each["method"], each["path"]) for each in await at.rig.requests("remap")]
        assert asked.count(("POST", "/entity/task")) == 1

        await at.seed(crm=True)
        await at.rig.service.parked.retry_enterprise(ENTERPRISE, by="anna")
        await at.orders_worked_off()
        await at.orders_worked_off()  # those that waited for the first
        assert len(await at.see("tasks")) == 3
        assert await at.parked() == []
        await at.call(STRANGER, rings=("101",))
        assert len(await at.see("tasks")) == 3


async def test_the_gateway_answers_for_the_house_and_leaves_the_rest_to_moysklad() -> None:
    class Far:
        def admitted(self, effect: Any, account: Account, turn: Turn) -> Any:
            raise LookupError(effect.type)

        def is_away(self, effect: Any, account: Account) -> bool:
            return True

    gateway, account = WithCallbacks(Far(), MemoryCallbacks(lambda: 0)), Account(enterprise="0367")
    claim = ClaimCallback(call="A", number=STRANGER, missed_ms=5)
    async with gateway.admitted(claim, account, Turn()) as admission:
        performed = await admission.perform(claim)
    assert performed.result == {"granted": True, "by": "", "task": "", "talked_ms": None, "held_by": ""}
    assert performed.exchanges == ()
    assert not gateway.is_away(claim, account)

    call = RegisterCall(external_id="x", number=STRANGER, incoming=True, start_ms=1)
    assert gateway.is_away(call, account)
    with pytest.raises(LookupError, match="register_call"):
        async with gateway.admitted(call, account, Turn()):
            pass


async def test_what_is_asked_of_moysklad_is_not_asked_of_the_house() -> None:
    task = CreateTask(mark="m", number=STRANGER, missed_ms=1, due_ms=2)
    with pytest.raises(TypeError, match="create_task is asked of MoySklad"):
        await answer(MemoryCallbacks(lambda: 0), "0367", task)
    with pytest.raises(TypeError, match="keep_task is asked of the house"):
        MoySkladModel().perform(KeepTask(call="A", task="t"))


def test_a_customer_is_known_by_number_and_contact_however_it_was_dialled() -> None:
    assert clients("+375290000001", "") == clients("80290000001", "") == ("number 290000001",)
    assert clients("+375290000001", "c") == ("number 290000001", "contact c")
