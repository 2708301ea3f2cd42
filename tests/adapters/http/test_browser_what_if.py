"""«А если бы…» in a real browser: other settings are tried with a call and with its day; nothing is saved by it."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.adapters.http.support import UNIQUE_ID, played
from tests.adapters.http.test_browser import House, browser, house, log_in
from tests.adapters.http.test_browser_calls import looks_right
from tests.browser import page_of
from tests.rig import ENTERPRISE

__all__ = ["browser", "house"]  # fixtures
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def asked_to_change(house: House) -> list[str]:
    """What MoySklad was asked but for look-ups: the page offers the account's employees to choose from."""
    asked = [*await house.rig.requests("phone"), *await house.rig.requests("remap")]
    return [f"{each['method']} {each['path']}" for each in asked if each["method"] != "GET"]


async def test_other_settings_are_tried_with_a_call_and_with_its_day(house: House) -> None:
    await played(house.rig)
    before = await house.rig.service.store.head(), await asked_to_change(house)
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")
        await page.get_by_role("button", name="А если бы…").click()
        await expect(page.get_by_role("heading", name="А если бы настройки были другими?")).to_be_focused()
        await page.get_by_role("button", name="Проверить этот звонок").click()
        await expect(page.get_by_text("Ничего бы не изменилось.")).to_be_visible()

        await page.get_by_label("На входящих звонках").uncheck()
        await expect(page.get_by_text("На входящих звонках: да → нет")).to_be_visible()
        await page.get_by_role("button", name="Проверить этот звонок").click()
        change = page.locator(".difference", has_text="карточки у 151 не было бы")
        await expect(change).to_contain_text("показана")
        await expect(change).to_contain_text("настройки не показывают карточек входящих")
        await looks_right(page)

        await page.get_by_role("button", name=re.compile("Проверить все звонки за")).click()
        await expect(page.locator(".day-found")).to_contain_text("готово", timeout=60_000)
        await expect(page.locator(".day-found")).to_contain_text("1 из 1 звонка прошли бы иначе")
        await expect(page.locator(".day-found tbody tr").first.get_by_role("link")).to_have_attribute(
            "href", f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}"
        )
        await looks_right(page)
        await page.get_by_role("button", name="Закрыть", exact=True).click()
        await expect(page.get_by_role("heading", name="А если бы настройки были другими?")).to_have_count(0)
    assert (await house.rig.service.store.head(), await asked_to_change(house)) == before


@pytest.mark.slow
async def test_an_answer_to_other_settings_than_those_that_stand_there_is_not_shown(house: House) -> None:
    await played(house.rig)
    changed = asyncio.Event()

    async def slowly(route: Route) -> None:
        if route.request.method == "POST":
            await changed.wait()
        await route.continue_()

    async with page_of(house.browser, house.url) as page:
        await page.route("**/ms-admin/api/what-if/**", slowly)
        await log_in(page, f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")
        await page.get_by_role("button", name="А если бы…").click()
        await page.get_by_role("button", name="Проверить этот звонок").click()
        await expect(page.get_by_text("Разыгрываем…")).to_be_visible()
        await page.get_by_label("На входящих звонках").uncheck()
        changed.set()
        await expect(page.get_by_text("Разыгрываем…")).to_have_count(0)
        await expect(page.get_by_text("Ничего бы не изменилось.")).to_have_count(0)


async def test_another_employee_for_a_number(house: House) -> None:
    await played(house.rig)
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")
        await page.get_by_role("button", name="А если бы…").click()
        await page.get_by_label("Сотрудник с номером 151").select_option(label="Анна Ковалёва")
        await page.get_by_role("button", name="Проверить этот звонок").click()
        change = page.locator(".difference", has_text="карточка номера 151 показалась бы другому сотруднику")
        await expect(change).to_contain_text("так в настройках")
        await expect(change).to_contain_text("так говорит МойСклад")
