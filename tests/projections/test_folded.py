"""What is remembered of calls is what their histories say, however the log is cut, whatever was forgotten, whoever took a batch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.call import fold, initial
from core.events import EffectFailed, EffectRefused, decode
from core.ports import RecordedEvent
from projections.folded import Folded, FoldedCalls, folded_on, unheard
from tests.playback import NAMES
from tests.scenario import events
from tests.settings import SETTINGS
from tests.strategies import faults, histories
from tests.told import calls_of, lived, recorded
from tests.world import Fault, World, hear_all


class Log:
    """The database that a read model may read: histories of calls, before a version each."""

    def __init__(self, log: Sequence[RecordedEvent]) -> None:
        self.log = list(log)
        self.read = 0

    async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
        self.read += 1
        wanted = {(enterprise, name): before for enterprise, name, before in zip(*args, strict=True)}
        found = [
            {
                "enterprise": each.stream.enterprise,
                "stream": each.stream.name,
                "type": each.type,
                "schema": each.schema,
                "data": each.data,
            }
            for each in self.log
            if each.version < wanted.get((each.stream.enterprise, each.stream.name), 0)
        ]
        return sorted(found, key=lambda row: (row["enterprise"], row["stream"]))

    async def execute(self, query: str, *args: Any) -> None:
        raise AssertionError("nothing is written")


def log_of(world: World) -> list[RecordedEvent]:
    """The world's calls as one log, their events mixed."""
    streams = [recorded(world.streams[f"call/{call}"], call) for call in calls_of(world)]
    dice, found = random.Random(len(streams)), []
    while any(streams):
        found.append(dice.choice([each for each in streams if each]).pop(0))
    return found


def whole(log: Sequence[RecordedEvent], name: str) -> Any:
    """A call folded from all of its events."""
    history = [decode(each.type, each.schema, each.data) for each in log if each.stream.name == name]
    return fold(initial("0367", name.removeprefix("call/")), history), sum(
        isinstance(each, EffectFailed | EffectRefused) for each in history
    )


async def followed(folded: FoldedCalls, log: Log, cut: int, skip: frozenset[int] = frozenset()) -> dict[str, Folded]:
    """Each call as the last batch that told of it left it; batches in ``skip`` are taken by another instance."""
    found: dict[str, Folded] = {}
    for nth, at in enumerate(range(0, len(log.log), cut)):
        if nth in skip:
            continue
        batch = log.log[at : at + cut]
        told = {each.stream.name for each in batch}
        changes = await folded.changes(log, batch)
        assert {f"call/{change.after.state.id}" for change in changes} == told
        for change in changes:
            name = f"call/{change.after.state.id}"
            for folded_to in (change.before, change.after):
                upto = [each for each in log.log if each.stream.name == name][: folded_to.state.version]
                assert (folded_to.state, folded_to.failures) == whole(upto, name)
            assert change.before.state.version == min(each.version for each in batch if each.stream.name == name) - 1
            assert change.after.state.version == max(each.version for each in batch if each.stream.name == name)
            found[name] = change.after
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_of_every_recording_it_says_what_the_history_says(name: str) -> None:
    log = Log(log_of(lived(name)))
    found = await followed(FoldedCalls(), log, 5)
    assert log.read == 0, "each event was folded once, and no history was read"
    assert set(found) == {f"call/{call}" for call in calls_of(lived(name))}


@given(histories(), faults(), st.integers(1, 9), st.integers(1, 3), st.frozensets(st.integers(0, 40)))
def test_whatever_is_forgotten_or_taken_by_others_it_says_what_the_history_says(
    history: Any, faulty: dict[int, Fault], cut: int, most: int, skip: frozenset[int]
) -> None:
    world = hear_all(World(settings=SETTINGS, faults=faulty), history.heard)
    world.finish()
    log = Log(log_of(world))
    asyncio.run(followed(FoldedCalls(most), log, cut, skip))


async def test_asked_again_for_the_same_batch_it_answers_the_same_without_folding() -> None:
    folded, log = FoldedCalls(), Log(recorded(events("0 A start\n0.5 A dial 101\n")))
    assert await folded.changes(log, log.log) is await folded.changes(log, log.log)


async def test_a_batch_that_comes_again_after_its_transaction_failed_is_folded_from_the_history() -> None:
    folded, log = FoldedCalls(), Log(recorded(events("0 A start\n0.5 A dial 101\n5 A hangup 101\n")))
    (first,) = await folded.changes(log, log.log[:2])
    (again,) = await folded.changes(log, list(log.log[:2]))
    assert again == first
    assert log.read == 0
    await folded.changes(log, log.log[1:])
    assert log.read == 1


async def test_a_call_whose_beginning_was_archived_is_left_as_it_was() -> None:
    history = recorded(events("0 A start\n0.5 A dial 101\n5 A hangup 101\n"))
    folded, log = FoldedCalls(), Log(history[2:])
    assert await folded.changes(log, history[2:]) == []


async def test_what_moysklad_was_asked_is_nothing_heard() -> None:
    world = lived("ring_group_abandoned")
    call = calls_of(world)[0]
    log = Log(recorded(world.streams[f"call/{call}"], call))
    heard = [
        change.heard for at in range(len(log.log)) for change in await FoldedCalls().changes(log, log.log[at : at + 1])
    ]
    assert heard == [not each.type.startswith("effect_") for each in log.log]


def test_a_row_is_found_out_once() -> None:
    folded = folded_on(unheard(("0367", "call/A")), events("0 A start\n0.5 A dial 101\n"))
    assert folded.row is folded.row
    assert folded.row["ringing"] == ("101",)
