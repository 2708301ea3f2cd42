"""A sandbox on a loopback port, with a clock the test moves, and two ways to ask it: as a phone client, as a JSON one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.sandbox import (
    SANDBOX,
    SANDBOX_API_TOKEN,
    SANDBOX_PHONE_KEY,
    AccountSeed,
    Sandbox,
    SandboxOptions,
    Switches,
    build_sandbox,
)
from adapters.sandbox.state import Account

PHONE = "/api/phone/1.0"
REMAP = "/api/remap/1.2"
ORIGIN = "https://api.moysklad.ru"
NOON_MS = 1_784_192_400_000  # 2026-07-16 09:00 UTC = 12:00 in Moscow

Json = dict[str, Any]


@dataclass(slots=True)
class FakeClock:
    """Time that stands still until a test moves it."""

    now_ms: int = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back; ``body`` is JSON where it was JSON, else text."""

    status: int
    body: Any
    headers: Any

    @property
    def codes(self) -> list[int]:
        """The error codes, in order."""
        return [one["code"] for one in self.body["errors"]]

    @property
    def error(self) -> tuple[int, list[int]]:
        """Status and codes: what a client decides by."""
        return self.status, self.codes


@dataclass(slots=True, kw_only=True)
class Rig:
    """A running sandbox and its clock."""

    client: TestClient[web.Request, web.Application]
    clock: FakeClock
    world: Sandbox
    key: str = SANDBOX_PHONE_KEY
    token: str = SANDBOX_API_TOKEN
    sequence: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def account(self) -> Account:
        """The first account's inside."""
        return next(iter(self.world.state.accounts.values()))

    async def ask(self, method: str, path: str, *, headers: Json | None = None, **rest: Any) -> Reply:
        """Any request; ``headers`` with the value None are left out."""
        given = {name: value for name, value in (headers or {}).items() if value is not None}
        skipped = [name for name, value in (headers or {}).items() if value is None]
        async with self.client.request(method, path, headers=given, skip_auto_headers=skipped, **rest) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Reply(
                status=response.status,
                body=await response.json() if is_json and text else text,
                headers=response.headers,
            )

    async def phone(self, method: str, path: str, body: Any = None, **rest: Any) -> Reply:
        """A Phone API request with the right headers (``headers=`` changes some of them)."""
        headers = {
            "Lognex-Phone-Auth-Token": self.key,
            "Accept-Encoding": "gzip",
            **rest.pop("headers", {}),
        }
        extra = {"json": body} if body is not None else {}
        return await self.ask(method, PHONE + path, headers=headers, **extra, **rest)

    async def remap(self, method: str, path: str, body: Any = None, **rest: Any) -> Reply:
        """A JSON API request with the right headers."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept-Encoding": "gzip",
            **rest.pop("headers", {}),
        }
        extra = {"json": body} if body is not None else {}
        return await self.ask(method, REMAP + path, headers=headers, **extra, **rest)

    async def tool(self, method: str, path: str, body: Any = None, **rest: Any) -> Any:
        """A request to the tool side; its JSON."""
        extra = {"json": body} if body is not None else {}
        reply = await self.ask(method, "/sandbox" + path, **extra, **rest)
        assert reply.status == 200, reply.body
        return reply.body

    async def switch(self, **values: Any) -> None:
        """Change switches while the sandbox runs."""
        await self.tool("PUT", "/switches", values)

    async def call(self, **fields: Any) -> Json:
        """Register a call and return it."""
        body = {
            "externalId": f"ext-{next(self.sequence)}",
            "number": "+79160000099",
            "isIncoming": True,
            "startTime": "2026-07-16 12:00:00.000",
            **fields,
        }
        reply = await self.phone("POST", "/call", body)
        assert reply.status == 200, reply.body
        answer: Json = reply.body
        return answer

    async def row(self, call_id: str) -> Json:
        """A call as the read side has it."""
        found = await self.tool("GET", f"/calls?id={call_id}")
        row: Json = found["calls"][0]
        return row

    async def cards(self) -> dict[str, list[str]]:
        """extension -> numbers of the cards on that screen, screens without cards left out."""
        found = await self.tool("GET", "/cards")
        return {screen["extension"]: [card["number"] for card in screen["cards"]] for screen in found["screens"] if screen["cards"]}

    def employee_href(self, extension: str) -> str:
        """The link to whoever has an extension."""
        return f"{ORIGIN}{REMAP}/entity/employee/{self.account.by_extension[extension]}"

    def counterparty_id(self, name: str) -> str:
        """A seeded counterparty's id."""
        shelf = self.account.of_type("counterparty").values()
        return next(one.id for one in shelf if one.fields["name"] == name)


def flat(href: str, kind: str) -> Json:
    """A flat link of the Phone API."""
    return {"href": href, "type": kind, "mediaType": "application/json"}


def link(kind: str, entity_id: str, origin: str = ORIGIN) -> Json:
    """A wrapped link of the JSON API."""
    return {"meta": flat(f"{origin}{REMAP}/entity/{kind}/{entity_id}", kind)}


def counted_ids() -> Any:
    """UUIDs that count upwards, so that a failing test reads the same every time."""
    numbers = itertools.count(1)
    return lambda: str(UUID(int=next(numbers)))


@asynccontextmanager
async def running(*, accounts: tuple[AccountSeed, ...] = (), demo: bool = True, **switches: Any) -> AsyncIterator[Rig]:
    """A sandbox with the demo account and the given switches."""
    clock = FakeClock()
    options = SandboxOptions(
        demo=demo,
        accounts=accounts,
        switches=Switches(**switches),
        clock=clock,
        new_id=counted_ids(),
    )
    app = build_sandbox(options)
    async with TestClient(TestServer(app), timeout=aiohttp.ClientTimeout(total=10)) as client:
        yield Rig(client=client, clock=clock, world=app[SANDBOX])
