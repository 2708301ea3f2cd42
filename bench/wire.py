"""HTTP/1.1 by hand, as little as the bench's own servers and senders need: its cost must not hide the cost that is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


def body_length(head: bytes) -> int:
    """What Content-Length says; 0 without one. Nothing here sends chunks."""
    place = head.lower().find(_LENGTH)
    if place < 0:
        return 0
    return int(head[place + len(_LENGTH) :].partition(b"\r\n")[0])


def post(path: str, body: bytes, *, host: str = "127.0.0.1") -> bytes:
    """A request as the dispatcher sends it."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def ok(body: bytes) -> bytes:
    """An answer 200 of JSON."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Messages(asyncio.Protocol):
    """Cuts what comes into messages; ``heard(head, body)`` is called for each."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        data = self._data + data if self._data else data
        while (end := data.find(HEAD_END)) >= 0:
            whole = end + 4 + body_length(data[:end])
            if len(data) < whole:
                break
            self.heard(data[:end], data[end + 4 : whole])
            data = data[whole:]
        self._data = data

    def heard(self, head: bytes, body: bytes) -> None:
        """One whole message."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send, if the other end is still there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class Asker(Messages):
    """A client's connection with one request under way at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer. Raises ConnectionError when the other end goes."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def heard(self, head: bytes, body: bytes) -> None:
        """See above."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())


async def connected(port: int) -> Asker:
    """A connection to a port of this machine."""
    _, asker = await asyncio.get_running_loop().create_connection(Asker, "127.0.0.1", port)
    return asker


async def serving(make: Callable[[], Messages]) -> tuple[asyncio.Server, int]:
    """A server on a free port, and the port."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, backlog=1_024)
    return server, int(server.sockets[0].getsockname()[1])
