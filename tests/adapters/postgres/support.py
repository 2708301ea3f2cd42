"""What the PostgreSQL tests share: a follower that checks what it reads, and many writers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from core.ports import Append, Appended, EventStore, NewEvent, RecordedEvent, StreamId
from tests.contracts.event_store import event


class Follower:
    """Follows the log as every reader of the house does, and fails at the first gap or inversion."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.seen: list[RecordedEvent] = []
        self._versions: dict[StreamId, int] = {}

    async def step(self, limit: int = 100) -> int:
        """Read the next page; how many events it held."""
        page = await self._store.read_log(len(self.seen), limit)
        for recorded in page:
            assert recorded.position == len(self.seen) + 1, "a gap in the log, or an event that came late"
            assert recorded.version == self._versions.get(recorded.stream, 0) + 1, "a stream out of order"
            self._versions[recorded.stream] = recorded.version
            self.seen.append(recorded)
        return len(page)

    async def follow(self, done: Callable[[], bool]) -> None:
        """Read until nothing is left after ``done`` became true. Always behind the writers' heels: no pause at all."""
        while True:
            finished = done()
            if not await self.step() and finished:
                return


def calls(number: int) -> StreamId:
    """One of a few streams, so that writers meet in them."""
    return StreamId(enterprise=f"{number % 2:04}", name=f"call/{number % 5}")


async def write(store: EventStore, writer: int, appends: int, after_each: Callable[[], Awaitable[None]]) -> list[Appended]:
    """One writer: appends of one to three events, each event with a note of its own."""
    results = []
    for number in range(appends):
        events: tuple[NewEvent, ...] = tuple(event(f"{writer}-{number}-{nth}") for nth in range(1 + number % 3))
        results.append(await store.append(Append(stream=calls(writer + number), events=events)))
        await after_each()
    return results


async def nothing() -> None:
    """For writers that need nothing done after each append."""
    await asyncio.sleep(0)


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; it is asked over and over, because the database does not tell when it changes."""
    for _ in range(4_000):
        if await true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came about")


async def waiting_for_locks(connection: Any, count: int, kind: str = "%") -> None:
    """Return once so many statements of this database (the server has others' too) wait for a lock, of that kind."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event LIKE $1
    """

    async def waiting() -> bool:
        return bool(await connection.fetchval(query, kind) >= count)

    await eventually(waiting)


class Relay:
    """A way to the server over TCP that can be blocked: connections stay, and nothing comes through any more."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.accepted = 0

    def block(self) -> None:
        """From now on both ends wait, as with a server that was stopped, or a cable that was pulled out."""
        self._open.clear()

    def cut(self) -> None:
        """The connections there are lead nowhere for ever; new ones are served."""
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    def unblock(self) -> None:
        """Everything that was held up arrives."""
        self._open.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        self.accepted += 1
        passes = self._open
        await passes.wait()
        inner, outer = await asyncio.open_unix_connection(self._path)
        await asyncio.gather(self._pump(passes, reader, outer), self._pump(passes, inner, writer), return_exceptions=True)

    async def _pump(self, passes: asyncio.Event, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await passes.wait()
                target.write(data)
                await target.drain()
        finally:
            target.close()


@asynccontextmanager
async def relay_to(database_url: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay and the DSN that leads through it."""
    relay = Relay(await socket_path(database_url))
    server = await asyncio.start_server(relay.connected, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    yield relay, over_tcp(database_url, relay.port)
    relay.unblock()
    server.close()


async def socket_path(database_url: str) -> str:
    """Where the test's server listens."""
    connection = await asyncpg.connect(database_url)
    folder = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    await connection.close()
    return f"{folder.split(',')[0].strip()}/.s.PGSQL.{port}"


def over_tcp(database_url: str, port: int, host: str = "127.0.0.1", password: str = "geheim") -> str:  # the server trusts
    """The same database at another address."""
    parts = urlsplit(database_url)
    user = parts.username or dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("user", "postgres")
    return f"postgresql://{user}:{password}@{host}:{port}{parts.path}"
