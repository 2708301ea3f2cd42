"""The sandbox as a web application and as a process: wires the two APIs, the tool side, the page and the webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web

from adapters.sandbox.edge import CLIENT_MAX_SIZE, Edge
from adapters.sandbox.entities import EntityWritten
from adapters.sandbox.faults import Faults
from adapters.sandbox.hrefs import PHONE_PATH, REMAP_PATH
from adapters.sandbox.json_api import REMAP_ROUTES
from adapters.sandbox.limits import Limits
from adapters.sandbox.options import SandboxOptions
from adapters.sandbox.page import page_routes
from adapters.sandbox.phone_api import PHONE_ROUTES
from adapters.sandbox.populate import populate
from adapters.sandbox.readside import ReadSide, tool_errors
from adapters.sandbox.requests_log import RequestLog
from adapters.sandbox.seed import demo_account
from adapters.sandbox.state import Json, State
from adapters.sandbox.stream import Hub
from adapters.sandbox.views import change_view
from adapters.sandbox.webhooks import WebhookSender, deliveries_for


class Sandbox:
    """One MoySklad with everything around it. :meth:`reset` makes it new without restarting the server."""

    session: aiohttp.ClientSession

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.hub = Hub()
        self.faults = Faults()
        self.limits = Limits()
        self.webhooks = WebhookSender()
        self.stopping = asyncio.Event()
        self.log = RequestLog(size=options.max_requests)
        self.state = self._fresh_state()

    def _fresh_state(self) -> State:
        state = State(self.options)
        seeds = (demo_account(), *self.options.accounts) if self.options.demo else self.options.accounts
        for seed in seeds:
            populate(state, seed, now_ms=self.options.clock())
        state.changes.clear()
        return state

    def reset(self) -> None:
        """Forget calls, customers, requests, faults and switches; start from the options again."""
        self.state = self._fresh_state()
        self.faults.clear()
        self.limits.forget_rates()
        self.log.entries.clear()
        self.hub.publish("reset", {})

    def publish(self, headers: Mapping[str, str]) -> None:
        """Send what has changed to the live stream and to webhooks; ``headers`` are those of the write (2.8)."""
        for change in self.state.drain_changes():
            account = self.state.accounts[change.account]
            if isinstance(change.data, EntityWritten):
                for delivery in deliveries_for(self.state, account, change.data, headers):
                    self.webhooks.offer(delivery)
            elif self.hub.watched:
                view = change_view(account, change)
                if view is not None:
                    self.hub.publish(change.kind, view)

    def webhook_journal(self) -> list[Json]:
        """What the webhook sender did lately."""
        return list(self.webhooks.journal)


SANDBOX: web.AppKey[Sandbox] = web.AppKey("sandbox", Sandbox)


@web.middleware
async def loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The tool side has no login, so it is for this machine only."""
    if request.path.startswith("/sandbox/") and not _is_loopback(request.remote):
        raise web.HTTPForbidden(text="loopback only")
    return await handler(request)


def _is_loopback(address: str | None) -> bool:
    # no address at all is a UNIX socket: this machine
    return not address or ipaddress.ip_address(address.partition("%")[0]).is_loopback


def build_sandbox(options: SandboxOptions) -> web.Application:
    """The sandbox as an aiohttp application; ``app[SANDBOX]`` is its inside, for tests that look."""
    world = Sandbox(options)
    app = web.Application(client_max_size=CLIENT_MAX_SIZE, middlewares=[loopback_only, tool_errors])
    app[SANDBOX] = world
    phone = Edge(world, "phone", PHONE_ROUTES)
    app.router.add_route("*", PHONE_PATH + "{tail:(?:/.*)?}", phone.serve)
    remap = Edge(world, "remap", REMAP_ROUTES)
    app.router.add_route("*", REMAP_PATH + "{tail:(?:/.*)?}", remap.serve)
    app.add_routes(ReadSide(world).routes())
    app.add_routes(page_routes())
    app.cleanup_ctx.append(_background)
    app.on_shutdown.append(_stop)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    world = app[SANDBOX]
    async with aiohttp.ClientSession() as session:
        world.session = session
        sending = asyncio.create_task(world.webhooks.run(session), name="sandbox webhooks")
        yield
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _stop(app: web.Application) -> None:
    app[SANDBOX].stopping.set()
    app[SANDBOX].hub.close()


async def serve_sandbox(host: str, port: int, options: SandboxOptions) -> None:
    """Serve until cancelled. Raises OSError when the address is taken."""
    runner = web.AppRunner(build_sandbox(options), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
