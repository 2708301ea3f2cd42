"""Calls as folded up to where the read models stand, so that each event is folded once for all of them.

A batch of the log is folded on top of what is remembered. What is not remembered (the first batch of a process, a call that was
forgotten, a batch that another instance took) is read from the call's own history, so a row depends on the events alone and
never on who remembered what: streams only grow, and a version names one state of one stream for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from core.call import Call, draft_of, initial, take, value_of
from core.events import EVENT_TYPES, ORDERS, OUTCOMES, SCHEMAS, EffectFailed, EffectRefused, Event, Observation, decode
from core.ports import LogLine, LogPage, ProjectionDb, RecordedEvent
from projections.call_row import row_of

PREFIX: Final = "call/"
MAX_CALLS: Final = 3_000
"""Calls remembered, some 4 KB each with their rows: more than are heard of within minutes. Any other is read again."""

PAUSE_EVERY: Final = 16
"""After folding this many events other tasks get a turn: no card should wait for a batch of the read models."""

_HISTORY: Final = (Path(__file__).parent / "sql" / "calls_history.sql").read_text()
_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Event]]] = {
    name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()
}
_FAILURES: Final = frozenset({EffectFailed, EffectRefused})
_OF_MOYSKLAD: Final = frozenset(kind.type for kind in (*OUTCOMES, *ORDERS))

Key = tuple[str, str]
"""Enterprise and stream."""


@dataclass(slots=True, kw_only=True)
class Folded:
    """A call after some of its events. ``phase_ms``: when the event came that led to its phase; ``failures``: of requests."""

    state: Call
    phase_ms: int = 0
    failures: int = 0
    _row: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def row(self) -> dict[str, Any]:
        """What ``projections/call_row.py`` says of it, found out once."""
        if self._row is None:
            self._row = row_of(self.state, self.phase_ms, self.failures)
        return self._row


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a batch made of one call. ``heard``: it told something of the call itself, not only of what MoySklad was asked."""

    before: Folded
    after: Folded
    heard: bool


class FoldedCalls:
    """One per process; the read models of calls share it. ``anew``: the same while they are derived anew."""

    def __init__(self, most: int = MAX_CALLS) -> None:
        self._most = most
        self._known: OrderedDict[Key, Folded] = OrderedDict()
        self._batch: Sequence[RecordedEvent] | None = None
        self._changes: list[Change] = []
        self.anew = CallsAnew()

    def __reduce__(self) -> tuple[type[FoldedCalls], tuple[int]]:
        """Another process remembers for itself."""
        return FoldedCalls, (self._most,)

    async def changes(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> list[Change]:
        """What the batch made of each call that it tells of. Whoever asks with the same batch again gets the same answer."""
        if self._batch is not events:
            self._changes = await self._advance(db, events)
            self._batch = events
        return self._changes

    async def _advance(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> list[Change]:
        touched: dict[Key, list[RecordedEvent]] = {}
        for each in events:
            if each.stream.name.startswith(PREFIX):
                touched.setdefault((each.stream.enterprise, each.stream.name), []).append(each)
        before = await self._before(db, touched)
        changes = []
        folded_since = 0
        for key, told in touched.items():
            if key not in before:
                continue
            after = folded_on(before[key], (decode(each.type, each.schema, each.data) for each in told))
            heard = any(each.type not in _OF_MOYSKLAD for each in told)
            changes.append(Change(before=before[key], after=after, heard=heard))
            self._remember(key, after)
            folded_since += len(told)
            if folded_since >= PAUSE_EVERY:
                folded_since = 0
                await asyncio.sleep(0)
        return changes

    async def _before(self, db: ProjectionDb, touched: dict[Key, list[RecordedEvent]]) -> dict[Key, Folded]:
        """Each call as it was before the first of the events told: remembered, new, or read.

        A call whose beginning is not in the log any more (archived) is left out: its row stays as it was.
        """
        found: dict[Key, Folded] = {}
        missing: dict[Key, int] = {}
        for key, told in touched.items():
            first = told[0].version
            known = self._known.get(key)
            if known is not None and known.state.version == first - 1:
                found[key] = known
            elif first == 1:
                found[key] = unheard(key)
            else:
                missing[key] = first
        if missing:
            found |= await read_before(db, missing)
        return found

    def _remember(self, key: Key, folded: Folded) -> None:
        known = self._known.get(key)
        if known is not None and known.state.version > folded.state.version:
            return  # another read model is further: it will be asked again
        self._known[key] = folded
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


class CallsAnew:
    """The calls of one piece of the log while read models are derived anew: each event is decoded and folded once for all of them.

    Nothing is forgotten within a piece; a call that began before it is read from its history.
    """

    def __init__(self) -> None:
        self._decoded: tuple[LogPage, list[Event | None]] | None = None
        self._folded: LogPage | None = None
        self._known: dict[Key, _Growing] = {}
        self._left_out: set[Key] = set()
        self._told: list[Change] | None = None

    def events(self, page: LogPage) -> list[Event | None]:
        """The page's events; None for those that are no call's."""
        if self._decoded is None or self._decoded[0] is not page:
            self._decoded = (page, [_decoded(line) for line in page.lines])
        return self._decoded[1]

    async def take(self, db: ProjectionDb, page: LogPage) -> None:
        """Fold the page. Whoever comes with the same page again finds it folded."""
        if self._folded is page:
            return
        self._folded = page
        if self._told is not None:
            self._known, self._left_out, self._told = {}, set(), None
        known = self._known
        begun_before: dict[Key, list[tuple[int, Event]]] = {}
        for line, event in zip(page.lines, self.events(page), strict=True):
            if event is None:
                continue
            key = (line[0], line[1])
            growing = known.get(key)
            if growing is None:
                if line[2] != 1:
                    if key not in self._left_out:
                        begun_before.setdefault(key, []).append((line[2], event))
                    continue
                growing = known[key] = _Growing(unheard(key))
            growing.take(event)
        if begun_before:
            await self._go_on(db, begun_before)

    def changes(self) -> list[Change]:
        """What the piece made of each of its calls, found out once for all who ask. The next page begins another piece."""
        if self._told is None:
            self._told = [Change(before=each.before, after=each.folded(), heard=True) for each in self._known.values()]
        return self._told

    async def _go_on(self, db: ProjectionDb, begun_before: Mapping[Key, Sequence[tuple[int, Event]]]) -> None:
        """Calls that began before this piece: order matters within a call only, so their turn may come after the others'."""
        found = await read_before(db, {key: told[0][0] for key, told in begun_before.items()})
        for key, told in begun_before.items():
            if key not in found:
                self._left_out.add(key)
                continue
            growing = self._known[key] = _Growing(found[key])
            for _, event in told:
                growing.take(event)


class _Growing:
    """A call while events are taken in: ``core.call.fold`` with a look at the phase in between."""

    __slots__ = ("before", "draft", "failures", "phase_ms")

    def __init__(self, before: Folded) -> None:
        self.before = before
        self.draft = draft_of(before.state)
        self.phase_ms = before.phase_ms
        self.failures = before.failures

    def take(self, event: Event) -> None:
        """One event more."""
        draft = self.draft
        before = draft.phase
        take(draft, event)
        if draft.phase is not before:
            self.phase_ms = event.heard_ms if isinstance(event, Observation) else event.at_ms
        if type(event) in _FAILURES:
            self.failures += 1

    def folded(self) -> Folded:
        """As it stands."""
        return Folded(state=value_of(self.draft), phase_ms=self.phase_ms, failures=self.failures)


def _decoded(line: LogLine) -> Event | None:
    """A call's event, straight from its JSON where it is of today's version."""
    _, stream, _, _, type_, schema, data, _ = line
    if not stream.startswith(PREFIX):
        return None
    if schema == SCHEMAS.get(type_):
        return _DECODERS[type_].decode(data)
    return decode(type_, schema, orjson.loads(data))


async def read_before(db: ProjectionDb, missing: Mapping[Key, int]) -> dict[Key, Folded]:
    """Calls before a version each, folded from their histories; without those whose beginning is not in the log any more."""
    names = list(missing)
    rows = await db.fetch(_HISTORY, [name[0] for name in names], [name[1] for name in names], list(missing.values()))
    found = {key: _Growing(unheard(key)) for key in names}
    for nth, row in enumerate(rows, 1):
        found[row["enterprise"], row["stream"]].take(decode(row["type"], row["schema"], row["data"]))
        if nth % PAUSE_EVERY == 0:
            await asyncio.sleep(0)
    return {key: growing.folded() for key, growing in found.items() if growing.draft.version == missing[key] - 1}


def unheard(key: Key) -> Folded:
    """A call before its first event."""
    return Folded(state=initial(key[0], key[1].removeprefix(PREFIX)))


def folded_on(folded: Folded, events: Iterable[Event]) -> Folded:
    """The call after more of its events."""
    growing = _Growing(folded)
    for event in events:
        growing.take(event)
    return growing.folded()
