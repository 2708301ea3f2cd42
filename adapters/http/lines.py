"""Bytes from a connection into lines, and the lines that wait to be worked on. Both hold a bounded amount, whatever is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 4_096
"""So much is kept of a line that is too long: enough to see what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line without its end. ``number``: its place among those that are not blank, from 1. ``whole``: False when it was
    longer than the limit; then ``text`` is its beginning."""

    number: int
    text: bytes
    whole: bool = True


class Splitter:
    """Cuts bytes into lines, however they come in pieces. Blank lines are dropped: they only keep a connection alive."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._part = bytearray()
        self._length = 0
        self._count = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in these bytes. Exhaust it before the next call."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data[start:end])
            yield from self.end()
            start = end + 1
        self._add(data[start:])

    def end(self) -> Iterator[Line]:
        """The line that ends here: at a line feed, or with the last byte of all."""
        text, is_whole = bytes(self._part), self._length <= self._limit
        self._part.clear()
        self._length = 0
        if text.strip() or not is_whole:
            self._count += 1
            yield Line(number=self._count, text=text, whole=is_whole)

    def _add(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > self._limit:
            del self._part[HEAD_BYTES:]
            piece = piece[: HEAD_BYTES - len(self._part)]
        self._part += piece


class Backlog:
    """Lines between one that reads and one that works: the reader waits when there are too many, or too many bytes of them."""

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._lines)

    async def put(self, line: Line) -> None:
        """Add a line, once there is room; a single line always finds room when nothing else is there."""
        while self._lines and (len(self._lines) >= self._max_lines or self._bytes + len(line.text) > self._max_bytes):
            self._room.clear()
            await self._room.wait()
        self._lines.append(line)
        self._bytes += len(line.text)
        self._changed.set()

    async def take(self, most: int) -> list[Line]:
        """The lines that wait, up to ``most``; waits for the first. Empty once it was ended and everything was taken."""
        while not self._lines and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        taken = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
        self._bytes -= sum(len(line.text) for line in taken)
        self._room.set()
        return taken

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()
