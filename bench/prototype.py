"""The bare prototype: HTTP, group commit, a dictionary for the state machine, an ordered reactor, a local API. A baseline.

It does what the service does on a good day and nothing of what a bad day needs: no settings, no dedup, no versions, no work
rows, no legs, no limits, no recovery. What it keeps is the order of each call's requests, and that an answer means "on disk".

``http``: ``by hand`` (as it is judged), or ``aiohttp``: the same behind a route of aiohttp's, which tells what that costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from aiohttp import web

from bench.bare import BareWriter, open_bare
from bench.ground import tell, words
from bench.load import PATH
from bench.wire import Asker, Messages, connected, ok, post, serving

TABLE: Final = {
    ("", "start"): "arrived",
    ("", "dial"): "ringing",
    ("arrived", "dial"): "ringing",
    ("ringing", "bridge"): "talking",
    ("ringing", "hangup"): "ended",
    ("talking", "hangup"): "ended",
}
SAYS: Final = {"ringing": "SHOW", "talking": "STARTTIME", "ended": "HIDE_ALL"}
CONNECTIONS: Final = 8
ANSWER: Final = b'{"status":"success"}'
_DONE: Final = ok(ANSWER)


class Prototype:
    """All of it."""

    def __init__(self, writer: BareWriter, askers: list[Asker]) -> None:
        self._writer = writer
        self._phases: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._work: dict[str, deque[str]] = {}
        self._askers: asyncio.Queue[Asker] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        for asker in askers:
            self._askers.put_nowait(asker)

    async def take(self, body: bytes) -> None:
        """Returns when it is on disk; what follows from it is under way then."""
        said = orjson.loads(body)
        call = str(said.get("UniqueId") or said.get("BridgeUniqueid") or "")
        event = str(said["event"])
        await self._writer.append((call, event, body.decode()))
        phase = TABLE.get((self._phases.get(call, ""), event))
        if phase is None:
            return
        if phase == "ended":
            self._phases.pop(call, None)
        else:
            self._phases[call] = phase
        if (action := SAYS.get(phase)) is not None and said.get("CallType") != 2:
            self._ask(call, f"{said.get('enterprise_number')}-{call}", action)

    def _ask(self, call: str, name: str, action: str) -> None:
        waiting = self._work.get(call)
        if waiting is not None:
            waiting.append(action)
            return
        self._work[call] = deque([action])
        task = asyncio.create_task(self._react(call, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _react(self, call: str, name: str) -> None:
        waiting = self._work[call]
        while waiting:
            action = waiting.popleft()
            end = {"endTime": ""} if action == "HIDE_ALL" else {}
            body = orjson.dumps({"externalId": name, "events": [{"eventType": action}], **end})
            known = self._ids.get(call)
            request = (
                post("/api/phone/1.0/call", body) if known is None else post(f"/call/{known}", body).replace(b"POST", b"PUT", 1)
            )
            asker = await self._askers.get()
            try:
                _, answer = await asker.ask(request)
            finally:
                self._askers.put_nowait(asker)
            self._ids[call] = orjson.loads(answer)["id"]
            if end:
                del self._ids[call]
        del self._work[call]


class Connection(Messages):
    """One sender's."""

    def __init__(self, prototype: Prototype) -> None:
        super().__init__()
        self._prototype = prototype

    def heard(self, head: bytes, body: bytes) -> None:
        """Take it in, then say so."""
        task = asyncio.create_task(self._prototype.take(body))
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        task.result()
        self.write(_DONE)


@contextlib.asynccontextmanager
async def by_hand(prototype: Prototype) -> AsyncIterator[int]:
    """A port that takes posts, read by hand."""
    server, port = await serving(lambda: Connection(prototype))
    yield port
    server.close()


@contextlib.asynccontextmanager
async def on_aiohttp(prototype: Prototype) -> AsyncIterator[int]:
    """The same with aiohttp: one route, no middleware, no log."""

    async def take(request: web.Request) -> web.Response:
        await prototype.take(await request.read())
        return web.Response(body=ANSWER, content_type="application/json")

    app = web.Application()
    app.router.add_post(PATH, take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


async def main(given: dict[str, Any]) -> None:
    """Serve until the input ends."""
    connection = await open_bare(given["dsn"])
    prototype = Prototype(BareWriter(connection), [await connected(given["api_port"]) for _ in range(CONNECTIONS)])
    async with (on_aiohttp if given.get("http") == "aiohttp" else by_hand)(prototype) as port:
        async for _ in words():
            tell({"port": port})
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1])))
