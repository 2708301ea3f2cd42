"""A word from one instance to the others: these enterprises' work was made due just now (docs/decisions/0010).

It only saves the time until the next poll: what it is about is in the tables, so a notice that is lost loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec
import structlog

from adapters.postgres.database import DATABASE_ERRORS, connect, explain, in_time, still_wanted

log = structlog.get_logger("notices")

CHANNEL: Final = "ms_calls"
"""As in ``sql/notify.sql``."""

MAX_BYTES: Final = 7_900
"""PostgreSQL takes less than 8,000 bytes in one notice."""

PING_S: Final = 5.0
"""Between two looks whether the server is still there: a connection that only listens would never notice."""

STATEMENT_S: Final = 2.0
BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


def payloads(enterprises: Collection[str]) -> list[str]:
    """The notices that name these enterprises; each short enough to be sent."""
    texts: list[list[str]] = [[]]
    size = 2
    for name in sorted(enterprises):
        length = len(msgspec.json.encode(name)) + 1
        if size + length > MAX_BYTES:
            texts.append([])
            size = 2
        texts[-1].append(name)
        size += length
    return [msgspec.json.encode(names).decode() for names in texts if names]


def named(payload: str) -> list[str]:
    """The enterprises of a notice; none when it is not one of ours (the channel is open to everybody)."""
    try:
        return msgspec.json.decode(payload, type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


class Notices:
    """Listens on a connection of its own until cancelled; ``heard`` gets each payload, from this instance's switchboard too."""

    def __init__(self, dsn: str, heard: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._heard = heard
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen; connect again whenever the connection is lost."""
        failures = 0
        while True:
            try:
                await self._listen()
            except DATABASE_ERRORS as error:
                still_wanted(error)
                failures = 0 if self.listening.is_set() else failures + 1
                if failures <= 1:
                    log.warning("not_listening", reason=explain(error))
            finally:
                self.listening.clear()
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _listen(self) -> None:
        """Raises one of DATABASE_ERRORS in the end."""
        connection = await connect(self._dsn, statement_s=STATEMENT_S)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._received)
            self.listening.set()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PING_S):
                        await lost.wait()
                        break
                await in_time(connection.fetchval("SELECT 1"), STATEMENT_S)
            raise ConnectionResetError("the connection was lost")
        finally:
            connection.terminate()

    def _received(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard(payload)
