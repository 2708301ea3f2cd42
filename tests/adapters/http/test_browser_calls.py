"""The pages about calls in a real browser: search, one call as a picture, the live board, missed calls, reports, the sandbox."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, Route, expect

from adapters.http.app import build_app
from adapters.http.services import SERVICES, Holder
from tests.adapters.http.support import END, PHONE, START, UNIQUE_ID, dial, hangup, played
from tests.adapters.http.support import parts as parts_of
from tests.adapters.http.test_browser import EVIL, STRICT, House, browser, house, log_in
from tests.adapters.test_call_search import add
from tests.adapters.test_status import PBX
from tests.browser import fits, page_of, too_faint, unnamed
from tests.described import SHAPES_OF_READ_MODELS
from tests.rig import ENTERPRISE, TOKEN, Rig

__all__ = ["browser", "house"]  # fixtures
pytestmark = pytest.mark.asyncio(loop_scope="module")

OF = f"enterprise_number={ENTERPRISE}"
STREAM = re.compile("/board/stream")


async def looks_right(page: Page) -> None:
    """Nothing sticks out at either width, everything has a name and can be read, and no foreign text became markup."""
    assert await unnamed(page) == []
    assert await too_faint(page) == []
    for width in (1440, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await fits(page), width
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await page.evaluate("window.pwned") is None


async def pressed_at_once(page: Page, *keys: str) -> None:
    """Presses keys as a hurried hand does: all before the page has drawn what the first one did."""
    event = "new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true})"
    await page.evaluate(f"keys => keys.forEach(key => document.activeElement.dispatchEvent({event}))", list(keys))


async def test_a_call_is_found_by_its_last_digits_opened_by_keys_and_stepped(house: House) -> None:
    await played(house.rig)
    await add(house.rig.service.pool, "other", number="+375447654321", client=EVIL, outcome="answered")
    await add(house.rig.service.pool, "another", number="+375447654322", outcome="answered")
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        rows = page.locator("table.calls tbody tr")
        await expect(rows).to_have_count(3)
        await looks_right(page)
        await page.get_by_role("heading", name="Звонки").click()
        await pressed_at_once(page, "ArrowDown", "ArrowDown", "ArrowDown")
        await expect(rows.last).to_be_focused()
        await page.get_by_label("Номер").fill(PHONE[-4:])
        await expect(rows).to_have_count(1)
        await page.wait_for_url(re.compile(rf"phone={PHONE[-4:]}"))
        await page.get_by_role("heading", name="Звонки").click()
        await page.keyboard.press("ArrowDown")
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")

        await expect(page.get_by_role("img", name=re.compile("151 Дарья Орлова: "))).to_be_visible()
        count = await page.locator(".steps li").count()
        await expect(page.get_by_text(f"шаг {count} из {count}")).to_be_visible()
        await page.keyboard.press("Home")
        await expect(page.locator(".step h2")).to_have_text(f"звонит 151, номер {PHONE}")
        await expect(page).to_have_url(re.compile("#step-1$"))
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_text(f"шаг 2 из {count}")).to_be_visible()
        await pressed_at_once(page, "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight")
        await expect(page.get_by_text(f"шаг 4 из {count}")).to_be_visible()
        await pressed_at_once(page, "Home", "ArrowRight")
        await expect(page.get_by_text(f"шаг 2 из {count}")).to_be_visible()
        await page.get_by_label("Предыдущий шаг").click()
        await page.get_by_text("Что прислала АТС").click()
        await expect(page.locator("pre.json")).to_contain_text("CallType")
        assert TOKEN not in str(await page.locator("pre.json").text_content())
        await looks_right(page)

        await page.reload()
        await expect(page.get_by_text(f"шаг 1 из {count}")).to_be_visible()
        async with page.expect_download() as saved:
            await page.get_by_role("link", name="Скачать без номеров").click()
        assert PHONE.lstrip("+") not in (await (await saved.value).path()).read_text()
        await page.get_by_role("link", name="Все звонки номера").click()
        await expect(page.get_by_label("Номер")).to_have_value(PHONE)
        await page.go_back()
        await page.go_back()
        await expect(page.get_by_label("Номер")).to_have_value(PHONE[-4:])
        await expect(rows.first).to_be_focused()


@pytest.mark.slow
async def test_a_wrong_search_says_what_is_wrong_beside_the_form(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        await expect(page.get_by_text("Ничего не найдено. Звонков пока не было.")).to_be_visible()
        await page.get_by_label("Номер").fill("12")
        await expect(page.get_by_role("alert")).to_have_text("Номер: хотя бы три последние цифры.")
        await page.goto(f"/ms-admin/calls/{ENTERPRISE}/nobody")
        await expect(page.get_by_text("Такого звонка нет")).to_be_visible()


@asynccontextmanager
async def serving(rig: Rig, port: int = 0) -> AsyncIterator[TestServer]:
    """The service's routes on a port, until the end of the block: as a process that is started and stopped."""
    app = build_app(Holder(parts_of(rig)), STRICT, lambda: SHAPES_OF_READ_MODELS)
    server = TestServer(app, port=port)
    await server.start_server()
    try:
        yield server
    finally:
        holder = app[SERVICES]
        assert holder.parts is not None
        holder.stopping = True
        holder.parts.board.close()
        await server.close()


