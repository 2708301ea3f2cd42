"""AMI on the wire: bytes to messages and actions to bytes, without any socket (sans I/O).

A message is lines of ``Name: value``, ended by an empty line. Asterisk is trusted to be slow, old or broken, not to be kind:
everything has a limit, and what breaks one ends the connection in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

MAX_LINE: Final = 16_384
"""Bytes of one line. A caller's name is 80; the longest of Asterisk's own (an application's data) are some thousands."""

MAX_HEADERS: Final = 500
MAX_MESSAGE: Final = 131_072
"""Lines and bytes of one message: the answer to a command is the longest, and we give none that is long."""

MAX_BANNER: Final = 256
BANNER: Final = "Asterisk Call Manager/"

Message = dict[str, str]
"""Names as Asterisk writes them; of a repeated one the values are joined by line feeds."""


class BadWire(Exception):
    """The peer does not speak AMI (any more): what it sent instead."""


class Reader:
    """Takes bytes as they come, gives messages as they are complete. The first line is the banner."""

    def __init__(self) -> None:
        self.banner = ""
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now. Raises BadWire."""
        self._buffer += data
        start = 0
        while (end := self._buffer.find(b"\n", start)) >= 0:
            line = bytes(self._buffer[start:end])
            start = end + 1
            if (message := self._line(line.removesuffix(b"\r"))) is not None:
                yield message
        del self._buffer[:start]
        limit = MAX_LINE if self.banner else MAX_BANNER
        if len(self._buffer) > limit:
            raise BadWire(f"it sent a line of more than {limit} bytes")

    def _line(self, raw: bytes) -> Message | None:
        if len(raw) > MAX_LINE:
            raise BadWire(f"it sent a line of more than {MAX_LINE} bytes")
        line = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
        if not self.banner:
            if not line.startswith(BANNER):
                raise BadWire("it does not begin as an Asterisk Manager does: is this its AMI port?")
            self.banner = line[:MAX_BANNER]
            return None
        if line:
            self._lines.append(line)
            self._size += len(raw)
            if len(self._lines) > MAX_HEADERS or self._size > MAX_MESSAGE:
                raise BadWire(f"it sent a message of more than {MAX_HEADERS} lines or {MAX_MESSAGE} bytes")
            return None
        lines, self._lines, self._size = self._lines, [], 0
        return _message(lines) if lines else None


def _message(lines: list[str]) -> Message:
    message: Message = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            name, value = "", line  # a command's output of old Asterisks
        value = value.removeprefix(" ")
        message[name] = f"{message[name]}\n{value}" if name in message else value
    if "Event" not in message and "Response" not in message:
        raise BadWire("it sent a message that is neither an event nor a response")
    return message


def action(name: str, headers: Mapping[str, str | list[str]]) -> bytes:
    """An action as it is sent. Raises ValueError for a value with a line break: it would be a header of its own."""
    lines = [f"Action: {name}"]
    for key, value in headers.items():
        lines += [f"{key}: {each}" for each in ([value] if isinstance(value, str) else value)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError(f"a header of {name} holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
