"""The desk takes a click in once, durable before it says so, and writes a flood of refusals down only now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import orjson
import pytest

from adapters.click_book import Line, Placed, TooMany, place
from adapters.click_desk import MAX_REPEATS, REFUSALS_MINUTE, Answer, ClickDesk, Delivery
from adapters.click_joiner import new_click_event
from adapters.memory_store import MemoryEventStore
from adapters.settings_store import Current
from bench.by_hand import Clock
from core.click_request import Wish
from core.clicks import ClickMatched, ClickRefused, ClickRepeated, ClickRequested, OriginateFailed, OriginateStarted
from core.effects import Account
from core.errors import StoreUnavailable
from core.events import HangupObserved, encode
from core.ports import Append, NewEvent, StreamId
from core.settings import parse_settings
from core.values import Direction

WANTED = orjson.dumps({"srcNumber": "101", "destNumber": "+375290000001", "uid": "i@demo"})
NONSENSE = orjson.dumps({"srcNumber": "101", "destNumber": "*72"})


def current(enterprise: str = "0367", **config: Any) -> Current:
    settings = parse_settings({"enabled": True, "integration_code": "k", **config})
    account = Account(enterprise=enterprise, phone_key="k", api_token="t")
    return Current(enterprise=enterprise, revision=3, settings=settings, account=account, config={})


class MemoryBook:
    """The rule over a list."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.away = False
        self.gate: asyncio.Event | None = None

    async def place(self, enterprise: str, wish: Wish, now_ms: int, spent: Collection[str]) -> Placed | TooMany:
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        found = place(wish, now_ms, self.lines, spent)
        if isinstance(found, Placed) and not found.repeated:
            line = Line(click=found.click, extension=wish.extension, number=wish.number, uid=wish.uid, at_ms=now_ms)
            self.lines.insert(0, line)
        return found

    async def prune(self, now_ms: int) -> None:
        self.lines = [line for line in self.lines if line.at_ms > now_ms - 3_600_000]


