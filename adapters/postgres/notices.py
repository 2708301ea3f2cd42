"""A word from one instance to the others: the log is joined up to here, and work of theirs is due (docs/decisions/0010).

It only saves the time until the next poll: what it is about is in the tables, so a notice that is lost loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from adapters.postgres.database import DATABASE_ERRORS, connect, explain, in_time, still_wanted

log = structlog.get_logger("notices")

CHANNEL: Final = "ms_calls"
"""As in ``sql/notify_calls.sql``."""

PING_S: Final = 5.0
"""Between two looks whether the server is still there: a connection that only listens would never notice."""

STATEMENT_S: Final = 2.0
BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class _Notice(msgspec.Struct, frozen=True):
    position: int


def position_in(payload: str) -> int | None:
    """Up to where the log was joined; None when it is not one of ours (the channel is open to everybody)."""
    try:
        return msgspec.json.decode(payload, type=_Notice).position
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


class Notices:
    """Listens on a connection of its own until cancelled; ``heard`` gets each position, of this instance's switchboard too."""

    def __init__(self, dsn: str, heard: Callable[[int], None]) -> None:
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
        if (position := position_in(payload)) is not None:
            self._heard(position)
