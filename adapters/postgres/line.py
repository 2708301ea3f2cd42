"""A connection of one's own for what must not queue behind anybody else: short statements, one at a time, each in good time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.postgres.database import DATABASE_ERRORS, explain, still_wanted
from core.errors import StoreUnavailable


class Line:
    """Opened when it is needed, dropped at the first trouble. ``patience_s`` bounds every caller's wait."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], *, patience_s: float) -> None:
        self._connect = connect
        self._patience_s = patience_s
        self._turn = asyncio.Lock()
        self._connection: Any = None
        self._opening: asyncio.Task[Any] | None = None

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """The rows of one statement. Raises StoreUnavailable; whether the statement took effect is unknown then."""
        try:
            async with asyncio.timeout(self._patience_s), self._turn:
                connection = await self._open()
                try:
                    rows: list[Any] = await connection.fetch(query, *args)
                except BaseException:
                    self._drop()  # a statement that was cut off leaves a connection that nobody can rely on
                    raise
                return rows
        except DATABASE_ERRORS as error:
            still_wanted(error)
            raise StoreUnavailable(f"the database is away: {explain(error)}") from error

    async def close(self) -> None:
        """Let go of the connection."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        self._drop()

    async def _open(self) -> Any:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        # A connection may be longer in coming than one caller waits (hosts are tried in turn): it goes on coming, for the next.
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._connect())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, opening: asyncio.Future[Any]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
