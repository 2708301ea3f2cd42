"""The stages' own network does what it says: otherwise the tests on it would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.faults.network import Balancer, Relay, free_port, listening

MOMENT_S = 0.1


@contextlib.asynccontextmanager
async def echo(heard: list[bytes] | None = None) -> AsyncIterator[int]:
    """A server that answers what it hears; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1_024):
            if heard is not None:
                heard.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5.0):
        return await reader.read(1_024)


async def test_a_cut_is_silent_and_what_waits_goes_on_when_it_heals() -> None:
    async with echo() as port:
        relay = Relay(port)
        async with listening(relay):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"before")
            assert await answered(reader) == b"before"
            relay.cut()
            writer.write(b"during")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(MOMENT_S):
                    await reader.read(1)
            relay.heal()
            assert await answered(reader) == b"during"
            writer.close()


async def test_what_a_sender_said_who_gave_up_during_a_cut_is_dropped() -> None:
    heard: list[bytes] = []
    async with echo(heard) as port:
        relay = Relay(port)
        async with listening(relay):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"before")
            await answered(reader)
            relay.cut()
            writer.write(b"during")
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(MOMENT_S)  # until the relay's side of it has noticed
            relay.heal()
            another_reader, another = await asyncio.open_connection("127.0.0.1", relay.port)
            another.write(b"after")
            assert await answered(another_reader) == b"after"
            another.close()
    assert heard == [b"before", b"after"]


async def test_a_lost_peer_is_not_noticed_while_the_line_is_cut() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    relay = Relay(server.sockets[0].getsockname()[1])
    async with server, listening(relay):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        await asyncio.sleep(0)
        writer.write(b"x")
        relay.cut()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(MOMENT_S):
                await reader.read(1)
        relay.heal()
        with contextlib.suppress(ConnectionError):
            assert await answered(reader) == b""
        writer.close()


async def test_the_balancer_goes_on_to_a_back_end_that_accepts() -> None:
    async with echo() as port:
        balancer = Balancer([free_port(), port])
        async with listening(balancer):
            for _ in range(4):
                reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
                writer.write(b"x")
                assert await answered(reader) == b"x"
                writer.close()
    assert balancer.turned_away == 0


async def test_the_balancer_closes_what_nobody_accepts() -> None:
    balancer = Balancer([free_port()])
    async with listening(balancer):
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
        with contextlib.suppress(ConnectionError):
            assert await answered(reader) == b""
        writer.close()
    assert balancer.turned_away == 1
