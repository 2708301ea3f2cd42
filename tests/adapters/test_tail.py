"""What a process recorded last: in the log's order, complete while nobody else recorded anything, and honest when somebody did."""

from __future__ import annotations

import pytest

from adapters import tail as module
from adapters.memory_store import MemoryEventStore
from adapters.tail import Tail
from core.errors import VersionConflict
from core.ports import Append, Appended, RecordedEvent, StreamId, encode_events
from tests.contracts.event_store import CALL, append, event


def done(*positions: int, tail: Tail) -> None:
    """Commits of ours, one event each, at these places."""
    for position in positions:
        what = append(CALL, position)
        tail.take([(what, encode_events(what), Appended(stream=CALL, version=position, position=position))])


def places(events: list[RecordedEvent] | None) -> list[int] | None:
    return None if events is None else [each.position for each in events]


async def test_what_was_recorded_is_at_hand_as_the_log_has_it() -> None:
    store = MemoryEventStore()
    heard: list[RecordedEvent] = []
    store.tail.listen(heard.extend)
    await store.append(append(CALL, "a"))
    await store.append_many([append(CALL, "b"), append(CALL, "c")])
    assert store.tail.after(0, 10) == heard == await store.read_log(0, 10)
    assert store.tail.after(1, 1) == heard[1:2]
    assert store.tail.after(3, 10) == []


async def test_what_was_refused_or_known_is_not_recorded_again() -> None:
    store = MemoryEventStore()
    twice = append(CALL, "a", digest=b"1")
    await store.append(twice)
    await store.append(append(CALL, "a", digest=b"1"))
    with pytest.raises(VersionConflict):
        await store.append(append(CALL, "b", expected_version=7))
    await store.append(append(CALL, "c"))
    assert places(store.tail.after(0, 10)) == [1, 2]


def test_an_append_of_several_events_has_a_place_for_each() -> None:
    tail = Tail()
    what = Append(stream=CALL, events=(event("a"), event("b")))
    tail.take([(what, encode_events(what), Appended(stream=CALL, version=4, position=9))])
    found = tail.after(7, 10)
    assert found is not None
    assert [(each.version, each.position) for each in found] == [(3, 8), (4, 9)]


def test_nothing_is_certain_before_the_first_commit() -> None:
    assert Tail().after(0, 10) is None


def test_somebody_else_s_event_is_a_break() -> None:
    tail = Tail()
    done(5, 6, tail=tail)
    before = tail.breaks
    assert places(tail.after(4, 10)) == [5, 6]
    done(8, tail=tail)
    assert tail.breaks == before + 1
    assert tail.since == 7
    assert places(tail.after(7, 10)) == [8]
    assert tail.after(6, 10) is None, "what lies at 7 is not known here"


def test_who_saw_the_log_go_on_makes_a_break_too() -> None:
    tail = Tail()
    done(1, tail=tail)
    tail.passed(1)
    assert tail.breaks == 2, "the first commit was one"
    tail.passed(3)
    assert (tail.since, tail.after(3, 10), tail.after(1, 10)) == (3, [], None)
    done(4, tail=tail)
    assert places(tail.after(3, 10)) == [4]


def test_a_log_that_went_back_is_another_log() -> None:
    tail = Tail()
    done(1, 2, 3, tail=tail)
    before = tail.breaks
    done(2, tail=tail)
    assert tail.breaks == before + 1
    assert places(tail.after(1, 10)) == [2]
    tail.reset()
    assert tail.after(2, 10) is None


def test_it_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    tail = Tail()
    done(*range(1, 31), tail=tail)
    assert tail.after(1, 10) is None
    assert places(tail.after(28, 10)) == [29, 30]
    assert tail.since == 0, "all of it was ours all the same"


def test_listeners_are_told_in_the_order_in_which_they_came() -> None:
    tail, said = Tail(), list[str]()
    tail.listen(lambda events: said.append(f"first {len(events)}"))
    tail.listen(lambda events: said.append(f"second {len(events)}"))
    done(1, tail=tail)
    tail.take([(append(CALL, 2), (b"{}",), VersionConflict(StreamId(enterprise="0367", name="call/A"), 1, 2))])
    assert said == ["first 1", "second 1"]
