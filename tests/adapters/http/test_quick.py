"""The quick lane says what the ordinary way said before, and only that: seen from outside, except that it was taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.quick import HELD_BYTES
from adapters.http.services import Holder
from adapters.http.serving import Server
from adapters.ingest import Ingest, Patience, Recording
from core.errors import AppendRefused, StoreUnavailable
from core.ports import Append, Appended, StreamId
from tests.adapters.http.peer import Peer
from tests.adapters.http.support import LOCAL, dial, heads, parts, rejected
from tests.eventually import until
from tests.rig import ENTERPRISE, MINSK, Rig

POST = "/internal/ms/incoming-call"
TOKEN = "a token of the inside"
FAR = Guard([], TOKEN, "")


@asynccontextmanager
async def serving(rig: Rig, guard: Guard = LOCAL, **changed: Any) -> AsyncIterator[tuple[Server, int]]:
    """The rig's service behind a port; ``changed``: of its way in."""
    service = rig.service
    known = {"store": service.store, "settings": service.settings, "pool": service.pool, "zone": MINSK, "now_ms": rig.clock}
    ingest = Ingest(**{"give": service.store.give, **known, **changed})
    server = Server(build_app(Holder(parts(rig, ingest)), guard), grace_s=0.2)
    await server.start("127.0.0.1", 0)
    try:
        yield server, server.addresses[0][1]
    finally:
        await server.stop()


