"""The bare group-commit writer: what is left of an event store without dedup, versions, work rows or retries. A baseline."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg

MOST: Final = 500
"""Events in one commit, as in the service's own writer."""

TABLE: Final = """
CREATE TABLE IF NOT EXISTS bare (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    type text NOT NULL,
    data json NOT NULL
)
"""
_INSERT: Final = "INSERT INTO bare (stream, type, data) SELECT * FROM unnest($1::text[], $2::text[], $3::json[])"
ONE: Final = "INSERT INTO bare (stream, type, data) VALUES ($1, $2, $3)"

Row = tuple[str, str, str]


class BareWriter:
    """Whatever is given to it while one commit is under way goes into the next, in one statement."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, row: Row) -> None:
        """Returns when it is on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        await done

    async def _work(self) -> None:
        statement: Any = await self._connection.prepare(_INSERT)
        while self._waiting:
            await asyncio.sleep(0)
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            streams, types, data = zip(*(row for row, _ in batch), strict=True)
            await statement.fetch(streams, types, data)
            for _, done in batch:
                done.set_result(None)
        self._task = None


async def open_bare(dsn: str) -> asyncpg.Connection:
    """A connection on which commits wait for the disk, and the table."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET synchronous_commit = on")
    await connection.execute(TABLE)
    return connection