@pytest.mark.slow
async def test_the_board_follows_the_calls_and_comes_back_after_a_restart(house: House) -> None:
    rig = house.rig
    context = await house.browser.new_context(locale="ru-RU")
    page = await context.new_page()
    row = page.locator("table.live tbody tr")
    async with serving(rig) as server:
        port = server.port
        await log_in(page, f"http://127.0.0.1:{port}/ms-admin/live?{OF}")
        await expect(page.get_by_text("Сейчас никто не звонит.")).to_be_visible()
        await expect(page.get_by_text("на связи")).to_be_visible()
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        await rig.service.runner.catch_up()
        await expect(row).to_contain_text("звонит у 151 Дарья Орлова")
        await expect(row).to_contain_text("карточка: 151")
        before = str(await row.locator(".clock").text_content())
        await expect(row.locator(".clock")).not_to_have_text(before)
        await looks_right(page)
    await expect(page.get_by_text("нет связи, на экране состояние на")).to_be_visible()
    await expect(row).to_have_count(1)
    await rig.wait(32_000)
    await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
    await rig.settle()
    await rig.service.runner.catch_up()
    async with serving(rig, port or 0):
        await expect(page.get_by_text("на связи", exact=True)).to_be_visible()
        await expect(row).to_have_count(0)
        await context.close()


async def turned(page: Page, *, hidden: bool) -> None:
    """Another tab is looked at, or this one again."""
    await page.evaluate("hidden => Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})", hidden)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def _parked(count: int) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def status() -> dict[str, Any]:
        return {"parked": {"calls": count, "enterprises": {ENTERPRISE: count}}}

    return status


@pytest.mark.slow
async def test_the_board_is_in_touch_while_only_the_backlog_moves(house: House) -> None:
    context = await house.browser.new_context(locale="ru-RU")
    page = await context.new_page()
    await page.clock.install()
    streams: list[str] = []
    page.on("request", lambda asked: streams.append(asked.url) if STREAM.search(asked.url) else None)
    async with serving(house.rig) as server:
        parts = server.app[SERVICES].parts
        assert parts is not None
        await log_in(page, str(server.make_url(f"/ms-admin/live?{OF}")))
        await expect(page.get_by_text("на связи", exact=True)).to_be_visible()
        for count, words in ((1, "1 звонок ждёт человека"), (2, "2 звонка ждут человека"), (3, "3 звонка ждут человека")):
            parts.board._status = _parked(count)
            await expect(page.get_by_text(words)).to_be_visible()
            await page.clock.fast_forward(20_000)  # nobody waits as long as that for a sign of life twice
        await expect(page.get_by_text("на связи", exact=True)).to_be_visible()
        assert len(streams) == 1
        await turned(page, hidden=True)
        await expect(page.get_by_text("нет связи, на экране состояние на")).to_be_visible()
        await turned(page, hidden=False)
        await expect(page.get_by_text("на связи", exact=True)).to_be_visible()
        assert len(streams) == 2, "a tab that nobody looks at holds no connection"
        await page.route(STREAM, lambda _route: None)  # it is taken, and then nothing is said
        async with page.expect_request(STREAM):
            await turned(page, hidden=True)
            await turned(page, hidden=False)
        async with page.expect_request(STREAM):
            await page.clock.fast_forward(25_000)
            await page.clock.fast_forward(2_000)
    await context.close()


