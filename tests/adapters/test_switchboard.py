"""The switchboard: core/legs.py's rules through its memory, repeated batches, two at once, order, pruning, other instances.

The measure is :class:`tests.world.World`, which runs the same rules one signal at a time without any table.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from uuid import uuid4

import orjson
import pytest

from adapters import switchboard as module
from adapters.attendant import new_event
from adapters.memory_store import MemoryEventStore
from adapters.memory_switchboard import MemorySwitchboardState
from adapters.postgres.switchboard_state import PostgresSwitchboardState
from adapters.switchboard import ALONE_S, KEEP_MS, Near, Switchboard, SwitchboardBatch, SwitchboardState, nobody
from adapters.tail import Tail
from core.call import fold, initial
from core.conclusions import attribution
from core.errors import StoreUnavailable
from core.events import BridgeEntered, ConsultationObserved, Event, HangupObserved, LegAbsorbed, decode, encode
from core.legs import Legs
from core.ports import Append, EventStore, NewEvent, RecordedEvent, StreamId
from core.signals import Wire, envelope, parse
from tests.instances import virtually
from tests.playback import as_call_event, recording
from tests.scenario import Heard, heard
from tests.settings import SETTINGS
from tests.test_disorder import MINSK
from tests.world import ENTERPRISE, World, hear_all

TRANSFER = """
    0.0   A  dial    101 out
    5.0   A  enter   b1 101
    5.0   A  enter   b1 customer
    20.0  A  leave   b1 101
    20.0  A  leave   b1 customer
    21.0  A  enter   b2 customer
    21.0  A  enter   b2 102
    30.0  A  leave   b2 customer
    30.0  A  hangup  101 out answered
"""


class Board:
    """Switchboards with one memory, and what they woke."""

    def __init__(self, state: SwitchboardState, store: EventStore, notices: list[int], tail: Tail | None = None) -> None:
        self.state, self.store, self.woken, self.notices, self.tail = state, store, list[str](), notices, tail
        self.switchboard = self.another()

    def another(
        self,
        state: SwitchboardState | None = None,
        foreign: Callable[[StreamId], bool] = nobody,
        now_ms: int = 1,
    ) -> Switchboard:
        """A switchboard as another instance has it."""
        return Switchboard(
            state=state or self.state,
            store=self.store,
            wake_call=lambda stream: self.woken.append(stream.name),
            now_ms=lambda: now_ms,
            foreign=foreign,
            tail=self.tail,
            alone_s=0,
        )

    async def hear(self, signals: Sequence[Heard]) -> None:
        appends = [
            Append(stream=StreamId(enterprise=ENTERPRISE, name=stream), events=(new_event(event),)) for stream, event in signals
        ]
        for result in await self.store.append_many(appends):
            assert not isinstance(result, Exception)

    async def listen(self) -> None:
        while await self.switchboard.step():
            pass

    async def streams(self, *, but: str = "") -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for each in await self.store.read_log(0, 10_000):
            if each.stream.name.startswith("call/") and each.stream.name != but:
                found.setdefault(each.stream.name, []).append(decode(each.type, each.schema, each.data))
        return found


class DyingBatch:
    """A batch of an instance that dies when all but the checkpoint is done."""

    def __init__(self, batch: SwitchboardBatch) -> None:
        self.load, self.save = batch.load, batch.save
        self.clicks, self.save_clicks = batch.clicks, batch.save_clicks

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """Never comes back."""
        raise Died


class Died(BaseException):
    """Of an instance: nothing that it would still do is done."""


class Dying:
    """The memory as such an instance has it."""

    def __init__(self, state: SwitchboardState) -> None:
        self._state = state
        self.position, self.clicked, self.forget = state.position, state.clicked, state.forget

    @contextlib.asynccontextmanager
    async def taken(self, after: int) -> AsyncIterator[SwitchboardBatch | None]:
        """As it is, but for the batch."""
        async with self._state.taken(after) as batch:
            yield None if batch is None else DyingBatch(batch)

    @contextlib.asynccontextmanager
    async def offered(self, after: int) -> AsyncIterator[SwitchboardBatch]:
        """The same."""
        async with self._state.offered(after) as batch:
            yield DyingBatch(batch)


@pytest.fixture(params=["memory", "memory, alone", "postgres", "postgres, alone"])
def board(request: pytest.FixtureRequest) -> Board:
    """Alone: as an instance is that takes no lock, because nobody else recorded anything (as far as it knows)."""
    notices = list[int]()
    alone = request.param.endswith("alone")
    if request.param.startswith("memory"):
        store = MemoryEventStore()
        return Board(MemorySwitchboardState(store, notify=notices.append), store, notices, store.tail if alone else None)
    pg_store = request.getfixturevalue("pg_store")
    pg_state = PostgresSwitchboardState(request.getfixturevalue("pg_pool"))
    return Board(pg_state, pg_store, notices, pg_store.tail if alone else None)


def signals_of(name: str) -> list[Heard]:
    """A recording's signals as they are taken in."""
    found: dict[str, Heard] = {}  # what is said twice is taken in once: a recorded repeat is no fact of its own
    for line in recording(name):
        wire = envelope(Wire.CALL_EVENT, {**as_call_event(line)[1], "enterprise_number": ENTERPRISE})
        each = parse(wire, heard_ms=line.at_ms, country="BY", zone=MINSK)
        found.setdefault(each.digest.hex(), (each.stream, each.event))
    return list(found.values())


