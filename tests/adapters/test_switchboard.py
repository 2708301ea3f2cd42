"""The switchboard on PostgreSQL: core/legs.py's rules through its tables, repeated batches, two at once, order, pruning.

The measure is :class:`tests.world.World`, which runs the same rules one signal at a time without any table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import orjson
import pytest

from adapters import switchboard as module
from adapters.postgres.event_store import PostgresEventStore
from adapters.reactor import new_event
from adapters.switchboard import KEEP_MS, Switchboard
from core.call import attribution, fold, initial
from core.events import BridgeEntered, ConsultationObserved, Event, HangupObserved, LegAbsorbed, decode, encode
from core.ports import Append, NewEvent, StreamId
from core.signals import Wire, envelope, parse
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
    """Switchboards on one database, and what they woke."""

    def __init__(self, pool: asyncpg.Pool, store: PostgresEventStore) -> None:
        self.pool, self.store, self.woken = pool, store, list[str]()
        self.switchboard = self.another()

    def another(self) -> Switchboard:
        """A switchboard as another instance has it."""
        return Switchboard(
            pool=self.pool, store=self.store, wake_call=lambda stream: self.woken.append(stream.name), now_ms=lambda: 1
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


@pytest.fixture
def board(pg_pool: asyncpg.Pool, pg_store: PostgresEventStore) -> Board:
    return Board(pg_pool, pg_store)


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


@pytest.mark.parametrize("name", ["attended_transfer", "production_2_20"])
async def test_stopped_between_its_copies_and_its_checkpoint_a_repeat_changes_nothing(
    name: str, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = signals_of(name)
    monkeypatch.setattr(module, "BATCH", 3)
    await board.hear(signals)
    stopped = 0
    while True:
        with monkeypatch.context() as dying:
            dying.setattr(module, "_MOVE_CHECKPOINT", "SELECT 1 / ($2::bigint - $2::bigint), $1::text")
            try:
                if not await board.another().step():
                    break
            except asyncpg.DivisionByZeroError:
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
    await board.hear(signals_of("attended_transfer"))
    await board.listen()
    tables = ("switchboard_calls", "switchboard_members", "switchboard_links")
    before = [await board.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    last_ms = max(event.heard_ms for _, event in signals_of("attended_transfer"))

    async def pruned_at(now_ms: int) -> list[int]:
        await Switchboard(pool=board.pool, store=board.store, wake_call=lambda stream: None, now_ms=lambda: now_ms).prune()
        return [await board.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]

    assert all(before)
    assert await pruned_at(last_ms + KEEP_MS - 60_000) == before
    assert await pruned_at(last_ms + KEEP_MS + 60_000) == [0, 0, 0]


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