def request(body: bytes, *headers: str) -> bytes:
    """A post as a dispatcher sends it."""
    lines = [f"POST {POST} HTTP/1.1", "Host: test", "Content-Type: application/json", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def said(unique_id: str, **changed: Any) -> bytes:
    """The body of one dial; ids of one length make heads of one kind."""
    return orjson.dumps(dial(unique_id, **changed))


async def told(peer: Peer, data: bytes) -> Any:
    """Send it in one piece; the answer's body."""
    peer.writer.write(data)
    await peer.read_head()
    return await peer.json()


def without_date(peer: Peer) -> dict[str, str]:
    return {name: value for name, value in peer.headers.items() if name != "date"}


async def test_the_second_of_a_kind_is_answered_as_the_first_was(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        first = await told(peer, request(said("1.1")))
        status, headers = peer.status, without_date(peer)
        assert server.lane.posts == 0
        second = await told(peer, request(said("1.2")))
        assert server.lane.posts == 1
        assert (peer.status, without_date(peer)) == (status, headers)
        assert "date" in peer.headers
        assert second == {**first, "call": "1.2"}
        again = await told(peer, request(said("1.2")))
        assert (again["duplicate"], server.lane.posts) == (True, 1), "whether it rings again the ordinary way finds out"
        other = await Peer.dial(port)
        await told(other, request(said("1.3")))
        assert server.lane.posts == 2, "what one connection learnt all know"
    assert await heads(rig) == 3


async def test_a_head_with_anything_else_in_it_is_judged_anew(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        for unique_id in ("1.1", "1.2"):
            await told(peer, request(said(unique_id)))
        refused = await told(peer, request(said("1.3"), "X-Forwarded-For: 10.0.0.1"))
        assert (peer.status, refused["error"]) == (403, "this caller may not use this address")
        await told(peer, request(said("1.3"), "X-Forwarded-For: 10.0.0.1"))
        assert (peer.status, server.lane.posts) == (403, 1), "a refusal is never learnt"
    assert await heads(rig) == 2


async def test_a_token_is_part_of_what_is_known(rig: Rig) -> None:
    async with serving(rig, FAR) as (server, port):
        peer = await Peer.dial(port)
        for unique_id in ("1.1", "1.2"):
            await told(peer, request(said(unique_id), f"Authorization: Bearer {TOKEN}"))
        assert (peer.status, server.lane.posts) == (200, 1)
        await told(peer, request(said("1.3")))
        assert peer.status == 403
        await told(peer, request(said("1.3"), f"Authorization: Bearer {TOKEN[:-1]}!"))
        assert (peer.status, server.lane.posts) == (403, 1)


@pytest.mark.parametrize(
    "headers",
    [("Content-Encoding: identity",), ("Connection: close",), ("Expect: 100-continue",)],
    ids=["packed", "the last", "asks first"],
)
async def test_a_head_that_asks_for_something_is_not_learnt(rig: Rig, headers: tuple[str, ...]) -> None:
    async with serving(rig) as (server, port):
        for unique_id in ("1.1", "1.2"):
            peer = await Peer.dial(port)
            peer.writer.write(request(said(unique_id), *headers))
            await peer.read_head()
            if peer.status == 100:
                await peer.read_head()
            assert peer.status == 200
            peer.writer.close()
        assert server.lane.posts == 0
    assert await heads(rig) == 2


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"enterprise_number":"9999","unique_id":"1.9"}', b'{"enterprise_number":"0367"}'])
async def test_what_is_wrong_is_told_and_kept_as_ever(rig: Rig, body: bytes) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        length = len(said("1.1"))
        before = await told(peer, request(body.ljust(length)))
        status = peer.status
        await told(peer, request(said("1.1")))
        await told(peer, request(said("1.2")))
        assert server.lane.posts == 1, "its head is known now"
        after = await told(peer, request(body.ljust(length)))
        assert (peer.status, after) == (status, before)
        assert status in (400, 404)
        assert len(await rejected(rig)) == 2
        await told(peer, request(said("1.3")))
        assert (peer.status, server.lane.posts) == (200, 2)


async def test_answers_come_in_the_order_of_what_was_sent_ahead(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        await told(peer, request(said("1.001")))
        ids = [f"2.{nth:03}" for nth in range(300)]
        whole = b"".join(request(said(unique_id)) for unique_id in ids)
        assert len(whole) > HELD_BYTES
        peer.writer.write(whole)
        found = []
        for _ in ids:
            await peer.read_head()
            found.append((await peer.json())["call"])
        assert found == ids
        assert server.lane.posts > 0
    assert await heads(rig) == 301


async def test_a_post_in_pieces_goes_the_ordinary_way_and_the_next_one_need_not(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        await told(peer, request(said("1.1")))
        for place, nth in ((10, 2), (-10, 3)):
            data = request(said(f"1.{nth}"))
            peer.writer.write(data[:place])
            await peer.writer.drain()
            await asyncio.sleep(0.02)  # two pieces are two only if the first was read
            assert (await told(peer, data[place:]))["call"] == f"1.{nth}"
        assert server.lane.posts == 0
        await told(peer, request(said("1.4")))
        assert server.lane.posts == 1
        peer.writer.write(b"POST /internal/ms/hangup-call HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        await peer.read_head()
        await peer.json()
        await told(peer, request(said("1.5")))
        assert (peer.status, server.lane.posts) == (200, 1), "where chunks end only aiohttp knows"


async def test_who_cannot_be_told_that_it_is_on_disk_is_told_so_in_time(rig: Rig) -> None:
    given: list[Recording] = []

    def never(append: Append) -> Recording:
        given.append(asyncio.get_running_loop().create_future())
        return given[-1]

    async with serving(rig, give=never) as (server, port):
        peer = await Peer.dial(port)
        await told(peer, request(said("1.1")))
        ingest = server.lane.ingest()
        assert ingest is not None
        ingest.patience = Patience(take_s=0.05)
        usual = {name for name in peer.headers if name != "date"}
        await rig.service.settings.current(ENTERPRISE)  # fresh, however slow the machine is: else they are looked up first
        body = await told(peer, request(said("1.2")))
        assert (peer.status, body["error"]) == (503, "the event store is unavailable")
        assert (peer.headers["retry-after"], usual - set(peer.headers)) == ("1", set())
        await rig.service.settings.current(ENTERPRISE)
        body = await told(peer, request(said("1.3")))
        assert peer.status == 503
        given[1].set_exception(StoreUnavailable("away"))
        given[0].set_exception(StoreUnavailable("late, and of no use to anybody"))
        await rig.service.settings.current(ENTERPRISE)
        await told(peer, request(said("1.4")))
        assert (peer.status, len(given), server.lane.posts) == (503, 3, 0)
        given[2].cancel()


async def test_the_patience_of_who_sent_a_repeat_does_not_begin_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ordinary way finds out whether the same dial again is news. Its sender has been waiting since before that."""
    given: list[Recording] = []
    until_s: list[float | None] = []
    ordinary = Ingest.take

    def repeat(append: Append) -> Recording:
        given.append(asyncio.get_running_loop().create_future())
        return given[-1]

    async def taken(self: Ingest, *args: Any, **named: Any) -> Any:
        until_s.append(named["until_s"])
        return await ordinary(self, *args, **named)

    monkeypatch.setattr(Ingest, "take", taken)
    async with serving(rig, give=repeat) as (server, port):
        peer, ingest = await Peer.dial(port), server.lane.ingest()
        assert ingest is not None
        await told(peer, request(said("1.1")))
        await rig.service.settings.current(ENTERPRISE)
        peer.writer.write(request(said("1.2")))
        await until(lambda: bool(given))
        sent_s = asyncio.get_running_loop().time()
        named = StreamId(enterprise=ENTERPRISE, name="call/1.2")
        given[0].set_result([Appended(stream=named, version=1, position=1, duplicate=True)])
        await peer.read_head()
        await peer.json()
        assert peer.status == 200
        peer.writer.write(request(said("1.3"), "X-New: head"))
        await peer.read_head()
        await peer.json()
        first, repeated, other = until_s
        assert (first, other) == (None, None)
        assert repeated is not None
        assert repeated <= sent_s + ingest.patience.take_s


@pytest.mark.parametrize("error", [StoreUnavailable("away"), AppendRefused("too odd")])
async def test_what_the_store_cannot_take_is_answered_as_the_ordinary_way_finds(rig: Rig, error: Exception) -> None:
    def failing(append: Append) -> Recording:
        future: Recording = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return future

    async with serving(rig, give=failing) as (server, port):
        peer = await Peer.dial(port)
        await told(peer, request(said("1.1")))
        await told(peer, request(said("1.2")))
        assert (peer.status, server.lane.posts) == (200, 0)
        peer.writer.write(request(said("1.3")) * 2)
        for _ in range(2):
            await peer.read_head()
            await peer.json()
        assert peer.status == 200


async def test_who_is_under_way_when_it_stops_is_answered_and_told_to_go(rig: Rig) -> None:
    gate = asyncio.Event()
    given: list[Append] = []
    store = rig.service.store

    def slow(append: Append) -> Recording:
        async def later() -> Any:
            await gate.wait()
            return await store.append_many([append])

        given.append(append)
        return asyncio.ensure_future(later())

    async with serving(rig, give=slow) as (server, port):
        peer = await Peer.dial(port)
        await told(peer, request(said("1.1")))
        peer.writer.write(request(said("1.2")))
        await until(lambda: bool(given))
        stopping = asyncio.create_task(server.stop())
        await until(lambda: not server.addresses)
        gate.set()
        await peer.read_head()
        assert (await peer.json())["call"] == "1.2"
        assert (peer.status, peer.headers["connection"]) == (200, "close")
        peer.writer.close()
        await stopping


async def test_what_is_known_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http.quick.MAX_HEADS", 1)
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        for unique_id in ("1.1", "1.22", "1.3"):
            await told(peer, request(said(unique_id)))
        assert server.lane.posts == 0, "each length is a head of its own, and pushes the other out"
        await told(peer, request(said("1.4")))
        assert server.lane.posts == 1