class Desk:
    """A desk over memory."""

    def __init__(self, take_s: float = 10.0) -> None:
        self.clock, self.store, self.book = Clock(), MemoryEventStore(), MemoryBook()
        self.woken: list[StreamId] = []
        self.desk = ClickDesk(
            store=self.store,
            book=self.book,
            now_ms=self.clock,
            find=self.find,
            wake=self.woken.append,
            take_s=take_s,
        )

    async def find(self, uuid: str) -> Current | None:
        if self.book.gate is not None:
            await self.book.gate.wait()
        return current() if uuid == "its own" else None

    async def take(self, raw: bytes = WANTED, of: Current | None = None) -> Answer:
        return await self.desk.take(of or current(), self.delivery(raw))

    def delivery(self, raw: bytes = WANTED) -> Delivery:
        return Delivery(arrival=self.desk.arrival(), raw=raw, signature="", address="203.0.113.5")

    async def add(self, stream: StreamId, event: NewEvent) -> None:
        await self.store.append(Append(stream=stream, events=(event,)))

    async def types(self) -> list[str]:
        return [each.type for each in await self.store.read_log(0, 1_000)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_it_is_on_disk_and_due_and_whoever_dials_is_woken(desk: Desk) -> None:
    assert await desk.take() is Answer.TAKEN
    (event,) = await desk.store.read_log(0, 10)
    assert event.data["extension"] == "101"
    assert event.data["settings_revision"] == 3
    assert event.data["address"] == "203.0.113.5"
    assert desk.woken == [event.stream]
    assert [due.stream for due in await desk.store.due(desk.clock.now_ms, 10)] == [event.stream]


async def test_whoever_wrote_it_into_the_book_and_died_is_followed_under_the_same_id(desk: Desk) -> None:
    wish = Wish(extension="101", number="+375290000001", uid="i@demo")
    placed = await desk.book.place("0367", wish, desk.clock.now_ms, ())
    assert isinstance(placed, Placed)
    assert await desk.take() is Answer.TAKEN
    (event,) = await desk.store.read_log(0, 10)
    assert event.stream.name == f"click/{placed.click}"


async def test_deliveries_at_once_make_one_history(desk: Desk) -> None:
    desk.book.gate = asyncio.Event()
    taking = [asyncio.create_task(desk.take()) for _ in range(5)]
    await asyncio.sleep(0)
    desk.book.gate.set()
    answers = await asyncio.gather(*taking)
    assert answers.count(Answer.TAKEN) == 1
    assert answers.count(Answer.REPEATED) == 4
    assert (await desk.types()).count(ClickRequested.type) == 1


async def test_repeats_are_written_down_up_to_a_point(desk: Desk) -> None:
    for _ in range(MAX_REPEATS + 5):
        await desk.take()
    assert (await desk.types()).count(ClickRepeated.type) == MAX_REPEATS
    assert desk.desk.answers[Answer.REPEATED] == MAX_REPEATS + 4


async def test_what_came_to_nothing_may_be_clicked_again_and_what_may_ring_not(desk: Desk) -> None:
    await desk.take()
    stream = desk.woken[0]
    started = OriginateStarted(at_ms=0, way="ami", channel_id="c", extension="101", number="+375290000001")
    await desk.add(stream, new_click_event(started))
    assert await desk.take() is Answer.REPEATED
    await desk.add(stream, new_click_event(OriginateFailed(at_ms=0, error="no")))
    assert await desk.take() is Answer.TAKEN


async def test_when_its_call_is_over_it_may_be_clicked_again(desk: Desk) -> None:
    await desk.take()
    started = OriginateStarted(at_ms=0, way="ami", channel_id="c", extension="101", number="+375290000001")
    await desk.add(desk.woken[0], new_click_event(started))
    await desk.add(desk.woken[0], new_click_event(ClickMatched(at_ms=0, call="1.1")))
    assert await desk.take() is Answer.REPEATED
    hangup = HangupObserved(heard_ms=0, channel="1.1", direction=Direction.OUTGOING)
    type_, schema, data = encode(hangup)
    kept = new_click_event(ClickRepeated(at_ms=0))
    call = StreamId(enterprise="0367", name="call/1.1")
    await desk.add(call, NewEvent(id=kept.id, type=type_, schema=schema, data=data))
    assert await desk.take() is Answer.TAKEN


async def test_a_flood_of_refusals_is_counted_and_kept_now_and_then(desk: Desk) -> None:
    for _ in range(REFUSALS_MINUTE * 3):
        assert await desk.take(NONSENSE) is Answer.REFUSED
    assert (await desk.types()).count(ClickRefused.type) == REFUSALS_MINUTE
    assert desk.desk.answers[Answer.REFUSED] == REFUSALS_MINUTE * 3
    assert await desk.take(NONSENSE, current("0368")) is Answer.REFUSED
    desk.clock.now_ms += 60_000
    await desk.take(NONSENSE)
    assert (await desk.types()).count(ClickRefused.type) == REFUSALS_MINUTE + 2
    assert desk.woken == []


async def test_the_order_of_refusals_tells_a_stranger_nothing_of_the_numbers(desk: Desk) -> None:
    assert await desk.take(NONSENSE, current(enabled=False)) is Answer.SWITCHED_OFF
    assert await desk.take(NONSENSE, current(webhook_signature="enforce")) is Answer.UNSIGNED


async def test_what_no_limit_needs_is_forgotten(desk: Desk) -> None:
    await desk.take()
    desk.clock.now_ms += 3_600_000
    await desk.desk.prune()
    assert desk.book.lines == []


async def test_a_database_that_is_away_is_said(desk: Desk) -> None:
    desk.book.away = True
    with pytest.raises(StoreUnavailable):
        await desk.take()
    assert await desk.types() == []


async def test_a_database_that_hangs_is_not_waited_for() -> None:
    desk = Desk(take_s=0.02)
    desk.book.gate = asyncio.Event()
    with pytest.raises(StoreUnavailable):
        await desk.take()
    with pytest.raises(StoreUnavailable):
        await desk.desk.whose("its own", desk.desk.arrival())
    desk.book.gate.set()
    assert await desk.desk.whose("its own", desk.desk.arrival()) is not None
    assert await desk.desk.whose("another's", desk.desk.arrival()) is None


async def test_all_steps_of_a_delivery_have_one_limit(desk: Desk) -> None:
    """Each had the whole time for itself: a slow look-up and a slow book together took twice as long as an answer may."""
    spent = replace(desk.desk.arrival(), until_s=asyncio.get_running_loop().time())
    desk.book.gate = asyncio.Event()
    async with asyncio.timeout(5.0):
        with pytest.raises(StoreUnavailable):
            await desk.desk.whose("its own", spent)
        with pytest.raises(StoreUnavailable):
            await desk.desk.take(current(), replace(desk.delivery(), arrival=spent))
    assert desk.desk.arrival().left_s() > 5.0


async def test_a_click_is_as_old_as_its_arrival(desk: Desk) -> None:
    delivery = desk.delivery()
    desk.clock.now_ms += 7_000
    assert await desk.desk.take(current(), delivery) is Answer.TAKEN
    (event,) = await desk.store.read_log(0, 10)
    assert event.data["at_ms"] == delivery.arrival.at_ms == desk.clock.now_ms - 7_000
