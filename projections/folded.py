"""Calls as folded up to where the read models stand, so that each event is folded once for all of them.

A batch of the log is folded on top of what is remembered. What is not remembered (the first batch of a process, a call that was
forgotten, a batch that another instance took) is read from the call's own history, so a row depends on the events alone and
never on who remembered what: streams only grow, and a version names one state of one stream for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.call import Call, evolve, initial
from core.events import ORDERS, OUTCOMES, EffectFailed, EffectRefused, Event, Observation, decode
from core.ports import ProjectionDb, RecordedEvent
from projections.call_row import row_of

PREFIX: Final = "call/"
MAX_CALLS: Final = 3_000
"""Calls remembered, some 4 KB each with their rows: more than are heard of within minutes. Any other is read again."""

PAUSE_EVERY: Final = 16
"""Events folded before others have their turn: a batch is not worth keeping a card waiting for."""

_HISTORY: Final = (Path(__file__).parent / "sql" / "calls_history.sql").read_text()
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
    """One per process; the read models of calls share it."""

    def __init__(self, most: int = MAX_CALLS) -> None:
        self._most = most
        self._known: OrderedDict[Key, Folded] = OrderedDict()
        self._batch: Sequence[RecordedEvent] | None = None
        self._changes: list[Change] = []

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
            found |= await self._read(db, missing)
        return found

    async def _read(self, db: ProjectionDb, missing: dict[Key, int]) -> dict[Key, Folded]:
        """Calls before a version each, folded from their histories."""
        names = list(missing)
        rows = await db.fetch(_HISTORY, [name[0] for name in names], [name[1] for name in names], list(missing.values()))
        found = {key: unheard(key) for key in names}
        for nth, row in enumerate(rows, 1):
            key = (row["enterprise"], row["stream"])
            found[key] = folded_on(found[key], (decode(row["type"], row["schema"], row["data"]),))
            if nth % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        return {key: folded for key, folded in found.items() if folded.state.version == missing[key] - 1}

    def _remember(self, key: Key, folded: Folded) -> None:
        known = self._known.get(key)
        if known is not None and known.state.version > folded.state.version:
            return  # another read model is further: it will be asked again
        self._known[key] = folded
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def unheard(key: Key) -> Folded:
    """A call before its first event."""
    return Folded(state=initial(key[0], key[1].removeprefix(PREFIX)))


def folded_on(folded: Folded, events: Iterable[Event]) -> Folded:
    """The call after more of its events."""
    state, phase_ms, failures = folded.state, folded.phase_ms, folded.failures
    for event in events:
        before, state = state.phase, evolve(state, event)
        if state.phase is not before:
            phase_ms = event.heard_ms if isinstance(event, Observation) else event.at_ms
        if isinstance(event, EffectFailed | EffectRefused):
            failures += 1
    return Folded(state=state, phase_ms=phase_ms, failures=failures)

