"""Whatever the real attendant recorded in a run, today's code run over it again finds nothing otherwise (docs/time-machine.md).

Here the record has real latencies, interleavings, limits and retries; only what holds the service itself up is left out (a crash,
a database that is away): from one call's record nobody can tell that from another code.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.difference import compare, facts
from core.events import Event, decode
from core.ports import StreamId
from core.rerun import rerun, time_of
from tests.simulation.loop import drive
from tests.simulation.office import settings_of
from tests.simulation.run import Run
from tests.simulation.scenario import Scenario, from_seed

SEEDS = 110
REST_MS = 200_000_000


def undisturbed() -> Iterator[Scenario]:
    for seed in range(SEEDS):
        scenario = from_seed(seed)
        if scenario.nodes == 1 and not (scenario.store_broken or scenario.backlog or scenario.tight or scenario.faults):
            yield scenario


def histories(run: Run) -> dict[StreamId, list[Event]]:
    found: dict[StreamId, list[Event]] = {}
    for each in drive(run.database.store.read_log(0, 1_000_000)):
        if each.stream.name.startswith("call/"):
            found.setdefault(each.stream, []).append(decode(each.type, each.schema, each.data))
    return found


def test_nothing_would_be_otherwise_by_the_same_code_under_the_same_settings() -> None:
    calls = 0
    for scenario in undisturbed():
        run, settings = Run(scenario).play(), settings_of(scenario)
        for stream, events in histories(run).items():
            calls += 1
            name = stream.name.removeprefix("call/")
            again = rerun(
                events,
                enterprise=stream.enterprise,
                call=name,
                settings=settings,
                limits=run.limits,
                until_ms=max(map(time_of, events)) + REST_MS,
            )
            was, would = (
                facts(each, enterprise=stream.enterprise, call=name, settings=settings) for each in (events, again.events)
            )
            assert compare(was, would) == (), (scenario, stream, again.parted)
    assert calls > 40
