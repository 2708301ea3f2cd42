"""What the demos print."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.demo_exchange import PBX_ZONE
from adapters.demo_stage import ENTERPRISE, Stage, _until_answers, alone, clock, webhook_of


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on the other side of the world."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Pacific/Honolulu")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_the_screens_are_told_at_the_times_of_the_calls_and_replays() -> None:
    now = datetime.now(PBX_ZONE)
    assert clock() in {(now + timedelta(seconds=passed)).strftime("%H:%M:%S") for passed in (0, 1)}


def test_a_demo_beside_another_or_what_is_left_of_one_is_refused(tmp_path: Path) -> None:
    """It would play its calls, and another sandbox would get them."""
    lock = alone(tmp_path)
    left = subprocess.Popen(["sleep", "60"], pass_fds=[lock])  # as its service, when the demo itself was killed
    os.close(lock)
    try:
        with pytest.raises(ValueError, match=r"another demo uses .*demo\.lock names its processes"):
            alone(tmp_path)
    finally:
        left.kill()
        left.wait()
    os.close(alone(tmp_path))


async def test_whoever_ended_is_not_waited_for(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec("false")
    async with aiohttp.ClientSession() as http, asyncio.timeout(10):
        stage = Stage(http=http, service="", sandbox="", environment={}, lock=-1, speed=1.0, echo=print)
        with pytest.raises(ValueError, match=r"did not come up: it ended with 1; .*service\.log says why"):
            await _until_answers(stage, "http://127.0.0.1:1/", process, tmp_path / "service.log")


async def test_a_click_of_a_second_demo_goes_to_its_own_service() -> None:
    """Its service keeps the address that the settings know, for it was not told its public one."""

    async def config(_request: web.Request) -> web.Response:
        return web.json_response({"ms": {"webhook_url": "http://127.0.0.1:1/ms/webhook/x"}})

    app = web.Application()
    app.router.add_get(f"/ms-admin/api/config/{ENTERPRISE}", config)
    async with aiohttp.ClientSession() as http, TestServer(app) as server:
        service = str(server.make_url("")).rstrip("/")
        stage = Stage(http=http, service=service, sandbox="", environment={}, lock=-1, speed=1.0, echo=print)
        assert await webhook_of(stage) == f"{service}/ms/webhook/x"
