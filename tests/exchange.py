"""A telephone exchange for tests of clicks: an originator in memory, and a provider's HTTP API that tells what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from adapters.provider_api import WHERE
from core.origination import Origination, OriginationError

SECRET = "unit-token-0367"


@dataclass(slots=True)
class FakeOriginator:
    """Takes every order, or fails as it is told; ``gate``: orders wait for it; ``ordered``: there was one."""

    enterprises: frozenset[str] | None = None
    error: OriginationError | None = None
    gate: asyncio.Event | None = None
    orders: list[Origination] = field(default_factory=list)
    ordered: asyncio.Event = field(default_factory=asyncio.Event)

    def serves(self, enterprise: str) -> bool:
        """All, or the enterprises that were named."""
        return self.enterprises is None or enterprise in self.enterprises

    async def originate(self, order: Origination) -> None:
        """See ``Originator``."""
        self.orders.append(order)
        self.ordered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class FakeApi:
    """The provider's API: which orders may ring, and how it answers. ``url`` is where it listens."""

    url: str = ""
    orders: list[tuple[str, str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    refusing: bool = False
    silent: bool = False
    broken: bool = False
    status: int = 200
    body: str = '{"success": true}'
    leads_to: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    ordered: asyncio.Event = field(default_factory=asyncio.Event)
    server: BaseTestServer | None = None

    def variables(self, _: int) -> dict[str, str]:
        """What an instance of the service has to know of it."""
        return {"MS_ASTERISK_API_URL": self.url}

    async def stop(self) -> None:
        """Nothing listens any more."""
        if self.server is not None:
            await self.server.close()

    async def answer(self, request: web.Request) -> web.Response:
        """One order."""
        query = dict(request.query)
        self.asked.append(query)
        if self.leads_to:
            raise web.HTTPFound(self.leads_to)
        if self.refusing:
            return web.json_response({"success": False, "error": "no such subscriber"})
        self.orders.append((query.get("code", ""), query.get("phone", "")))
        self.ordered.set()
        if self.broken and request.transport is not None:
            request.transport.abort()
        if self.silent:
            await self.released.wait()
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[FakeApi]:
    """The API on a port of its own."""
    api = FakeApi()
    app = web.Application()
    app.router.add_get(WHERE, api.answer)
    async with TestServer(app) as server:
        api.server = server
        api.url = str(server.make_url("")).rstrip("/")
        try:
            yield api
        finally:
            api.released.set()
