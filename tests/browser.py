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


async def too_faint(page: Page) -> list[str]:
    """Texts with less contrast than WCAG AA asks for (4.5 to 1; large ones 3 to 1), as they are drawn now."""
    found: list[str] = await page.evaluate(_TOO_FAINT)
    return found


_TOO_FAINT: Final = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parsed = (text) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below, share) => [0, 1, 2].map((each) => top[each] * share + below[each] * (1 - share));
    const light = (colour) => {
        const [r, g, b] = colour.map((each) => (each <= 10 ? each / 255 / 12.92 : ((each / 255 + .055) / 1.055) ** 2.4));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const ground = (element) => {
        const layers = [];
        for (let each = element; each; each = each.parentElement) {
            const colour = parsed(getComputedStyle(each).backgroundColor);
            if (colour[3] > 0) layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reverse().reduce((below, layer) => over(layer, below, layer[3]), [255, 255, 255]);
    };
    const found = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
        if (!text || !element.checkVisibility() || element.closest("svg, option, .sr, :disabled")) continue;
        const style = getComputedStyle(element), below = ground(element), colour = parsed(style.color);
        const [one, other] = [light(over(colour, below, colour[3])), light(below)].sort((a, b) => b - a);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const ratio = (one + .05) / (other + .05);
        if (ratio < (large ? 3 : 4.5)) found.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return [...found];
}"""
