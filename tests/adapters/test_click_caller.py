"""The order for a click: given once or never, in time or never, whoever dies when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.attendant import Rests, Waits
from adapters.click_caller import ClickCaller
from adapters.click_joiner import new_click_event
from adapters.memory_store import MemoryEventStore
from bench.by_hand import Clock
from core.clicks import (
    CALL_WITHIN_MS,
    FRESH_MS,
    LOST_MS,
    Click,
    ClickEvent,
    ClickMatched,
    ClickRequested,
    OriginateDone,
    OriginateStarted,
    Stage,
    decode_click,
    fold_click,
    initial_click,
)
from core.errors import StoreUnavailable
from core.origination import OriginationInDoubt, OriginationRefused
from core.ports import Append, Appended, StreamId
from tests.exchange import FakeOriginator

CLICK = StreamId(enterprise="0367", name="click/a")
NUMBER = "+375290000001"


class Owns:
    """Whether the enterprise is ours."""

    def __init__(self, owns: bool = True) -> None:
        self.yes = owns

    def owns(self, enterprise: str) -> bool:
        return self.yes

    def quiet_ms(self, enterprise: str) -> int | None:
        return None

    def request(self, enterprise: str) -> None:
        """Nothing."""

    def owned(self) -> Sequence[str] | None:
        return None


class World:
    """A store with one click in it, an exchange, and whoever gives orders."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryEventStore()
        self.exchange = FakeOriginator()
        self.ownership = Owns()
        self.caller = self.another()

    def another(self, store: Any = None) -> ClickCaller:
        """An instance that knows nothing but the store."""
        ways = {"ami": self.exchange}
        return ClickCaller(store=store or self.store, ways=ways, now_ms=self.clock, ownership=self.ownership)

    async def clicked(self) -> None:
        await self.add(ClickRequested(at_ms=self.clock.now_ms, extension="101", number=NUMBER, uid="i@demo"))

    async def add(self, event: ClickEvent) -> None:
        await self.store.append(Append(stream=CLICK, events=(new_click_event(event),), due_ms=event.at_ms))

    async def attend(self, caller: ClickCaller | None = None) -> Any:
        """As the reactor does: until it rests."""
        for _ in range(10):
            progress = await (caller or self.caller).advance(CLICK)
            if isinstance(progress, Rests | Waits):
                return progress
        raise AssertionError("it never rests")

    async def click(self) -> Click:
        history = await self.store.read(CLICK)
        return fold_click(initial_click("0367", "a"), (decode_click(each.type, each.data) for each in history))


@pytest.fixture
def world() -> World:
    return World()


async def test_the_order_is_given_as_it_was_asked_and_the_call_is_waited_for(world: World) -> None:
    await world.clicked()
    rests = await world.attend()
    (order,) = world.exchange.orders
    assert (order.enterprise, order.extension, order.number, order.channel_id) == ("0367", "101", NUMBER, "click-a")
    assert rests.wake_ms == world.clock.now_ms + CALL_WITHIN_MS
    assert (await world.click()).stage is Stage.ORDERED
    assert world.caller.outcomes == {"ordered": 1}
    await world.attend()
    assert len(world.exchange.orders) == 1


async def test_that_it_begins_is_recorded_before_anything_is_asked(world: World) -> None:
    world.exchange.gate = asyncio.Event()
    await world.clicked()
    attending = asyncio.create_task(world.attend())
    await world.exchange.ordered.wait()
    types = [each.type for each in await world.store.read(CLICK)]
    assert types == [ClickRequested.type, OriginateStarted.type]
    world.exchange.gate.set()
    await attending


async def test_the_best_way_that_serves_is_taken(world: World) -> None:
    ami, http = FakeOriginator(enterprises=frozenset({"0999"})), FakeOriginator()
    caller = ClickCaller(store=world.store, ways={"ami": ami, "http": http}, now_ms=world.clock)
    await world.clicked()
    await world.attend(caller)
    assert (len(ami.orders), len(http.orders)) == (0, 1)
    assert (await world.click()).way == "http"


async def test_without_any_way_it_fails_in_words(world: World) -> None:
    await world.clicked()
    await world.attend(ClickCaller(store=world.store, ways={}, now_ms=world.clock))
    click = await world.click()
    assert click.stage is Stage.FAILED
    assert click.remedy


async def test_an_old_click_is_never_dialled(world: World) -> None:
    await world.clicked()
    world.clock.now_ms += FRESH_MS
    await world.attend()
    assert world.exchange.orders == []
    assert (await world.click()).stage is Stage.EXPIRED


