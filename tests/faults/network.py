"""The network between the processes of a stage: a relay that can be cut, and a plain TCP balancer. Neither knows HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence

CHUNK_BYTES = 65_536
CONNECT_S = 1.0
"""How long the balancer waits for one back end to accept; a port where nobody listens refuses at once."""


class Relay:
    """Carries bytes between whoever connects to ``port`` and ``target``, until it is cut.

    A cut is silent: no byte passes in either direction, nothing is closed, and new connections get no answer. When it
    heals, connections whose both ends still wait go on where they were, as TCP's repeats would make them; what a sender
    had sent who has closed since is dropped, as a kernel gives up on it.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes now."""
        return not self._whole.is_set()

    def cut(self) -> None:
        """From now on nothing passes."""
        self._whole.clear()

    def heal(self) -> None:
        """Everything passes again."""
        self._whole.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one more connection, in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            if not reader.at_eof():
                with contextlib.suppress(OSError):
                    await self._connect(reader, writer)
        finally:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await joined(reader, writer, *await asyncio.open_connection("127.0.0.1", self.target), self._whole)

    def drop(self) -> None:
        """Forget every connection (at the end)."""
        for task in self._tasks:
            task.cancel()


class Balancer(Relay):
    """Connects each new connection to the next back end that accepts it; where none does, it is closed."""

    def __init__(self, backends: Sequence[int]) -> None:
        super().__init__(0)
        self._backends = list(backends)
        self._next = 0
        self.turned_away = 0

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._in_turn():
            try:
                async with asyncio.timeout(CONNECT_S):
                    back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:  # TimeoutError is one
                continue
            await joined(reader, writer, *back, self._whole)
            return
        self.turned_away += 1

    def _in_turn(self) -> Iterator[int]:
        first, self._next = self._next, (self._next + 1) % len(self._backends)
        yield from (self._backends[(first + n) % len(self._backends)] for n in range(len(self._backends)))


async def joined(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    back_reader: asyncio.StreamReader,
    back_writer: asyncio.StreamWriter,
    whole: asyncio.Event,
) -> None:
    """Carry bytes both ways until both ends have said their last, or one is lost. Raises OSError in the latter case."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, back_writer, whole))
            group.create_task(_pump(back_reader, writer, whole))
    except* OSError as errors:
        await whole.wait()  # nobody hears of a loss while the line is cut
        raise OSError("one end was lost") from errors
    else:
        await _flushed(writer)
    finally:
        back_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: asyncio.Event) -> None:
    while True:
        data = await reader.read(CHUNK_BYTES)
        if not whole.is_set():
            await whole.wait()
            if reader.at_eof():
                data = b""
        if not data:
            break
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Close in good order: what was written still arrives."""
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(CONNECT_S):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(relay: Relay) -> AsyncIterator[None]:
    """Let a relay or balancer listen on a free loopback port, which it keeps in ``port``."""
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        relay.heal()
        server.close()
        relay.drop()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
