"""A sender of the stream, down to its bytes: what it sends in which pieces, and what it reads when."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Self

from adapters.http.internal import EVENTS
from tests.eventually import PATIENCE_S


class Peer:
    """One connection. ``status`` and ``headers`` are those of the answer; lines come parsed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self._rest = b""

    @classmethod
    async def dial(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect, and say nothing yet. A small ``receive_buffer`` makes a peer that is soon full."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=connection, limit=4096))

    @classmethod
    async def open(cls, port: int, *headers: str, **options: Any) -> Self:
        """Ask for a stream and read the head of the answer, before anything is sent."""
        peer = await cls.dial(port, **options)
        await peer.ask("HTTP/1.1", "Transfer-Encoding: chunked", *headers)
        await peer.read_head()
        return peer

    async def ask(self, version: str, *headers: str, method: str = "POST", path: str = EVENTS, body: bytes = b"") -> None:
        """Send the head of a request, and what may follow at once."""
        self.writer.write("\r\n".join([f"{method} {path} {version}", "Host: test", *headers, "", ""]).encode() + body)
        await self.writer.drain()

    async def read_head(self) -> None:
        """Read the status line and the headers of an answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}

    async def send(self, *events: Any) -> None:
        """Send events, one a line, as one chunk."""
        await self.send_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    async def send_bytes(self, raw: bytes) -> None:
        """Send bytes as one chunk."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        await self.writer.drain()

    async def finish(self) -> None:
        """Say that nothing more comes."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def line(self) -> Any:
        """The next line of the answer; None at its end."""
        while b"\n" not in self._rest:
            async with asyncio.timeout(PATIENCE_S):
                piece = await self._piece()
            if not piece:
                assert self._rest == b"", "the last line has no end"
                return None
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def lines(self, count: int) -> list[Any]:
        """The next ``count`` lines."""
        return [await self.line() for _ in range(count)]

    async def to_the_end(self) -> list[Any]:
        """All lines that still come, until the answer ends."""
        found = []
        while (line := await self.line()) is not None:
            found.append(line)
        return found

    async def json(self) -> Any:
        """The body of an answer that is not a stream."""
        return json.loads(await self.reader.readexactly(int(self.headers["content-length"])))

    def drop(self) -> None:
        """Be gone, without a word."""
        self.writer.transport.abort()

    async def _piece(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return await self.reader.read(65_536)
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        piece = await self.reader.readexactly(size + 2)
        return piece[:size]
