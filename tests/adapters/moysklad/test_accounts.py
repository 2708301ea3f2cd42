"""The administrator's questions: the connection test, the employees, the test card (PRODUCT D1)."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import unused_port

from adapters.moysklad.accounts import TEST_COMMENT, Accounts, EmployeeRow, trial_card
from adapters.moysklad.errors import Api, Trouble
from adapters.moysklad.explain import explain_failure_ru, explain_ru
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.wiring import build_moysklad
from adapters.sandbox.faults import FaultRule
from adapters.sandbox.populate import populate
from adapters.sandbox.seed import AccountSeed, AttributeSeed, CounterpartySeed, EmployeeSeed
from core.effects import Account, Deferred, Refused
from core.settings import Settings, parse_settings
from tests.adapters.moysklad.support import KEY, NOW_MS, Responder, Rig, complains, facing_sandbox, says, scripted

MOSCOW = ZoneInfo("Europe/Moscow")

NONE = Settings()
ASKING = parse_settings(
    {
        "incoming_call_actions": {"create_order": "always", "order_state": "Подтверждён", "create_task": "on_missed"},
        "outgoing_call_actions": {"create_order": "unless_open", "order_state": "Космос"},
    }
)


async def test_both_apis_work(rig: Rig) -> None:
    phone = await rig.accounts.check_phone_api(rig.account)
    assert (phone.ok, phone.details) == (True, {"employees_with_extension": 6})
    assert "6" in phone.text
    main = await rig.accounts.check_json_api(rig.account, NONE)
    assert main.ok
    assert main.details["warnings"] == []
    assert (main.details["organizations"], main.details["counterparties"]) == (2, 5)
    assert main.details["user"] in main.text


async def test_wrong_and_missing_credentials(rig: Rig) -> None:
    wrong = replace(rig.account, phone_key="wrong", api_token="wrong")
    phone, main = await rig.accounts.check_phone_api(wrong), await rig.accounts.check_json_api(wrong, NONE)
    assert (phone.ok, phone.details["code"], phone.text) == (False, 1056, explain_ru(1056, Api.PHONE))
    assert (main.ok, main.details["code"], main.text) == (False, 1056, explain_ru(1056, Api.JSON))
    assert phone.text != main.text
    missing = Account(enterprise="0367")
    assert "не указан" in (await rig.accounts.check_phone_api(missing)).text
    assert "Токен" in (await rig.accounts.check_json_api(missing, NONE)).text


async def test_the_telephony_solution_is_not_installed(rig: Rig) -> None:
    rig.inside.phone_solution_installed = False
    verdict = await rig.accounts.check_phone_api(rig.account)
    assert (verdict.ok, verdict.text) == (False, explain_ru(55008, Api.PHONE))
    assert "Установите" in verdict.text


async def test_nobody_has_an_extension_and_nothing_is_there_for_orders() -> None:
    async with facing_sandbox(CounterpartySeed(name="Один")) as rig:
        phone = await rig.accounts.check_phone_api(rig.account)
        assert phone.ok
        assert "добавочные номера" in phone.text
        main = await rig.accounts.check_json_api(rig.account, NONE)
        assert main.ok
        assert any("юридического лица" in warning for warning in main.details["warnings"])


@pytest.mark.parametrize("shape", ["inline", "envelope"])
async def test_required_fields_are_warned_of(shape: str) -> None:
    async with facing_sandbox(metadata_attributes=shape) as rig:
        seed = AccountSeed(
            name="strict",
            phone_key="strict-key",
            api_token="strict-token",
            organizations=("ООО",),
            attributes=(
                AttributeSeed(name="Источник", entity="customerorder", required=True),
                AttributeSeed(name="Класс", entity="counterparty", required=True),
                AttributeSeed(name="Необязательный", entity="counterparty"),
            ),
        )
        populate(rig.world.state, seed, now_ms=NOW_MS)
        verdict = await rig.accounts.check_json_api(Account(enterprise="1", phone_key="strict-key", api_token="strict-token"), NONE)
        assert verdict.ok
        assert "Источник" in verdict.text
        assert "Класс" in verdict.text
        assert "Необязательный" not in verdict.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(415), "Accept-Encoding"),
        (says(502, text="<html>502</html>", html=True), "повторите через минуту"),
        (says(200, text="<html>Войдите</html>", html=True), "не от МоегоСклада"),
        (says(301, Location="https://example.com/"), "не от МоегоСклада"),
        (says(404, text="nothing here"), "адреса API"),
        (complains(404, 1002), "адреса API"),
        (complains(429, 1049), "Подождите"),
        (complains(429, 1073), "одновременных"),
        (complains(503, 1074), "технические работы"),
        (complains(503, 1095), "перегружен"),
        (complains(412, 1061), "Доступ по API"),
        (complains(418, 77777), "77777"),
        (says(200, {"rows": []}), "не ответил"),
    ],
)
async def test_what_is_said_of_other_troubles(answer: Responder, words: str) -> None:
    async with scripted() as (script, transport):
        script.then(answer)
        accounts = Accounts(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        verdict = await accounts.check_phone_api(Account(enterprise="0367", phone_key=KEY))
    assert not verdict.ok
    assert words in verdict.text
    assert KEY not in verdict.text + str(verdict.details)


async def test_no_connection_is_told_in_words() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    moysklad = build_moysklad(phone_url=url, main_url=url)
    account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
    for verdict in (await moysklad.accounts.check_phone_api(account), await moysklad.accounts.check_json_api(account, NONE)):
        assert not verdict.ok
        assert "соединение не устанавливается" in verdict.text
    everybody = await moysklad.accounts.list_employees(account)
    assert everybody.employees == ()
    assert len(everybody.problems) == 2
    await moysklad.close()


async def test_silence_is_told_in_words() -> None:
    async with facing_sandbox(timeout_s=0.1) as rig:
        rig.world.faults.outages["phone"] = "hang"
        verdict = await rig.accounts.check_phone_api(rig.account)
    assert not verdict.ok
    assert "не ответил вовремя" in verdict.text


async def test_a_solutions_token_is_good_enough(rig: Rig) -> None:
    rig.break_with(FaultRule(action="status", api="remap", path_regex="^/context/employee", status=403, code=55006))
    verdict = await rig.accounts.check_json_api(rig.account, NONE)
    assert (verdict.ok, verdict.details["user"]) == (True, "")


async def test_a_missing_right_is_a_failure_for_customers_and_a_warning_for_orders(rig: Rig) -> None:
    rig.break_with(FaultRule(action="status", api="remap", path_regex="^/entity/organization", status=403, code=1016))
    verdict = await rig.accounts.check_json_api(rig.account, NONE)
    assert verdict.ok
    assert explain_ru(1016, Api.JSON) in verdict.text
    rig.break_with(FaultRule(action="status", api="remap", path_regex=r"^/entity/counterparty\?", status=403, code=1016))
    verdict = await rig.accounts.check_json_api(rig.account, NONE)
    assert (verdict.ok, verdict.text) == (False, explain_ru(1016, Api.JSON))


# -- employees -----------------------------------------------------------------------------------------------


async def test_employees_of_both_apis_joined(rig: Rig) -> None:
    populate(
        rig.world.state,
        AccountSeed(
            name="sandbox",
            phone_key=rig.account.phone_key,
            api_token=rig.account.api_token,
            employees=(
                EmployeeSeed(name="Яна Без-Номера", login="yana@sandbox", email="yana@example.com"),
                EmployeeSeed(name="Уволенный", active=False),
            ),
        ),
        now_ms=NOW_MS,
    )
    everybody = await rig.accounts.list_employees(rig.account)
    assert everybody.problems == ()
    assert everybody.employees[0] == EmployeeRow(
        employee_id=rig.employee_id("101"), extension="101", name="Анна Ковалёва", email="", login="anna@sandbox"
    )
    assert [one.extension for one in everybody.employees[:6]] == ["101", "102", "103", "150", "151", "152"]
    without = {one.name: one for one in everybody.employees[6:]}
    assert "Уволенный" not in without
    assert without["Яна Без-Номера"].email == "yana@example.com"
    assert without["Яна Без-Номера"].extension == ""


async def test_employees_when_one_api_fails(rig: Rig) -> None:
    no_names = await rig.accounts.list_employees(replace(rig.account, api_token="wrong"))
    assert [one.extension for one in no_names.employees] == ["101", "102", "103", "150", "151", "152"]
    assert {one.name for one in no_names.employees} == {""}
    assert no_names.problems == (f"Имена сотрудников не получены. {explain_ru(1056, Api.JSON)}",)
    no_extensions = await rig.accounts.list_employees(replace(rig.account, phone_key=""))
    assert "Анна Ковалёва" in {one.name for one in no_extensions.employees}
    assert {one.extension for one in no_extensions.employees} == {""}
    assert no_extensions.problems[0].startswith("Добавочные номера не получены. Ключ Phone API не указан")


# -- the test card -------------------------------------------------------------------------------------------


async def test_a_test_card_is_shown_marked_and_hidden(rig: Rig) -> None:
    card = await rig.accounts.send_test_card(rig.account, trial_card("101", rig.employee_id("101"), NOW_MS))
    assert rig.cards() == {"101": 1}
    (row,) = rig.calls()
    assert row.external_id.startswith("test-")
    assert (row.comment, row.counterparty_id) == (TEST_COMMENT, None)
    await rig.accounts.hide_test_card(rig.account, card, NOW_MS + 10_000)
    assert rig.cards() == {}
    assert (row.end_ms, row.duration_ms) == (NOW_MS + 10_000, 10_000)
    await rig.accounts.send_test_card(rig.account, trial_card("101", "", NOW_MS + 20_000))
    assert len(rig.calls()) == 2
    assert rig.cards() == {"101": 1}


async def test_a_test_card_that_cannot_be_shown(rig: Rig) -> None:
    with pytest.raises(Refused):
        await rig.accounts.send_test_card(replace(rig.account, phone_key="wrong"), trial_card("101", "", NOW_MS))
    assert rig.calls() == []


async def test_a_check_really_asks_and_what_waited_for_the_account_is_told(rig: Rig) -> None:
    rig.inside.phone_solution_installed = False
    assert not (await rig.accounts.check_phone_api(rig.account)).ok
    rig.inside.phone_solution_installed = True
    with pytest.raises(Refused):  # without a check it is believed for a while that nothing has changed
        await rig.accounts.send_test_card(rig.account, trial_card("101", "", NOW_MS))
    assert rig.mended == []
    assert (await rig.accounts.check_phone_api(rig.account)).ok
    assert rig.mended == [(Api.PHONE, "0367")]
    await rig.accounts.send_test_card(rig.account, trial_card("101", "", NOW_MS))


async def test_a_check_asks_in_the_middle_of_an_outage_too(rig: Rig) -> None:
    rig.break_with(FaultRule(action="status", status=503, code=1074, api="remap", times=4))
    for _ in range(4):
        verdict = await rig.accounts.check_json_api(rig.account, NONE)
        assert (verdict.ok, verdict.text) == (False, explain_ru(1074, Api.JSON))
    assert (await rig.accounts.check_json_api(rig.account, NONE)).ok


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (f"{Trouble.AWAY}: HTTP 503 with an empty body", "не отвечает"),
        (Trouble.BUSY, "исчерпан. Повторите через несколько секунд"),
        (Trouble.UNANSWERED, "ещё не ответил на прежние запросы"),
        (Trouble.GUARDED, "Устраните причину неудач"),
        (Trouble.REPEATED, "менялось слишком часто"),
    ],
)
def test_what_was_not_sent_is_explained_too(reason: str, words: str) -> None:
    assert words in explain_failure_ru(Deferred(reason, retry_after_ms=1_000), Api.PHONE)


async def test_what_the_settings_ask_for_and_the_account_lacks_is_warned_of(rig: Rig) -> None:
    verdict = await rig.accounts.check_json_api(rig.account, ASKING)
    assert verdict.details["warnings"] == [
        "Юридических лиц несколько (ООО «Песочница», ИП Песочный А. А.), а для заказов не выбрано ни одно: "
        "выберите, иначе заказы не создаются.",
        "Статуса заказа «Космос» в МоёмСкладе нет: заказы создаются без него.",
        "Не выбрано, кому ставить задачу, когда у клиента нет ответственного, а звонило у нескольких: выберите сотрудника.",
    ]
    account = replace(rig.account, organization="Рога и копыта", assignee="101")
    rig.inside.crm = False
    warnings = (await rig.accounts.check_json_api(account, ASKING)).details["warnings"]
    assert warnings[0] == "Юридического лица «Рога и копыта» в МоёмСкладе нет: выберите другое, иначе заказы не создаются."
    assert warnings[2].startswith("В тарифе МоегоСклада нет опции CRM: ")
    assert len(warnings) == 3

    account = replace(account, organization="ооо «песочница»")
    assert len((await rig.accounts.check_json_api(account, NONE)).details["warnings"]) == 0


async def test_legal_entities_are_offered_by_name(rig: Rig) -> None:
    assert await rig.accounts.organizations(rig.account) == (("ООО «Песочница»", "ИП Песочный А. А."), "")
    names, problem = await rig.accounts.organizations(replace(rig.account, api_token="wrong-token-wrong-token"))
    assert names == ()
    assert "Токен основного API не принят" in problem
