"""Folded calls kept up to date by what this process records: the same call as its stream tells, and a read where in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters import folded as module
from adapters.attendant import new_event
from adapters.folded import FoldedCalls
from adapters.memory_store import MemoryEventStore
from adapters.tail import Tail
from core.call import fold, initial
from core.errors import StoreUnavailable
from core.events import AnyObservation, decode
from core.ports import Append, RecordedEvent, StreamId, encode_events
from core.values import Urgency
from tests.adapters.reactor_rig import ANSWERED
from tests.scenario import heard

STREAM = StreamId(enterprise="0367", name="call/A")
SIGNALS: Sequence[AnyObservation] = [event for _, event in heard(ANSWERED)]


class Counted(MemoryEventStore):
    """Counts how often a stream was read; fails once if told to; ``meanwhile`` happens before the answer is there."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.fails = False
        self.meanwhile: Sequence[AnyObservation] = ()

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore.read``."""
        self.reads += 1
        if self.fails:
            self.fails = False
            raise StoreUnavailable("away")
        found = await super().read(stream, after_version)
        some, self.meanwhile = self.meanwhile, ()
        for event in some:
            await hear(self, event)
        return found


async def hear(store: MemoryEventStore, *events: AnyObservation, stream: StreamId = STREAM) -> None:
    for event in events:
        await store.append(Append(stream=stream, events=(new_event(event),)))


async def same(calls: FoldedCalls, store: MemoryEventStore) -> bool:
    """Whether the call in memory is the one that its stream tells."""
    known = (await calls.load(STREAM)).call
    history = await MemoryEventStore.read(store, STREAM)
    call = fold(initial("0367", "A"), [decode(each.type, each.schema, each.data) for each in history])
    return known == call


@pytest.mark.parametrize("before", [0, 2])
async def test_it_is_read_once_at_most_and_folded_from_what_is_recorded_then(before: int) -> None:
    """A call that begins while the process runs need not be read at all."""
    store = Counted()
    await hear(store, *SIGNALS[:before])
    calls = FoldedCalls(store, store.tail)
    for event in SIGNALS[before:]:
        await hear(store, event)
        assert await same(calls, store)
    assert store.reads == (1 if before else 0)
    assert (await calls.load(STREAM)).heard_position == len(SIGNALS), "its own newest signal is the hangup"


async def test_without_a_tail_it_is_read_each_time() -> None:
    store = Counted()
    calls = FoldedCalls(store, None)
    for event in SIGNALS:
        await hear(store, event)
        assert await same(calls, store)
    assert store.reads == len(SIGNALS)
    calls.rests(STREAM, (None, Urgency.LIVE))
    assert not calls.is_resting(STREAM)


async def test_what_is_recorded_while_it_is_read_is_not_missed() -> None:
    store = Counted()
    await hear(store, *SIGNALS[:2])
    calls = FoldedCalls(store, store.tail)
    store.meanwhile = SIGNALS[2:5]
    assert await same(calls, store)
    await hear(store, *SIGNALS[5:])
    assert await same(calls, store)
    assert store.reads == 1


async def test_somebody_else_s_events_are_read() -> None:
    """Here another process is one whose commits the tail does not see."""
    store, tail = Counted(), Tail()
    calls = FoldedCalls(store, tail)

    async def ours(event: AnyObservation) -> None:
        what = Append(stream=STREAM, events=(new_event(event),))
        result = await store.append(what)
        tail.take([(what, encode_events(what), result)])

    await ours(SIGNALS[0])
    assert await same(calls, store)
    await hear(store, SIGNALS[1])
    await ours(SIGNALS[2])
    assert await same(calls, store), "the gap was noticed"
    await hear(store, SIGNALS[3])
    assert not await same(calls, store), "nobody could know yet"
    calls.doubt(STREAM)
    assert await same(calls, store)
    await hear(store, SIGNALS[4])
    calls.doubt_all("another")
    assert not await same(calls, store), "that one's calls are not this one's"
    calls.doubt_all(STREAM.enterprise)
    assert await same(calls, store)


async def test_a_read_that_failed_is_made_again() -> None:
    store = Counted()
    await hear(store, *SIGNALS[:2])
    calls = FoldedCalls(store, store.tail)
    store.fails = True
    with pytest.raises(StoreUnavailable):
        await calls.load(STREAM)
    assert await same(calls, store)


async def test_a_call_rests_until_something_is_recorded() -> None:
    store = Counted()
    calls = FoldedCalls(store, store.tail)
    await hear(store, *SIGNALS[:2])
    await calls.load(STREAM)
    assert not calls.is_resting(STREAM)
    calls.rests(STREAM, (9, Urgency.LIVE))
    assert calls.is_resting(STREAM)
    assert calls.is_resting(STREAM, (9, Urgency.LIVE))
    assert not calls.is_resting(STREAM, (10, Urgency.LIVE))
    await hear(store, SIGNALS[2])
    assert not calls.is_resting(STREAM)
    await calls.load(STREAM)
    calls.rests(STREAM, (9, Urgency.LIVE))
    calls.doubt_all(STREAM.enterprise)
    assert not calls.is_resting(STREAM)


async def test_a_call_that_is_over_is_forgotten_but_known_to_rest() -> None:
    store = Counted()
    calls = FoldedCalls(store, store.tail)
    await hear(store, *SIGNALS)
    await calls.load(STREAM)
    calls.rests(STREAM, (None, Urgency.ENDED))
    assert len(calls) == 0
    assert calls.is_resting(STREAM)
    await hear(store, SIGNALS[-1])
    assert not calls.is_resting(STREAM)
    assert await same(calls, store)


async def test_it_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "UNREAD", 2)
    store = Counted()
    calls = FoldedCalls(store, store.tail)
    streams = [StreamId(enterprise="0367", name=f"call/{n}") for n in range(5)]
    for stream in streams:
        await hear(store, SIGNALS[0], stream=stream)
        await calls.load(stream)
    assert len(calls) == 3
    await hear(store, *SIGNALS[1:6], stream=streams[-1])
    assert (await calls.load(streams[-1])).call.version == 6, "too many to keep unread: it was read"
    assert store.reads == 1
