"""The switchboard's memory in PostgreSQL (``adapters.switchboard.SwitchboardState``): a batch is one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
import orjson

from adapters.click_joiner import NearClicks
from adapters.postgres.database import DATABASE_ERRORS, explain, is_poison, load_sql, still_wanted
from adapters.switchboard import HOLD_MS, Changes, Near, Nearby, Overtaken
from core.click_joining import KnownClick
from core.errors import StoreUnavailable
from core.legs import Kind, KnownCall, Legs
from core.ports import StreamId

CHECKPOINT: Final = "switchboard"
CHANNEL: Final = "ms_calls"
"""Where instances hear of each other's batches (``LISTEN``); the payload is JSON: ``{"position": 17}``."""

_MAKE_CHECKPOINT: Final = load_sql("checkpoint_make")
_READ_CHECKPOINT: Final = load_sql("checkpoint_read")
_TAKE: Final = load_sql("switchboard_take")
_HASTEN: Final = load_sql("hasten")
_NOTIFY: Final = load_sql("notify_calls")
_NEAR: Final = load_sql("switchboard_near")
_NEAR_AT: Final = load_sql("switchboard_near_at")
_CLICKS: Final = load_sql("switchboard_clicks")
_CLICKED: Final = load_sql("switchboard_clicked")
_PRUNE: Final = load_sql("switchboard_prune")
_KEEP: Final = load_sql("switchboard_keep")
_SAVE_CLICK: Final = load_sql("switchboard_save_click")
_COLUMNS: Final = 17
"""Of calls, members and links together."""

_CLICK: Final = ("id", "extension", "number", "uid", "channel_id", "requested_ms", "started_ms", "call", "own_leg")


class PostgresSwitchboardState:
    """On the pool that the service shares; a batch holds one connection. The database must have been migrated.

    ``hold_ms``: how long an instance may stop in the middle of a batch before the server takes it from it.
    """

    def __init__(self, pool: asyncpg.Pool, *, hold_ms: int = HOLD_MS) -> None:
        self._pool = pool
        self._hold = str(hold_ms)

    async def position(self) -> int:
        """See ``SwitchboardState.position``."""
        with _told_apart():
            position = await self._pool.fetchval(_READ_CHECKPOINT, CHECKPOINT)
            if position is None:
                await self._pool.execute(_MAKE_CHECKPOINT, CHECKPOINT)
            return position or 0

    @contextlib.asynccontextmanager
    async def taken(self, after: int) -> AsyncIterator[PostgresSwitchboardBatch | None]:
        """See ``SwitchboardState.taken``."""
        with _told_apart():
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(_TAKE, CHECKPOINT, after, self._hold) is None:
                    yield None
                else:
                    batch = PostgresSwitchboardBatch(connection, after)
                    yield batch
                    await batch.keep()

    @contextlib.asynccontextmanager
    async def offered(self, after: int) -> AsyncIterator[PostgresOfferedBatch]:
        """See ``SwitchboardState.offered``."""
        with _told_apart():
            yield PostgresOfferedBatch(self._pool, after, self._hold)

    async def clicked(self, since_ms: int) -> dict[str, int]:
        """See ``SwitchboardState.clicked``."""
        with _told_apart():
            return {row["enterprise"]: row["started_ms"] for row in await self._pool.fetch(_CLICKED, since_ms)}

    async def forget(self, before_ms: int) -> None:
        """See ``SwitchboardState.forget``."""
        with _told_apart():
            async with self._pool.acquire() as connection:
                for statement in _PRUNE.split(";"):
                    if statement.strip():
                        await connection.execute(statement, before_ms)


