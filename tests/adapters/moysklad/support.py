"""What the tests of the MoySklad clients share: a server that answers by script, the sandbox, and time that tests move."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.moysklad.accounts import Accounts
from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.transport import Transport
from adapters.moysklad.wiring import build_moysklad
from adapters.sandbox import SANDBOX, SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY, Sandbox, SandboxOptions, Switches, build_sandbox
from adapters.sandbox.faults import FaultRule
from adapters.sandbox.seed import AccountSeed, CounterpartySeed
from adapters.sandbox.state import Account as SandboxAccount
from core.effects import Account, Effect, Performed

NOW_MS = 1_784_192_400_000  # 2026-07-16 09:00 UTC = 12:00 in Moscow
KEY = "phone-key-0123456789abcdef"
Json = dict[str, Any]
Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class FakeTime:
    """Time that stands still until a test moves it. Milliseconds."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def seasoned(**options: Any) -> LimitsRegistry:
    """Limits of a process that has run for a while: it may fail a few times without waiting for its allowance to grow."""
    return LimitsRegistry(**({"known_ms": 3_600_000} | options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request that reached the scripted server."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Script:
    """A server whose next answers are listed beforehand. An unexpected request is answered 418."""

    answers: deque[Responder] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    base: str = ""

    def then(self, *answers: Responder) -> None:
        """Append answers."""
        self.answers.extend(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The aiohttp handler."""
        raw = await request.read()
        self.seen.append(
            Seen(
                method=request.method,
                path=request.path_qs,
                headers=dict(request.headers),
                body=orjson.loads(raw) if raw else None,
            )
        )
        return await self.answers.popleft()(request) if self.answers else web.Response(status=418)


def says(status: int = 200, body: Any = None, *, text: str | None = None, html: bool = False, **headers: str) -> Responder:
    """An answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def respond(request: web.Request) -> web.StreamResponse:
        if text is not None:
            return web.Response(status=status, text=text, content_type="text/html" if html else "text/plain", headers=named)
        payload = orjson.dumps(body) if body is not None else b""
        content_type = "application/json" if body is not None else None
        return web.Response(status=status, body=payload, content_type=content_type, headers=named)

    return respond


def complains(status: int, *codes: int, parameter: str | None = None, **headers: Any) -> Responder:
    """An error answer in MoySklad's shape."""
    entry: Json = {} if parameter is None else {"parameter": parameter}
    return says(status, {"errors": [{"error": f"Ошибка {code}", "code": code, **entry} for code in codes]}, **headers)


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Read the request and drop the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def stays_silent(request: web.Request) -> web.StreamResponse:
    """Never answer; ends when the client leaves."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def scripted(
    api: Api = Api.PHONE,
    *,
    timeout_s: float = 5.0,
    base_path: str = "/api",
    limits: LimitsRegistry | None = None,
    wait_ms: int = 10_000,
) -> AsyncIterator[tuple[Script, Transport]]:
    """A scripted server and a transport to it."""
    script = Script()
    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_route("*", "/{tail:.*}", script.handle)
    async with TestServer(app) as server:
        script.base = str(server.make_url(base_path))
        transport = Transport(
            api=api,
            base_url=script.base,
            limits=seasoned() if limits is None else limits,
            timeout_s=timeout_s,
            connect_timeout_s=timeout_s,
            wait_ms=wait_ms,
        )
        try:
            yield script, transport
        finally:
            await transport.close()


@dataclass(slots=True, kw_only=True)
class Rig:
    """The sandbox and the clients that face it."""

    world: Sandbox
    gateway: MoySkladGateway
    accounts: Accounts
    clock: FakeTime
    account: Account
    phone: PhoneApi
    phone_url: str
    main_url: str
    mended: list[tuple[Api, str]]

    @asynccontextmanager
    async def another_program(self) -> AsyncIterator[MoySkladGateway]:
        """Somebody else with the same credentials, whose limits know nothing of ours."""
        other = build_moysklad(phone_url=self.phone_url, main_url=self.main_url, now_ms=self.clock, limits=seasoned())
        try:
            yield other.gateway
        finally:
            await other.close()

    async def perform(self, effect: Effect) -> Performed:
        """Perform an effect for the sandbox's account."""
        return await self.gateway.perform(effect, self.account)

    @property
    def inside(self) -> SandboxAccount:
        """The sandbox account's inside."""
        return next(iter(self.world.state.accounts.values()))

    def break_with(self, *rules: FaultRule) -> None:
        """Order trouble."""
        self.world.faults.add(rules)

    def requests(self, api: str = "phone") -> list[str]:
        """``METHOD path`` of what this API got, the query left out."""
        return [f"{one.method} {one.path.partition('?')[0]}" for one in self.world.log.entries if one.api == api]

    def employee_id(self, extension: str) -> str:
        """Whose extension it is."""
        return self.inside.by_extension[extension]

    def counterparty_id(self, name: str) -> str:
        """A seeded counterparty's id."""
        return next(one.id for one in self.inside.of_type("counterparty").values() if one.fields["name"] == name)

    def calls(self) -> list[Any]:
        """All rows of the sandbox's journal."""
        return list(self.inside.calls.values())

    def cards(self) -> dict[str, int]:
        """screen -> how many cards are on it."""
        return {screen: len(cards) for screen, cards in self.inside.open_cards.items() if cards}


@asynccontextmanager
async def facing_sandbox(*counterparties: CounterpartySeed, timeout_s: float = 5.0, **switches: Any) -> AsyncIterator[Rig]:
    """The demo account, or with ``counterparties`` an account of its own that has just these customers."""
    clock = FakeTime()
    own = AccountSeed(name="own", phone_key=SANDBOX_PHONE_KEY, api_token=SANDBOX_API_TOKEN, counterparties=counterparties)
    options = SandboxOptions(
        demo=not counterparties, accounts=(own,) if counterparties else (), switches=Switches(**switches), clock=clock
    )
    app = build_sandbox(options)
    async with TestServer(app) as server:
        # real time for our own limits: the sandbox's clock stands still, so its buckets never refill under a test's feet
        phone_url, main_url = (str(server.make_url(path)) for path in ("/api/phone/1.0", "/api/remap/1.2"))
        mended: list[tuple[Api, str]] = []
        limits = seasoned(now_ms=clock, mended=lambda api, enterprise: mended.append((api, enterprise)))
        moysklad = build_moysklad(phone_url=phone_url, main_url=main_url, now_ms=clock, limits=limits, timeout_s=timeout_s)
        account = Account(enterprise="0367", phone_key=SANDBOX_PHONE_KEY, api_token=SANDBOX_API_TOKEN)
        try:
            yield Rig(
                world=app[SANDBOX],
                gateway=moysklad.gateway,
                accounts=moysklad.accounts,
                clock=clock,
                account=account,
                phone=moysklad.phone,
                phone_url=phone_url,
                main_url=main_url,
                mended=mended,
            )
        finally:
            await moysklad.close()
