"""Old logs played into an empty service: what would have happened, without asking anybody anything (PRODUCT F3).

What was said goes the way it always goes: read by ``core/signals.py``, kept in streams, joined by the switchboard; all of that in
memory. Each call is then run in virtual time against a MoySklad that answers at once and knows nothing but what the settings say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from adapters.attendant import new_event
from adapters.ingest import ringing_again
from adapters.memory_store import MemoryEventStore
from adapters.memory_switchboard import MemorySwitchboardState
from adapters.switchboard import Switchboard
from adapters.zones import zone_of
from core.decisions import Limits
from core.events import Event, Observation, decode
from core.history_file import HistoryFile, stored_of
from core.old_logs import Said, Skipped, read_log
from core.ports import Append, EventStore, StreamId
from core.rerun import Rerun, rerun
from core.settings import parse_settings
from core.signals import SignalError, envelope, parse
from core.stand_in import StandIn

MOST_SIGNALS: Final = 200_000
"""Signals of one import: all of them are held at once. More are cut by days."""

FORGET_MS: Final = 6 * 3_600_000
"""Legs that were heard so long ago join nothing any more."""

FORGET_EVERY: Final = 500
REST_MS: Final = 200_000_000
"""After the last signal each call is run to its end: the longest grace of all is a day."""

_NAMES: Final = UUID("1d9a3c0e-1c07-4f7e-9d7f-5a6a0c0b7a11")


class NotEmpty(ValueError):
    """The database holds calls already; nothing is imported beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One call as it would have been. ``recorded``: what was said of it; ``run``: all of it, with what would have followed."""

    history: HistoryFile
    run: Rerun


@dataclass(slots=True, kw_only=True)
class Import:
    """What an import found. ``skipped``: (file, line); ``repeated``: signals that were there twice."""

    calls: list[Imported]
    signals: int
    repeated: int
    skipped: list[tuple[str, Skipped]]


async def imported(
    paths: Sequence[Path],
    enterprise: str,
    config: Mapping[str, Any],
    *,
    zone: tzinfo,
    limits: Limits,
    done: Callable[[int], None] = lambda count: None,
) -> Import:
    """Read the files and run every call in them. Raises ValueError for too much at once, OSError for a file that cannot be read."""
    said, skipped = _read(paths, enterprise, zone)
    settings = parse_settings(config)
    desk = _Desk(enterprise, limits)
    kept = repeated = 0
    for count, (file, each) in enumerate(said, start=1):
        try:
            fresh = await desk.hear(each, settings.country, zone_of(settings.timezone, zone))
        except SignalError as error:
            where = f" ({error.field})" if error.field else ""
            skipped.append((file, Skipped(line=each.line, reason=f"{error.error}{where}")))
            continue
        kept, repeated = kept + fresh, repeated + (not fresh)
        done(count)
        if count % FORGET_EVERY == 0:
            await asyncio.sleep(0)
    calls = [_run(enterprise, call, events, config, limits) async for call, events in desk.calls()]
    calls.sort(key=lambda each: (each.run.call.first_heard_ms or 0, each.history.call))
    return Import(calls=calls, signals=kept, repeated=repeated, skipped=skipped)


async def refuse_unless_empty(store: EventStore) -> None:
    """Raises NotEmpty where anything was recorded."""
    if await store.head() != 0:
        raise NotEmpty("the database is not empty: import into a new one (MS_DATA_DIR=/tmp/look ./ms.sh import …)")


async def keep(found: Import, store: EventStore, enterprise: str, *, revision: int) -> int:
    """Put what would have been into an empty event store, where the pages show it. Nothing of it is due: nobody acts on it.

    ``revision``: of settings without keys, under which the calls are at rest.
    Raises NotEmpty.
    """
    await refuse_unless_empty(store)
    count = 0
    for each in found.calls:
        stream = StreamId(enterprise=enterprise, name=f"call/{each.history.call}")
        for start in range(0, len(each.run.events), FORGET_EVERY):
            part = each.run.events[start : start + FORGET_EVERY]
            named = [replace(event, settings_revision=revision) if isinstance(event, Observation) else event for event in part]
            events = [new_event(event, uuid5(_NAMES, f"{stream} {start + nth}")) for nth, event in enumerate(named)]
            await store.append(Append(stream=stream, events=events))
            count += len(events)
    return count


def _read(paths: Iterable[Path], enterprise: str, zone: tzinfo) -> tuple[list[tuple[str, Said]], list[tuple[str, Skipped]]]:
    said: list[tuple[str, Said]] = []
    skipped: list[tuple[str, Skipped]] = []
    for path in paths:
        for each in read_log(path.read_bytes(), enterprise, zone):
            if isinstance(each, Said):
                said.append((path.name, each))
            else:
                skipped.append((path.name, each))
            if len(said) > MOST_SIGNALS:
                raise ValueError(f"{path} and what came before it hold more than {MOST_SIGNALS:,} signals: import day by day")
    # Each at its own time, whatever file it is in; what was said at one time stays in its order.
    return sorted(said, key=lambda pair: pair[1].at_ms), skipped


class _Desk:
    """Takes signals in at their own times, in memory: streams, repeats, legs."""

    def __init__(self, enterprise: str, limits: Limits) -> None:
        self._enterprise = enterprise
        self._now_ms = 0
        self._store = MemoryEventStore(self._clock)
        self._state = MemorySwitchboardState(self._store)
        self._switchboard = Switchboard(
            state=self._state,
            store=self._store,
            wake_call=lambda stream: None,
            now_ms=self._clock,
            unended_ms=limits.call_max_ms,
        )
        self._heard = 0

    def _clock(self) -> int:
        return self._now_ms

    async def hear(self, said: Said, country: str, zone: tzinfo) -> bool:
        """Take one signal in; False for a repeat. Raises SignalError."""
        self._now_ms = max(self._now_ms, said.at_ms)
        heard = parse(envelope(said.wire, dict(said.body)), heard_ms=said.at_ms, country=country, zone=zone)
        event = replace(heard.event, settings_revision=0)
        self._heard += 1
        id_ = uuid5(_NAMES, f"{self._enterprise} {self._heard}")
        stream = StreamId(enterprise=self._enterprise, name=heard.stream)
        append = Append(stream=stream, events=(new_event(event, id_),), digest=heard.digest)
        appended = await self._store.append(append)
        if appended.duplicate and (anew := ringing_again(append, await self._store.read(stream))) is not None:
            appended = await self._store.append(anew)
        while await self._switchboard.step():
            pass
        if self._heard % FORGET_EVERY == 0:
            await self._state.forget(self._now_ms - FORGET_MS)
        return not appended.duplicate

    async def calls(self) -> AsyncIterator[tuple[str, tuple[Event, ...]]]:
        """Every call with all that was heard of it, in order."""
        streams: dict[str, list[Event]] = {}
        after = 0
        while batch := await self._store.read_log(after, 1_000):
            after = batch[-1].position
            for each in batch:
                if each.stream.name.startswith("call/"):
                    event = decode(each.type, each.schema, each.data)
                    streams.setdefault(each.stream.name.removeprefix("call/"), []).append(event)
        for call, events in streams.items():
            yield call, tuple(events)


def _run(enterprise: str, call: str, events: tuple[Event, ...], config: Mapping[str, Any], limits: Limits) -> Imported:
    last_ms = max(event.heard_ms for event in events if isinstance(event, Observation))
    history = HistoryFile(
        enterprise=enterprise,
        call=call,
        config=config,
        stored=stored_of(events),
        limits=limits,
        until_ms=last_ms + REST_MS,
    )
    run = rerun(
        events,
        enterprise=enterprise,
        call=call,
        settings=history.settings,
        limits=limits,
        until_ms=history.until_ms,
        moysklad=StandIn(generous=True),
    )
    return Imported(history=history, run=run)