class PostgresSwitchboardBatch:
    """One batch's transaction (``adapters.switchboard.SwitchboardBatch``); its errors are told apart by ``taken``."""

    def __init__(self, connection: Any, after: int) -> None:
        self._connection = connection
        self._after = after
        self._learned: list[list[Any]] = [[] for _ in range(_COLUMNS)]

    async def load(self, near: Mapping[str, Near]) -> dict[str, Nearby]:
        """See ``SwitchboardBatch.load``."""
        found = {enterprise: _Found() for enterprise in near}
        for row in await self._near(_asked(near)):
            found[row["enterprise"]].take(row)
        return {enterprise: each.nearby() for enterprise, each in found.items()}

    async def _near(self, asked: Sequence[Any]) -> Sequence[Any]:
        found: Sequence[Any] = await self._connection.fetch(_NEAR, *asked)
        return found

    async def save(self, changes: Mapping[str, Changes]) -> None:
        """See ``SwitchboardBatch.save``. It is written together with the place in the log, in one statement."""
        every = changes.items()
        calls = [
            (enterprise, call.id, call.kind.value, call.number, call.first_ms, call.ended_ms, call.absorbed)
            for enterprise, each in every
            for call in each.calls
        ]
        members = [(enterprise, *member, each.heard_ms) for enterprise, each in every for member in each.members]
        links = [(enterprise, *link, each.heard_ms) for enterprise, each in every for link in each.links]
        columns = [*_flat(calls, width=7), *_flat(members, width=5), *_flat(links, width=5)]
        self._learned = [[*known, *more] for known, more in zip(self._learned, columns, strict=True)]

    async def keep(self, position: int | None = None) -> None:
        """Write what was learned and is not written yet; ``position``: and how far the log is joined."""
        learned, self._learned = self._learned, [[] for _ in range(_COLUMNS)]
        if any(learned) or position is not None:
            kept = await self._connection.fetchval(_KEEP, *learned, CHECKPOINT, position, self._after)
            if kept is None:
                raise Overtaken

    async def clicks(self, near: Mapping[str, NearClicks]) -> dict[str, dict[str, KnownClick]]:
        """See ``ClickMemory.clicks``."""
        by_extension = _flat(
            ((enterprise, extension, each.since_ms) for enterprise, each in near.items() for extension in each.extensions), width=3
        )
        by_call = _flat((enterprise, call) for enterprise, each in near.items() for call in each.calls)
        found: dict[str, dict[str, KnownClick]] = {enterprise: {} for enterprise in near}
        for row in await self._connection.fetch(_CLICKS, *by_extension, *by_call):
            enterprise, *told = row.values()
            click = KnownClick(**dict(zip(_CLICK, told, strict=True)))
            found[enterprise][click.id] = click
        return found

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """See ``ClickMemory.save_clicks``."""
        rows = [
            (
                enterprise,
                click.id,
                click.extension,
                click.number,
                click.uid,
                click.channel_id,
                click.requested_ms,
                click.started_ms,
                click.call,
                click.own_leg,
            )
            for enterprise, each in clicks.items()
            for click in each
        ]
        if rows:
            await self._connection.execute(_SAVE_CLICK, *_flat(rows, width=len(rows[0])))

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch.move``. What others wait for comes last: between it and the commit there is nothing."""
        await self.keep(position)
        if hasten:
            await self._connection.execute(_NOTIFY, orjson.dumps({"position": position}).decode())
            await self._connection.execute(
                _HASTEN, [stream.enterprise for stream in hasten], [stream.name for stream in hasten], now_ms
            )


class PostgresOfferedBatch(PostgresSwitchboardBatch):
    """A batch that holds no lock: what it learned waits here until ``move`` writes it, unless others were there before."""

    def __init__(self, pool: Any, after: int, hold: str) -> None:
        super().__init__(pool, after)
        self._hold = hold
        self._clicks: list[Mapping[str, Sequence[KnownClick]]] = []

    async def _near(self, asked: Sequence[Any]) -> Sequence[Any]:
        rows = await self._connection.fetch(_NEAR_AT, *asked, CHECKPOINT, self._after)
        if not rows:
            raise Overtaken
        return [row for row in rows if row["what"] is not None]

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """See ``ClickMemory.save_clicks``."""
        self._clicks.append(clicks)

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch.move``. Nearly always it is one statement."""
        if not self._clicks and not hasten:
            await self.keep(position)
            return
        async with self._connection.acquire() as connection, connection.transaction():
            if await connection.fetchval(_TAKE, CHECKPOINT, self._after, self._hold) is None:
                raise Overtaken
            held = PostgresSwitchboardBatch(connection, self._after)
            held._learned = self._learned
            for each in self._clicks:
                await held.save_clicks(each)
            await held.move(position, hasten=hasten, now_ms=now_ms)


def _asked(near: Mapping[str, Near]) -> tuple[Any, ...]:
    """The arguments of ``switchboard_near``."""
    return (
        *_flat((enterprise, name) for enterprise, each in near.items() for name in each.legs),
        *_flat((enterprise, name) for enterprise, each in near.items() for name in each.bridges),
        *_flat((enterprise, name) for enterprise, each in near.items() for name in each.channels),
        *_flat(
            (
                (enterprise, digits, each.first_ms, each.ended_ms)
                for enterprise, each in near.items()
                for digits in each.numbers
            ),
            width=4,
        ),
    )


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """A database that is away is StoreUnavailable; values that it refuses are a bug, and stay what they are."""
    try:
        yield
    except DATABASE_ERRORS as error:
        still_wanted(error)
        if is_poison(error):
            raise
        raise StoreUnavailable(f"the database is away: {explain(error)}") from error


class _Found:
    """One enterprise's part of the rows of ``switchboard_near``."""

    def __init__(self) -> None:
        self._calls: dict[str, KnownCall] = {}
        self._members: dict[str, dict[str, bool]] = {}
        self._links: dict[str, frozenset[str]] = {}
        self._relayed: dict[tuple[str, str], int] = {}

    def take(self, row: Any) -> None:
        """Put one row where it belongs."""
        one, two = row["one"], row["two"]
        match row["what"]:
            case "member":
                self._members.setdefault(one, {})[two] = row["flag"]
            case "link":
                self._links[one] = self._links.get(one, frozenset()) | ({two} if two else frozenset())
                self._relayed[one, two] = row["first_ms"]
            case _:
                self._calls[one] = KnownCall(
                    id=one,
                    kind=Kind(row["kind"]),
                    number=two,
                    first_ms=row["first_ms"],
                    ended_ms=row["ended_ms"],
                    absorbed=row["flag"],
                )

    def nearby(self) -> Nearby:
        """What it comes to."""
        return Nearby(legs=Legs(calls=self._calls, members=self._members, links=self._links), relayed=self._relayed)


def _flat(rows: Iterable[Sequence[Any]], *, width: int = 2) -> list[list[Any]]:
    """Rows as columns: one array for each."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns
