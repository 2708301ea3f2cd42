"""Appending: every append that was timed is in the log, on either side; and a baseline that is not installed says so."""

from __future__ import annotations

import asyncpg

from bench.append import bare, keep_appending, observation, ours
from bench.eventsourcing_recorder import MISSING, datastore
from bench.ground import child, ground
from core.events import DialObserved, decode


async def test_what_is_timed_is_recorded(postgres_server: str) -> None:
    async with ground(lambda _: None, postgres_server) as place, place.database() as dsn, place.database(migrated=False) as empty:
        async with ours(dsn, 0.1) as mine, bare(empty, 0.1) as lean:
            took = [await mine(4), await mine(2)]
            theirs = await lean(4)
        for address, sides, table in ((dsn, took, "ms.events"), (empty, [theirs], "bare")):
            connection = await asyncpg.connect(address)
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == sum(len(each.each_s) for each in sides) > 0
            await connection.close()
        assert took[0].per_s > 0
        assert "p99" in took[0].told()


async def test_numbers_never_repeat() -> None:
    given: list[int] = []

    async def append(nth: int) -> None:
        given.append(nth)

    took = await keep_appending(append, 3, 0.01)
    assert len(set(given)) == len(given) == len(took.each_s)


def test_the_observation_is_one_of_the_service_s() -> None:
    assert isinstance(decode("dial_observed", 1, observation()), DialObserved)


async def test_the_library_s_recorder_counts_its_saves_or_says_that_it_is_missing(postgres_server: str) -> None:
    async with ground(lambda _: None, postgres_server) as place, place.database(migrated=False) as dsn:
        async with child(place, "eventsourcing_recorder", dsn=dsn) as recorder:
            answer = await recorder.ask("run", threads=2, seconds=0.1, data="{}")
        try:
            datastore(dsn).close()
        except ImportError:
            assert answer == {"missing": MISSING}
            return
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT count(*) FROM stored_events") == len(answer["took"]) > 0
        await connection.close()
