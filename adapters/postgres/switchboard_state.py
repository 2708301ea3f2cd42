"""The switchboard's memory in PostgreSQL (``adapters.switchboard.SwitchboardState``): a batch is one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any, Final

import asyncpg
import orjson

from adapters.click_joiner import NearClicks
from adapters.postgres.database import DATABASE_ERRORS, explain, is_poison, load_sql, still_wanted
from adapters.switchboard import HOLD_MS, Changes, Near
from core.click_joining import KnownClick
from core.errors import StoreUnavailable
from core.legs import Kind, KnownCall, Legs
from core.ports import StreamId

CHECKPOINT: Final = "switchboard"
CHANNEL: Final = "ms_calls"
"""Where instances hear of each other's batches (``LISTEN``); the payload is JSON: ``{"position": 17}``."""

_MAKE_CHECKPOINT: Final = load_sql("checkpoint_make")
_READ_CHECKPOINT: Final = load_sql("checkpoint_read")
_TAKE_CHECKPOINT: Final = load_sql("checkpoint_take")
_MOVE_CHECKPOINT: Final = load_sql("checkpoint_move")
_HOLD: Final = load_sql("switchboard_hold")
_HASTEN: Final = load_sql("hasten")
_NOTIFY: Final = load_sql("notify_calls")
_CALLS: Final = load_sql("switchboard_calls")
_CLICKS: Final = load_sql("switchboard_clicks")
_LINKS: Final = load_sql("switchboard_links")
_MEMBERS: Final = load_sql("switchboard_members")
_PRUNE: Final = load_sql("switchboard_prune")
_RELAYED: Final = load_sql("switchboard_relayed")
_SAVE_CALL: Final = load_sql("switchboard_save_call")
_SAVE_CLICK: Final = load_sql("switchboard_save_click")
_SAVE_LINK: Final = load_sql("switchboard_save_link")
_SAVE_MEMBER: Final = load_sql("switchboard_save_member")
_SET_RELAYED: Final = load_sql("switchboard_set_relayed")


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
                await connection.execute(_HOLD, self._hold)
                if await connection.fetchval(_TAKE_CHECKPOINT, CHECKPOINT, after) is None:
                    yield None
                else:
                    yield PostgresSwitchboardBatch(connection)

    async def forget(self, before_ms: int) -> None:
        """See ``SwitchboardState.forget``."""
        with _told_apart():
            async with self._pool.acquire() as connection:
                for statement in _PRUNE.split(";"):
                    if statement.strip():
                        await connection.execute(statement, before_ms)


class PostgresSwitchboardBatch:
    """One batch's transaction (``adapters.switchboard.SwitchboardBatch``); its errors are told apart by ``taken``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def load(self, enterprise: str, near: Near) -> Legs:
        """See ``SwitchboardBatch.load``."""
        channels = dict.fromkeys(near.channels)
        members: dict[str, dict[str, bool]] = {}
        for row in await self._connection.fetch(_MEMBERS, enterprise, near.bridges, near.channels):
            members.setdefault(row["bridge"], {})[row["channel"]] = row["trunk"]
            channels[row["channel"]] = None
        legs = dict.fromkeys(near.legs) | dict.fromkeys(f"bridge/{name}" for name in members)
        legs |= dict.fromkeys(f"channel/{name}" for name in channels)
        links: dict[str, frozenset[str]] = {}
        linked = dict[str, None]()
        for row in await self._connection.fetch(_LINKS, enterprise, list(legs)):
            links[row["leg"]] = links.get(row["leg"], frozenset()) | ({row["call"]} if row["call"] else frozenset())
            linked[row["call"]] = None
        rows = await self._connection.fetch(_CALLS, enterprise, list(channels | linked), near.numbers, near.first_ms, near.ended_ms)
        return Legs(calls={row["call"]: _known(row) for row in rows}, members=members, links=links)

    async def save(self, enterprise: str, changes: Changes) -> None:
        """See ``SwitchboardBatch.save``."""
        if changes.calls:
            await self._connection.executemany(
                _SAVE_CALL,
                [
                    (enterprise, call.id, call.kind.value, call.number, call.first_ms, call.ended_ms, call.absorbed)
                    for call in changes.calls
                ],
            )
        if changes.members:
            await self._connection.executemany(
                _SAVE_MEMBER, [(enterprise, *member, changes.heard_ms) for member in changes.members]
            )
        if changes.links:
            await self._connection.executemany(_SAVE_LINK, [(enterprise, *link, changes.heard_ms) for link in changes.links])

    async def relayed(self, enterprise: str, leg: str, call: str) -> int:
        """See ``SwitchboardBatch.relayed``."""
        return await self._connection.fetchval(_RELAYED, enterprise, leg, call) or 0

    async def set_relayed(self, enterprise: str, leg: str, call: str, version: int) -> None:
        """See ``SwitchboardBatch.set_relayed``."""
        await self._connection.execute(_SET_RELAYED, enterprise, leg, call, version)

    async def clicks(self, enterprise: str, near: NearClicks) -> dict[str, KnownClick]:
        """See ``ClickMemory.clicks``."""
        rows = await self._connection.fetch(_CLICKS, enterprise, near.extensions, near.since_ms, near.calls)
        return {row["id"]: KnownClick(**dict(row)) for row in rows}

    async def save_clicks(self, enterprise: str, clicks: Sequence[KnownClick]) -> None:
        """See ``ClickMemory.save_clicks``."""
        await self._connection.executemany(
            _SAVE_CLICK,
            [
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
                for click in clicks
            ],
        )

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch.move``. What others wait for comes last: between it and the commit there is nothing."""
        await self._connection.execute(_MOVE_CHECKPOINT, CHECKPOINT, position)
        if hasten:
            await self._connection.execute(_NOTIFY, orjson.dumps({"position": position}).decode())
            await self._connection.execute(
                _HASTEN, [stream.enterprise for stream in hasten], [stream.name for stream in hasten], now_ms
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


def _known(row: Any) -> KnownCall:
    return KnownCall(
        id=row["call"],
        kind=Kind(row["kind"]),
        number=row["number"],
        first_ms=row["first_ms"],
        ended_ms=row["ended_ms"],
        absorbed=row["absorbed"],
    )
