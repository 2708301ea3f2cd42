"""A real browser for the tests of the pages: Debian's Chromium, driven by Playwright. Without it these tests fail.

Each page watches itself: an error in the console, an exception, a request that failed and a violation of the content policy are
kept, and ``quiet`` at the end of a test is what says that there were none.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESK: Final = {"width": 1440, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
PATIENCE_MS: Final = 10_000
_EXPECTED: Final = re.compile(r"the server responded with a status of (400|401|403|404|409|429|502)")
"""The browser says so of every such answer, whatever the page makes of it."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    assert CHROMIUM.exists(), "the pages are tested in Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page_of(browser: Browser, base_url: str, *, dark: bool = False, phone: bool = False) -> AsyncIterator[Page]:
    """A fresh profile's first page; relative addresses lead to the service. At the end nothing may have gone wrong on it."""
    context = await browser.new_context(
        base_url=base_url,
        viewport=PHONE if phone else DESK,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        locale="ru-RU",
        timezone_id="Europe/Minsk",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    troubles: list[str] = []
    watch(page, troubles)
    try:
        yield page
        assert troubles == []
    finally:
        await context.close()


def watch(page: Page, troubles: list[str]) -> None:
    """Keep what goes wrong on a page."""

    def said(message: Any) -> None:
        if message.type == "error" and not _EXPECTED.search(message.text):
            troubles.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: troubles.append(str(error)))


async def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


async def unnamed(page: Page) -> list[str]:
    """What a screen reader could not name: controls without a label, pictures without a text."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("input:not([aria-hidden]), select, button, a[href], img")].filter((each) => {
            if (each.offsetParent === null && each.tagName !== "IMG") return false;
            if (each.tagName === "IMG") return !each.hasAttribute("alt");
            const named = each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") || each.title;
            return !(named || (each.labels && each.labels.length) || each.textContent.trim());
        }).map((each) => each.outerHTML.slice(0, 120))"""
    )
    return found
