"""The page of clicks in a real browser: what became of each, why not, and the way to the call and back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from adapters.click_list import PAGE
from core.origination import OriginationRefused
from tests.adapters.http.support import edge
from tests.adapters.http.test_browser import STRICT, House, browser, log_in
from tests.adapters.http.test_browser_calls import looks_right
from tests.adapters.http.test_clicks import WANTED, click, just_before, play, signed
from tests.adapters.test_click_list import ADD
from tests.browser import page_of
from tests.exchange import FakeOriginator
from tests.rig import ENTERPRISE, running

__all__ = ["browser"]  # a fixture
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

OF = f"enterprise_number={ENTERPRISE}"
AT_MS = 1_795_436_000_000
CALL = "lab-1795437250.14"


@pytest.fixture
def exchange() -> FakeOriginator:
    return FakeOriginator()


@pytest_asyncio.fixture(loop_scope="module")
async def house(database_url: str, browser: Browser, exchange: FakeOriginator) -> AsyncIterator[House]:
    """A service of the test's own, with an exchange."""
    async with running(database_url, ways={"ami": exchange}) as rig, edge(rig, STRICT) as client:
        yield House(rig, client, browser)


async def test_what_became_of_clicks_and_why(house: House, exchange: FakeOriginator) -> None:
    rig = house.rig
    just_before(rig)
    raw = orjson.dumps(WANTED)
    await click(rig, raw, headers=signed(raw))
    await play(rig)
    exchange.error = OriginationRefused("the provider's API cannot be reached", "click again")
    rig.clock.now_ms += 1_000
    await click(rig, {**WANTED, "srcNumber": "102", "uid": "<img src=x onerror=pwned=1>"})
    rig.clock.now_ms += 1_000
    await click(rig, {**WANTED, "destNumber": "103"})
    await rig.service.runner.catch_up()

    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        await expect(page.locator("table.calls tbody tr").first).to_contain_text("из МоегоСклада")
        await page.get_by_role("link", name="Нажатия в МоёмСкладе").click()
        await page.wait_for_url(f"**/ms-admin/clicks?{OF}")
        clicks = page.locator("details.click")
        await expect(clicks).to_have_count(3)
        await expect(page.get_by_text("Подпись проверена: вариант «ключ + значения в порядке тела»")).to_be_visible()
        await expect(clicks.nth(0)).to_contain_text("destNumber — добавочный или короткий номер")
        await expect(clicks.nth(1)).to_contain_text("API провайдера недоступен")
        await clicks.nth(1).locator("summary").click()
        await expect(clicks.nth(1)).to_contain_text("заказ звонка не выполнен")
        await looks_right(page)

        await page.get_by_label("только неудачные").check()
        await expect(clicks).to_have_count(2)
        await page.get_by_label("только неудачные").uncheck()
        await expect(clicks).to_have_count(3)
        await page.get_by_role("link", name="к звонку").click()
        await page.wait_for_url(f"**/ms-admin/calls/{ENTERPRISE}/{CALL}")
        await expect(page.locator("section.steps")).to_contain_text("звонок заказан нажатием на номер в МоёмСкладе")
        await page.get_by_role("link", name="нажатие на номер в МоёмСкладе").click()
        await page.wait_for_url(re.compile(r"/ms-admin/clicks\?.*#[0-9a-f]+"))
        await expect(page.locator("details.click[open]")).to_contain_text(f"получился звонок {CALL}")

        await page.goto(f"/ms-admin/?{OF}")
        await expect(page.get_by_text("Подпись проверена: вариант")).to_be_visible()


async def test_nothing_is_lost_between_the_newest_and_the_older_ones_while_more_come(house: House) -> None:
    """Two come in each millisecond, also where the pages meet."""

    async def come(first: int, last: int) -> None:
        rows = [(ENTERPRISE, f"{number:020x}", AT_MS + number // 2, "joined", "absent") for number in range(first, last)]
        await house.rig.service.pool.executemany(ADD, rows)

    async def shows(page: Page, first: int, last: int) -> None:
        await expect(page.locator("details.click").nth(last - first - 1)).to_have_attribute("id", f"{first:020x}")
        shown = await page.locator("details.click").evaluate_all("all => all.map((each) => each.id)")
        assert shown == [f"{number:020x}" for number in reversed(range(first, last))]

    async def look_again(page: Page) -> None:
        """What the page does every five seconds."""
        async with page.expect_response("**/ms-admin/api/clicks/**"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    await come(0, 131)
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/clicks?{OF}")
        more = page.get_by_role("button", name="Показать ещё")
        await shows(page, 131 - PAGE, 131)
        await come(131, 138)
        await look_again(page)
        await shows(page, 138 - PAGE, 138)
        await more.click()
        await shows(page, 138 - 2 * PAGE, 138)
        await come(138, 145)
        await look_again(page)
        await shows(page, 138 - 2 * PAGE, 145)
        await more.click()
        await shows(page, 0, 145)
        await expect(more).to_have_count(0)
        await come(145, 145 + 2 * PAGE)
        await look_again(page)
        await shows(page, 145 + PAGE, 145 + 2 * PAGE)
        await more.click()
        await shows(page, 145, 145 + 2 * PAGE)