@pytest.mark.parametrize(
    ("error", "stage", "counted"),
    [
        (OriginationRefused("no", "do"), Stage.FAILED, "failed"),
        (OriginationInDoubt("no", "do"), Stage.DOUBTED, "doubted"),
    ],
)
async def test_a_failure_is_an_outcome_and_is_not_tried_again(
    world: World, error: Exception, stage: Stage, counted: str
) -> None:
    world.exchange.error = error  # type: ignore[assignment]
    await world.clicked()
    await world.attend()
    await world.attend(world.another())
    assert len(world.exchange.orders) == 1
    click = await world.click()
    assert (click.stage, click.error, click.remedy) == (stage, "no", "do")
    assert world.caller.outcomes == {counted: 1}


async def test_a_database_that_is_away_for_the_order_rings_nobody(world: World) -> None:
    world.exchange.error = StoreUnavailable("away")  # type: ignore[assignment]
    await world.clicked()
    await world.attend()
    click = await world.click()
    assert (click.stage, click.ambiguous) == (Stage.FAILED, False)


async def test_whoever_does_not_own_the_enterprise_leaves_it(world: World) -> None:
    world.ownership.yes = False
    await world.clicked()
    assert isinstance(await world.attend(), Waits)
    assert world.exchange.orders == []


# -- several, and those that die -----------------------------------------------------------------------------------


async def test_of_several_that_try_at_once_one_gives_the_order(world: World) -> None:
    await world.clicked()
    await asyncio.gather(*(world.attend(world.another()) for _ in range(10)))
    assert len(world.exchange.orders) == 1


async def test_one_that_dies_before_it_began_is_followed_by_another_while_it_is_fresh(world: World) -> None:
    await world.clicked()
    world.clock.now_ms += FRESH_MS - 1
    await world.attend(world.another())
    assert len(world.exchange.orders) == 1


async def test_one_that_dies_in_the_middle_leaves_a_doubt_and_no_second_ring(world: World) -> None:
    world.exchange.gate = asyncio.Event()
    await world.clicked()
    dying = asyncio.create_task(world.attend())
    await world.exchange.ordered.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    rests = await world.attend(world.another())
    assert rests.wake_ms == world.clock.now_ms + LOST_MS
    world.clock.now_ms += LOST_MS
    await world.attend(world.another())
    click = await world.click()
    assert len(world.exchange.orders) == 1
    assert (click.stage, click.ambiguous) == (Stage.DOUBTED, True)
    world.clock.now_ms += CALL_WITHIN_MS
    await world.attend(world.another())
    assert (await world.click()).stage is Stage.SILENT


async def test_a_slow_one_that_was_given_up_says_nothing_more(world: World) -> None:
    world.exchange.gate = asyncio.Event()
    await world.clicked()
    slow = asyncio.create_task(world.attend())
    await world.exchange.ordered.wait()
    world.clock.now_ms += LOST_MS
    await world.attend(world.another())
    world.exchange.gate.set()
    await slow
    assert OriginateDone.type not in [each.type for each in await world.store.read(CLICK)]


async def test_a_call_that_is_heard_before_the_answer_loses_no_outcome(world: World) -> None:
    world.exchange.gate = asyncio.Event()
    await world.clicked()
    attending = asyncio.create_task(world.attend())
    await world.exchange.ordered.wait()
    await world.add(ClickMatched(at_ms=world.clock.now_ms, call="click-a"))
    world.exchange.gate.set()
    rests = await attending
    assert rests.wake_ms is None
    assert (await world.click()).stage is Stage.JOINED
    assert OriginateDone.type in [each.type for each in await world.store.read(CLICK)]


class Flaky(MemoryEventStore):
    """Records the start, and does not say so the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1
        self.slow_ms = 0
        self.clock: Clock | None = None

    async def append(self, append: Append) -> Appended:
        done = await super().append(append)
        if append.events[0].type == OriginateStarted.type:
            if self.clock is not None:
                self.clock.now_ms += self.slow_ms
            if self.left:
                self.left -= 1
                raise StoreUnavailable("the connection was lost")
        return done


async def test_a_start_whose_recording_is_in_doubt_is_recorded_again_and_given_once(world: World) -> None:
    world.store = Flaky()
    await world.clicked()
    await world.attend(world.another())
    assert len(world.exchange.orders) == 1
    assert (await world.click()).stage is Stage.ORDERED


async def test_a_start_that_took_too_long_to_record_is_not_dialled(world: World) -> None:
    world.store = store = Flaky()
    store.left, store.slow_ms, store.clock = 0, FRESH_MS, world.clock
    await world.clicked()
    await world.attend(world.another())
    assert world.exchange.orders == []
    assert (await world.click()).stage is Stage.EXPIRED
