"""What every event store keeps to: one class, run by each implementation (``tests/adapters/test_event_stores.py``)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.errors import AppendRefused, VersionConflict
from core.ports import MAX_APPEND_BYTES, Append, Appended, Due, EventStore, NewEvent, RecordedEvent, StreamId
from core.values import Urgency

CALL = StreamId(enterprise="0367", name="call/1757840723.6")
OTHER_CALL = StreamId(enterprise="0367", name="call/1757840723.9")
BRIDGE = StreamId(enterprise="0367", name="bridge/5f0c7b1e")
SAME_NAME_ELSEWHERE = StreamId(enterprise="0368", name=CALL.name)


def event(note: Any = None, *, id_: UUID | None = None, type_: str = "dial_observed") -> NewEvent:
    """An event that can be told from others by its note."""
    return NewEvent(id=id_ or uuid4(), type=type_, schema=1, data={"note": note})


def append(
    stream: StreamId = CALL,
    *notes: Any,
    expected_version: int | None = None,
    digest: bytes | None = None,
    due_ms: int | None = None,
) -> Append:
    """An append of one event for each note (of one without a note when there are none)."""
    return Append(
        stream=stream,
        events=tuple(event(note) for note in notes or (None,)),
        expected_version=expected_version,
        digest=digest,
        due_ms=due_ms,
    )


def due(stream: StreamId, version: int, due_ms: int, urgency: Urgency = Urgency.LIVE) -> Due:
    """A due stream, in one line."""
    return Due(stream=stream, version=version, due_ms=due_ms, urgency=urgency)


def notes(events: list[RecordedEvent]) -> list[Any]:
    """What tells the events apart."""
    return [recorded.data["note"] for recorded in events]


class EventStoreContract:
    """Subclasses provide a fresh, empty ``store`` fixture."""

    async def test_an_unknown_stream_and_an_empty_log_are_empty(self, store: EventStore) -> None:
        assert await store.read(CALL) == []
        assert await store.read_log(0, 10) == []
        assert await store.head() == 0
        assert await store.due(10**15, 10) == []
        assert await store.next_due_ms() is None

    async def test_events_come_back_as_they_were_recorded(self, store: EventStore) -> None:
        data = {"text": "Клиент \"№1\" \\ \n ☎ \U0001f4de", "nested": {"list": [1, 2.5, None, True, "", [], {}]}, "big": 2**53}
        new = NewEvent(id=uuid4(), type="hangup_observed", schema=3, data=data)

        done = await store.append(Append(stream=CALL, events=(new,)))

        assert done == Appended(stream=CALL, version=1, position=1, duplicate=False)
        (recorded,) = await store.read(CALL)
        assert recorded == RecordedEvent(
            stream=CALL,
            version=1,
            position=1,
            id=new.id,
            type="hangup_observed",
            schema=3,
            data=data,
            recorded_ms=recorded.recorded_ms,
        )
        assert await store.read_log(0, 10) == [recorded]

    async def test_a_nul_inside_data_is_kept(self, store: EventStore) -> None:
        await store.append(append(CALL, "a\0b"))

        assert notes(await store.read(CALL)) == ["a\0b"]

    async def test_what_a_reader_does_to_data_does_not_change_history(self, store: EventStore) -> None:
        await store.append(append(CALL, {"deep": [1]}))
        (first,) = await store.read(CALL)
        first.data["note"]["deep"].append(2)

        assert notes(await store.read(CALL)) == [{"deep": [1]}]

    async def test_versions_count_within_a_stream_and_positions_over_all(self, store: EventStore) -> None:
        results = [
            await store.append(append(CALL, "a", "b")),
            await store.append(append(SAME_NAME_ELSEWHERE, "c")),
            await store.append(append(BRIDGE, "d", "e", "f")),
            await store.append(append(CALL, "g")),
        ]

        assert [(done.version, done.position) for done in results] == [(2, 2), (1, 3), (3, 6), (3, 7)]
        assert notes(await store.read(CALL)) == ["a", "b", "g"]
        assert notes(await store.read(CALL, 2)) == ["g"]
        assert await store.read(CALL, 3) == []
        assert [recorded.version for recorded in await store.read(BRIDGE, 1)] == [2, 3]
        assert notes(await store.read(SAME_NAME_ELSEWHERE)) == ["c"]
        assert await store.head() == 7

    async def test_several_streams_are_read_with_one_question(self, store: EventStore) -> None:
        for stream, note in ((CALL, "a"), (BRIDGE, "b"), (CALL, "c"), (SAME_NAME_ELSEWHERE, "d"), (CALL, "e")):
            await store.append(append(stream, note))

        found = await store.read_many({SAME_NAME_ELSEWHERE: 0, CALL: 1, BRIDGE: 1})

        assert {stream: notes(events) for stream, events in found.items()} == {
            SAME_NAME_ELSEWHERE: ["d"], CALL: ["c", "e"], BRIDGE: []
        }  # fmt: skip
        assert found[CALL] == await store.read(CALL, 1)
        assert await store.read_many({}) == {}

    async def test_the_log_is_read_in_pages_in_position_order(self, store: EventStore) -> None:
        for number in range(5):
            await store.append(append(CALL if number % 2 else BRIDGE, number))

        first = await store.read_log(0, 2)
        second = await store.read_log(first[-1].position, 2)
        third = await store.read_log(second[-1].position, 2)

        assert [notes(page) for page in (first, second, third)] == [[0, 1], [2, 3], [4]]
        assert [recorded.position for recorded in first + second + third] == [1, 2, 3, 4, 5]
        assert await store.read_log(5, 2) == []

    async def test_an_expected_version_that_holds_is_appended(self, store: EventStore) -> None:
        await store.append(append(CALL, expected_version=0))

        done = await store.append(append(CALL, expected_version=1))

        assert done.version == 2

    @pytest.mark.parametrize("expected", [0, 2, 7])
    async def test_an_expected_version_that_does_not_hold_records_nothing(self, store: EventStore, expected: int) -> None:
        await store.append(append(CALL, "only"))

        with pytest.raises(VersionConflict) as caught:
            await store.append(append(CALL, "late", expected_version=expected, digest=b"d", due_ms=5))

        assert (caught.value.stream, caught.value.expected, caught.value.actual) == (CALL, expected, 1)
        assert notes(await store.read_log(0, 10)) == ["only"]
        assert await store.next_due_ms() is None
        assert not (await store.append(append(CALL, digest=b"d"))).duplicate

    async def test_of_many_deciders_of_one_version_one_wins(self, store: EventStore) -> None:
        await store.append(append(CALL, "first"))

        results = await asyncio.gather(
            *(store.append(append(CALL, number, expected_version=1)) for number in range(20)), return_exceptions=True
        )

        assert sum(isinstance(result, Appended) for result in results) == 1
        assert sum(isinstance(result, VersionConflict) for result in results) == 19
        assert len(await store.read(CALL)) == 2

    async def test_a_repeated_digest_is_answered_with_the_first_append(self, store: EventStore) -> None:
        first = await store.append(append(CALL, "first", "more", digest=b"\0signal", due_ms=100))
        await store.append(append(CALL, "between"))

        again = await store.append(append(CALL, "again", digest=b"\0signal", due_ms=1))
        elsewhere = await store.append(append(BRIDGE, "elsewhere", digest=b"\0signal"))

        assert first == Appended(stream=CALL, version=2, position=2, duplicate=False)
        assert again == elsewhere == Appended(stream=CALL, version=2, position=2, duplicate=True)
        assert notes(await store.read_log(0, 10)) == ["first", "more", "between"]
        assert await store.next_due_ms() == 100

    async def test_a_duplicate_is_no_conflict(self, store: EventStore) -> None:
        await store.append(append(CALL, digest=b"d"))

        again = await store.append(append(CALL, digest=b"d", expected_version=0))

        assert again.duplicate

    async def test_the_same_digest_in_another_enterprise_is_another_signal(self, store: EventStore) -> None:
        await store.append(append(CALL, digest=b"d"))

        done = await store.append(append(SAME_NAME_ELSEWHERE, digest=b"d"))

        assert done == Appended(stream=SAME_NAME_ELSEWHERE, version=1, position=2, duplicate=False)

    async def test_of_many_equal_signals_at_once_one_is_recorded(self, store: EventStore) -> None:
        results = await asyncio.gather(*(store.append(append(CALL, number, digest=b"d")) for number in range(20)))

        assert sum(not done.duplicate for done in results) == 1
        assert {(done.stream, done.version, done.position) for done in results} == {(CALL, 1, 1)}
        assert await store.head() == 1

    async def test_repeating_the_very_same_append_changes_nothing(self, store: EventStore) -> None:
        same = append(CALL, "a", "b", expected_version=0, due_ms=50)
        first = await store.append(same)
        await store.append(append(CALL, "c"))

        again = await store.append(same)

        assert again == Appended(stream=CALL, version=first.version, position=first.position, duplicate=True)
        assert notes(await store.read_log(0, 10)) == ["a", "b", "c"]

    async def test_repeating_the_very_same_append_without_an_expected_version(self, store: EventStore) -> None:
        same = append(CALL, "a", "b")
        first = await store.append(same)
        neighbour, again = await asyncio.gather(store.append(append(BRIDGE, "n")), store.append(same))

        assert again == Appended(stream=CALL, version=first.version, position=first.position, duplicate=True)
        assert not neighbour.duplicate
        assert notes(await store.read_log(0, 10)) == ["a", "b", "n"]

    @pytest.mark.parametrize("first", [True, False])
    async def test_an_event_id_of_another_append_is_refused(self, store: EventStore, first: bool) -> None:
        known = event("known")
        await store.append(Append(stream=CALL, events=(known,)))
        half_known = Append(stream=OTHER_CALL, events=(known, event("new")) if first else (event("new"), known))

        results = await asyncio.gather(
            store.append(append(BRIDGE, "before")),
            store.append(half_known),
            store.append(append(BRIDGE, "after")),
            return_exceptions=True,
        )

        assert isinstance(results[1], AppendRefused)
        assert isinstance(results[0], Appended)
        assert isinstance(results[2], Appended)
        assert notes(await store.read_log(0, 10)) == ["known", "before", "after"]
        assert await store.head() == 3

    async def test_many_appends_in_one_commit_each_have_their_own_result(self, store: EventStore) -> None:
        await store.append(append(CALL, "old", digest=b"old"))

        results = await store.append_many(
            [
                append(CALL, "a", expected_version=1),
                append(CALL, "conflict", expected_version=1),
                append(CALL, "b", expected_version=2, digest=b"twice"),
                append(BRIDGE, "duplicate", digest=b"twice"),
                append(BRIDGE, "also old", digest=b"old"),
                append(SAME_NAME_ELSEWHERE, "c", "d", digest=b"twice"),
                append(CALL, "e"),
            ]
        )

        conflict = results[1]
        assert isinstance(conflict, VersionConflict)
        assert (conflict.stream, conflict.expected, conflict.actual) == (CALL, 1, 2)
        assert [result for result in results if isinstance(result, Appended)] == [
            Appended(stream=CALL, version=2, position=2),
            Appended(stream=CALL, version=3, position=3),
            Appended(stream=CALL, version=3, position=3, duplicate=True),
            Appended(stream=CALL, version=1, position=1, duplicate=True),
            Appended(stream=SAME_NAME_ELSEWHERE, version=2, position=5),
            Appended(stream=CALL, version=4, position=6),
        ]
        assert notes(await store.read_log(0, 10)) == ["old", "a", "b", "c", "d", "e"]

    async def test_a_digest_of_a_conflict_is_free_for_the_next(self, store: EventStore) -> None:
        results = await store.append_many(
            [
                append(CALL, "conflict", expected_version=5, digest=b"d"),
                append(CALL, "recorded", digest=b"d"),
                append(CALL, "duplicate", digest=b"d"),
            ]
        )

        assert isinstance(results[0], VersionConflict)
        assert results[1:] == [
            Appended(stream=CALL, version=1, position=1),
            Appended(stream=CALL, version=1, position=1, duplicate=True),
        ]
        assert notes(await store.read(CALL)) == ["recorded"]

    async def test_two_appends_of_one_commit_cannot_share_an_event_id(self, store: EventStore) -> None:
        shared = event()
        with pytest.raises(AppendRefused):
            await store.append_many([Append(stream=stream, events=(shared,)) for stream in (CALL, BRIDGE)])
        assert await store.head() == 0

    async def test_two_callers_with_one_event_id_record_it_once(self, store: EventStore) -> None:
        shared = event()
        results = await asyncio.gather(
            *(store.append(Append(stream=stream, events=(shared,))) for stream in (CALL, BRIDGE)), store.append(append())
        )
        assert [done.duplicate for done in results] == [False, True, False]
        assert results[1].stream == CALL
        assert await store.head() == 2

    async def test_no_appends_are_no_work(self, store: EventStore) -> None:
        assert await store.append_many([]) == []
        assert await store.head() == 0

    async def test_many_callers_at_once_leave_no_gap(self, store: EventStore) -> None:
        streams = [StreamId(enterprise=f"{number % 3:04}", name=f"call/{number % 7}") for number in range(200)]

        results = await asyncio.gather(*(store.append(append(stream, n, n)) for n, stream in enumerate(streams)))

        log = await store.read_log(0, 1_000)
        assert [recorded.position for recorded in log] == list(range(1, 401))
        for stream in set(streams):
            of_stream = [recorded for recorded in log if recorded.stream == stream]
            assert of_stream == await store.read(stream)
            assert [recorded.version for recorded in of_stream] == list(range(1, len(of_stream) + 1))
        for done, stream, note in zip(results, streams, range(200), strict=True):
            recorded = log[done.position - 1]
            assert (recorded.stream, recorded.version, recorded.data["note"]) == (stream, done.version, note)

    @pytest.mark.parametrize(
        "poison",
        [
            append(StreamId(enterprise="0367", name="call/a\0b")),
            append(StreamId(enterprise="0367\0", name="call/1")),
            append(StreamId(enterprise="0367", name="call/\ud800")),
            append(StreamId(enterprise="", name="call/1")),
            append(StreamId(enterprise="0367", name="call/" + "x" * 1_000)),
            append(CALL, "\ud800"),
            append(CALL, object()),
            append(CALL, 2**70),
            append(CALL, "x" * MAX_APPEND_BYTES),
            append(CALL, due_ms=-1),
            append(CALL, expected_version=-1),
            append(CALL, digest=b""),
            append(CALL, digest=b"x" * 65),
            Append(stream=CALL, events=()),
            Append(stream=CALL, events=[event()] * 2),
            Append(stream=CALL, events=(event(type_=""),)),
            Append(stream=CALL, events=(event(type_="a\0"),)),
            Append(stream=CALL, events=(NewEvent(id=uuid4(), type="a", schema=0, data={}),)),
            Append(stream=CALL, events=(NewEvent(id=uuid4(), type="a", schema=40_000, data={}),)),
            Append(stream=CALL, events=(NewEvent(id=uuid4(), type="a", schema=1, data={1: 2}),)),  # type: ignore[dict-item]
        ],
        ids=lambda poison: "",
    )
    async def test_what_cannot_be_kept_is_refused_and_harms_no_neighbour(self, store: EventStore, poison: Append) -> None:
        results = await asyncio.gather(
            store.append(append(BRIDGE, "before")),
            store.append(poison),
            store.append(append(BRIDGE, "after")),
            return_exceptions=True,
        )

        assert isinstance(results[1], AppendRefused)
        with pytest.raises(AppendRefused):
            await store.append_many([append(BRIDGE, "with it"), poison])
        assert notes(await store.read_log(0, 10)) == ["before", "after"]

    async def test_the_longest_names_are_kept(self, store: EventStore) -> None:
        longest = StreamId(enterprise="э" * 500, name="call/" + "x" * 995)

        await store.append(append(longest, digest=b"x" * 64, due_ms=1))

        assert len(await store.read(longest)) == 1
        assert await store.due(1, 1) == await store.due(1, 1, [longest.enterprise]) == [due(longest, 1, 1)]

    async def test_due_streams_come_longest_overdue_first(self, store: EventStore) -> None:
        await store.append(append(CALL, due_ms=300))
        await store.append(append(OTHER_CALL, "a", "b", due_ms=100))
        await store.append(append(SAME_NAME_ELSEWHERE, due_ms=200))
        await store.append(append(BRIDGE))

        assert await store.due(99, 10) == []
        assert await store.due(200, 10) == [due(OTHER_CALL, 2, 100), due(SAME_NAME_ELSEWHERE, 1, 200)]
        assert await store.due(1_000, 1) == [due(OTHER_CALL, 2, 100), due(SAME_NAME_ELSEWHERE, 1, 200)]
        assert await store.due(1_000, 2) == [due(OTHER_CALL, 2, 100), due(SAME_NAME_ELSEWHERE, 1, 200), due(CALL, 1, 300)]
        assert await store.next_due_ms() == 100

    async def test_the_most_urgent_are_due_first(self, store: EventStore) -> None:
        for number, (stream, urgency) in enumerate(
            [(CALL, Urgency.BACKLOG), (OTHER_CALL, Urgency.ENDED), (SAME_NAME_ELSEWHERE, Urgency.LIVE), (BRIDGE, Urgency.ENDED)]
        ):
            await store.append(append(stream))
            assert await store.set_due(stream, 1, 100 + number, urgency)

        assert await store.due(1_000, 10) == [
            due(SAME_NAME_ELSEWHERE, 1, 102, Urgency.LIVE),
            due(OTHER_CALL, 1, 101, Urgency.ENDED),
            due(BRIDGE, 1, 103, Urgency.ENDED),
            due(CALL, 1, 100, Urgency.BACKLOG),
        ]
        assert await store.next_due_ms() == 100

    async def test_only_the_enterprises_asked_for_are_due(self, store: EventStore) -> None:
        await store.append(append(CALL, due_ms=300))
        await store.append(append(SAME_NAME_ELSEWHERE, due_ms=200))

        assert await store.due(1_000, 10, ["0367", "0367", "nobody"]) == [due(CALL, 1, 300)]
        assert await store.due(1_000, 10, {"0367", "0368"}) == [due(SAME_NAME_ELSEWHERE, 1, 200), due(CALL, 1, 300)]
        assert await store.due(1_000, 10, []) == []

    @pytest.mark.parametrize("asked", [None, ["0367", "0368"]])
    async def test_a_flood_of_one_enterprise_hides_no_other(self, store: EventStore, asked: list[str] | None) -> None:
        """Ten thousand overdue and longer overdue than the single one of the other."""
        flood = [append(StreamId(enterprise="0367", name=f"call/{number}"), due_ms=number) for number in range(10_000)]
        for start in range(0, len(flood), 1_000):
            await store.append_many(flood[start : start + 1_000])
        await store.append(append(SAME_NAME_ELSEWHERE, due_ms=20_000))

        found = await store.due(30_000, 3, asked)

        assert [each.due_ms for each in found] == [0, 1, 2, 20_000]
        assert found[-1].stream == SAME_NAME_ELSEWHERE

    @pytest.mark.parametrize("asked", [None, ["0367"]])
    async def test_live_work_is_not_hidden_behind_a_backlog(self, store: EventStore, asked: list[str] | None) -> None:
        """A backlog and a crowd of ended calls of the same enterprise, all due for longer than the one live call."""
        for number in range(60):
            stream = StreamId(enterprise="0367", name=f"call/{number}")
            await store.append(append(stream))
            await store.set_due(stream, 1, number, Urgency.BACKLOG if number % 2 else Urgency.ENDED)
        await store.append(append(CALL, due_ms=900))

        found = await store.due(1_000, 2, asked)

        assert [(each.due_ms, each.urgency) for each in found] == [
            (900, Urgency.LIVE), (0, Urgency.ENDED), (2, Urgency.ENDED), (1, Urgency.BACKLOG), (3, Urgency.BACKLOG)
        ]  # fmt: skip

    @pytest.mark.parametrize("asked", [None, ["0367", "0368"]])
    async def test_of_a_backlog_no_more_is_read_than_is_asked_for(self, store: EventStore, asked: list[str] | None) -> None:
        for number in range(12):
            stream = StreamId(enterprise=f"036{7 + number % 2}", name=f"call/{number}")
            await store.append(append(stream))
            await store.set_due(stream, 1, number, Urgency.BACKLOG if number < 8 else Urgency.ENDED)

        few = await store.due(1_000, 2, asked, backlog=1)
        none = await store.due(1_000, 2, asked, backlog=0)
        one = await store.due(1_000, 2, asked, backlog=3, sated=["0367"])

        ended = [8, 9, 10, 11]
        assert [each.due_ms for each in few] == [*ended, 0, 1]
        assert [each.due_ms for each in none] == ended
        assert [each.due_ms for each in one] == [*ended, 1, 3, 5]

    async def test_an_append_never_postpones_what_is_due(self, store: EventStore) -> None:
        await store.append(append(CALL, due_ms=200))
        await store.append(append(CALL, due_ms=300))
        assert await store.due(1_000, 10) == [due(CALL, 2, 200)]

        await store.append(append(CALL))
        assert await store.due(1_000, 10) == [due(CALL, 3, 200)]

        await store.append_many([append(CALL, due_ms=150), append(CALL, due_ms=100), append(CALL, due_ms=120)])
        assert await store.due(1_000, 10) == [due(CALL, 6, 100)]

    async def test_what_is_appended_with_a_due_time_is_urgent(self, store: EventStore) -> None:
        await store.append(append(CALL))
        await store.set_due(CALL, 1, 500, Urgency.BACKLOG)

        await store.append(append(CALL))
        assert await store.due(1_000, 10) == [due(CALL, 2, 500, Urgency.BACKLOG)]

        await store.append(append(CALL, due_ms=700))
        assert await store.due(1_000, 10) == [due(CALL, 3, 500, Urgency.LIVE)]

    async def test_due_is_set_only_by_who_saw_the_last_version(self, store: EventStore) -> None:
        await store.append(append(CALL, due_ms=100))
        await store.append(append(CALL))

        assert not await store.set_due(CALL, 1, None)
        assert not await store.set_due(OTHER_CALL, 0, 5)
        assert await store.due(100, 10) == [due(CALL, 2, 100)]

        assert await store.set_due(CALL, 2, 500)
        assert await store.due(499, 10) == []
        assert await store.due(500, 10) == [due(CALL, 2, 500)]

        assert await store.set_due(CALL, 2, None)
        assert await store.due(10**15, 10) == []
        assert await store.next_due_ms() is None

        await store.append(append(CALL, due_ms=700))
        assert await store.next_due_ms() == 700

    async def test_a_bell_rings_after_a_commit_and_remembers_it(self, store: EventStore) -> None:
        bell, other = store.subscribe(), store.subscribe()
        waiting = asyncio.ensure_future(bell.wait())

        await store.append(append(CALL))
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(other.wait(), 5)

        silent = asyncio.ensure_future(bell.wait())
        await asyncio.sleep(0)
        assert not silent.done()
        await store.append(append(CALL))
        await asyncio.wait_for(silent, 5)
