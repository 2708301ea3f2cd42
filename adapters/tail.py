"""The end of the log as this process wrote it: what was just committed is at hand without a question to the database.

Positions have no gaps, so a process sees in its own commits whether anybody else recorded something in between. As long as
nobody did, everything after ``since`` is known here, and known to be everything. Somebody else's events are a *break*: what
was believed complete before it is not any more, and whoever kept something up to date by this has to read the store again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from core.errors import VersionConflict
from core.ports import Append, Appended, RecordedEvent

MOST: Final = 4_000
"""Events kept: some seconds of a busy instance. Who lags further behind reads the store."""

Hear = Callable[[Sequence[RecordedEvent]], None]


class Tail:
    """Fed by a store with its own commits, in the order of the log; tells listeners of them, in the order in which they came."""

    def __init__(self) -> None:
        self._events: list[RecordedEvent] = []
        self._listeners: list[Hear] = []
        self.last = -1
        """The newest position that is known here; -1 before anything was recorded."""
        self.since = -1
        """Everything after it, up to ``last``, was recorded by this process."""
        self.breaks = 1
        """How often somebody else's events came in between, the start included."""

    def listen(self, hear: Hear) -> None:
        """Be told of what this process records from now on, right after its commit. ``hear`` must neither fail nor wait."""
        self._listeners.append(hear)

    def take(
        self, done: Sequence[tuple[Append, Sequence[bytes], Appended | VersionConflict]], *, recorded_ms: int = 0
    ) -> None:
        """A commit's appends with their events' data as JSON, and what became of each."""
        fresh: list[RecordedEvent] = []
        for append, data, result in done:
            if isinstance(result, VersionConflict) or result.duplicate:
                continue
            before = len(append.events)
            for event, encoded in zip(append.events, data, strict=True):
                before -= 1
                position = result.position - before
                if position != self.last + 1:  # below it: the store lost what we knew (a fail-over)
                    self._break(position - 1)
                self.last = position
                recorded = RecordedEvent(
                    stream=result.stream,
                    version=result.version - before,
                    position=position,
                    id=event.id,
                    type=event.type,
                    schema=event.schema,
                    data=orjson.loads(encoded),
                    recorded_ms=recorded_ms,
                )
                self._events.append(recorded)
                fresh.append(recorded)
        if len(self._events) > 2 * MOST:
            del self._events[:-MOST]
        if fresh:
            for hear in self._listeners:
                hear(fresh)

    def passed(self, position: int) -> None:
        """Somebody saw the log go up to there: whatever of it is not known here is somebody else's."""
        if position > self.last:
            self._break(position)

    def reset(self) -> None:
        """The log may not be what it was: nothing is certain any more."""
        self._break(-1)

    def after(self, position: int, limit: int) -> list[RecordedEvent] | None:
        """At most ``limit`` events after a position; None: not all of them are at hand, and the store must be asked."""
        if position >= self.last:
            return [] if position >= self.since >= 0 else None
        if not self._events or position < self._events[0].position - 1:
            return None
        first = position + 1 - self._events[0].position
        return self._events[first : first + limit]

    def _break(self, position: int) -> None:
        self._events.clear()
        self.last = self.since = position
        self.breaks += 1
