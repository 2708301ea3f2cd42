"""Ingest: what senders were told is what is in the log, and the check afterwards finds what is lost, doubled or swapped."""

from __future__ import annotations

import asyncpg
import pytest

from bench.append import bare
from bench.ground import child, ground
from bench.ingest import checked, is_whole, service, told
from bench.sizes import TINY

RESEND = """
INSERT INTO ms.events
SELECT enterprise, stream || 'x', version, position + 1000000, gen_random_uuid(), type, schema, data, recorded_ms
FROM ms.events WHERE type = 'dial_observed' ORDER BY position DESC LIMIT 1
"""
SWAP = """
UPDATE ms.events SET position = position + 2000000
WHERE data ->> 'wire' = 'call-event' AND data -> 'raw' ->> 'BenchNth' ~ '^0001:0+$'
"""


@pytest.mark.slow
async def test_posts_and_streams_are_counted_as_the_log_has_them(postgres_server: str) -> None:
    async with (
        ground(lambda _: None, postgres_server) as place,
        child(place, "senders") as senders,
        service(place, TINY, senders) as (post, dsn, (made,)),
    ):
        answer = await post("a", 0.4)
        assert answer["answers"] == {"200": sum(answer["sent"])}
        assert len(answer["took_ns"]) == sum(answer["sent"]) > 0
        check = await checked(dsn, answer)
        assert is_whole(check), check
        assert "p99" in told(answer)
        order = {"ports": [made.port], "streams": 2, "enterprises": TINY.enterprises, "seconds": 0.3, "mark": "b", "first": 500}
        lines = await senders.ask("streams", **order)
        assert lines["acknowledged"] == sum(lines["sent"]) > 0
        assert lines["bad"] == 0
        assert 0 < lines["in time"] <= lines["acknowledged"]
        connection = await asyncpg.connect(dsn)
        kept = "SELECT count(*) FROM ms.events WHERE data ->> 'wire' = 'call-event'"
        assert await connection.fetchval(kept) == sum(answer["sent"]) + sum(lines["sent"])
        await connection.close()


@pytest.mark.slow
async def test_the_check_finds_what_is_wrong(postgres_server: str) -> None:
    async with (
        ground(lambda _: None, postgres_server) as place,
        child(place, "senders") as senders,
        service(place, TINY, senders) as (post, dsn, (made,)),
    ):
        answer = await post("a", 0.4)
        await made.stop()  # what is done to the log now is nobody's work
        connection = await asyncpg.connect(dsn)
        acknowledged = {**answer, "answers": {"200": sum(answer["sent"]) + 1, "503": 2}}
        check = await checked(dsn, acknowledged)
        assert (check["lost"], check["refused"], is_whole(check)) == ("1", "2", False)
        await connection.execute(RESEND)
        check = await checked(dsn, answer)
        assert (check["twice"], is_whole(check)) == ("1", False)
        await connection.execute(SWAP)
        check = await checked(dsn, answer)
        assert check["out of a sender's order"] != "0"
        await connection.close()


async def test_the_prototype_keeps_what_it_acknowledges_and_asks_the_api(postgres_server: str) -> None:
    async with (
        ground(lambda _: None, postgres_server) as place,
        child(place, "senders") as senders,
        child(place, "local_api") as api,
        place.database(migrated=False) as dsn,
        bare(dsn, 0.1),
        child(place, "prototype", dsn=dsn, api_port=(await api.ask("port"))["port"]) as prototype,
    ):
        port = (await prototype.ask("port"))["port"]
        answer = await senders.ask("closed", ports=[port], senders=3, enterprises=2, seconds=0.3, mark="p")
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT count(*) FROM bare") == answer["answers"]["200"] == len(answer["took_ns"]) > 0
        dials = await connection.fetchval("SELECT count(*) FROM bare WHERE type = 'dial' AND data ->> 'CallType' <> '2'")
        await connection.close()
        asked = (await api.ask("take"))["asked"]
        shown = [name for _, name, actions, _ in asked if "SHOW" in actions]
        assert len(shown) == len(set(shown))
        assert dials - 3 <= len(shown) <= dials, "all but those that were under way"
