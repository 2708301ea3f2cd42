"""The calls attended to last, folded and kept up to date by what this process records: no question to the database each time.

Nothing here is more than memory: a call that is not in it, or of which something may have been missed, is read from its
stream. What is decided from a call that somebody else has just changed is refused by the store (the stream is the fence).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.tail import Tail
from core.call import Call, fold, initial, pack, unpack
from core.events import ArrivalObserved, CardRequested, DialObserved, HangupObserved, decode
from core.ports import EventStore, RecordedEvent, StreamId
from core.values import Urgency

MOST: Final = 20_000
"""Folded calls kept, those attended to last; any other is folded again from its stream."""

UNREAD: Final = 200
"""Events of one call that wait to be folded; of more it is read from its stream, when somebody asks."""

OWN_SIGNALS: Final = (ArrivalObserved, DialObserved, HangupObserved, CardRequested)
"""What is heard in a call's own stream; the rest of it is brought there by the switchboard."""

Rest = tuple[int | None, Urgency]
"""When a call is to be attended to again, and how urgently, as the store was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A call as folded so far, and the place in the log of the newest signal of its own (not of what was relayed to it)."""

    call: Call
    heard_position: int = 0


@dataclass(slots=True)
class _Entry:
    """``as_of``: nothing was missed of it since that break of the tail (0: something may have been). ``fresh``: not yet folded.

    The call is kept packed, for many are kept and few are looked at: unpacking costs two microseconds, its objects 2 KB.
    """

    packed: bytes
    version: int = 0
    heard_position: int = 0
    as_of: int = 0
    fresh: list[RecordedEvent] = field(default_factory=list)
    rests: Rest | None = None


class FoldedCalls:
    """By stream. Without a ``tail`` the store is asked each time for what is new."""

    def __init__(self, store: EventStore, tail: Tail | None) -> None:
        self._store = store
        self._tail = tail
        self._doubts: dict[str, int] = {}
        self._calls: OrderedDict[StreamId, _Entry] = OrderedDict()
        self._over: OrderedDict[StreamId, int] = OrderedDict()
        if tail is not None:
            tail.listen(self._hear)

    def __len__(self) -> int:
        return len(self._calls)

    async def load(self, stream: StreamId) -> Known:
        """The call as it is, as far as this process knows. Raises StoreUnavailable."""
        entry = self._calls.get(stream)
        if entry is None:
            entry = self._begin(stream)
            self._over.pop(stream, None)
        self._calls.move_to_end(stream)
        fresh = self._at_hand(stream, entry)
        if fresh is None:
            as_of, entry.fresh, entry.as_of = self._as_of(stream), [], 0
            fresh = await self._store.read(stream, entry.version)
            entry.as_of = as_of
            # What was recorded while the question was under way may be in its answer or not.
            version = fresh[-1].version if fresh else entry.version
            entry.fresh = [each for each in entry.fresh if each.version > version]
            fresh += self._at_hand(stream, entry, version) or ()
        call = unpack(entry.packed)
        if fresh:
            events = [decode(each.type, each.schema, each.data) for each in fresh]
            own = [each.position for each, event in zip(fresh, events, strict=True) if isinstance(event, OWN_SIGNALS)]
            call = fold(call, events)
            entry.packed, entry.version = pack(call), call.version
            entry.heard_position = max(own, default=entry.heard_position)
        return Known(call=call, heard_position=entry.heard_position)

    def _begin(self, stream: StreamId) -> _Entry:
        entry = self._calls[stream] = _Entry(pack(initial(stream.enterprise, stream.name.removeprefix("call/"))))
        while len(self._calls) > MOST:
            self._calls.popitem(last=False)
        return entry

    def forget(self, stream: StreamId) -> None:
        """Fold this call anew the next time."""
        self._calls.pop(stream, None)
        self._over.pop(stream, None)

    def doubt(self, stream: StreamId) -> None:
        """Somebody else may have recorded something: ask the store the next time."""
        if (entry := self._calls.get(stream)) is not None:
            entry.as_of, entry.rests = 0, None

    def doubt_all(self, enterprise: str) -> None:
        """The same of every call of an enterprise. Others' calls stay: a service that starts claims thousands, one by one."""
        self._doubts[enterprise] = self._doubts.get(enterprise, 0) + 1

    def rests(self, stream: StreamId, rest: Rest) -> None:
        """There is nothing to do before then. Without a time it is over: whatever still comes is rare, and the stream has it."""
        entry = self._calls.get(stream)
        if entry is None:
            return
        entry.rests = rest
        if rest[0] is None and not entry.fresh:
            del self._calls[stream]
            if entry.as_of == self._as_of(stream):
                self._over[stream] = entry.as_of
                while len(self._over) > MOST:
                    self._over.popitem(last=False)

    def is_resting(self, stream: StreamId, rest: Rest | None = None) -> bool:
        """Whether nothing was recorded since it came to rest (so long, if named)."""
        if not self._as_of(stream):
            return False
        entry = self._calls.get(stream)
        if entry is None:
            return rest is None and self._over.get(stream) == self._as_of(stream)
        known = entry.rests is not None and not entry.fresh and entry.as_of == self._as_of(stream)
        return known and rest in (None, entry.rests)

    def _as_of(self, stream: StreamId) -> int:
        """Grows with each break and each doubt of the call's enterprise; 0 without a tail."""
        return self._tail.breaks + self._doubts.get(stream.enterprise, 0) if self._tail is not None else 0

    def _at_hand(self, stream: StreamId, entry: _Entry, version: int | None = None) -> list[RecordedEvent] | None:
        """What is to be folded, if it is certain that nothing is missing."""
        if not entry.as_of or entry.as_of != self._as_of(stream):
            return None
        fresh, entry.fresh = entry.fresh, []
        at = entry.version if version is None else version
        if [each.version for each in fresh] == list(range(at + 1, at + 1 + len(fresh))):
            return fresh
        entry.as_of = 0
        return None

    def _hear(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            entry = self._calls.get(event.stream)
            if entry is None:
                self._over.pop(event.stream, None)
                if event.version > 1 or not event.stream.name.startswith("call/"):
                    continue
                entry = self._begin(event.stream)  # its first event: there is nothing to read
                entry.as_of = self._as_of(event.stream)
            entry.rests = None
            entry.fresh.append(event)
            if len(entry.fresh) > UNREAD:
                entry.fresh, entry.as_of = [], 0
