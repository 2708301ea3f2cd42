"""A reactor on the store in memory, beside the model of MoySklad, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.agenda import PLACES, Places
from adapters.attendant import Alone, Attendant, Ownership, new_event
from adapters.memory_store import MemoryEventStore
from adapters.reactor import Reactor
from bench.by_hand import let_pass
from core.decisions import Limits
from core.effects import Account, Effect, Performed, RegisterCall, Turn, Unavailable, UpdateCall, is_write
from core.events import AnyObservation, Event, decode
from core.ports import Append, StreamId
from core.settings import Settings
from core.values import Urgency
from tests.moysklad_model import MoySkladModel
from tests.scenario import heard, ms
from tests.settings import SETTINGS

ANSWERED = """
    0.0   A  start   +375290000001
    0.2   A  dial    101 102
    5.0   A  enter   b1 customer
    5.0   A  enter   b1 101
    35.0  A  leave   b1 customer
    35.0  A  leave   b1 101
    35.0  A  close   b1
    35.4  A  hangup  101 answered
"""
ACCOUNT = Account(enterprise="0367", phone_key="phone", api_token="json")


@dataclass(slots=True)
class FixedSettings:
    """Every call works under the same settings."""

    settings: Settings = SETTINGS

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Account]:
        return self.settings, ACCOUNT


Trouble = Callable[[Effect, int], Exception | None]
"""What goes wrong with an effect that is asked for the n-th time over all (from 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Room for one effect of whoever may still act by then."""

    gateway: Gateway
    turn: Turn

    async def perform(self, effect: Effect) -> Performed:
        if not self.turn.permit():
            raise Unavailable("another instance has this enterprise", ambiguous=False)
        return await self.gateway.perform(effect)


@dataclass(slots=True)
class Gateway:
    """The model behind the port. ``before``/``after`` raise around what MoySklad does, ``door`` before it is asked at all.

    ``holds`` holds a request back until its event is set.
    """

    model: MoySkladModel = field(default_factory=MoySkladModel)
    before: Trouble = lambda effect, nth: None
    after: Trouble = lambda effect, nth: None
    holds: Callable[[Effect], asyncio.Event | None] = lambda effect: None
    door: Trouble = lambda effect, nth: None
    away: Callable[[Effect], bool] = lambda effect: False
    turns: list[Turn] = field(default_factory=list)
    asked: list[Effect] = field(default_factory=list)
    underway: int = 0
    most_underway: int = 0

    @asynccontextmanager
    async def admitted(self, effect: Effect, account: Account, turn: Turn) -> AsyncIterator[Admitted]:
        self.turns.append(turn)
        if (trouble := self.door(effect, len(self.turns) - 1)) is not None:
            raise trouble
        yield Admitted(gateway=self, turn=turn)

    def is_away(self, effect: Effect, account: Account) -> bool:
        return self.away(effect)

    async def perform(self, effect: Effect) -> Performed:
        nth = len(self.asked)
        self.asked.append(effect)
        self.underway += 1
        self.most_underway = max(self.most_underway, self.underway)
        try:
            if (gate := self.holds(effect)) is not None:
                await gate.wait()
            await asyncio.sleep(0)
            if (trouble := self.before(effect, nth)) is not None:
                raise trouble
            performed = self.model.perform(effect)
            if (trouble := self.after(effect, nth)) is not None:
                raise trouble
            return performed
        finally:
            self.underway -= 1

    def writes(self) -> list[Effect]:
        return [effect for effect in self.asked if is_write(effect)]


@dataclass(frozen=True, slots=True)
class Joined:
    """A switchboard that has come as far as the rig says."""

    rig: ReactorRig

    def joined_until(self, enterprise: str) -> int:
        self.rig.looks += 1
        return self.rig.joined_until or 0

    def may_be_clicks(self, enterprise: str) -> bool:
        return self.rig.clicks

    def may_be_leg(self, enterprise: str, call: str) -> bool:
        return call in self.rig.bridged

    def began_before(self, enterprise: str, call: str, first_heard_ms: int) -> bool:
        return self.rig.began_ms.get(call, first_heard_ms) < first_heard_ms


@dataclass(slots=True)
class ReactorRig:
    """A reactor, its store, its MoySklad, and a clock that the test moves."""

    store: MemoryEventStore
    gateway: Gateway
    now_ms: int = field(default_factory=lambda: ms(0))
    joined_until: int | None = None
    clicks: bool = True
    bridged: frozenset[str] = frozenset()
    began_ms: dict[str, int] = field(default_factory=dict)
    jitter: float = 0.0
    settings: FixedSettings = field(default_factory=FixedSettings)
    looks: int = 0
    """How often a call was looked at, where there is a switchboard."""
    ownership: Ownership = field(default_factory=Alone)
    places: dict[Urgency, Places] = field(default_factory=lambda: dict(PLACES))
    reactor: Reactor = field(init=False)

    def __post_init__(self) -> None:
        self.reactor = self.another()

    def another(self) -> Reactor:
        """A reactor as a process started anew would have it."""
        attendant = Attendant(
            store=self.store,
            settings=self.settings,
            gateway=self.gateway,
            now_ms=lambda: self.now_ms,
            limits=Limits(),
            ownership=self.ownership,
            jitter=lambda: self.jitter,
            joining=Joined(self) if self.joined_until is not None else None,
            tail=self.store.tail,
        )
        self.reactor = Reactor(attendant, tail=self.store.tail, places=self.places, stop_s=0.0)
        return self.reactor

    async def hear(self, call: str, *events: AnyObservation, enterprise: str = "0367") -> StreamId:
        stream = StreamId(enterprise=enterprise, name=f"call/{call}")
        for event in events:
            self.now_ms = max(self.now_ms, event.heard_ms)
            await self.store.append(Append(stream=stream, events=(new_event(event),), due_ms=self.now_ms))
        return stream

    async def hear_and_attend(self, call: str, table: str) -> StreamId:
        stream = StreamId(enterprise="0367", name=f"call/{call}")
        for _, event in heard(table):
            await self.hear(call, event)
            await self.settle(stream)
        return stream

    async def settle(self, *streams: StreamId) -> None:
        for stream in streams:
            self.reactor.wake(stream)
        await self.reactor.idle()

    async def let_pass(self, to_ms: int) -> None:
        """Time passes; whatever falls due on the way is attended to at its time."""
        await let_pass(self, to_ms, self.store, self.reactor, self.reactor.idle)

    async def history(self, stream: StreamId) -> list[Event]:
        return [decode(each.type, each.schema, each.data) for each in await self.store.read(stream)]


def reactor_rig(store: MemoryEventStore | None = None, **gateway: object) -> ReactorRig:
    return ReactorRig(store or MemoryEventStore(), Gateway(**gateway))  # type: ignore[arg-type]


@asynccontextmanager
async def polling(reactor: Reactor) -> AsyncIterator[None]:
    """The reactor as it runs in the service; stopped at the end as the service stops it."""
    task = asyncio.create_task(reactor.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def sequences(effects: Sequence[Effect]) -> list[int]:
    return [card.sequence for effect in effects if isinstance(effect, RegisterCall | UpdateCall) for card in effect.cards]


def lost(ambiguous: bool = True) -> Unavailable:
    return Unavailable("connection lost", ambiguous=ambiguous)
