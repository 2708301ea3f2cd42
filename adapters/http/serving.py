"""The listening port and its connections, from the first to the last: above all how they end (a rolling restart loses nothing).

A plain TCP balancer notices a closed port at once and takes another instance for new connections. Those that are there are
still answered, with ``Connection: close``, until their owners have closed them or ``GRACE_S`` is over. Whoever closes first
decides who meets a reset: so the service closes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Final

import structlog
from aiohttp import web

from adapters.http.quick import Lane, QuickConnection
from adapters.http.services import SERVICES, Holder

log = structlog.get_logger("serving")

GRACE_S: Final = 3.0
"""The dispatcher's next request on an open connection comes within seconds; an idle one costs its owner nothing."""

SHUTDOWN_S: Final = 5.0
"""For requests still under way after that: more than the longest single post may take."""

LINGER_S: Final = 2.0
"""A sender whose body is not read to its end may go on sending for so long, that it can read its answer instead of a reset."""

FIRST_REQUEST_S: Final = 20.0
"""Whoever connects and has not asked for anything by then is let go: aiohttp itself would wait for ever for a first request."""

LOOK_EVERY_S: Final = 5.0

BACKLOG: Final = 128
POLL_S: Final = 0.02


class Server:
    """One application on one address. ``grace_s``: how long connections may outlive the port; ``first_request_s``: how long they
    may say nothing at first."""

    def __init__(self, app: web.Application, *, grace_s: float = GRACE_S, first_request_s: float = FIRST_REQUEST_S) -> None:
        self._holder: Holder = app[SERVICES]
        self._grace_s = grace_s
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self.lane = Lane(self._holder)
        self._sockets: list[socket.socket] = []
        self._listening: list[asyncio.Server] = []
        self._first_request_s = first_request_s
        self._watching: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[Any]:
        """Where it listens."""
        return [each.getsockname() for each in self._sockets]

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.create_server(address, family=family, backlog=BACKLOG)
            self._sockets.append(listening)
            self._listening.append(await loop.create_server(self._make_protocol, sock=listening, backlog=BACKLOG))
        self._watching = asyncio.create_task(self._let_go_of_the_silent(), name="silent connections")

    async def stop(self) -> None:
        """Take nothing new, answer what is there, let streams say their last words, close. May be called again."""
        self._holder.stopping = True
        if self._sockets:
            await self._stop_listening()
            self._holder.streams.close()
            if self._holder.parts is not None:
                self._holder.parts.board.close()
                self._holder.parts.integrations.close()
            await self._until_gone()
        if self._watching is not None:
            self._watching.cancel()
        await self._runner.cleanup()

    async def _let_go_of_the_silent(self) -> None:
        """Close connections that have not brought one whole request. Those that have are timed by aiohttp (keep-alive) and by
        whoever reads their bodies."""
        since: dict[Any, float] = {}
        while (server := self._runner.server) is not None:
            now_s = asyncio.get_running_loop().time()
            # How many whole requests it brought is known to aiohttp's connection alone.
            silent = [each for each in server.connections if each._request_count == 0 and each.transport is not None]
            since = {each: since.get(each, now_s) for each in silent}
            for connection, from_s in since.items():
                if now_s - from_s > self._first_request_s and connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(min(LOOK_EVERY_S, self._first_request_s / 2))

    async def _stop_listening(self) -> None:
        """Close the port, but not on those whom the kernel has let in already: they would be reset with their request."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):
            for listening in self._sockets:
                loop.remove_reader(listening)
            for _ in range(2):
                await asyncio.sleep(0)  # what asyncio has accepted becomes a connection in the loop's next round
        # From here to the closed port nobody else runs: uvloop accepts and connects in one go, in a round of its own.
        waiting = [connection for listening in self._sockets for connection in _accepted(listening)]
        for server in self._listening:
            server.close()
        self._listening.clear()
        self._sockets.clear()
        for connection in waiting:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._make_protocol, connection)

    def _make_protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        return QuickConnection(
            self.lane, server, loop=asyncio.get_running_loop(), access_log=None, lingering_time=LINGER_S
        )

    async def _until_gone(self) -> None:
        server, loop = self._runner.server, asyncio.get_running_loop()
        deadline_s = loop.time() + self._grace_s
        while server is not None and server.connections and loop.time() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)  # aiohttp tells nobody when the last connection is gone
        if server is not None and server.connections:
            log.info("connections_left", count=len(server.connections))


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """Everybody whom the kernel has let in on this port."""
    found: list[socket.socket] = []
    while len(found) <= BACKLOG:
        try:
            connection, _ = listening.accept()
        except ConnectionAbortedError:
            continue
        except OSError:  # nobody any more, or no descriptors left for them
            break
        connection.setblocking(False)
        found.append(connection)
    return found