@pytest.mark.slow
async def test_what_was_not_heard_is_not_told_as_nobody(house: House) -> None:
    await house.rig.wait(32_000)
    await house.rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
    await house.rig.wait(120_000)
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")
        for name in ("Звонило", "Говорили"):
            await expect(page.locator("dl.summary > div", has_text=name)).to_contain_text("не слышно")


@pytest.mark.slow
async def test_a_call_that_is_asked_for_again_is_looked_at_until_that_is_done(house: House) -> None:
    await played(house.rig)
    await house.rig.wait(120_000)
    asked: list[str] = []

    async def parked(route: Route) -> None:
        asked.append(route.request.url)
        told = await (await route.fetch()).json()
        await route.fulfill(json={**told, "parked": "МойСклад отказал" if len(asked) < 4 else None})

    async with page_of(house.browser, house.url) as page:
        await page.clock.install()
        await page.route(f"**/ms-admin/api/calls/{ENTERPRISE}/{UNIQUE_ID}?lang=ru", parked)
        await page.route("**/ms-admin/api/retry/**", lambda route: route.fulfill(json={"calls": 1}))
        await log_in(page, f"/ms-admin/calls/{ENTERPRISE}/{UNIQUE_ID}")
        await page.get_by_role("button", name="Повторить").click()
        await expect(page.get_by_text("Повторяем.")).to_be_visible()
        for _ in range(3):
            async with page.expect_response(re.compile("lang=ru$")):
                await page.clock.fast_forward(3_000)
        await expect(page.get_by_text("Нужен человек:")).to_have_count(0)


