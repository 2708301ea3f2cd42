"""``/sandbox/...``: what a test, the demo or a person asks the sandbox, and what they order it to do.

No login: loopback only. Errors are ``{"error", "field", "hint"}`` with 400.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec
import orjson
from aiohttp import web

from adapters.sandbox import views
from adapters.sandbox.click import ClickRequest, send_click
from adapters.sandbox.edge import World
from adapters.sandbox.faults import Api, BadRule, FaultRule, OutageMode
from adapters.sandbox.options import BadSwitch, change_switches
from adapters.sandbox.populate import BadSeed, populate
from adapters.sandbox.seed import SeedRequest
from adapters.sandbox.state import Account, CallRow, Json
from adapters.sandbox.stream import Hub

DEFAULT_LIMIT = 1_000
SNAPSHOT_CALLS = 100
Decoded = TypeVar("Decoded")


class ToolWorld(World, Protocol):
    """What the tool side needs beyond what the APIs' edge does."""

    hub: Hub
    session: aiohttp.ClientSession

    def reset(self) -> None:
        """Forget everything and start as at the beginning."""

    def webhook_journal(self) -> list[Json]:
        """What the webhook sender did lately."""


class BadInput(Exception):
    """A tool request that makes no sense."""

    def __init__(self, error: str, field: str, hint: str) -> None:
        super().__init__(error)
        self.body = {"error": error, "field": field, "hint": hint}


class OutageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /sandbox/outage``."""

    mode: OutageMode
    api: str = "all"


class FaultsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several rules in one ``POST /sandbox/faults``."""

    rules: tuple[FaultRule, ...]


def json_response(data: Any, status: int = 200) -> web.Response:
    """JSON of the tool side."""
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")


