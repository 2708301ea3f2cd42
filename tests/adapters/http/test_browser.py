"""The administrator's pages in a real browser, over the whole service beside the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from adapters.http.guard import Guard
from adapters.sandbox import SANDBOX_PHONE_KEY
from tests.adapters.http.support import SECRET, edge
from tests.browser import chromium, fits, page_of, too_faint, unnamed
from tests.rig import ENTERPRISE, Rig, running

SETTINGS = f"/ms-admin/?enterprise_number={ENTERPRISE}"
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
pytestmark = pytest.mark.asyncio(loop_scope="module")
STRICT = Guard([ip_network("127.0.0.0/8")], "", "admin-token")


@dataclass(slots=True)
class House:
    """The service on a port, and a browser in front of it."""

    rig: Rig
    client: Any
    browser: Browser

    @property
    def url(self) -> str:
        return str(self.client.make_url("")).rstrip("/")

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """As a program does, with the token."""
        async with self.client.request(method, path, json=body, headers={"Authorization": "Bearer admin-token"}) as answer:
            return await answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all; each test has a profile of its own."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def house(database_url: str, browser: Browser) -> AsyncIterator[House]:
    """A service of the test's own."""
    async with running(database_url) as rig, edge(rig, STRICT) as client:
        yield House(rig, client, browser)


async def log_in(page: Page, where: str = SETTINGS) -> None:
    await page.goto(where)
    await page.get_by_label("Пароль оператора").fill(SECRET)
    await page.get_by_role("button", name="Войти").click()
    await page.wait_for_url(f"**{where}")


