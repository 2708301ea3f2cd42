"""Fold of decoded events in memory, one core, beside a plain dictionary loop; and what a folded live call weighs."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.folded import FoldedCalls
from adapters.memory_store import MemoryEventStore
from bench.figures import Figure, Spread, number, spread
from bench.ground import Ground
from bench.machine import dictionary_steps_per_s
from bench.parts import parts
from bench.sizes import Size
from bench.work import Call, call
from core.call import fold, initial
from core.effects import effect_of
from core.events import OUTCOMES, Event, decode
from core.ports import RecordedEvent, StreamId
from core.values import Urgency

ROW: Final = "fold"
TARGET: Final = 500_000.0
LIVE: Final = 5
"""So many signals of an answered call have been heard while it is talked: start, dial, and the bridges."""


async def histories(place: Ground, kinds: Sequence[str]) -> list[list[RecordedEvent]]:
    """The whole history of one call of each kind, as the service itself records it beside the sandbox."""
    found = []
    async with place.database() as dsn, parts(dsn) as house:
        for nth, kind in enumerate(kinds):
            made: Call = call(nth, mark="h", enterprises=1, start_s=house.clock.now_ms / 1000)
            await house.play(made, kind)
            await house.wait(60_000)
            found.append(await house.service.store.read(StreamId(enterprise=made.enterprise, name=f"call/{made.unique_id}")))
    return found


def decoded(history: Sequence[RecordedEvent]) -> list[Event]:
    """The events themselves, with the effects inside read, as the fold needs them."""
    events = [decode(each.type, each.schema, each.data) for each in history]
    for event in events:
        if isinstance(event, OUTCOMES):
            effect_of(event)
    return events


def rate(work: Sequence[tuple[str, Sequence[Event]]]) -> float:
    """Events folded a second: each call from its first event to its last."""
    gc.collect()
    began = time.perf_counter()
    for name, events in work:
        fold(initial("1000", name), events)
    return sum(len(events) for _, events in work) / (time.perf_counter() - began)


def decode_rate(recorded: Sequence[RecordedEvent], times: int) -> float:
    """Events decoded a second, from JSON that is parsed already."""
    gc.collect()
    began = time.perf_counter()
    for _ in range(times):
        decoded(recorded)
    return times * len(recorded) / (time.perf_counter() - began)


class _Told(MemoryEventStore):
    """Tells one history of any stream, parsed anew and under that call's own ids, as a database would."""

    def __init__(self, history: Sequence[RecordedEvent]) -> None:
        super().__init__()
        self._told = msgspec.json.encode(history)
        self._call = history[0].stream.name.removeprefix("call/").partition(".")[0]

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore.read``."""
        own = stream.name.removeprefix("call/").partition(".")[0]
        told = msgspec.json.decode(self._told.replace(self._call.encode(), own.encode()), type=list[RecordedEvent])
        return [each for each in told if each.version > after_version]


async def weight_bytes(recorded: Sequence[RecordedEvent], calls: int) -> float:
    """What one live call holds where the attendant keeps it, its key included: nothing of one call is shared with another."""
    kept = FoldedCalls(_Told(recorded), None)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for nth in range(calls):
        stream = StreamId(enterprise="".join(("10", "00")), name=f"call/k{nth:08}.1")
        known = await kept.load(stream)
        assert known.call.is_live
        kept.rests(stream, (nth + 10_000_000, Urgency.LIVE))
    del known, stream
    gc.collect()
    weight = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return weight / len(kept)


async def measure(place: Ground, size: Size) -> list[Figure]:
    """See the module."""
    recorded = await histories(place, ("answered", "missed", "outgoing", "internal"))
    names = ("answered", "missed", "outgoing", "internal")
    of_kind = {name: decoded(each) for name, each in zip(names, recorded, strict=True)}
    # Under its own id: by that the customer's channel is told, and without it nobody would be seen to talk.
    ids = {name: call(nth, mark="h", enterprises=1, start_s=0).unique_id for nth, name in enumerate(names)}
    mixed = ("answered", "missed", "outgoing", "answered", "answered", "internal", "answered", "answered", "outgoing", "missed")
    kinds = [mixed[nth % len(mixed)] for nth in range(size.fold_calls)]
    work = [(ids[kind], of_kind[kind]) for kind in kinds]
    rates, bare = [], []
    for _ in range(size.rounds):
        rates.append(rate(work))
        bare.append(dictionary_steps_per_s())
    signals = [(name, [event for event in events if hasattr(event, "heard_ms")]) for name, events in work]
    beside = {
        "a history has": ", ".join(f"{len(events)} events ({name})" for name, events in of_kind.items()),
        "observations alone": f"{number(rate(signals))}/s",
        **{
            f"{name} calls": f"{number(rate([(ids[name], events)] * (size.fold_calls // 4 + 1)))}/s"
            for name, events in of_kind.items()
        },
        "decode (JSON objects to events, effects read)": f"{number(decode_rate(recorded[0], size.fold_calls // 10 + 1))}/s",
    }
    return [
        Figure(
            row=ROW,
            what="a mixed load, whole histories",
            value=spread(rates),
            unit="events/s",
            target=TARGET,
            limit=f"a bare dictionary loop makes {number(spread(bare).median)} steps a second",
            beside=beside,
        )
    ]


async def weigh(place: Ground, size: Size) -> Figure:
    """What a folded live call weighs, for the row of memory."""
    (recorded,) = await histories(place, ("answered",))
    live = next(nth for nth, each in enumerate(recorded) if each.type == "bridge_left")
    value = await weight_bytes(recorded[:live], min(size.memory_calls, 5_000))
    return Figure(
        row="memory",
        what="one folded live call (answered, being talked), as the attendant keeps it",
        value=Spread(median=value / 1024, low=value / 1024, high=value / 1024, rounds=1),
        unit="KB",
        target=2.0,
        at_most=True,
        beside={"its history": f"{live} events"},
        limit="an empty dictionary of Python is 64 bytes, a text of ten letters 59",
    )
