"""Bodies as the contract shows them, and what the tests of the HTTP edge look at afterwards."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, Final

from aiohttp.test_utils import TestClient, TestServer

from adapters.admin_password import AdminPassword
from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder, Services
from adapters.http.stream import Streams
from adapters.ingest import Ingest
from adapters.sandbox import SANDBOX_API_TOKEN, SANDBOX_PHONE_KEY
from server import http_parts
from tests.described import held_to_description
from tests.rig import TOKEN, Rig

SECRET: Final = "an operator's password"
PASSWORD: Final = AdminPassword(SECRET)
PHONE: Final = "+375290000001"
UNIQUE_ID: Final = "1757840723.6"
INLINE: Final[dict[str, Any]] = {
    "integration_code": SANDBOX_PHONE_KEY,
    "api_token": SANDBOX_API_TOKEN,
    "notifications": {"call_notify_mode": "during", "notify_incoming": True, "notify_outgoing": True},
}
SECRETS: Final = (SANDBOX_PHONE_KEY, SANDBOX_API_TOKEN, TOKEN)
LOCAL: Final = Guard([ip_network("127.0.0.0/8")], "", "")
"""Without any token: whoever comes from this machine is let in."""


async def ask(http: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the answer. Whatever is asked, no answer shows a secret."""
    async with http.request(method, path, json=body) as answer:
        text = await answer.text()
        assert not any(secret in text for secret in SECRETS), "no answer shows a secret"
        return answer.status, json.loads(text)


def dial_body(unique_id: str = UNIQUE_ID, **changed: Any) -> dict[str, Any]:
    """The PBX's dial of an incoming call, as it is inside ``raw``."""
    return {
        "Token": TOKEN,
        "UniqueId": unique_id,
        "Phone": "375290000001",
        "Extensions": ["151"],
        "CallType": 0,
        "Trunk": "0001001",
        "ExtTrunk": "",
        "ExtPhone": "",
        **changed,
    }


def dial(unique_id: str = UNIQUE_ID, **changed: Any) -> dict[str, Any]:
    """What the dispatcher posts for a live dial."""
    return {
        "enterprise_number": "0367",
        "phone": PHONE,
        "extension": "151",
        "direction": "in",
        "event_type": "dial",
        "unique_id": unique_id,
        "raw": dial_body(unique_id),
        **changed,
    }


def hangup(unique_id: str = UNIQUE_ID, *, start: str, end: str, status: str = "2", **changed: Any) -> dict[str, Any]:
    """What the dispatcher posts for a hangup; the times are Minsk time."""
    raw = dial_body(unique_id, DateReceived=start, StartTime=start, EndTime=end, CallStatus=status)
    return {**dial(unique_id), "event_type": "hangup", "raw": raw, "record_url": None, "origin": None, **changed}


START, END = "2026-11-23 15:13:20", "2026-11-23 15:13:52"
"""When the whole call of :func:`played` began and ended, by the PBX's clock; the rig's clock begins then."""


async def played(rig: Rig, *, answered: bool = True) -> None:
    """One whole call, taken in and recorded, and the read models after it."""
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    await rig.wait(32_000)
    await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END, status="2" if answered else "0"))
    await rig.wait(120_000)
    await rig.service.runner.catch_up()


async def everything(rig: Rig) -> str:
    """Every row of every table as text: where a secret must not be found."""
    tables = await rig.service.pool.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('ms', 'public') ORDER BY 1, 2"
    )
    found: list[str] = []
    for schema, table in tables:
        rows = await rig.service.pool.fetch(f'SELECT t::text AS text FROM "{schema}"."{table}" AS t')
        found += [f"{schema}.{table}: {row['text']}" for row in rows]
    return "\n".join(found)


async def rejected(rig: Rig) -> list[dict[str, Any]]:
    """What was kept of refused input, oldest first."""
    return [dict(row) for row in await rig.service.pool.fetch("SELECT * FROM rejected_input ORDER BY id")]


async def heads(rig: Rig) -> int:
    """How many events there are in all."""
    return int(await rig.service.store.head())


@asynccontextmanager
async def edge(rig: Rig, guard: Guard, changed: Services | None = None) -> AsyncIterator[Any]:
    """The routes as ``server.py`` wires them, over the rig's service, behind this guard."""
    async with TestClient(TestServer(held_to_description(build_app(Holder(changed or parts(rig)), guard)))) as client:
        yield client


def parts(rig: Rig, ingest: Ingest | None = None) -> Services:
    """The rig's parts as the service puts them together, or with another way in."""
    found = http_parts(rig.service, PASSWORD)
    return replace(found, ingest=ingest or found.ingest)


@asynccontextmanager
async def streaming(rig: Rig, streams: Streams, ingest: Ingest | None = None) -> AsyncIterator[int]:
    """The routes on a port of their own, with these streams, over the rig's service or another way in."""
    holder = Holder(parts(rig, ingest), streams=streams)
    async with TestServer(build_app(holder, LOCAL)) as server:
        assert server.port is not None
        yield server.port