@web.middleware
async def tool_errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Turns :class:`BadInput` into its answer."""
    try:
        return await handler(request)
    except BadInput as error:
        return json_response(error.body, status=400)


class ReadSide:
    """The handlers of ``/sandbox/...``."""

    def __init__(self, world: ToolWorld) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """All of them, for the application."""
        return [
            web.get("/sandbox/accounts", self.accounts),
            web.get("/sandbox/calls", self.calls),
            web.get("/sandbox/cards", self.cards),
            web.get("/sandbox/counterparties", self.counterparties),
            web.get("/sandbox/orders", self.orders),
            web.get("/sandbox/tasks", self.tasks),
            web.get("/sandbox/requests", self.requests),
            web.get("/sandbox/webhooks", self.webhooks),
            web.get("/sandbox/stream", self.stream),
            web.get("/sandbox/switches", self.switches),
            web.put("/sandbox/switches", self.put_switches),
            web.get("/sandbox/faults", self.faults),
            web.post("/sandbox/faults", self.post_faults),
            web.delete("/sandbox/faults", self.delete_faults),
            web.post("/sandbox/outage", self.outage),
            web.post("/sandbox/reset", self.reset),
            web.post("/sandbox/seed", self.seed),
            web.post("/sandbox/click", self.click),
        ]

    # -- reading ---------------------------------------------------------------------------------------------

    async def accounts(self, request: web.Request) -> web.Response:
        """Accounts with their colleagues."""
        return json_response({"accounts": [views.account_view(one) for one in self._accounts(request)]})

    async def calls(self, request: web.Request) -> web.Response:
        """Calls in the order they were registered; ``newest=1`` turns it round."""
        wanted = {key: request.query.get(key) for key in ("id", "external_id", "number")}
        newest = request.query.get("newest") == "1"
        limit = _number(request, "limit", DEFAULT_LIMIT)
        offset = _number(request, "offset", 0)
        rows: list[tuple[Account, CallRow]] = [
            (account, call)
            for account in self._accounts(request)
            for call in account.calls.values()
            if all(value in (None, getattr(call, key)) for key, value in wanted.items())
        ]
        if newest:
            rows.sort(key=lambda row: -row[1].created_ms)
        page = rows[offset : offset + limit]
        return json_response({"total": len(rows), "calls": [views.call_view(account, call) for account, call in page]})

    async def cards(self, request: web.Request) -> web.Response:
        """Which cards are on whose screen now."""
        return json_response({"screens": [one for account in self._accounts(request) for one in views.screens_view(account)]})

    async def counterparties(self, request: web.Request) -> web.Response:
        """Counterparties with contact persons and notes."""
        return json_response(
            {
                "counterparties": [
                    views.counterparty_view(account, entity)
                    for account in self._accounts(request)
                    for entity in account.of_type("counterparty").values()
                ]
            }
        )

    async def orders(self, request: web.Request) -> web.Response:
        """Customer orders."""
        return json_response({"orders": self._entities(request, "customerorder")})

    async def tasks(self, request: web.Request) -> web.Response:
        """Tasks."""
        return json_response({"tasks": self._entities(request, "task")})

    async def requests(self, request: web.Request) -> web.Response:
        """The remembered requests after ``since`` (an id)."""
        entries = self._world.log.since(_number(request, "since", 0))
        return json_response({"last_id": self._world.log.last_id, "requests": [views.request_view(one) for one in entries]})

    async def webhooks(self, request: web.Request) -> web.Response:
        """What the webhook sender did lately."""
        return json_response({"deliveries": self._world.webhook_journal()})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-Sent Events: a snapshot, then every change."""
        accounts = list(self._accounts(request))
        newest = (views.call_view(account, call) for account in accounts for call in _newest(account, SNAPSHOT_CALLS))
        calls = sorted(newest, key=lambda call: -int(call["created_ms"]))
        snapshot = {
            "screens": [one for account in accounts for one in views.screens_view(account)],
            "calls": calls[:SNAPSHOT_CALLS],
            "now_ms": self._world.state.options.clock(),
        }
        return await self._world.hub.serve(request, snapshot)

    # -- ordering --------------------------------------------------------------------------------------------

    async def switches(self, request: web.Request) -> web.Response:
        """The switches in force."""
        return json_response(asdict(self._world.state.switches))

    async def put_switches(self, request: web.Request) -> web.Response:
        """Change some switches."""
        patch = await _decode(request, dict[str, Any])
        try:
            self._world.state.switches = change_switches(self._world.state.switches, patch)
        except BadSwitch as error:
            raise BadInput("bad switch", error.field, error.hint) from error
        return await self.switches(request)

    async def faults(self, request: web.Request) -> web.Response:
        """Rules with their counts, and outages."""
        return json_response({"rules": self._world.faults.listing(), "outages": self._world.faults.outages})

    async def post_faults(self, request: web.Request) -> web.Response:
        """Add one rule, or several as ``{"rules": [...]}``."""
        body = await _decode(request, dict[str, Any])
        try:
            rules = msgspec.convert(body, FaultsRequest).rules if "rules" in body else (msgspec.convert(body, FaultRule),)
            self._world.faults.add(rules)
        except msgspec.ValidationError as error:
            raise BadInput("bad rule", "", str(error)) from error
        except BadRule as error:
            raise BadInput("bad rule", error.field, error.hint) from error
        return await self.faults(request)

    async def delete_faults(self, request: web.Request) -> web.Response:
        """Remove all rules and outages."""
        self._world.faults.clear()
        return await self.faults(request)

    async def outage(self, request: web.Request) -> web.Response:
        """Turn a whole API off or on."""
        wanted = await _decode(request, OutageRequest)
        names: dict[str, tuple[Api, ...]] = {"phone": ("phone",), "remap": ("remap",), "all": ("phone", "remap")}
        if wanted.api not in names:
            raise BadInput("bad outage", "api", "phone, remap or all")
        for api in names[wanted.api]:
            self._world.faults.outages[api] = wanted.mode
        return await self.faults(request)

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything: as freshly started."""
        self._world.reset()
        return json_response({"reset": True})

    async def seed(self, request: web.Request) -> web.Response:
        """Add accounts and people."""
        wanted = await _decode(request, SeedRequest)
        now_ms = self._world.state.options.clock()
        try:
            for one in wanted.accounts:
                populate(self._world.state, one, now_ms=now_ms)
        except BadSeed as error:
            raise BadInput("bad seed", error.field, error.hint) from error
        self._world.publish({})
        return await self.accounts(request)

    async def click(self, request: web.Request) -> web.Response:
        """Send click-to-call to a provider's URL and tell what it answered."""
        wanted = await _decode(request, ClickRequest)
        if not wanted.url.startswith(("http://", "https://")):
            raise BadInput("bad click", "url", "an http or https URL")
        accounts = self._world.state.accounts
        account = accounts.get(wanted.account) if wanted.account else next(iter(accounts.values()), None)
        if account is None:
            raise BadInput("bad click", "account", "no such account")
        caller = account.employee_at(wanted.srcNumber)
        uid = wanted.uid or (caller.login if caller is not None else None)
        if uid is None:
            raise BadInput("bad click", "uid", "nobody with a login has this srcNumber; give uid")
        result = await send_click(self._world.session, key=account.phone_key, uid=uid, click=wanted)
        return json_response({**result, "variant": wanted.variant})

    # -- helpers ---------------------------------------------------------------------------------------------

    def _accounts(self, request: web.Request) -> Iterator[Account]:
        name = request.query.get("account")
        if name is not None and name not in self._world.state.accounts:
            raise BadInput("no such account", "account", "GET /sandbox/accounts lists them")
        return (one for one in self._world.state.accounts.values() if name in (None, one.name))

    def _entities(self, request: web.Request, kind: str) -> list[Json]:
        return [
            views.entity_view(account, entity) for account in self._accounts(request) for entity in account.of_type(kind).values()
        ]


def _newest(account: Account, count: int) -> list[CallRow]:
    rows: list[CallRow] = []
    for call_id in reversed(account.calls):
        if len(rows) >= count:
            break
        rows.append(account.calls[call_id])
    return rows


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadInput("bad number", name, "a whole number, not negative")
    return int(text)


async def _decode(request: web.Request, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise BadInput("bad body", "", str(error)) from error
