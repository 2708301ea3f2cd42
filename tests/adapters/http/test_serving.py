"""How a service ends that others still talk to: whoever sent a whole request gets an answer, and nobody meets a reset."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from adapters.http.app import build_app
from adapters.http.services import Holder
from adapters.http.serving import Server
from adapters.ingest import Ingest
from tests.adapters.http.peer import Peer
from tests.adapters.http.support import LOCAL, dial, heads, parts
from tests.adapters.stores import Gated
from tests.eventually import until
from tests.rig import MINSK, Rig

POST = "/internal/ms/incoming-call"


@asynccontextmanager
async def serving(rig: Rig, *, grace_s: float = 20.0, store: Any = None) -> AsyncIterator[tuple[Server, int]]:
    """The rig's service behind a port as ``server.py`` opens it."""
    service, ingest = rig.service, None
    if store is not None:
        ingest = Ingest(store=store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock)
    server = Server(build_app(Holder(parts(rig, ingest)), LOCAL), grace_s=grace_s)
    await server.start("127.0.0.1", 0)
    try:
        yield server, server.addresses[0][1]
    finally:
        await server.stop()


async def post(peer: Peer, unique_id: str) -> None:
    """Send one dial, whole; its answer is still to be read."""
    body = orjson.dumps(dial(unique_id))
    await peer.ask("HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}", path=POST, body=body)


async def answered(peer: Peer) -> Any:
    await peer.read_head()
    return await peer.json()


async def test_whoever_connects_and_asks_nothing_is_let_go(rig: Rig) -> None:
    server = Server(build_app(Holder(parts(rig)), LOCAL), first_request_s=0.2)
    await server.start("127.0.0.1", 0)
    port = server.addresses[0][1]
    try:
        silent, writer = await asyncio.open_connection("127.0.0.1", port)
        slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        slow_writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")  # and never the rest
        asking = await Peer.dial(port)
        await post(asking, "1.1")
        await answered(asking)
        for reader in (silent, slow):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        await post(asking, "1.2")
        await answered(asking)
        assert asking.status == 200, "who has asked for something may take a while for the next"
        for each in (writer, slow_writer, asking.writer):
            each.close()
    finally:
        await server.stop()


async def test_senders_on_open_connections_see_no_reset_while_it_stops(rig: Rig) -> None:
    told: dict[str, int] = {}

    async def send(name: int, port: int) -> str:
        """Post again and again as a client of HTTP/1.1 does; how it ended."""
        count = 0
        while True:
            try:
                peer = await Peer.dial(port)
            except ConnectionRefusedError:
                return "refused"
            while peer.headers.get("connection") != "close":
                await post(peer, f"{name}.{count}")
                await answered(peer)
                told[f"{name}.{count}"] = peer.status
                count += 1
            peer.writer.close()

    async with serving(rig) as (server, port):
        senders = [asyncio.create_task(send(name, port)) for name in range(8)]
        await until(lambda: len(told) > 100)
        await server.stop()
        assert [await each for each in senders] == ["refused"] * 8
    assert set(told.values()) == {200}
    assert await heads(rig) == len(told)


async def test_what_is_under_way_is_answered(rig: Rig) -> None:
    store = Gated()
    async with serving(rig, store=store) as (server, port):
        peer = await Peer.dial(port)
        await post(peer, "1.1")
        await store.asked.wait()
        stopping = asyncio.create_task(server.stop())
        await until(lambda: not server.addresses)
        store.gate.set()
        assert (await answered(peer))["call"] == "1.1"
        assert (peer.status, peer.headers["connection"]) == (200, "close")
        peer.writer.close()
        await stopping


@pytest.mark.parametrize("rounds", range(4))
async def test_whom_the_kernel_has_let_in_is_answered(rig: Rig, rounds: int) -> None:
    """The request is there, and its connection not yet accepted, or half-way: closing the port would reset it."""
    async with serving(rig) as (server, port):
        body = orjson.dumps(dial("1.1"))
        head = f"POST {POST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for connection in connections:
            connection.sendall(head.encode() + body)
        for _ in range(rounds):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(server.stop())
        for connection in connections:
            connection.setblocking(False)
            peer = Peer(*await asyncio.open_connection(sock=connection))
            assert (await answered(peer))["call"] == "1.1"
            peer.writer.close()
        await stopping


async def test_requests_sent_in_a_row_are_all_answered(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        for number in range(20):
            await post(peer, f"{number}.1")
        await answered(peer)
        stopping = asyncio.create_task(server.stop())
        assert [(await answered(peer))["call"] for _ in range(19)] == [f"{number}.1" for number in range(1, 20)]
        peer.writer.close()
        await stopping


async def test_meanwhile_it_says_that_it_stops_and_takes_nobody_new(rig: Rig) -> None:
    async with serving(rig) as (server, port):
        peer = await Peer.dial(port)
        stream = await Peer.open(port)
        for expected in (200, 503):
            await peer.ask("HTTP/1.1", method="GET", path="/healthz")
            told = await answered(peer)
            assert peer.status == expected
            if expected == 200:
                stopping = asyncio.create_task(server.stop())
                await until(lambda: not server.addresses)
        assert told["error"] == "the service is stopping"
        assert [line["status"] for line in await stream.to_the_end()] == ["closing"]
        with pytest.raises(ConnectionRefusedError):
            await Peer.dial(port)
        await peer.ask("HTTP/1.1", "Transfer-Encoding: chunked")
        assert (await answered(peer))["error"] == "the service is stopping"
        for each in (peer, stream):
            each.writer.close()
        await stopping


async def test_whoever_neither_asks_nor_goes_is_not_waited_for_longer_than_that(rig: Rig) -> None:
    async with serving(rig, grace_s=0.05) as (server, port):
        peer = await Peer.dial(port)
        await post(peer, "1.1")
        await answered(peer)
        await server.stop()
        assert await peer.reader.read() == b""
        peer.writer.close()


async def test_it_can_be_stopped_before_it_began_and_twice(rig: Rig) -> None:
    never = Server(build_app(Holder(), LOCAL))
    await never.stop()
    async with serving(rig) as (server, _):
        await server.stop()
        await server.stop()


async def test_a_port_that_is_taken_is_an_error(rig: Rig) -> None:
    async with serving(rig) as (_, port):
        other = Server(build_app(Holder(), LOCAL))
        with pytest.raises(OSError, match="in use"):
            await other.start("127.0.0.1", port)
        await other.stop()
