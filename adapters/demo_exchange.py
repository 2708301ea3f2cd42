"""The demo's telephone exchange: plays recorded calls into the service, and carries out clicks as the provider's API does.

``GET /api/makecallexternal`` answers at once; then the recording of a click plays with the extension and the number that were
asked for: the employee picks up, the customer is dialled, they talk, they hang up.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp
import orjson
from aiohttp import web

from adapters.provider_api import WHERE

RECORDINGS: Final = Path(__file__).resolve().parent.parent / "tests" / "recordings" / "pbx"
ENTERPRISE: Final = "0367"
PBX_ZONE: Final = ZoneInfo("Europe/Minsk")
CLICK: Final = "click_to_call"
RECORDED_EXTENSION, RECORDED_NUMBER = "101", "79161234567"
"""Whom the recording of a click is about."""

LONGEST_PAUSE_S: Final = 4.0
"""Longer silences of a recording are shortened: a person watches."""

SLOWER: Final = 0.4
"""A clicked call is over in five seconds as it was recorded; slower, a person sees the card, its timer, and how it goes."""

MAX_CALLS: Final = 20
"""Clicked calls that go on at once."""


class DemoExchange:
    """Plays into the service at ``service``. ``run``: what the ids of its calls begin with; ``speed``: of clicked calls."""

    def __init__(self, http: aiohttp.ClientSession, service: str) -> None:
        self._http = http
        self._service = service
        self._playing: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Event()
        self._count = 0
        self.secret = secrets.token_hex(16)
        self.run = "demo"
        self.speed = 1.0

    @contextlib.asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[DemoExchange]:
        """The provider's API on loopback, for as long as the block runs."""
        app = web.Application()
        app.router.add_get(WHERE, self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield self
        finally:
            for task in self._playing:
                task.cancel()
            await asyncio.gather(*self._playing, return_exceptions=True)
            await runner.cleanup()

    async def idle(self) -> None:
        """Wait until every clicked call is over; the first may only be about to begin."""
        async with asyncio.timeout(60.0):
            await self._asked.wait()
        await asyncio.gather(*self._playing)

    async def _answer(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("clientId") != self.secret:
            return web.json_response({"success": False, "error": "clientId is nobody's"})
        if len(self._playing) >= MAX_CALLS:
            return web.json_response({"success": False, "error": "too many calls at once"})
        self._count += 1
        swap = {RECORDED_EXTENSION: query.get("code", ""), RECORDED_NUMBER: query.get("phone", "").removeprefix("+")}
        run = f"{self.run}.click{self._count}"
        work = play(self._http, self._service, CLICK, speed=self.speed * SLOWER, run=run, swap=swap)
        task = asyncio.create_task(work, name="clicked call")
        self._playing.add(task)
        self._asked.set()
        task.add_done_callback(self._playing.discard)
        return web.json_response({"success": True})


async def play(
    http: aiohttp.ClientSession,
    service: str,
    name: str,
    *,
    speed: float,
    run: str,
    swap: Mapping[str, str] | None = None,
) -> None:
    """Post one recording's signals at their times, ``speed`` times as fast, moved to now; ``swap``: extensions and numbers."""
    lines = [orjson.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]
    start_s, elapsed_s, before_s = time.time(), 0.0, lines[0]["at"]
    moments: list[tuple[float, float]] = []  # when it was recorded, when it is played
    for line in lines:
        elapsed_s += min(line["at"] - before_s, LONGEST_PAUSE_S) / speed
        before_s = line["at"]
        moments.append((line["at"], start_s + elapsed_s))
    for line, (_, play_s) in zip(lines, moments, strict=True):
        await asyncio.sleep(max(0.0, play_s - time.time()))
        raw = _swapped(_made_new(line["body"], run, moments), swap or {})
        body = {"event": line["event"], "enterprise_number": ENTERPRISE, "raw": raw}
        async with http.post(f"{service}/internal/ms/call-event", json=body) as answer:
            if answer.status != 200:
                raise ValueError(f"{name}: {line['event']} was refused: {await answer.text()}")


def _made_new(body: dict[str, Any], run: str, moments: list[tuple[float, float]]) -> dict[str, Any]:
    """The body with ids of this run and times of now."""
    fresh = {key: value for key, value in body.items() if key != "Token"}
    for key in ("UniqueId", "BridgeUniqueid"):
        if fresh.get(key):
            fresh[key] = f"{run}.{fresh[key]}"
    for key in ("DateReceived", "StartTime", "EndTime"):
        if fresh.get(key):
            fresh[key] = _moved(fresh[key], moments)
    return fresh


def _swapped(body: dict[str, Any], swap: Mapping[str, str]) -> dict[str, Any]:
    """The body about another employee and another customer."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(each) for each in value]
        for old, new in swap.items():
            if value == old:
                return new
            if isinstance(value, str) and value.startswith(f"PJSIP/{old}-"):
                return value.replace(f"/{old}-", f"/{new}-", 1)
        return value

    return {key: changed(value) for key, value in body.items()}


def _moved(text: str, moments: list[tuple[float, float]]) -> str:
    recorded_s = datetime.fromisoformat(text).replace(tzinfo=PBX_ZONE).timestamp()
    nearest = min(moments, key=lambda moment: abs(moment[0] - recorded_s))
    return datetime.fromtimestamp(nearest[1], PBX_ZONE).strftime("%Y-%m-%d %H:%M:%S")
