"""The event store on PostgreSQL (``core.ports.EventStore``): appends by group commit, reads from the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import asyncpg

from adapters.latency import Latency
from adapters.postgres.batch import Item
from adapters.postgres.database import DATABASE_ERRORS, connect, explain, in_time, is_poison, load_sql
from adapters.postgres.due_times import Asked, DueTimes
from adapters.postgres.writer import GroupWriter
from adapters.tail import Tail
from adapters.wakeup import Bell, Bells
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.ports import Append, Appended, Due, RecordedEvent, StreamId, encode_events, encode_many
from core.values import Urgency

PATIENCE_S: Final = 5.0
MAX_APPENDS: Final = 5_000
"""Most appends in one ``append_many``: they are one statement and one commit."""

_READ_PAUSE_S: Final = 0.1
_READ_STREAM: Final = load_sql("read_stream")
_READ_STREAMS: Final = load_sql("read_streams")
_READ_LOG: Final = load_sql("read_log")
_HEAD: Final = load_sql("head")
_DUE: Final = load_sql("due")
_DUE_ALL: Final = load_sql("due_all")
_SET_DUE: Final = load_sql("set_due")
_NEXT_DUE: Final = load_sql("next_due")

T = TypeVar("T")


class PostgresEventStore:
    """One per process and database. ``patience_s``: how long an append or a read may wait for a database that is away.

    The database must have been migrated. ``close`` commits what was accepted; the pool stays the caller's.
    """

    def __init__(self, pool: asyncpg.Pool, dsn: str, *, patience_s: float = PATIENCE_S) -> None:
        self._pool = pool
        self._patience_s = patience_s
        self._bells = Bells()
        self._due_times = DueTimes(self._set_due)
        self.tail = Tail()
        """What this process recorded last."""
        self._writer = GroupWriter(lambda: connect(dsn), patience_s=patience_s, committed=self._committed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def latency(self) -> Latency:
        """How long appends took until they were on disk."""
        return self._writer.latency

    async def close(self) -> None:
        """Commit what was accepted, then refuse everything."""
        await self._writer.close()

    async def append(self, append: Append) -> Appended:
        """See ``EventStore.append``."""
        (result,) = await self._writer.write((Item(append=append, data=encode_events(append)),))
        if isinstance(result, VersionConflict):
            raise result
        return result

    def give(self, append: Append) -> asyncio.Future[list[Appended | VersionConflict]]:
        """The same for who does not wait: the future has the one result. Raises StoreUnavailable, AppendRefused at once."""
        return self._writer.give((Item(append=append, data=encode_events(append)),))

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore.append_many``."""
        if not appends:
            return []
        if len(appends) > MAX_APPENDS:
            raise AppendRefused(f"{len(appends)} appends at once are more than {MAX_APPENDS}")
        items = tuple(Item(append=append, data=data) for append, data in zip(appends, encode_many(appends), strict=True))
        return await self._writer.write(items)

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore.read``."""
        rows = await self._query(lambda: self._pool.fetch(_READ_STREAM, stream.enterprise, stream.name, after_version))
        return [recorded(row) for row in rows]

    async def read_many(self, after: Mapping[StreamId, int]) -> dict[StreamId, list[RecordedEvent]]:
        """See ``EventStore.read_many``."""
        found: dict[StreamId, list[RecordedEvent]] = {stream: [] for stream in after}
        if not after:
            return found
        asked = ([stream.enterprise for stream in after], [stream.name for stream in after], list(after.values()))
        for row in await self._query(lambda: self._pool.fetch(_READ_STREAMS, *asked)):
            event = recorded(row)
            found[event.stream].append(event)
        return found

    async def read_log(self, after_position: int, limit: int) -> list[RecordedEvent]:
        """See ``EventStore.read_log``."""
        return [recorded(row) for row in await self._query(lambda: self._pool.fetch(_READ_LOG, after_position, limit))]

    async def head(self) -> int:
        """See ``EventStore.head``."""
        return int(await self._query(lambda: self._pool.fetchval(_HEAD)))

    def _committed(self, items: Sequence[Item], results: Sequence[Appended | VersionConflict]) -> None:
        self.tail.take([(item.append, item.data, result) for item, result in zip(items, results, strict=True)])
        self._bells.ring()

    def subscribe(self) -> Bell:
        """See ``EventStore.subscribe``."""
        return self._bells.subscribe()

    async def due(
        self,
        now_ms: int,
        per_enterprise: int,
        enterprises: Collection[str] | None = None,
        *,
        backlog: int | None = None,
        sated: Collection[str] = (),
    ) -> list[Due]:
        """See ``EventStore.due``."""
        most = per_enterprise if backlog is None else backlog
        if enterprises is None:
            rows = await self._query(lambda: self._pool.fetch(_DUE_ALL, now_ms, per_enterprise, most, list(sated)))
        else:
            names = list(set(enterprises))
            rows = await self._query(lambda: self._pool.fetch(_DUE, now_ms, per_enterprise, most, list(sated), names))
        return [
            Due(
                stream=StreamId(enterprise=row["enterprise"], name=row["stream"]),
                version=row["version"],
                due_ms=row["due_ms"],
                urgency=Urgency(row["urgency"]),
            )
            for row in rows
        ]

    async def set_due(self, stream: StreamId, version: int, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> bool:
        """See ``EventStore.set_due``."""
        return await self._due_times.set((stream, version, due_ms, urgency))

    async def _set_due(self, asked: Sequence[Asked]) -> set[int]:
        names = ([stream.enterprise for stream, *_ in asked], [stream.name for stream, *_ in asked])
        told = ([version for _, version, _, _ in asked], [due_ms for _, _, due_ms, _ in asked], [rank for *_, rank in asked])
        rows = await self._query(lambda: self._pool.fetch(_SET_DUE, *names, *told))
        return {row["nth"] for row in rows}

    async def next_due_ms(self) -> int | None:
        """See ``EventStore.next_due_ms``."""
        due_ms = await self._query(lambda: self._pool.fetchval(_NEXT_DUE))
        return None if due_ms is None else int(due_ms)

    async def _query(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until answered or out of patience; every statement asked this way may be repeated."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        while True:
            try:
                return await in_time(ask(), deadline - loop.time())
            except DATABASE_ERRORS as error:
                if is_poison(error):
                    raise
                if loop.time() + _READ_PAUSE_S >= deadline:
                    raise StoreUnavailable(f"the database is away: {explain(error)}") from error
            await asyncio.sleep(_READ_PAUSE_S)


def recorded(row: Any) -> RecordedEvent:
    """An event as the log's queries return it."""
    return RecordedEvent(
        stream=StreamId(enterprise=row["enterprise"], name=row["stream"]),
        version=row["version"],
        position=row["position"],
        id=row["id"],
        type=row["type"],
        schema=row["schema"],
        data=row["data"],
        recorded_ms=row["recorded_ms"],
    )