def facts(streams: dict[str, list[Event]]) -> dict[str, list[str]]:
    """What each call's stream holds of the wire and of the switchboard, without the copies' origin and without order."""
    return {
        name: sorted(
            [fact for event in events if (fact := _fact(event))]
            + sorted({f"absorbed into {event.into}" for event in events if isinstance(event, LegAbsorbed)})
        )
        for name, events in streams.items()
    }


def _fact(event: Event) -> str:
    type_, _, data = encode(event)
    if type_.startswith("effect") or "at_ms" in data or isinstance(event, LegAbsorbed):
        return ""  # what the world's reactor and clock added, or what is counted by itself
    data.pop("wire", None)
    data.pop("raw", None)
    return f"{type_} {orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()}"


def wanted(signals: Sequence[Heard]) -> dict[str, list[str]]:
    world = hear_all(World(settings=SETTINGS), signals)
    return facts({name: events for name, events in world.streams.items() if name.startswith("call/")})


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("name", ["attended_transfer", "production_2_20"])
async def test_through_the_tables_a_call_hears_what_the_rules_say(
    name: str, batch: int, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    signals = signals_of(name)
    await board.hear(signals)
    await board.listen()
    assert facts(await board.streams()) == wanted(signals)


async def test_heard_as_it_happens_or_all_at_once_the_calls_are_the_same(board: Board) -> None:
    signals = signals_of("attended_transfer")
    for signal in signals:
        await board.hear([signal])
        await board.listen()
    streams = await board.streams()
    assert facts(streams) == wanted(signals)
    world = hear_all(World(settings=SETTINGS), signals)
    for name, events in streams.items():
        call = fold(initial(ENTERPRISE, name.removeprefix("call/")), events)
        same = world.calls[call.id]
        assert attribution(call, SETTINGS) == attribution(same, SETTINGS)


@pytest.mark.parametrize("batch", [1, 500])
async def test_bridges_heard_before_their_dial_find_their_call(batch: int, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    signals = heard(TRANSFER)
    backwards = [*signals[1:], signals[0]]
    await board.hear(backwards)
    await board.listen()
    got = facts(await board.streams())
    assert got == wanted(signals)
    assert len(got["call/A"]) == len(signals)


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("backwards", [False, True])
async def test_what_the_customer_dials_who_was_sent_on_is_a_leg(
    batch: int, backwards: bool, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    dial, *rest = heard(f"{TRANSFER}\n20.5 A-trunk dial 102\n30.4 A-trunk hangup 102 answered")
    signals = [dial, *(reversed(rest) if backwards else rest)]
    await board.hear(signals)
    await board.listen()
    streams = await board.streams()
    assert fold(initial(ENTERPRISE, "A-trunk"), streams["call/A-trunk"]).absorbed_into == "A"
    told = [event for event in streams["call/A"] if isinstance(event, ConsultationObserved)]
    assert [event.extensions for event in told] == [("102",)]
    assert facts(streams) == wanted(signals)


@pytest.mark.parametrize("name", ["attended_transfer", "production_2_20"])
async def test_stopped_between_its_copies_and_its_checkpoint_a_repeat_changes_nothing(
    name: str, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = signals_of(name)
    monkeypatch.setattr(module, "BATCH", 3)
    await board.hear(signals)
    stopped = 0
    while True:
        try:
            if not await board.another(Dying(board.state)).step():
                break
        except Died:
            stopped += 1
        await board.another().step()
    assert stopped >= len(signals) / 3
    assert facts(await board.streams()) == wanted(signals)


async def test_two_switchboards_at_once_do_it_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    signals = [signal for name in ("attended_transfer", "production_2_19", "ring_group") for signal in signals_of(name)]
    await board.hear(signals)
    together = [board.another() for _ in range(4)]
    while any(await asyncio.gather(*(each.step() for each in together))):
        pass
    assert facts(await board.streams()) == wanted(signals)


async def test_a_consultation_and_a_parasitic_hangup_are_absorbed_once(board: Board) -> None:
    name = "attended_transfer"
    await board.hear(signals_of(name))
    await board.listen()
    events = [event for stream in (await board.streams()).values() for event in stream]
    absorbed = [event for event in events if isinstance(event, LegAbsorbed)]
    assert len(absorbed) == len({event.into for event in absorbed} | {event.why for event in absorbed}) - 1 >= 1
    assert sum(isinstance(event, ConsultationObserved) for event in events) <= 1


async def test_the_recording_of_an_absorbed_leg_comes_to_the_call_whenever_the_leg_tells_it(board: Board) -> None:
    first, second = "https://rec.example.invalid/1", "https://rec.example.invalid/2"
    leg = "20 L hangup 102 internal answered received=12 end=20"
    signals = heard(f"0 A start\n0.5 A dial 101\n{leg}\n40 A hangup 101 answered\n{leg} rec={first}\n{leg} rec={first}")
    await board.hear(signals)
    await board.listen()
    await board.hear(heard(f"9000 L hangup 102 internal answered received=12 end=20 downloaded rec={second}"))
    await board.listen()
    told = [event.record_url for event in (await board.streams())["call/A"] if isinstance(event, ConsultationObserved)]
    assert told == [None, first, second]


async def test_what_a_leg_told_before_its_call_was_heard_comes_to_the_call(board: Board) -> None:
    first, second = "https://rec.example.invalid/1", "https://rec.example.invalid/2"
    leg = "20 L hangup 102 internal answered received=12 end=20"
    signals = heard(f"{leg} rec={first}\n{leg} rec={second}\n21 A start\n21 A dial 101\n40 A hangup 101 answered")
    await board.hear(signals[:2])
    await board.listen()
    await board.hear(signals[2:])
    await board.listen()
    await board.hear(signals[2:])
    await board.listen()
    streams = await board.streams()
    told = [event for event in streams["call/A"] if isinstance(event, ConsultationObserved)]
    assert [(event.extensions, event.record_url) for event in told] == [(("102",), first), (("102",), second)]
    assert [event for event in streams["call/L"] if isinstance(event, LegAbsorbed)] != []


async def test_every_call_with_something_new_is_woken(board: Board) -> None:
    await board.hear(heard("0 A start\n0 B start\n1 A dial 101"))
    await board.listen()
    assert set(board.woken) == {"call/A", "call/B"}
    board.woken.clear()
    await board.hear(heard("0 A start\n0 A dial 101\n5 A enter b1 customer\n5 A enter b1 101")[2:])
    await board.listen()
    assert set(board.woken) == {"call/A"}, "woken by its bridge"


async def test_what_it_cannot_read_stops_nothing_else(board: Board) -> None:
    unreadable = NewEvent(id=uuid4(), type="from_the_future", schema=9, data={})
    await board.hear(heard("0 A start"))
    for stream in ("call/X", "bridge/b9"):
        await board.store.append(Append(stream=StreamId(enterprise=ENTERPRISE, name=stream), events=(unreadable,)))
        unreadable = NewEvent(id=uuid4(), type="bridge_entered", schema=1, data={"heard_ms": "no time"})
    later = heard("0 A start\n1 A dial 101\n5 A enter b1 customer\n5 A enter b1 101")[1:]
    await board.hear(later)
    await board.listen()
    events = (await board.streams(but="call/X"))["call/A"]
    assert sum(isinstance(event, BridgeEntered) for event in events) == 2


async def test_old_legs_are_forgotten_and_young_ones_are_not(board: Board) -> None:
    signals = signals_of("attended_transfer")
    await board.hear(signals)
    await board.listen()
    last_ms = max(event.heard_ms for _, event in signals)
    bridges = tuple({name.removeprefix("bridge/"): None for name, _ in signals if name.startswith("bridge/")})
    channels = tuple({str(getattr(event, "channel", "")): None for _, event in signals})
    legs = tuple({name: None for name, _ in signals})
    near = Near(legs=legs, bridges=bridges, channels=channels, numbers=(), first_ms=0, ended_ms=0)

    async def known() -> Legs:
        async with board.state.taken(await board.state.position()) as batch:
            assert batch is not None
            return (await batch.load({ENTERPRISE: near}))[ENTERPRISE].legs

    before = await known()
    assert before.calls
    assert before.members
    assert before.links
    await board.another(now_ms=last_ms + KEEP_MS - 60_000).prune()
    assert await known() == before
    await board.another(now_ms=last_ms + KEEP_MS + 60_000).prune()
    assert await known() == Legs()


async def test_the_same_bridge_and_channel_names_at_two_enterprises_have_nothing_to_do_with_each_other(board: Board) -> None:
    ours = heard("0 A start\n1 A dial 101\n5 A enter b1 customer\n5 A enter b1 101")
    theirs = heard("5 A enter b1 customer\n5 A enter b1 101")
    await board.hear(ours)
    for stream, event in theirs:
        await board.store.append(Append(stream=StreamId(enterprise="0999", name=stream), events=(new_event(event),)))
    await board.listen()
    assert await board.store.read(StreamId(enterprise="0999", name="call/A")) == []
    assert len(await board.store.read(StreamId(enterprise=ENTERPRISE, name="call/A"))) == 4


async def test_a_hangup_is_not_relayed_to_anybody(board: Board) -> None:
    await board.hear(heard("0 A start\n0 B start number=+375290000002\n9 A hangup 101\n9 B hangup 102"))
    await board.listen()
    for name, events in (await board.streams()).items():
        assert sum(isinstance(event, HangupObserved) for event in events) == 1, name


async def test_a_call_that_another_instance_attends_to_is_due_at_once(board: Board) -> None:
    await board.hear(heard("0 A start\n0 B start\n1 A dial 101"))
    ours, theirs = (StreamId(enterprise=ENTERPRISE, name=call) for call in ("call/A", "call/B"))
    for stream in (ours, theirs):
        await board.store.set_due(stream, len(await board.store.read(stream)), 9_000)
    await board.another(foreign=lambda stream: stream == theirs, now_ms=5_000).step()
    assert await board.store.next_due_ms() == 5_000
    await board.store.set_due(theirs, 1, None)
    assert await board.store.next_due_ms() == 9_000


async def test_what_another_instance_says_of_the_log_is_believed_and_never_takes_it_back(board: Board) -> None:
    board.switchboard.heard_position(7)
    board.switchboard.heard_position(3)
    assert board.switchboard.position == 7


async def test_a_copy_has_the_same_id_whoever_makes_it_and_another_one_at_another_enterprise(board: Board) -> None:
    await board.hear(heard("0 A start\n5 A enter b1 customer"))
    await board.listen()
    (copy,) = [each for each in await board.store.read_log(0, 10) if each.data.get("wire") == "relayed from bridge/b1"]
    again = MemoryEventStore()
    for enterprise in (ENTERPRISE, "0999"):
        for name, event in heard("0 A start\n5 A enter b1 customer"):
            await again.append(Append(stream=StreamId(enterprise=enterprise, name=name), events=(new_event(event),)))
    await Switchboard(state=MemorySwitchboardState(again), store=again, wake_call=lambda _: None, now_ms=lambda: 2).step()
    ours, theirs = [each for each in await again.read_log(0, 10) if each.data.get("wire") == "relayed from bridge/b1"]
    assert copy.id == ours.id != theirs.id


async def test_run_waits_for_a_database_that_is_away_and_goes_on_where_it_was(board: Board) -> None:
    calls = 0

    class Away:
        """Away the first time."""

        taken, offered = board.state.taken, board.state.offered
        clicked, forget = board.state.clicked, board.state.forget

        async def position(self) -> int:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise StoreUnavailable("away")
            return await board.state.position()

    await board.hear(heard("0 A start"))
    woken = asyncio.Event()
    switchboard = Switchboard(state=Away(), store=board.store, wake_call=lambda stream: woken.set(), now_ms=lambda: 1)
    running = asyncio.create_task(switchboard.run())
    async with asyncio.timeout(10):
        await woken.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert calls > 1


class Watched:
    """The memory, counting how often it is taken and asked."""

    def __init__(self, state: SwitchboardState) -> None:
        self._state = state
        self.clicked, self.forget = state.clicked, state.forget
        self.taken_after = list[int]()
        self.asked = 0

    async def position(self) -> int:
        """See ``SwitchboardState``."""
        self.asked += 1
        return await self._state.position()

    def taken(self, after: int) -> contextlib.AbstractAsyncContextManager[SwitchboardBatch | None]:
        """See ``SwitchboardState``."""
        self.taken_after.append(after)
        return self._state.taken(after)

    def offered(self, after: int) -> contextlib.AbstractAsyncContextManager[SwitchboardBatch]:
        """See ``SwitchboardState``: nobody is kept out, so it is not counted."""
        return self._state.offered(after)


class Unread(MemoryEventStore):
    """Its log is never read: the tail has it."""

    reads = 0

    async def read_log(self, after_position: int, limit: int) -> list[RecordedEvent]:
        """See ``EventStore``."""
        self.reads += 1
        return await super().read_log(after_position, limit)


def tailed(store: MemoryEventStore, state: SwitchboardState, woken: list[str]) -> Switchboard:
    return Switchboard(
        state=state, store=store, wake_call=lambda stream: woken.append(stream.name), now_ms=lambda: 1, tail=store.tail
    )


async def test_what_this_process_records_itself_is_joined_without_a_read() -> None:
    store, woken = Unread(), list[str]()
    switchboard = tailed(store, MemorySwitchboardState(store), woken)
    board = Board(MemorySwitchboardState(store), store, [])
    signals = heard(TRANSFER)
    for signal in signals:
        await board.hear([signal])
        while await switchboard.step():
            pass
    assert store.reads == 0
    assert facts(await board.streams()) == wanted(signals)
    assert switchboard.joined_until(ENTERPRISE) == switchboard.position == await store.head()
    assert not switchboard.may_be_clicks(ENTERPRISE)


async def test_what_others_recorded_in_between_is_read() -> None:
    """Two stores cannot share one log in memory: here the tail did not see what was recorded before it was made."""
    store, woken = Unread(), list[str]()
    board = Board(MemorySwitchboardState(store), store, [])
    signals = heard(TRANSFER)
    await board.hear(signals[:3])
    store.tail = Tail()
    switchboard = tailed(store, MemorySwitchboardState(store), woken)
    await board.hear(signals[3:])
    while await switchboard.step():
        pass
    assert store.reads > 0
    assert facts(await board.streams()) == wanted(signals)


async def test_what_nobody_here_knows_of_is_found_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process wrote it, or it was ours and the answer was lost: this process's next commit may be long in coming."""
    store, woken = MemoryEventStore(), list[str]()
    switchboard = tailed(store, MemorySwitchboardState(store), woken)
    board = Board(MemorySwitchboardState(store), store, [])
    await board.hear(heard("0 A start"))
    await switchboard.step()
    monkeypatch.setattr(store, "tail", Tail())  # from here on nobody tells it
    await board.hear(heard("1 A dial 101"))
    woken.clear()
    assert await switchboard.step() == 0
    monkeypatch.setattr(module, "POLL_S", 0.0)  # a second later
    assert await switchboard.step() == 1
    assert woken == ["call/A"]


async def test_outcomes_cost_no_batch_and_are_passed_all_the_same() -> None:
    store, woken = MemoryEventStore(), list[str]()
    memory = Watched(MemorySwitchboardState(store))
    switchboard = tailed(store, memory, woken)
    board = Board(memory, store, [])
    await board.hear(heard("0 A start"))
    await switchboard.step()
    taken, asked = len(memory.taken_after), memory.asked
    settled = NewEvent(id=uuid4(), type="call_settled", schema=1, data={"at_ms": 1, "reason": "over"})
    await store.append(Append(stream=StreamId(enterprise=ENTERPRISE, name="call/A"), events=(settled,)))
    assert await switchboard.step() == 1
    assert await switchboard.step() == 0
    assert (len(memory.taken_after), memory.asked) == (taken, asked), "nothing was asked, nothing was taken"
    assert switchboard.position == 2
    assert await memory.position() == 1
    await board.hear(heard("1 A dial 101"))
    assert await switchboard.step() == 1
    assert await memory.position() == 3, "they are kept with the next batch"


async def test_an_instance_that_finds_another_ahead_goes_on_from_there() -> None:
    store, woken = MemoryEventStore(), list[str]()
    state = MemorySwitchboardState(store)
    switchboard = tailed(store, state, woken)
    board = Board(state, store, [])
    await board.hear(heard("0 A start"))
    await switchboard.step()
    await board.hear(heard("1 A dial 101"))
    await board.switchboard.step()
    await board.hear(heard("5 A enter b1 customer"))
    assert await switchboard.step() == 0, "another has moved on"
    while await switchboard.step():
        pass
    assert await state.position() == await store.head() == 4
    assert len((await board.streams())["call/A"]) == 3


def test_nothing_is_held_against_others_while_there_are_none_and_for_a_while_after_there_was_one() -> None:
    async def run() -> None:
        store = MemoryEventStore()
        state = Watched(MemorySwitchboardState(store))
        board = Board(MemorySwitchboardState(store), store, [])
        switchboard = tailed(store, state, [])

        async def hears(table: str) -> list[int]:
            held = len(state.taken_after)
            await board.hear(heard(table))
            while await switchboard.step():
                pass
            return state.taken_after[held:]

        assert await hears("0 A start") != [], "a process has just begun: who knows"
        await asyncio.sleep(ALONE_S)  # of virtual time
        assert await hears("1 A dial 101") == []
        store.tail.passed(await store.head() + 1)  # somebody else recorded something
        assert await hears("2 B start") != []
        assert await hears("3 B dial 102") != []
        await asyncio.sleep(ALONE_S)
        assert await hears("9 A hangup 101") == []

    virtually(run())



async def test_a_leg_that_nothing_was_heard_of_may_belong_to_two_calls_at_once(board: Board) -> None:
    """Two customers in one bridge with a telephone whose own stream is empty: found by the simulation, out of order."""
    await board.hear(
        heard(
            """
            0  A  start
            0  B  start  number=+375290000002
            5  A  enter  b1 customer
            5  B  enter  b1 customer
            5  A  enter  b1 101
            """
        )
    )
    await board.listen()
    told = facts(await board.streams())
    assert all(any("b1" in fact for fact in told[call]) for call in ("call/A", "call/B")), told
