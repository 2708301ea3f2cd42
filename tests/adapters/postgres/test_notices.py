"""What instances tell each other: heard at once, again after the connection was lost, and never needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres import notices as noticing
from adapters.postgres.database import connect, load_sql
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.notices import Notices, position_in
from core.values import Urgency
from tests.adapters.postgres.support import eventually, relay_to
from tests.contracts.event_store import BRIDGE, CALL, OTHER_CALL, SAME_NAME_ELSEWHERE, append, due

NOTIFY, HASTEN = load_sql("notify_calls"), load_sql("hasten")


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[asyncio.Queue[int]]:
    """What a listener hears."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    listener = Notices(database_url, queue.put_nowait)
    task = asyncio.ensure_future(listener.run())
    await asyncio.wait_for(listener.listening.wait(), 10)
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_notice_is_heard_once_its_transaction_is_committed(heard: asyncio.Queue[int], pg_pool: asyncpg.Pool) -> None:
    async with pg_pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute(NOTIFY, '{"position": 9}')
        await undone.rollback()
        async with connection.transaction():
            await connection.execute(NOTIFY, '{"position": 7}')
            await connection.execute(NOTIFY, '{"position": 8}')

    assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == [7, 8]
    assert heard.empty()


async def test_it_listens_again_after_the_connection_was_lost(heard: asyncio.Queue[int], pg_pool: asyncpg.Pool) -> None:
    killed = await pg_pool.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        " AND datname = current_database()"
    )
    assert killed == 1

    async def arrives() -> bool:
        await pg_pool.execute(NOTIFY, '{"position": 5}')
        return not heard.empty()

    await eventually(arrives)
    assert heard.get_nowait() == 5


async def test_a_server_that_hangs_is_given_up_for_another_connection(
    database_url: str, pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticing, "PING_S", 0.05)
    monkeypatch.setattr(noticing, "STATEMENT_S", 0.3)
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with relay_to(database_url) as (relay, dsn):
        listener = Notices(dsn, queue.put_nowait)
        task = asyncio.ensure_future(listener.run())
        await asyncio.wait_for(listener.listening.wait(), 10)
        relay.cut()

        async def arrives() -> bool:
            await pg_pool.execute(NOTIFY, '{"position": 5}')
            return not queue.empty()

        await eventually(arrives)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("payload", ["", "{}", "[1]", "not ours", '{"position": "1"}'])
def test_what_somebody_else_says_on_the_channel_says_nothing(payload: str) -> None:
    assert position_in(payload) is None


async def test_hastened_streams_are_due_at_once_and_urgent(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    for stream in (CALL, OTHER_CALL, SAME_NAME_ELSEWHERE, BRIDGE):
        await pg_store.append(append(stream))
    await pg_store.set_due(CALL, 1, 900, Urgency.BACKLOG)
    await pg_store.set_due(OTHER_CALL, 1, 100, Urgency.ENDED)
    await pg_store.set_due(BRIDGE, 1, 300, Urgency.ENDED)

    streams = [CALL, OTHER_CALL, SAME_NAME_ELSEWHERE]
    await pg_pool.execute(HASTEN, [each.enterprise for each in streams], [each.name for each in streams], 500)

    assert await pg_store.due(1_000, 10) == [
        due(OTHER_CALL, 1, 100),
        due(CALL, 1, 500),
        due(SAME_NAME_ELSEWHERE, 1, 500),
        due(BRIDGE, 1, 300, Urgency.ENDED),
    ]


async def test_hastening_waits_for_nobody_who_writes(
    pg_store: PostgresEventStore, pg_pool: asyncpg.Pool, database_url: str
) -> None:
    for stream in (CALL, OTHER_CALL):
        await pg_store.append(append(stream))
    writer = await connect(database_url)
    writing = writer.transaction()
    await writing.start()
    await writer.execute("SELECT * FROM streams WHERE stream = $1 FOR UPDATE", CALL.name)

    async with asyncio.timeout(4):
        await pg_pool.execute(HASTEN, ["0367", "0367"], [CALL.name, OTHER_CALL.name], 500)

    assert await pg_store.due(1_000, 10) == [due(OTHER_CALL, 1, 500)]
    await writing.rollback()
    await writer.close()
