"""An instance that nothing of MoySklad answers knows it; a request that got no answer alone proves nothing."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from adapters.moysklad.errors import ApiUnavailable
from adapters.moysklad.reach import PAUSE_S, PROBE_S, Reach
from adapters.moysklad.transport import Outgoing, Trail
from tests.adapters.moysklad.support import KEY, hangs_up, says, scripted
from tests.eventually import until
from tests.instances import virtually


class Server:
    """What the bare request meets."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.refuses = False
        self.hangs = False

    async def probe(self) -> None:
        """Ask something small."""
        self.asked["probe"] += 1
        if self.hangs:
            await asyncio.sleep(3_600)
        if self.refuses:
            raise aiohttp.ClientConnectionError


async def _running(server: Server) -> tuple[Reach, asyncio.Task[None]]:
    reach = Reach(server.probe)
    task = asyncio.ensure_future(reach.run())
    await asyncio.sleep(0)
    return reach, task


def test_one_request_without_an_answer_is_asked_about_and_no_reason_to_leave() -> None:
    async def run() -> None:
        server = Server()
        reach, task = await _running(server)
        await asyncio.sleep(100)
        assert server.asked["probe"] == 0, "nobody doubts"
        reach.silent()
        await asyncio.sleep(100)
        assert (reach.away, server.asked["probe"]) == (False, 1)
        task.cancel()

    virtually(run())


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_when_nothing_answers_it_is_away_until_something_does(how: str) -> None:
    async def run() -> None:
        server = Server()
        reach, task = await _running(server)
        setattr(server, how, True)
        reach.silent()
        await asyncio.sleep(PROBE_S + 0.1)
        assert reach.away
        await asyncio.sleep(60)
        assert reach.away
        assert 60 / (PROBE_S + PAUSE_S) - 1 <= server.asked["probe"] <= 60 / PAUSE_S + 2
        setattr(server, how, False)
        await asyncio.sleep(PROBE_S + PAUSE_S + 0.1)
        asked = server.asked["probe"]
        assert not reach.away
        await asyncio.sleep(60)
        assert server.asked["probe"] == asked, "nobody doubts any more"
        task.cancel()

    virtually(run())


def test_an_answer_to_anybody_s_request_is_an_answer() -> None:
    async def run() -> None:
        server = Server()
        reach, task = await _running(server)
        server.hangs = True
        reach.silent()
        await asyncio.sleep(PROBE_S / 2)
        reach.answered()
        await asyncio.sleep(PROBE_S)
        assert not reach.away, "while the bare request hung another one was answered"
        task.cancel()

    virtually(run())


async def test_a_request_without_an_answer_makes_the_transport_ask_bare() -> None:
    async with scripted() as (script, transport):
        settling = asyncio.ensure_future(transport.reach.run())
        script.then(hangs_up)
        with pytest.raises(ApiUnavailable):
            await transport.send(Outgoing(method="PUT", path="/call/1", body={}), KEY, Trail())
        assert transport.reach.doubted
        await until(lambda: not transport.reach.doubted)
        asked, bare = script.seen
        assert not transport.reach.away, "418 is an answer too"
        assert KEY in asked.headers.values()
        assert (bare.method, bare.path, bare.body) == ("GET", "/api", None)
        assert not {"Lognex-Phone-Auth-Token", "Authorization"} & bare.headers.keys()
        settling.cancel()


async def test_where_nothing_listens_it_is_away_and_the_next_answer_ends_that() -> None:
    async with scripted() as (script, transport):
        base, transport.base_url = transport.base_url, f"http://127.0.0.1:{unused_port()}/api"
        settling = asyncio.ensure_future(transport.reach.run())
        with pytest.raises(ApiUnavailable):
            await transport.send(Outgoing(method="GET", path="/call/1"), KEY, Trail())
        await until(lambda: transport.reach.away)
        transport.base_url = base
        script.then(says(200, {}))
        transport.forget(KEY)
        await transport.send(Outgoing(method="GET", path="/call/1"), KEY, Trail())
        assert not transport.reach.away
        settling.cancel()
