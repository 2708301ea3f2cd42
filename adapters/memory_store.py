"""The event store in memory: the same contract as PostgreSQL's, without a task, a clock or a thread of its own.

For property tests and simulations: every method runs to its end without giving way, so the caller's order is the
order. Data goes through JSON and back, so that nothing survives here that would not survive on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import orjson

from adapters.tail import Tail
from adapters.wakeup import Bell, Bells
from core.errors import AppendRefused, VersionConflict
from core.ports import Append, Appended, Due, RecordedEvent, StreamId, encode_events, encode_many
from core.values import Urgency


@dataclass(slots=True)
class _Row:
    """What is kept of an event; ``data`` as JSON, so that a reader may change what it was given."""

    event: RecordedEvent
    json: bytes

    def read(self) -> RecordedEvent:
        return msgspec.structs.replace(self.event, data=orjson.loads(self.json))


class MemoryEventStore:
    """Implements ``core.ports.EventStore``. ``now_ms`` gives ``recorded_ms``; without it every event is of time 0."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self._now_ms = now_ms
        self._log: list[_Row] = []
        self._streams: dict[StreamId, list[_Row]] = {}
        self._ids: dict[UUID, _Row] = {}
        self._digests: dict[tuple[str, bytes], Appended] = {}
        self._due: dict[str, dict[StreamId, tuple[int, Urgency]]] = {}
        self._bells = Bells()
        self.tail = Tail()
        """What was recorded here last."""

    async def append(self, append: Append) -> Appended:
        """See ``EventStore.append``."""
        encoded = encode_events(append)
        result = self._take(append, encoded)
        self.tail.take([(append, encoded, result)])
        if isinstance(result, VersionConflict):
            raise result
        self._bells.ring()
        return result

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore.append_many``."""
        encoded = encode_many(appends)
        self._refuse_half_known(appends)
        results = [self._take(append, data) for append, data in zip(appends, encoded, strict=True)]
        self.tail.take(list(zip(appends, encoded, results, strict=True)))
        if results:
            self._bells.ring()
        return results

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore.read``."""
        return [row.read() for row in self._streams.get(stream, [])[max(0, after_version) :]]

    async def read_many(self, after: Mapping[StreamId, int]) -> dict[StreamId, list[RecordedEvent]]:
        """See ``EventStore.read_many``."""
        return {stream: await self.read(stream, version) for stream, version in after.items()}

    async def read_log(self, after_position: int, limit: int) -> list[RecordedEvent]:
        """See ``EventStore.read_log``."""
        start = max(0, after_position)
        return [row.read() for row in self._log[start : start + limit]]

    async def head(self) -> int:
        """See ``EventStore.head``."""
        return len(self._log)

    def subscribe(self) -> Bell:
        """See ``EventStore.subscribe``."""
        return self._bells.subscribe()

    async def due(
        self,
        now_ms: int,
        per_enterprise: int,
        enterprises: Collection[str] | None = None,
        *,
        backlog: int | None = None,
        sated: Collection[str] = (),
    ) -> list[Due]:
        """See ``EventStore.due``."""
        wanted = self._due if enterprises is None else set(enterprises) & set(self._due)
        found = []
        for enterprise in wanted:
            lanes: dict[Urgency, list[tuple[int, str, StreamId]]] = {}
            for stream, (due_ms, urgency) in self._due[enterprise].items():
                if due_ms <= now_ms:
                    lanes.setdefault(urgency, []).append((due_ms, stream.name, stream))
            for urgency, lane in lanes.items():
                most = per_enterprise
                if urgency is Urgency.BACKLOG:
                    most = 0 if enterprise in sated else per_enterprise if backlog is None else backlog
                found += [(urgency, due_ms, stream) for due_ms, _, stream in sorted(lane)[:most]]
        found.sort(key=lambda each: (each[0], each[1], each[2].enterprise, each[2].name))
        return [
            Due(stream=stream, version=len(self._streams[stream]), due_ms=due_ms, urgency=urgency)
            for urgency, due_ms, stream in found
        ]

    async def set_due(self, stream: StreamId, version: int, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> bool:
        """See ``EventStore.set_due``."""
        if version < 1 or version != len(self._streams.get(stream, [])):
            return False
        if due_ms is None:
            self._due.get(stream.enterprise, {}).pop(stream, None)
        else:
            self._due.setdefault(stream.enterprise, {})[stream] = (due_ms, urgency)
        return True

    def due_enterprises(self, now_ms: int) -> set[str]:
        """Whose work is due: for leases in memory (``adapters/memory_leases.py``)."""
        return {
            enterprise
            for enterprise, streams in self._due.items()
            if any(due_ms <= now_ms for due_ms, _ in streams.values())
        }

    async def next_due_ms(self) -> int | None:
        """See ``EventStore.next_due_ms``."""
        return min((due_ms for streams in self._due.values() for due_ms, _ in streams.values()), default=None)

    def _take(self, append: Append, encoded: tuple[bytes, ...]) -> Appended | VersionConflict:
        stream = append.stream
        self._refuse_half_known([append])
        if (known := self._ids.get(append.events[-1].id)) is not None:
            first = known.event
            return Appended(stream=first.stream, version=first.version, position=first.position, duplicate=True)
        if append.digest is not None and (marked := self._digests.get((stream.enterprise, append.digest))) is not None:
            return msgspec.structs.replace(marked, duplicate=True)
        rows = self._streams.get(stream, [])
        if append.expected_version is not None and append.expected_version != len(rows):
            return VersionConflict(stream, append.expected_version, len(rows))
        self._record(append, encoded)
        done = Appended(stream=stream, version=len(self._streams[stream]), position=len(self._log))
        if append.digest is not None:
            self._digests[stream.enterprise, append.digest] = done
        if append.due_ms is not None:
            due = self._due.setdefault(stream.enterprise, {})
            earlier, _ = due.get(stream, (append.due_ms, Urgency.LIVE))
            due[stream] = (min(append.due_ms, earlier), Urgency.LIVE)
        return done

    def _record(self, append: Append, encoded: tuple[bytes, ...]) -> None:
        rows = self._streams.setdefault(append.stream, [])
        recorded_ms = self._now_ms()
        for event, data in zip(append.events, encoded, strict=True):
            recorded = RecordedEvent(
                stream=append.stream,
                version=len(rows) + 1,
                position=len(self._log) + 1,
                id=event.id,
                type=event.type,
                schema=event.schema,
                data={},
                recorded_ms=recorded_ms,
            )
            row = _Row(event=recorded, json=data)
            rows.append(row)
            self._log.append(row)
            self._ids[event.id] = row

    def _refuse_half_known(self, appends: Sequence[Append]) -> None:
        """An append is recorded whole or not at all: one whose events are known only in part reuses somebody's ids."""
        for append in appends:
            known = [event.id in self._ids for event in append.events]
            if any(known) and not all(known):
                raise AppendRefused(f"an event id of this append to {append.stream} belongs to another append")
