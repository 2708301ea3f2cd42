"""``GET /internal/ms/status``: one answer for all instances, also while the database is away; not for everybody."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder
from adapters.status import in_words
from tests.adapters.http.support import LOCAL, dial, edge
from tests.rig import ENTERPRISE, Rig


async def get(client: Any, **headers: str) -> tuple[int, Any]:
    async with client.get("/internal/ms/status", headers=headers) as answer:
        return answer.status, await answer.json()


async def test_how_the_service_is(rig: Rig) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    rig.clock.now_ms += 1_000
    async with edge(rig, LOCAL) as client:
        status, told = await get(client)
    assert status == 200
    assert (told["version"], told["database"]["state"]) == (rig.service.options.version, "ready")
    assert set(told) == {
        "version", "node", "now_ms", "database", "nodes", "enterprises", "backlog", "parked", "accounts", "followers",
        "directory", "streams_open", "pbxes", "spooled",
    }  # fmt: skip
    assert told["parked"] == {"calls": 0, "enterprises": {}}
    assert list(in_words(told))[-1] == "accounts   all well"
    assert ENTERPRISE in str(told["backlog"]["enterprises"])


async def test_a_database_that_is_away_is_told_and_not_an_error(rig: Rig) -> None:
    async with edge(rig, LOCAL) as client:
        rig.lose_database()
        status, told = await get(client)
        async with client.get("/ms-admin/api/status?lang=ru") as answer:
            russian = (await answer.json())["database"]["reason"]
    assert (status, told["database"]["state"]) == (200, "away")
    assert russian.startswith("соединение потеряно")


async def test_it_is_for_those_who_are_near_or_have_the_token(rig: Rig) -> None:
    async with edge(rig, Guard([ip_network("10.0.0.0/8")], "inner-token", "")) as client:
        assert (await get(client))[0] == 403
        assert (await get(client, Authorization="Bearer inner-token"))[0] == 200


async def test_before_it_is_ready_it_says_what_it_waits_for() -> None:
    async with TestClient(TestServer(build_app(Holder(waiting="waiting for PostgreSQL"), LOCAL))) as client:
        status, told = await get(client)
    assert (status, told["error"]) == (503, "waiting for PostgreSQL")