@pytest.mark.slow
async def test_what_is_chosen_right_after_typing_stays_chosen(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        before = await page.evaluate("history.length")
        await page.get_by_label("Номер").fill(PHONE[-4:])
        await page.keyboard.press("Enter")
        await page.wait_for_timeout(600)  # what is typed is asked for by itself after 350 ms
        assert await page.evaluate("history.length") == before + 1, "one search is one step back"
        await page.get_by_label("Номер").fill("4321")
        await page.get_by_label("Направление").select_option("out")
        await page.wait_for_timeout(600)
        await expect(page).to_have_url(re.compile("phone=4321&direction=out$"))
        await expect(page.get_by_label("Направление")).to_have_value("out")


@pytest.mark.slow
async def test_enter_leads_to_what_was_typed_and_not_to_what_was_listed_before(house: House) -> None:
    await house.api("PUT", "/ms-admin/api/config/0100", {"enabled": True})
    async with page_of(house.browser, house.url) as page:
        await log_in(page, "/ms-admin/calls")
        await page.get_by_role("button", name="Все предприятия").click()
        await expect(page.get_by_role("listbox", name="Предприятия")).to_contain_text("0100")
        await page.get_by_label("Найти предприятие").fill(ENTERPRISE)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/ms-admin/calls?{OF}")


@pytest.mark.slow
async def test_the_list_of_missed_calls_empties_itself(house: House) -> None:
    rig = house.rig
    await played(rig, answered=False)
    await add(rig.service.pool, "evil", number="+375447654321", client=EVIL, started_ms=1)
    # the rig's clock is where the recordings are; the list goes by the wall's
    await rig.service.pool.execute("UPDATE calls SET started_ms = (extract(epoch FROM now()) * 1000)::bigint - 60000")
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/missed?{OF}")
        row = page.get_by_role("row").filter(has_text="+375 29 000-00-01")
        await expect(row).to_contain_text("Дарья Орлова")
        await expect(row).to_contain_text("1 мин назад")
        await expect(row.get_by_role("link", name="Позвонить на")).to_have_attribute("href", f"tel:{PHONE}")
        await expect(row.get_by_role("link", name="все звонки")).to_have_attribute("href", re.compile(r"phone=%2B375290000001$"))
        await expect(page.get_by_text("Время — этого устройства: UTC+3, Europe/Minsk.")).to_be_visible()
        await looks_right(page)
        await add(
            rig.service.pool, "back", direction="out", outcome="answered", number=PHONE, started_ms=9_000_000_000_000
        )
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(row).to_have_count(0)
        await expect(page.get_by_role("row")).to_have_count(2)


@pytest.mark.slow
async def test_reports_and_state_show_what_there_is(house: House) -> None:
    await played(house.rig)
    async with page_of(house.browser, house.url, dark=True) as page:
        await log_in(page, f"/ms-admin/reports?{OF}&from=2026-11-23&to=2026-11-23&by=hour")
        await expect(page.get_by_role("img", name=re.compile("Входящие звонки"))).to_be_visible()
        await page.locator("figure", has_text="Входящие звонки").get_by_text("Таблица").click()
        await expect(page.get_by_role("row", name="23.11.2026 15:00 1 0")).to_be_visible()
        await page.get_by_role("button", name="151 Дарья Орлова").click()
        await expect(page.locator("tr.day")).to_have_count(1)
        await looks_right(page)
        await page.goto("/ms-admin/status")
        await expect(page.get_by_text("Трудностей с МоимСкладом сейчас нет ни у кого.")).to_be_visible()
        await looks_right(page)
        await page.goto(f"/ms-admin/status?{OF}")
        await expect(page.get_by_text("Ничего не ждёт: всё отправлено в МойСклад.")).to_be_visible()


NONSENSE = (
    ("calls?outcome=bogus", "Сервис не понял: чем кончилось."),
    ("calls?direction=up", "Сервис не понял: направление."),
    ("calls?from=abc", "Сервис не понял: начало периода."),
    ("calls?phone=12", "хотя бы три последние цифры"),
    ("calls?from=2026-11-24&to=2026-11-23", "Начало периода позже его конца."),
    ("reports?by=year", "Сервис не понял: деление по дням или часам."),
    ("reports?from=abc", "Сервис не понял: начало периода."),
    ("reports?from=2026-11-24&to=2026-11-23", "Начало периода позже его конца."),
    ("reports?from=1999-01-01", "Не больше 92 дней"),
    ("calls/0367/%2B375290000001@nonsense", "Сервис не понял: время."),
    ("missed?enterprise_number=%0A", "Проверьте номер предприятия."),
    ("live?enterprise_number=%0A", "Сервис не понял: номер предприятия."),
)


@pytest.mark.slow
async def test_nonsense_in_an_address_is_answered_in_russian(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page, "/ms-admin/live")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Сейчас")
        for address, words in NONSENSE:
            await page.goto(f"/ms-admin/{address}")
            await expect(page.locator("main")).to_contain_text(words)
            assert (await page.locator("main").inner_text()).count(words) == 1, "it is said once"
            assert re.findall(r"not understood|[a-z]+ of ", await page.locator("main").inner_text()) == []


@pytest.mark.slow
async def test_a_leg_is_found_by_its_name_and_shown_as_one(house: House) -> None:
    await add(house.rig.service.pool, "1795436020.3", phase="absorbed", outcome="internal", number="+375447654321")
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        await page.get_by_label("Номер").fill("1795436020.3")
        row = page.locator("table.calls tbody tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("часть другого звонка")
        await expect(page.get_by_text("Это имя звонка или его части")).to_be_visible()
        await looks_right(page)


@pytest.mark.slow
async def test_a_colleague_is_no_client_and_not_hidden(house: House) -> None:
    call = {"direction": "internal", "outcome": "internal", "phase": "internal_ended", "extensions": ["101", "102"]}
    for number in ("101", "", "anonymous"):  # the last as rows of before say it
        await add(house.rig.service.pool, f"of-{number}", **call, number=number, digits="")
    async with page_of(house.browser, house.url) as page:
        await log_in(page, f"/ms-admin/calls?{OF}")
        await expect(page.locator("table.calls td.who")).to_have_text([re.compile("между сотрудниками$")] * 3)
        await looks_right(page)


_COMMA_S_LINE = """(cell) => {
    const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), tops = [];
    while (walk.nextNode()) for (let at = 0; at < walk.currentNode.length; at += 1) {
        const range = document.createRange();
        range.setStart(walk.currentNode, at); range.setEnd(walk.currentNode, at + 1);
        const { top } = range.getBoundingClientRect();
        if (walk.currentNode.data[at] === ",") return top === tops.at(-1);
        tops.push(top);
    }
}"""


@pytest.mark.parametrize("name", ["Борис Литвинов", "Христорождественский-Преображенский Константин Владиславович"])
@pytest.mark.slow
async def test_on_a_telephone_no_line_of_extensions_begins_with_a_comma(house: House, name: str) -> None:
    call = {"phase": "absorbed", "direction": "internal", "outcome": "internal", "number": "anonymous", "extension": "102"}
    await add(house.rig.service.pool, "leg", **call, extensions=["102", "101"])
    async with page_of(house.browser, house.url, phone=True) as page:
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.route(f"**/ms-admin/api/names/{ENTERPRISE}", lambda route: route.fulfill(json={"names": {"102": name}}))
        await log_in(page, f"/ms-admin/calls?{OF}")
        cell = page.locator("table.calls td.with")
        await expect(cell).to_have_text(f"102 {name}, 101")
        assert await cell.evaluate(_COMMA_S_LINE)
        assert await fits(page)


@pytest.mark.slow
async def test_the_state_of_an_enterprise_that_nobody_knows_is_not_all_well(house: House) -> None:
    async with page_of(house.browser, house.url) as page:
        await log_in(page, "/ms-admin/status?enterprise_number=9999")
        await expect(page.get_by_text("предприятие неизвестно")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_text("Предприятия 9999 нет в списке: проверьте номер.")
        await expect(page.get_by_text("всё хорошо")).to_have_count(0)
        await page.goto(f"/ms-admin/status?{OF}")
        await expect(page.get_by_text("Ничего не ждёт: всё отправлено в МойСклад.")).to_be_visible()
        await expect(page.get_by_text("нет в списке")).to_have_count(0)


@pytest.mark.parametrize(("query", "asked"), [("", "status"), (f"?{OF}", "board")])
@pytest.mark.slow
async def test_a_state_that_cannot_be_asked_for_is_not_all_well(house: House, query: str, asked: str) -> None:
    context = await house.browser.new_context(locale="ru-RU")
    page = await context.new_page()
    await log_in(page, f"{house.url}/ms-admin/status{query}")
    await expect(page.get_by_text("всё хорошо")).to_be_visible()
    await page.route(f"**/ms-admin/api/{asked}?*", lambda route: route.fulfill(status=503, json={"error": "away"}))
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.get_by_text(re.compile("^сервис ждёт базу данных", re.IGNORECASE))).to_be_visible()
    await expect(page.get_by_text("всё хорошо")).to_have_count(0)
    await expect(page.get_by_text("нужно внимание")).to_be_visible()
    await expect(page.get_by_text("./ms.sh status")).to_have_count(0 if query else 1)
    await looks_right(page)
    await context.close()


@pytest.mark.slow
async def test_a_question_that_is_not_answered_is_not_asked_anew_for_ever(house: House) -> None:
    asked: list[Route] = []

    async def held(route: Route) -> None:
        asked.append(route)

    context = await house.browser.new_context(locale="ru-RU")
    page = await context.new_page()
    await log_in(page, f"{house.url}/ms-admin/status")
    await expect(page.get_by_text("всё хорошо")).to_be_visible()
    await page.route("**/ms-admin/api/status?*", held)
    for _ in range(3):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.wait_for_timeout(200)
    assert len(asked) == 1, "whoever asks anew each time never learns that nobody answers"
    await asked[0].abort()
    await expect(page.get_by_text("нет связи")).to_be_visible()
    await expect(page.get_by_text("всё хорошо")).to_have_count(0)
    await context.close()


async def test_a_search_that_met_a_database_that_was_away_asks_again_by_itself(house: House) -> None:
    for number in range(60):
        await add(house.rig.service.pool, f"c{number:02}", started_ms=1_795_437_000_000 + number)
    context = await house.browser.new_context(locale="ru-RU")
    page = await context.new_page()
    await page.clock.install()
    rows = page.locator("table.calls tbody tr")
    alert = page.get_by_role("alert")
    await page.route("**/ms-admin/api/calls?*", lambda route: route.fulfill(status=503, json={"error": "away"}))
    await log_in(page, f"{house.url}/ms-admin/calls?{OF}")
    await expect(alert).to_contain_text("Сервис ждёт базу данных. Ничего не потеряно. Страница спрашивает снова сама.")
    await looks_right(page)
    await page.unroute_all()
    await page.clock.fast_forward(5_000)
    await expect(rows).to_have_count(50)
    await expect(alert).to_have_count(0)

    await page.route("**/ms-admin/api/calls?*", lambda route: route.abort())
    await page.get_by_role("button", name="Показать ещё").click()
    await expect(alert).to_contain_text("Сервис не отвечает. Страница спрашивает снова сама.")
    await page.unroute_all()
    await page.clock.fast_forward(5_000)
    await expect(rows).to_have_count(60)
    await expect(alert).to_have_count(0)
    await context.close()


@pytest.mark.slow
async def test_what_is_not_known_of_the_work_is_not_told_as_none(house: House) -> None:
    async def away(route: Route) -> None:
        told = await (await route.fetch()).json()
        database = {**told["database"], "state": "away", "reason": "PostgreSQL не отвечает"}
        await route.fulfill(json={**told, "database": database, "backlog": None, "parked": None})

    async with page_of(house.browser, house.url) as page:
        await page.route("**/ms-admin/api/status?*", away)
        await log_in(page, "/ms-admin/status")
        await expect(page.get_by_text("База данных недоступна: PostgreSQL не отвечает.")).to_be_visible()
        await expect(page.get_by_text("пока неизвестно")).to_have_count(2)
        await expect(page.get_by_text(re.compile("всё отправлено|таких звонков нет"))).to_have_count(0)
        await looks_right(page)


@pytest.mark.slow
async def test_the_state_shows_each_connection_to_a_pbx(house: House) -> None:
    lost = {**PBX, "name": "spare", "state": "waiting", "reason": EVIL, "remedy": "start it", "waiting": 7}

    async def with_pbxes(route: Route) -> None:
        answer = await route.fetch()
        told = {**await answer.json(), "pbxes": [PBX, lost, {"name": "new", "state": "free"}]}
        await route.fulfill(response=answer, json=told)

    async with page_of(house.browser, house.url) as page:
        await log_in(page, "/ms-admin/status")
        await expect(page.get_by_role("heading", name="Экземпляры")).to_be_visible()
        await page.route("**/ms-admin/api/status*", with_pbxes)
        await page.goto("/ms-admin/status")
        panel = page.locator("section", has=page.get_by_role("heading", name="АТС (AMI)"))
        await expect(panel.get_by_text("2 АТС без связи")).to_be_visible()
        await expect(panel.get_by_role("row", name=re.compile("main.*на связи"))).to_be_visible()
        await expect(panel.get_by_text(f"{EVIL}: start it")).to_be_visible()
        await expect(panel.get_by_text("ждут записи: 7 сообщений")).to_be_visible()
        await expect(panel.get_by_role("row", name=re.compile("new.*никто не подключён"))).to_be_visible()
        await looks_right(page)


@pytest.mark.slow
async def test_an_administrator_s_link_shows_his_calls_and_nothing_else(house: House) -> None:
    await add(house.rig.service.pool, "mine")
    await add(house.rig.service.pool, "theirs", enterprise="0999", number="+375447654321")
    made = await house.api("POST", f"/ms-admin/api/links/{ENTERPRISE}", {"name": "Анна", "days": 1})
    async with page_of(house.browser, house.url) as page:
        await page.goto("/ms-admin/enter#" + made["url"].rpartition("#")[2])
        await page.wait_for_url(f"**/ms-admin/?{OF}")
        for path in ("calls", "missed", "live", "reports", "status"):
            await page.goto(f"/ms-admin/{path}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.goto("/ms-admin/calls")
        await expect(page.locator("table.calls tbody tr")).to_have_count(1)
        await page.goto("/ms-admin/calls/0999/theirs")
        await expect(page.get_by_text("Ваша ссылка открывает только своё предприятие.")).to_be_visible()


@pytest.mark.slow
async def test_the_sandbox_shows_a_card_hides_it_and_calls_a_customer(house: House) -> None:
    rig = house.rig
    sandbox = str(rig.sandbox.make_url("")).rstrip("/")
    async with page_of(house.browser, sandbox) as page:
        await page.goto("/")
        screen = page.locator(".screen", has_text="Дарья Орлова")
        await expect(screen).to_contain_text("карточек нет")
        await rig.post("/internal/ms/incoming-call", dial())
        await rig.settle()
        await expect(screen).to_contain_text("Входящий звонок")
        await expect(screen).to_contain_text("ОДО «Белтрейд»")
        await rig.wait(32_000)
        await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
        await rig.settle()
        await expect(screen).to_contain_text("карточек нет")
        await looks_right(page)
        await page.get_by_role("button", name="Позвонить клиенту с номера 151").click()
        await page.get_by_label("Кому").fill(PHONE)
        await page.get_by_label("Адрес провайдера").fill(f"{house.url}/healthz")
        await page.get_by_label("Подпись").select_option("raw-body")
        await page.get_by_role("button", name="Позвонить", exact=True).click()
        await expect(page.get_by_role("status").filter(has_text="Ответ провайдера: 405")).to_be_visible()
