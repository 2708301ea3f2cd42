"""Which call is attended to next: the most urgent first, enterprises in turn, and nobody takes all the places.

Pure bookkeeping: no task, no clock of its own. Whatever does not fit is dropped, because the store still has it as due:
the agenda decides about order, never about whether something is done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.ports import StreamId
from core.values import Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many calls of one urgency are attended to at once: over all, of one enterprise; and how many of one may queue."""

    all: int
    each: int
    queue: int


PLACES: Final[Mapping[Urgency, Places]] = {
    # Most of these wait for nothing but the database. Those that wait for MoySklad are held by its limits, five at a time and
    # account; a call that waits for a contact gives its place up after 1.5 s.
    Urgency.LIVE: Places(all=1_000, each=64, queue=2_000),
    Urgency.ENDED: Places(all=256, each=16, queue=1_000),
    # Enough to use an account's five parallel requests while the others read and write the history.
    Urgency.BACKLOG: Places(all=64, each=8, queue=200),
}


PACE_MS: Final = 16
"""Between two calls of a backlog, over all, while cards are wanted: each of its steps stands between somebody's dial and card.

Sixty a second drain 100,000 in half an hour, and leave the processor to whoever is on the phone. It is how often they begin
that is held, not how many there are: where MoySklad is slow most of them only wait for its answers.
"""

PACED_MS: Final = 1_000
"""So long after somebody live was attended to the backlog keeps that pace."""


@dataclass(slots=True)
class _Class:
    """One urgency: the queues of the enterprises, and ``ready``: those that have somebody waiting and a place free."""

    places: Places
    queues: dict[str, OrderedDict[StreamId, None]] = field(default_factory=dict)
    ready: OrderedDict[str, None] = field(default_factory=OrderedDict)
    running: dict[str, int] = field(default_factory=dict)
    taken: int = 0


class Agenda:
    """Streams that wait and streams that are attended to. A stream is in it once."""

    def __init__(self, places: Mapping[Urgency, Places] = PLACES) -> None:
        self._classes = {urgency: _Class(places[urgency]) for urgency in sorted(places)}
        self._waiting: dict[StreamId, Urgency] = {}
        self._running: dict[StreamId, Urgency] = {}
        self._held: dict[str, int] = {}
        self._live_ms: int | None = None
        self._backlog_ms: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, stream: StreamId) -> bool:
        return stream in self._waiting

    @property
    def running(self) -> int:
        """How many streams were taken and are not done."""
        return len(self._running)

    def add(self, stream: StreamId, urgency: Urgency) -> bool:
        """Let a stream wait for its turn; one that waits already moves to the more urgent of the two. False: no room."""
        known = self._waiting.get(stream)
        if known is not None:
            if known <= urgency:
                return True
            self._remove(stream, known)
        group = self._classes[urgency]
        queue = group.queues.setdefault(stream.enterprise, OrderedDict())
        if len(queue) >= group.places.queue:
            if known is not None:
                return self.add(stream, known)
            return False
        queue[stream] = None
        self._waiting[stream] = urgency
        self._refresh(group, stream.enterprise)
        return True

    def take(self, now_ms: int) -> tuple[StreamId, Urgency] | None:
        """The next stream; it counts as attended to until :meth:`done`. None: nobody waits who may go."""
        for urgency, group in self._classes.items():
            if group.taken >= group.places.all or (urgency is Urgency.BACKLOG and self._pause_ms(now_ms)):
                continue
            enterprise = self._turn(urgency, group, now_ms)
            if enterprise is None:
                continue
            stream, _ = group.queues[enterprise].popitem(last=False)
            del self._waiting[stream]
            self._running[stream] = urgency
            group.taken += 1
            group.running[enterprise] = group.running.get(enterprise, 0) + 1
            group.ready.pop(enterprise)
            self._refresh(group, enterprise)
            if urgency is Urgency.LIVE:
                self._live_ms = now_ms
            elif urgency is Urgency.BACKLOG:
                self._backlog_ms = now_ms
            return stream, urgency
        return None

    def again_ms(self, now_ms: int) -> int | None:
        """In how long :meth:`take` should be asked again because nothing but the backlog's pace was in the way."""
        group = self._classes[Urgency.BACKLOG]
        waits = group.ready and group.taken < group.places.all
        return self._pause_ms(now_ms) or None if waits else None

    def done(self, stream: StreamId) -> None:
        """The stream is not attended to any more."""
        urgency = self._running.pop(stream)
        group = self._classes[urgency]
        group.taken -= 1
        left = group.running[stream.enterprise] - 1
        if left:
            group.running[stream.enterprise] = left
        else:
            del group.running[stream.enterprise]
        self._refresh(group, stream.enterprise)

    def hold(self, enterprise: str, until_ms: int) -> None:
        """Take nothing of an enterprise before ``until_ms`` but what is live: its MoySklad is away."""
        self._held[enterprise] = until_ms

    def release(self, enterprise: str) -> None:
        """Its MoySklad answers again."""
        self._held.pop(enterprise, None)

    def is_held(self, enterprise: str, now_ms: int) -> bool:
        """Whether only what is live may go."""
        until_ms = self._held.get(enterprise)
        if until_ms is None:
            return False
        if until_ms > now_ms:
            return True
        del self._held[enterprise]
        return False

    def is_busy(self, enterprise: str) -> bool:
        """Whether a stream of this enterprise is attended to."""
        return any(enterprise in group.running for group in self._classes.values())

    def sated(self, urgency: Urgency, enough: int) -> frozenset[str]:
        """Enterprises of which at least so many of this urgency wait."""
        return frozenset(name for name, queue in self._classes[urgency].queues.items() if len(queue) >= enough)

    def forget(self, enterprise: str) -> None:
        """Let nobody of an enterprise wait any more: it is another instance's."""
        for group in self._classes.values():
            for stream in group.queues.pop(enterprise, ()):
                del self._waiting[stream]
            group.ready.pop(enterprise, None)
        self._held.pop(enterprise, None)

    def _pause_ms(self, now_ms: int) -> int:
        """How long the backlog has to wait for its pace. A clock that was set back keeps nobody waiting."""
        if self._live_ms is None or self._backlog_ms is None:
            return 0
        beside_live = self._classes[Urgency.LIVE].taken or 0 <= now_ms - self._live_ms < PACED_MS
        since_ms = now_ms - self._backlog_ms
        return PACE_MS - since_ms if beside_live and 0 <= since_ms < PACE_MS else 0

    def _turn(self, urgency: Urgency, group: _Class, now_ms: int) -> str | None:
        if urgency is Urgency.LIVE or not self._held:
            return next(iter(group.ready), None)
        return next((each for each in group.ready if not self.is_held(each, now_ms)), None)

    def _remove(self, stream: StreamId, urgency: Urgency) -> None:
        group = self._classes[urgency]
        del group.queues[stream.enterprise][stream]
        del self._waiting[stream]
        self._refresh(group, stream.enterprise)

    def _refresh(self, group: _Class, enterprise: str) -> None:
        """Keep ``ready`` true for one enterprise; whoever becomes ready goes to the end of the round."""
        waiting = group.queues.get(enterprise)
        if not waiting:
            group.queues.pop(enterprise, None)
        if waiting and group.running.get(enterprise, 0) < group.places.each:
            group.ready.setdefault(enterprise)
        else:
            group.ready.pop(enterprise, None)
