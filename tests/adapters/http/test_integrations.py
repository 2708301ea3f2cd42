"""The dispatcher's cache of integrations over HTTP: once, as a long poll, as a stream (PRODUCT E4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from adapters.directory import integrations as modules
from adapters.http import integrations as edges
from tests.eventually import PATIENCE_S, until
from tests.rig import ENTERPRISE, Rig

ADDRESS = "/internal/ms/integrations"


async def save(rig: Rig, **changed: Any) -> None:
    async with rig.http.put(f"/ms-admin/api/config/{ENTERPRISE}", json=changed) as answer:
        assert answer.status == 200


@asynccontextmanager
async def stream(rig: Rig, **headers: str) -> AsyncIterator[Any]:
    """A connected dispatcher: ``await next()`` gives the next (event, id, data)."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with rig.http.get(f"{ADDRESS}/stream", headers=sent) as answer:
        assert answer.status == 200

        async def following() -> tuple[str, str, Any]:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    block = (await answer.content.readuntil(b"\n\n")).decode()
                    if not block:
                        raise ConnectionResetError("the stream has ended")
                    fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
                    if "event" in fields and fields["event"] != "beat":
                        return fields["event"], fields.get("id", ""), orjson.loads(fields["data"])

        yield following


async def test_what_is_active_and_primary_and_which_lines_are_routed_by_it(rig: Rig) -> None:
    lines = {"gsm:0001001": {"enabled": True, "do_routing": True, "algorithm": "ms"}, "gsm:2": {"algorithm": "uon"}}
    await rig.service.pool.execute(
        "UPDATE public.enterprises SET integrations_config = integrations_config || $2 WHERE number = $1",
        ENTERPRISE,
        {"smart": {"primary": "ms", "lines": lines}, "retailcrm": {"token": "not ours"}},
    )
    status, told = await rig.get(ADDRESS)
    (one,) = told["integrations"]
    assert (status, told["active"], told["primary"], told["whole"]) == (200, [ENTERPRISE], [ENTERPRISE], True)
    assert one["lines"] == [{"line": "gsm:0001001", "enabled": True, "do_routing": True}]
    assert (one["number"], one["active"], one["main_api"], len(one["revision"])) == (ENTERPRISE, True, True, 16)
    assert "not ours" not in str(told)


async def test_who_has_it_already_gets_a_304(rig: Rig) -> None:
    async with rig.http.get(ADDRESS) as answer:
        etag = answer.headers["ETag"]
        assert etag == f'"{(await answer.json())["etag"]}"'
    for shown in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        async with rig.http.get(ADDRESS, headers={"If-None-Match": shown}) as answer:
            assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, etag, b"")
    async with rig.http.get(ADDRESS, headers={"If-None-Match": '"another"'}) as answer:
        assert answer.status == 200


async def test_a_long_poll_ends_with_the_change(rig: Rig) -> None:
    _, first = await rig.get(ADDRESS)
    waiting = asyncio.create_task(rig.get(f"{ADDRESS}?since={first['etag']}&wait_s=20"))
    await until(lambda: rig.service.directory.integrations.listeners)
    await save(rig, enabled=False)
    async with asyncio.timeout(PATIENCE_S):
        status, told = await waiting
    assert (status, told["whole"], told["gone"]) == (200, False, [])
    assert [(each["number"], each["active"]) for each in told["integrations"]] == [(ENTERPRISE, False)]
    assert told["etag"] != first["etag"]


async def test_a_long_poll_without_a_change_is_a_304_and_an_old_etag_gets_everything(rig: Rig) -> None:
    _, first = await rig.get(ADDRESS)
    for query in (f"since={first['etag']}", f"since={first['etag']}&wait_s=1"):
        async with rig.http.get(f"{ADDRESS}?{query}") as answer:
            assert answer.status == 304
    status, told = await rig.get(f"{ADDRESS}?since=long-ago&wait_s=20")
    assert (status, told["whole"], len(told["integrations"])) == (200, True, 1)


@pytest.mark.parametrize(("query", "field"), [("wait_s=x", "wait_s"), ("wait_s=61", "wait_s"), (f"since={'a' * 65}", "since")])
async def test_what_is_not_understood_is_named(rig: Rig, query: str, field: str) -> None:
    status, told = await rig.get(f"{ADDRESS}?{query}")
    assert (status, told["field"]) == (400, field)


async def test_the_stream_tells_a_change_and_goes_on_where_it_was(rig: Rig) -> None:
    async with stream(rig) as following:
        kind, seen, told = await following()
        assert (kind, told["active"], seen) == ("whole", [ENTERPRISE], told["etag"])
        await save(rig, enabled=False)
        kind, seen, told = await following()
        assert (kind, [each["active"] for each in told["integrations"]]) == ("changed", [False])
    config = {"ms": {"enabled": True}}
    await rig.service.pool.execute("INSERT INTO public.enterprises (number, integrations_config) VALUES ('1', $1)", config)
    async with stream(rig, Last_Event_ID=seen) as following:
        kind, later, told = await following()
        assert (kind, [each["number"] for each in told["integrations"]]) == ("changed", ["1"])
        await rig.service.pool.execute("DELETE FROM public.enterprises WHERE number = '1'")
        kind, _, told = await following()
        assert (kind, told["integrations"], told["gone"]) == ("changed", [], ["1"])
    async with stream(rig, Last_Event_ID="of another time") as following:
        assert (await following())[0] == "whole"
    assert later != seen


async def test_a_stream_says_when_the_table_cannot_be_looked_at(rig: Rig) -> None:
    class Away:
        """Nobody is there."""

        async def fetchrow(self, *_: object) -> None:
            """See ``asyncpg.Pool``."""
            raise ConnectionRefusedError

    integrations = rig.service.directory.integrations
    async with stream(rig) as following:
        await following()
        integrations._pool = Away()
        assert (await following())[::2] == ("away", {"reason": "nobody listens there"})
        status, told = await rig.get(ADDRESS)
        assert (status, told["stale_because"], told["active"]) == (200, "nobody listens there", [ENTERPRISE])
        integrations._pool = rig.service.pool
        assert (await following())[0] == "ready"


async def test_listeners_are_bounded_and_let_go_when_the_service_stops(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MAX_LISTENERS", 1)
    async with stream(rig) as following:
        await following()
        status, told = await rig.get(f"{ADDRESS}/stream")
        assert (status, told["error"]) == (503, "too many listen to the integrations")
        rig.service.directory.integrations.close()
        with pytest.raises(ConnectionResetError):
            await following()


async def test_silence_is_broken_so_that_a_dead_connection_is_noticed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "HEARTBEAT_S", 0.05)
    async with rig.http.get(f"{ADDRESS}/stream") as answer, asyncio.timeout(PATIENCE_S):
        while b"event: beat" not in await answer.content.readuntil(b"\n\n"):
            pass