async def test_the_way_in_and_out(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await page.goto(SETTINGS)
        await page.get_by_label("Пароль оператора").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("Пароль не подошёл.")
        await page.get_by_label("Пароль оператора").fill(SECRET)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{SETTINGS}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(ENTERPRISE)
        other = await page.context.new_page()
        await other.goto("/ms-admin/audit")
        await expect(other.get_by_role("cell", name="неудачный вход")).to_be_visible()
        await other.get_by_role("button", name="Меню").click()
        await other.get_by_role("button", name="Выйти").click()
        await other.wait_for_url("**/ms-admin/login")
        await page.reload()
        await page.wait_for_url("**/ms-admin/login?next=**")
        assert await page.context.cookies() == []


async def test_settings_are_changed_checked_and_brought_back(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        key = page.get_by_label("Ключ Phone API")
        assert await key.input_value() == ""
        assert SANDBOX_PHONE_KEY not in await page.content()
        save = page.get_by_role("button", name="Сохранить")
        await expect(save).to_be_disabled()
        await page.get_by_label("Страна").fill("ZZ")
        await page.get_by_label("На исходящих звонках").uncheck()
        await expect(page.get_by_text("Не сохранено: 2 изменения")).to_be_visible()
        await save.click()
        await expect(page.get_by_text("Укажите код страны двумя буквами")).to_be_visible()
        await expect(page.get_by_label("Страна")).to_be_focused()
        await expect(page.get_by_label("Страна")).to_have_attribute("aria-invalid", "true")
        asked: list[str] = []
        page.once("dialog", lambda dialog: asyncio.ensure_future(_stay(dialog, asked)))
        await page.get_by_role("link", name="Звонки", exact=True).click()
        await expect(page.get_by_label("Страна")).to_have_value("ZZ")
        assert asked == ["beforeunload"], "what is not saved is not lost by a click"
        await page.get_by_label("Страна").fill("RU")
        await save.click()
        await expect(page.get_by_text("Сохранено: редакция 2.")).to_be_visible()
        await page.get_by_role("tab", name="История изменений").click()
        await expect(page.get_by_role("row", name="Страна")).to_contain_text("RU")
        await page.get_by_role("button", name="Вернуть…").click()
        await page.get_by_role("dialog").get_by_role("button", name="Вернуть", exact=True).click()
        await expect(page.get_by_label("На исходящих звонках")).to_be_checked()
    current = await house.rig.service.settings.current(ENTERPRISE)
    assert current is not None
    assert (current.revision, current.account.phone_key) == (3, SANDBOX_PHONE_KEY)
    assert [each.by for each in await house.rig.service.settings.history(ENTERPRISE)][:2] == ["оператор, 127.0.0.1"] * 2


async def _stay(dialog: Any, asked: list[str]) -> None:
    asked.append(dialog.type)
    await dialog.dismiss()


@pytest.mark.slow
async def test_two_who_save_are_told_of_each_other(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await page.get_by_label("Номер для нераспознанных звонков").fill("150")
        await house.api("PUT", f"/ms-admin/api/config/{ENTERPRISE}", {"timezone": "Europe/Moscow"})
        await page.get_by_role("button", name="Сохранить").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("программа (токен), 127.0.0.1")
        await expect(dialog.get_by_role("row", name="Часовой пояс АТС")).to_contain_text("Europe/Moscow")
        await expect(dialog.get_by_role("row", name="Номер для нераспознанных звонков")).to_contain_text("150")
        await dialog.get_by_role("button", name="Сохранить мои поверх").click()
        await expect(page.get_by_text("Сохранено: редакция 3.")).to_be_visible()
        await expect(page.get_by_label("Часовой пояс АТС")).to_have_value("Europe/Moscow")


async def test_who_saves_over_somebody_else_takes_nobody_s_extension_away(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await page.get_by_label("Сотрудник с номером 101").select_option(label="Борис Литвинов (102)")
        theirs = {"employee_mapping": {"777": {"employee_id": "x", "name": "Анна"}}}
        await house.api("PUT", f"/ms-admin/api/config/{ENTERPRISE}", theirs)
        await page.get_by_role("button", name="Сохранить").click()
        await page.get_by_role("dialog").get_by_role("button", name="Сохранить мои поверх").click()
        await expect(page.get_by_text("Сохранено: редакция 3.")).to_be_visible()
        await expect(page.get_by_label("Сотрудник с номером 777")).to_have_value("x")
    current = await house.rig.service.settings.current(ENTERPRISE)
    assert current is not None
    names = {extension: employee.name for extension, employee in current.settings.employees}
    assert names == {"101": "Борис Литвинов", "777": "Анна"}


@pytest.mark.slow
async def test_who_works_there_is_asked_anew_with_a_new_key(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await expect(page.get_by_label("Сотрудник с номером 101")).to_be_visible()
        await page.get_by_label("Ключ Phone API").fill("another-key-that-is-nobody-s")
        async with page.expect_request("**/ms-admin/api/employees/**"):
            await page.get_by_role("button", name="Сохранить").click()


async def test_what_is_typed_while_it_is_saved_is_not_lost(house: House) -> None:
    saved = asyncio.Event()

    async def slowly(route: Route) -> None:
        if route.request.method == "PUT":
            await saved.wait()
        await route.continue_()

    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await page.route(f"**/ms-admin/api/config/{ENTERPRISE}", slowly)
        await page.get_by_label("Страна").fill("RU")
        await page.get_by_role("button", name="Сохранить").click()
        await page.get_by_label("Номер для нераспознанных звонков").fill("150")
        saved.set()
        await expect(page.get_by_text("Сохранено: редакция 2.")).to_be_visible()
        await expect(page.get_by_label("Страна")).to_have_value("RU")
        await expect(page.get_by_label("Номер для нераспознанных звонков")).to_have_value("150")
        await expect(page.get_by_text("Не сохранено: 1 изменение")).to_be_visible()


@pytest.mark.slow
async def test_calls_that_are_asked_for_again_leave_the_page_by_themselves(house: House) -> None:
    parked: dict[str, Any] = {"total": 1, "reasons": [], "calls": [], "orders": []}

    async def ordered(route: Route) -> None:
        parked["orders"] = [{"id": 1}]
        await route.fulfill(json={"status": "ordered", "enterprise_number": ENTERPRISE, "calls": 1})

    async with page_of(house.browser, house.url) as page:
        await page.route("**/ms-admin/api/parked?*", lambda route: route.fulfill(json=parked))
        await page.route(f"**/ms-admin/api/retry/{ENTERPRISE}", ordered)
        await log_in(page)
        await page.get_by_role("button", name="Повторить все").click()
        await expect(page.get_by_role("button", name="Повторяются…")).to_be_disabled()
        parked.update(total=0, orders=[])
        await expect(page.get_by_text("Ждут человека:")).to_have_count(0, timeout=8_000)


@pytest.mark.slow
async def test_a_button_that_is_pressed_twice_does_what_it_says_once(house: House) -> None:
    async def slowly(route: Route) -> None:
        await asyncio.sleep(0.3)
        await route.continue_()

    async def journal(route: Route) -> None:
        older = "before=" in route.request.url
        entry = {"id": 1 if older else 2, "at": "2026-11-23T12:00:00+00:00", "actor": "оператор", "address": "127.0.0.1"}
        entries: list[dict[str, Any]] = [{**entry, "action": "logged_in", "enterprise": None, "object": "", "details": {}}]
        await route.fulfill(json={"entries": entries, "complete": older})

    begun: list[str] = []
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        page.on("request", lambda asked: begun.append(asked.url) if asked.method == "POST" else None)
        await page.route("**/ms-admin/api/self-test/**", slowly)
        await page.get_by_label("Показать сотруднику").fill("101")
        await page.get_by_role("button", name="Позвонить").dblclick()
        await expect(page.get_by_role("button", name="Идёт…")).to_be_visible()
        assert len(begun) == 1
        await page.goto(f"/ms-admin/access?enterprise_number={ENTERPRISE}")
        await page.route("**/ms-admin/api/links/**", slowly)
        await page.get_by_role("button", name="Новая ссылка").click()
        await page.get_by_label("Кому").fill("Анна Петрова")
        await page.get_by_role("button", name="Создать").dblclick()
        await expect(page.get_by_label("Ссылка для входа")).to_be_visible()
        assert len((await house.api("GET", f"/ms-admin/api/links?enterprise={ENTERPRISE}"))["links"]) == 1
        await page.route("**/ms-admin/api/audit?*", journal)
        await page.goto("/ms-admin/audit")
        more = page.get_by_role("button", name="Показать ещё")
        await more.evaluate("(button) => { button.click(); button.click(); }")
        await expect(more).to_have_count(0)
        await page.wait_for_load_state("networkidle")
        await expect(page.get_by_role("cell", name="оператор")).to_have_count(2)


@pytest.mark.slow
async def test_what_was_not_understood_is_told_and_mended(house: House) -> None:
    stored = {"ms": {"enabled": True, "country": "ZZ", "incoming_call_actions": {"create_order": "sometimes"}}}
    await house.rig.service.pool.execute("UPDATE public.enterprises SET integrations_config = $1::jsonb", stored)
    house.rig.service.settings._current.clear()
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await expect(page.get_by_text("Страна: такой страны нет")).to_be_visible()
        await expect(page.get_by_text("Заказ покупателя (входящие): значение непонятно")).to_be_visible()
        await page.get_by_role("button", name="Сохранить так, как понято").click()
        await expect(page.get_by_text("такой страны нет")).to_be_hidden()
    current = await house.rig.service.settings.current(ENTERPRISE)
    assert current is not None
    assert (current.settings.problems, current.config["country"]) == ((), "BY")


@pytest.mark.slow
async def test_orders_and_tasks_are_asked_for_with_what_the_account_has(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        incoming = page.locator("#incoming")
        await expect(incoming.get_by_label("Статус заказа")).to_be_disabled()
        await incoming.get_by_label("Заказ покупателя").select_option("unless_open")
        await incoming.get_by_label("И когда никто не ответил").check()
        async with page.expect_response("**/order-states/**"):
            await incoming.get_by_label("Статус заказа").focus()
        await expect(incoming.locator("datalist option")).to_have_count(4)
        await incoming.get_by_label("Статус заказа").fill("Подтверждён")
        await incoming.get_by_label("Пропущенный звонок").select_option("on_missed")
        await incoming.get_by_label("Перезвонить за, минут").fill("0")
        after = page.locator("#after")
        async with page.expect_response("**/organizations/**"):
            await after.get_by_label("Юридическое лицо").focus()
        await expect(after.locator("datalist option")).to_have_count(2)
        await after.get_by_label("Юридическое лицо").fill("ИП Песочный А. А.")
        await after.get_by_label("Кому задача").select_option("Дарья Орлова")
        await page.get_by_role("button", name="Сохранить", exact=True).click()
        await expect(incoming.get_by_text("Укажите целое число минут")).to_be_visible()
        await incoming.get_by_label("Перезвонить за, минут").fill("20")
        await page.get_by_role("button", name="Сохранить", exact=True).click()
        await expect(page.get_by_text("Сохранено: редакция")).to_be_visible()
    told = (await house.api("GET", f"/ms-admin/api/config/{ENTERPRISE}"))["effective"]
    assert (told["incoming"]["create_order"], told["incoming"]["order_unanswered"]) == ("unless_open", True)
    assert (told["incoming"]["order_state"], told["incoming"]["task_minutes"]) == ("Подтверждён", 20)
    assert told["organization"] == "ИП Песочный А. А."
    assert len(told["task_assignee"]) == 36


@pytest.mark.slow
async def test_employees_are_mapped_and_tried(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        row = page.get_by_role("row").filter(has=page.get_by_label("Сотрудник с номером 101"))
        await row.get_by_role("button", name="Показать карточку").click()
        await expect(page.get_by_text("Тестовая карточка показана сотруднику с номером 101")).to_be_visible()
        (call,) = await house.rig.rows()
        assert call["open_cards"]
        await page.get_by_label("Другой номер").fill("777")
        await page.keyboard.press("Enter")
        await page.get_by_label("Сотрудник с номером 777").select_option(label="Борис Литвинов (102)")
        await page.get_by_role("button", name="Сохранить").click()
        await expect(page.get_by_text("Сохранено: редакция 2.")).to_be_visible()
        await page.get_by_role("button", name="Проверить").click()
        await expect(page.get_by_text("Phone API: работает")).to_be_visible()
    current = await house.rig.service.settings.current(ENTERPRISE)
    assert current is not None
    found = current.settings.employee_for("777")
    assert found is not None
    assert found.name == "Борис Литвинов"


@pytest.mark.slow
async def test_a_test_call_is_watched_to_its_end(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await page.get_by_label("Показать сотруднику").fill("101")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Звонок записан в журнал сервиса")).to_be_visible()
        await house.rig.settle()
        await expect(page.get_by_role("listitem").filter(has_text="Карточка показана")).to_contain_text("готово")
        await house.rig.wait(4_000)
        await expect(page.get_by_role("listitem").filter(has_text="Карточка убрана")).to_contain_text("идёт")
        await house.rig.settle()
        await house.rig.wait(6_000)
        await expect(page.get_by_text("Всё работает.")).to_be_visible()


async def test_nothing_that_came_from_outside_is_markup(house: House) -> None:
    await house.rig.service.pool.execute("UPDATE public.enterprises SET name = $1", EVIL)
    mapping = {"101": {"employee_id": "x", "name": EVIL}}
    await house.api("PUT", f"/ms-admin/api/config/{ENTERPRISE}", {"employee_mapping": mapping, EVIL[:90]: EVIL, "order_note": EVIL})
    await house.api("POST", f"/ms-admin/api/links/{ENTERPRISE}", {"name": EVIL[:80]})
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
        for where in ("/ms-admin/", f"{SETTINGS}&tab=history", "/ms-admin/access", "/ms-admin/audit"):
            await page.goto(where)
            await expect(page.get_by_text("<img src=x").first).to_be_visible()
        await page.goto("/ms-admin/login?next=javascript:window.pwned=1")
        await page.wait_for_url("**/ms-admin/")  # logged in already: to the pages, and nowhere else
        assert await page.evaluate("window.pwned") is None


@pytest.mark.slow
async def test_a_session_that_ends_loses_nothing_typed(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page)
        await page.get_by_label("Номер для нераспознанных звонков").fill("150")
        await page.wait_for_load_state("networkidle")  # a look-up that is still under way would ask for the password first
        await house.rig.service.pool.execute("DELETE FROM sessions")
        await page.get_by_role("button", name="Сохранить").click()
        dialog = page.get_by_role("dialog", name="Сеанс закончился")
        await expect(dialog).to_be_visible()
        for _ in range(3):
            await page.keyboard.press("Escape")  # after the first one the browser asks nobody
        await dialog.get_by_label("Пароль").fill(SECRET)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Сохранено: редакция 2.")).to_be_visible()


@pytest.mark.slow
async def test_a_link_opens_one_enterprise_and_its_secret_leaves_the_address(house: House) -> None:
    await house.api("PUT", "/ms-admin/api/config/0999", {"enabled": True})
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/access?enterprise_number={ENTERPRISE}")
        await page.get_by_role("button", name="Новая ссылка").click()
        await page.get_by_label("Кому").fill("Анна Петрова")
        await page.get_by_role("button", name="Создать").click()
        url = await page.get_by_label("Ссылка для входа").input_value()
    async with page_of(house.browser, house.url) as page:
        await page.goto(url)
        await page.wait_for_url(f"**{SETTINGS}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(ENTERPRISE)
        assert url.partition("#")[2] not in await page.evaluate("JSON.stringify([location.href, performance.getEntries()])")
        await page.goto("/ms-admin/?enterprise_number=0999")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(ENTERPRISE)
        await page.goto("/ms-admin/audit")
        await expect(page.get_by_text("для оператора")).to_be_visible()


@pytest.mark.parametrize("phone", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_pages_fit_can_be_named_and_stand_a_moysklad_that_hangs(house: House, phone: bool) -> None:
    await house.api("POST", f"/ms-admin/api/links/{ENTERPRISE}", {"name": "Анна Константиновна Петрова-Водкина, «Ромашка»"})
    async with page_of(house.browser, house.url, phone=phone, dark=phone) as page:
        await log_in(page)
        await page.route("**/ms-admin/api/employees/**", lambda route: asyncio.sleep(0))  # never answered
        await page.reload()
        await expect(page.get_by_text("Спрашиваем МойСклад…")).to_be_visible()
        await page.get_by_label("Номер для нераспознанных звонков").fill("150")
        await page.get_by_role("button", name="Сохранить").click()
        await expect(page.get_by_text("Сохранено: редакция")).to_be_visible()
        await page.unroute_all()
        for where in (SETTINGS, "/ms-admin/", "/ms-admin/access", "/ms-admin/audit", "/docs"):
            await page.goto(where)
            await page.get_by_role("heading", level=1).wait_for()
            await page.wait_for_load_state("networkidle")
            assert await fits(page), where
            assert await unnamed(page) == [], where
            assert await too_faint(page) == [], where
