"""The demo's exchange: knows its enterprise, plays what was clicked, and a person in front of the sandbox sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

from adapters import demo
from adapters.demo_exchange import DemoExchange, play
from adapters.provider_api import ProviderApi, opened_session
from core.origination import Origination, OriginationRefused
from tests.browser import chromium, page_of
from tests.faults.network import free_port

ORDER = Origination(enterprise="0367", extension="103", number="+375291112233", channel_id="click-1")


@dataclass(slots=True)
class Heard:
    """A service that only listens."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """One signal."""
        self.bodies.append(await request.json())
        return web.json_response({"status": "success"})


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    heard = Heard()
    app = web.Application()
    app.router.add_post("/internal/ms/call-event", heard.take)
    async with TestServer(app) as server:
        heard.url = str(server.make_url("")).rstrip("/")
        yield heard


async def originate(exchange: DemoExchange, port: int, secret: str) -> None:
    async def secret_of(enterprise: str) -> str:
        return secret

    async with opened_session() as session:
        await ProviderApi(session, f"http://127.0.0.1:{port}", secret_of).originate(ORDER)


async def test_a_click_plays_as_a_call_of_whoever_clicked(heard: Heard) -> None:
    port = free_port()
    async with aiohttp.ClientSession() as http, DemoExchange(http, heard.url).listening(port) as exchange:
        exchange.speed = 50.0
        for _ in range(2):
            await originate(exchange, port, exchange.secret)
        await exchange.idle()
    dials = [each["raw"] for each in heard.bodies if each["event"] == "dial"]
    assert [(dial["Extensions"], dial["Phone"], dial["CallType"]) for dial in dials] == [(["103"], "375291112233", 1)] * 2
    assert len({dial["UniqueId"] for dial in dials}) == 2
    told = str(heard.bodies)
    assert "79161234567" not in told
    assert "PJSIP/103-" in told
    assert "PJSIP/101-" not in told


async def test_a_stranger_s_click_rings_nobody(heard: Heard) -> None:
    port = free_port()
    async with aiohttp.ClientSession() as http, DemoExchange(http, heard.url).listening(port) as exchange:
        with pytest.raises(OriginationRefused):
            await originate(exchange, port, "wrong")
    assert heard.bodies == []


async def test_a_recording_is_played_as_it_is(heard: Heard) -> None:
    async with aiohttp.ClientSession() as http:
        await play(http, heard.url, "click_to_call", speed=50.0, run="r")
    assert [each["event"] for each in heard.bodies][-1] == "hangup"
    assert heard.bodies[-1]["raw"]["UniqueId"] == "r.lab-1795437250.14"
    assert "unit-token" not in str(heard.bodies)


@pytest.mark.slow
async def test_a_person_clicks_and_sees_the_card_its_timer_and_how_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole demo beside a browser: sandbox page, service, exchange, each in a process of its own."""
    monkeypatch.setenv("MS_DATA_DIR", str(tmp_path))
    async with (
        demo.with_exchange(lambda line: None, speed=4.0) as (stage, _, webhook),
        chromium() as browser,
        page_of(browser, stage.sandbox) as page,
    ):
        await page.goto(f"/?provider={quote(webhook, safe='')}")
        await page.locator("#call").click()
        await page.locator("#click-to").fill("+7 916 123-45-67")
        await page.locator("#click-form [type=submit]").click()
        await expect(page.locator("#click-answer")).to_be_visible()
        await page.locator("#click-close").click()
        await expect(page.locator("article.card")).to_contain_text("Смирнова", timeout=20_000)
        await expect(page.locator("article.card.talking")).to_be_visible(timeout=20_000)
        await expect(page.locator("article.card")).to_have_count(0, timeout=30_000)
