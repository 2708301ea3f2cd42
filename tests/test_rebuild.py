"""Read models after real recordings: rebuilt equals live, each fact fed once whatever was stopped when, F5's query works."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from adapters.postgres.projections import ProjectionRunner
from adapters.postgres.rebuild import rebuild
from core.events import EffectDone, HangupObserved, decode
from core.ports import ProjectionDb, RecordedEvent
from projections.calls import Calls
from projections.journal import Journal
from projections.statistics import Statistics
from tests.playback import as_call_event, recording
from tests.rig import Rig, running

PLAYED = ("ring_group_abandoned", "attended_transfer", "internal", "inbound_hidden_cli")
F5 = "SELECT * FROM integration_logs WHERE integration_type = 'ms' ORDER BY created_at DESC LIMIT 50"


class Stopped(Exception):
    """The process is gone: whatever was under way is rolled back."""


@dataclass(slots=True)
class Unlucky:
    """A read model that is stopped in mid-batch: after its rows are written, before its checkpoint moves, every other time."""

    inner: Calls | Journal | Statistics
    batches: int = 0
    stopped: int = 0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.inner.name

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        self.batches += 1
        await self.inner.apply(db, events)
        if self.batches % 2:
            self.stopped += 1
            raise Stopped


async def play(rig: Rig, names: Sequence[str]) -> None:
    """Recordings one after the other, each at its own time."""
    for name in names:
        for line in recording(name):
            await rig.wait(max(0, line.at_ms - rig.clock.now_ms))
            status, answer = await rig.post(*as_call_event(line))
            assert status == 200, answer
            await rig.settle()
        await rig.wait(60_000)


async def anew(rig: Rig, *, piece: int = 7) -> None:
    """Derive them all anew, in small pieces."""
    await rebuild(rig.dsn, tuple(rig.service.runner.rebuildable().values()), piece=piece)


MODELS = ("calls", "journal", "statistics")
STATISTICS = ("statistics_calls", "statistics_people", "statistics_requests", "statistics_names")


async def tables(rig: Rig) -> tuple[list[tuple[Any, ...]], ...]:
    """``calls``, ``integration_logs`` without its id, and the statistics, row by row."""
    calls = await rig.service.pool.fetch("SELECT * FROM calls ORDER BY enterprise, call")
    logs = await rig.service.pool.fetch("SELECT * FROM integration_logs ORDER BY ms_position NULLS FIRST, id")
    sums = [sorted(tuple(row) for row in await rig.service.pool.fetch(f"SELECT * FROM {table}")) for table in STATISTICS]
    return [tuple(row) for row in calls], [tuple(value for key, value in row.items() if key != "id") for row in logs], *sums


async def test_rebuilt_equals_live_row_by_row_and_the_old_query_works(database_url: str) -> None:
    async with running(database_url) as rig:
        rig.clock.now_ms = recording(PLAYED[0])[0].at_ms - 1_000
        for name in PLAYED:  # fed while it happens, as in service
            await play(rig, [name])
            await rig.service.runner.catch_up()
        await rig.service.pool.execute(
            "INSERT INTO integration_logs (enterprise_number, integration_type, event_type, status)"
            " VALUES ('1', 'ms', 'old', 'ok'), ('1', 'retailcrm', 'theirs', 'ok')"
        )
        live = await tables(rig)
        assert len(live[0]) >= len(PLAYED)
        assert all(live), "each table has something that could differ"
        await anew(rig)
        assert await tables(rig) == live
        rows = await rig.service.pool.fetch(F5)
        assert 0 < len(rows) <= 50
        moments = [row["created_at"] for row in rows]
        assert moments == sorted(moments, reverse=True)
        assert {"old", "hangup", "register_call"} <= {row["event_type"] for row in rows}
        assert "theirs" not in {row["event_type"] for row in rows}


async def test_stopped_in_mid_batch_each_fact_is_still_told_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.service.ProjectionRunner", _small_batches())
    models = (Unlucky(Calls()), Unlucky(Journal()), Unlucky(Statistics()))
    async with running(database_url, projections=models) as rig:
        rig.clock.now_ms = recording(PLAYED[0])[0].at_ms - 1_000
        await play(rig, PLAYED[:2])
        for name in MODELS:
            while True:
                try:
                    await rig.service.runner.catch_up(name)
                except Stopped:
                    continue
                break
        assert all(model.stopped >= 3 for model in models)
        unlucky = await tables(rig)
        positions = [row[-1] for row in unlucky[1]]
        assert len(positions) == len(set(positions)) > 0
        wanted = await _facts(rig)
        assert Counter(row[2] for row in unlucky[1]) & wanted == wanted
    async with running(database_url) as rig:
        await anew(rig)
        assert await tables(rig) == unlucky


async def test_two_runners_at_once_tell_each_fact_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.service.ProjectionRunner", _small_batches())
    async with running(database_url) as rig:
        rig.clock.now_ms = recording(PLAYED[0])[0].at_ms - 1_000
        await play(rig, PLAYED[:1])
        await asyncio.gather(*(rig.service.runner.catch_up() for _ in range(4)))
        live = await tables(rig)
        await anew(rig)
        assert await tables(rig) == live


async def _facts(rig: Rig) -> Counter[str]:
    """What the log itself says must be told: hangups and effects done."""
    found: Counter[str] = Counter()
    for each in await rig.service.store.read_log(0, 10_000):
        event = decode(each.type, each.schema, each.data)
        if isinstance(event, HangupObserved):
            found["hangup"] += 1
        elif isinstance(event, EffectDone):
            found[str(event.effect["type"])] += 1
    return found


def _small_batches() -> Any:
    return partial(ProjectionRunner, batch=3)
