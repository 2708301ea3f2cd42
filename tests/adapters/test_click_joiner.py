"""The switchboard joins clicks and calls over both memories, in one place, whatever is taken again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from adapters.click_joiner import NearClicks, new_click_event, order_given
from adapters.memory_store import MemoryEventStore
from adapters.memory_switchboard import MemorySwitchboardState
from adapters.postgres.switchboard_state import PostgresSwitchboardState
from adapters.switchboard import Switchboard
from core.clicks import ClickMatched, ClickRequested, OriginateStarted
from core.events import ClickJoined, DialObserved, encode
from core.ports import Append, EventStore, NewEvent, RecordedEvent, StreamId
from core.values import Direction

T0 = 1_795_436_000_000
NUMBER = "+375290000001"


class Board:
    """A switchboard over a store."""

    def __init__(self, state: Any, store: EventStore) -> None:
        self.state, self.store = state, store
        self.woken: list[StreamId] = []
        self.switchboard = Switchboard(state=state, store=store, wake_call=self.woken.append, now_ms=lambda: T0 + 60_000)

    async def starts(self, click: str, extension: str = "101", number: str = NUMBER, after_ms: int = 0) -> None:
        started = OriginateStarted(
            at_ms=T0 + after_ms, way="http", channel_id=f"click-{click}", extension=extension, number=number, uid="i@demo"
        )
        await self.append(f"click/{click}", new_click_event(started))

    async def dials(self, call: str, extension: str = "101", number: str = NUMBER, after_ms: int = 4_000) -> None:
        dial = DialObserved(
            heard_ms=T0 + after_ms,
            channel=call,
            direction=Direction.OUTGOING,
            number=number,
            extensions=(extension,),
            trunk="t",
        )
        type_, schema, data = encode(dial)
        event = new_click_event(ClickRequested(at_ms=0, extension="", number=""))
        await self.append(f"call/{call}", structs.replace(event, type=type_, schema=schema, data=data))

    async def append(self, name: str, event: NewEvent) -> None:
        await self.store.append(Append(stream=StreamId(enterprise="0367", name=name), events=(event,)))

    async def run(self, most: int | None = None) -> None:
        while await self.switchboard.step(most):
            pass

    async def facts(self, kind: str) -> list[RecordedEvent]:
        return [each for each in await self.store.read_log(0, 1_000) if each.type == kind]

    async def pairs(self) -> dict[str, str]:
        """Click -> call, as the calls' streams say."""
        return {each.data["click"]: each.stream.name for each in await self.facts(ClickJoined.type)}


@pytest.fixture(params=["memory", "postgres"])
def board(request: pytest.FixtureRequest) -> Board:
    if request.param == "memory":
        store = MemoryEventStore()
        return Board(MemorySwitchboardState(store), store)
    return Board(PostgresSwitchboardState(request.getfixturevalue("pg_pool")), request.getfixturevalue("pg_store"))


@pytest.mark.parametrize("most", [None, 1])
async def test_both_streams_are_told_and_both_are_woken(board: Board, most: int | None) -> None:
    await board.starts("a")
    await board.dials("1.1")
    await board.run(most)
    assert await board.pairs() == {"a": "call/1.1"}
    (matched,) = await board.facts(ClickMatched.type)
    assert (matched.stream.name, matched.data["call"]) == ("click/a", "1.1")
    assert {stream.name for stream in board.woken} >= {"click/a", "call/1.1"}


@pytest.mark.parametrize("most", [None, 1, 3])
async def test_each_click_finds_its_own_call(board: Board, most: int | None) -> None:
    await board.starts("a")
    await board.starts("b", "102")
    await board.starts("c", "101", "+375290000002", after_ms=500)
    await board.dials("1.3", "101", "375290000002")
    await board.dials("1.2", "102")
    await board.dials("1.1", "101")
    await board.dials("1.4", "101", after_ms=6_000)
    await board.run(most)
    assert await board.pairs() == {"a": "call/1.1", "b": "call/1.2", "c": "call/1.3"}


async def test_a_call_before_the_click_in_the_log_is_not_its(board: Board) -> None:
    await board.dials("1.1", after_ms=0)
    await board.starts("a")
    await board.run()
    assert await board.pairs() == {}


async def test_more_signals_of_a_joined_call_join_nothing_else(board: Board) -> None:
    await board.starts("a")
    await board.dials("1.1")
    await board.run()
    await board.starts("b", after_ms=5_000)
    await board.dials("1.1", after_ms=6_000)
    await board.run()
    assert await board.pairs() == {"a": "call/1.1"}


async def test_enterprises_are_apart(board: Board) -> None:
    await board.starts("a")
    await board.run()
    stream = StreamId(enterprise="0368", name="call/1.1")
    await board.dials("1.1", extension="999")
    dial = (await board.store.read_log(0, 100))[-1]
    data = {**dial.data, "extensions": ["101"]}
    event = structs.replace(new_click_event(ClickRequested(at_ms=0, extension="", number="")), type=dial.type, data=data)
    await board.store.append(Append(stream=stream, events=(event,)))
    await board.run()
    assert await board.pairs() == {}


async def test_a_batch_that_is_taken_again_says_nothing_twice(board: Board) -> None:
    await board.starts("a")
    await board.dials("1.1")
    await board.run()
    heads = len(await board.store.read_log(0, 1_000))
    for joining in await board.facts(ClickJoined.type):
        assert joining.data["extension"] == "101"
    async with board.state.taken(await board.state.position()) as memory:
        assert memory is not None
        near = NearClicks(extensions=("101",), calls=("1.1",), since_ms=T0 - 1)
        known = (await memory.clicks({"0367": near}))["0367"]
        assert (known["a"].call, known["a"].number, known["a"].uid) == ("1.1", NUMBER, "i@demo")
        late = NearClicks(extensions=("101",), calls=(), since_ms=T0 + 1)
        assert await memory.clicks({"0367": late}) == {"0367": {}}
        for call in ("click-a", "1.1"):
            by_call = NearClicks(extensions=(), calls=(call,), since_ms=0)
            assert set((await memory.clicks({"0367": by_call}))["0367"]) == {"a"}
        assert await memory.clicks({"0368": near}) == {"0368": {}}
    assert len(await board.store.read_log(0, 1_000)) == heads


async def test_old_clicks_are_forgotten(board: Board) -> None:
    await board.starts("a")
    await board.run()
    await board.state.forget(T0 + 1)
    await board.dials("1.1")
    await board.run()
    assert await board.pairs() == {}


async def test_only_the_start_of_an_order_is_remembered(board: Board) -> None:
    await board.append("click/a", new_click_event(ClickRequested(at_ms=T0, extension="101", number=NUMBER)))
    await board.starts("a")
    first, second = await board.store.read_log(0, 10)
    assert order_given(first) is None
    assert order_given(second) is not None
