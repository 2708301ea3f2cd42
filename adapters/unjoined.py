"""Which events the switchboard still has to join, by enterprise, so that calls of other enterprises need not wait for it.

It knows what this process records itself (``adapters/tail.py``). Once another instance has recorded something in between, it
falls back to what is certain: the position up to which the switchboard has joined everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from adapters.tail import Tail
from core.clicks import CALL_WITHIN_MS, OriginateStarted
from core.clicks import STREAM as CLICKS
from core.events import OBSERVATIONS, BridgeEntered, CallerIdObserved, HangupObserved
from core.ports import RecordedEvent
from core.values import Direction

T = TypeVar("T")

OURS: Final = "switchboard"
RELAYED: Final = "relayed from "
"""``Observation.wire`` of the copies that the switchboard appends begins with this."""

MOST: Final = 50_000
"""Events that may wait to be joined (the switchboard stands still); beyond that only the switchboard's position is known."""

CLICKED_MS: Final = CALL_WITHIN_MS + 30_000
"""A call may be a click's for so long after the order was given; the half minute on top is for clocks that differ."""

LOOK_MS: Final = 1_000
"""Between two questions to the database for clicks that other instances recorded."""

MOST_CHANNELS: Final = 20_000
"""Channels remembered that were in a bridge, and that told who they are: an hour of a thousand busy enterprises and more."""

EARLIER_MS: Final = 500
"""A call is worth waiting for that began so much before what is known of it: MoySklad is told once when it began."""

_OBSERVATIONS: Final = frozenset(kind.type for kind in OBSERVATIONS)


def may_join(recorded: RecordedEvent) -> bool:
    """Whether the switchboard has anything to do with this event: all that was heard, and clicks; not what became of effects."""
    return recorded.type in _OBSERVATIONS or recorded.stream.name.startswith(CLICKS)


class Unjoined:
    """Of each enterprise, the log positions of events that may still prove something about a call of another stream."""

    def __init__(self, tail: Tail, now_ms: Callable[[], int]) -> None:
        self._tail = tail
        self._now_ms = now_ms
        self._waiting: dict[str, deque[int]] = {}
        self._count = 0
        self._blind_until = 0
        self._bridged: dict[tuple[str, str], None] = {}
        self._named_ms: dict[tuple[str, str], int] = {}
        self._clicked: dict[str, int] = {}
        self._clicks_as_of = 0
        self._asked_ms: int | None = None
        tail.listen(self._hear)

    def joined_until(self, enterprise: str, position: int) -> int:
        """Up to which position everything that may concern calls of this enterprise is joined. ``position``: the switchboard's
        own.

        A customer's hangup proves nothing about another stream, unless it is the first event of its call. Every other
        observation may.
        """
        if self._tail.since < 0 or position < max(self._tail.since, self._blind_until):
            return position
        waiting = self._waiting.get(enterprise)
        while waiting and waiting[0] <= position:
            waiting.popleft()
            self._count -= 1
        if waiting:
            return max(position, waiting[0] - 1)
        self._waiting.pop(enterprise, None)
        return max(position, self._tail.last)

    def may_be_clicks(self, enterprise: str) -> bool:
        """Whether somebody of this enterprise clicked lately, or may have."""
        if self._clicks_as_of != self._tail.breaks:
            return True
        started_ms = self._clicked.get(enterprise)
        return started_ms is not None and self._now_ms() - started_ms < CLICKED_MS

    def may_be_leg(self, enterprise: str, call: str) -> bool:
        """Whether the call's channel was in a bridge: then it may be another call's customer who was sent on (rule 2 of
        ``core/legs.py``). Of what other instances recorded nothing is known here."""
        return (enterprise, call) in self._bridged

    def began_before(self, enterprise: str, call: str, first_heard_ms: int) -> bool:
        """Whether the call's own channel told of itself well before the call was heard of: then the call began there (PRODUCT C3).
        Of what other instances recorded nothing is known here."""
        named_ms = self._named_ms.get((enterprise, call))
        return named_ms is not None and first_heard_ms - named_ms > EARLIER_MS

    def asks_for_clicks(self, position: int) -> bool:
        """Whether it is time to ask for clicks of other instances: there may be some, and all that they recorded is joined."""
        if self._clicks_as_of == self._tail.breaks or not 0 <= self._tail.since <= position:
            return False
        return self._asked_ms is None or not 0 <= self._now_ms() - self._asked_ms < LOOK_MS

    async def learn_clicks(self, clicked: Callable[[int], Awaitable[dict[str, int]]]) -> None:
        """Ask for recent clicks (``SwitchboardState.clicked``). Raises StoreUnavailable."""
        now_ms, breaks = self._now_ms(), self._tail.breaks
        self._asked_ms = now_ms
        for enterprise, started_ms in (await clicked(now_ms - CLICKED_MS)).items():
            self._clicked[enterprise] = max(started_ms, self._clicked.get(enterprise, 0))
        self._clicks_as_of = breaks
        self._clicked = {name: started_ms for name, started_ms in self._clicked.items() if now_ms - started_ms < CLICKED_MS}

    def _hear(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            enterprise = event.stream.enterprise
            if event.type == OriginateStarted.type and event.stream.name.startswith(CLICKS):
                self._clicked[enterprise] = self._now_ms()
            elif event.type in _OBSERVATIONS and not _is_customers_end(event):
                self._waiting.setdefault(enterprise, deque()).append(event.position)
                self._count += 1
                if event.type == BridgeEntered.type:
                    _keep(self._bridged, (enterprise, event.data.get("channel", "")), None)
                elif event.type == CallerIdObserved.type:
                    _keep(self._named_ms, (enterprise, event.data.get("channel", "")), event.data.get("heard_ms", 0))
        if self._count > MOST:
            self._waiting.clear()
            self._count, self._blind_until = 0, self._tail.last


def _keep(channels: dict[tuple[str, str], T], channel: tuple[str, str], what: T) -> None:
    """Remember what was first said of a channel, and of so many channels at most."""
    channels.setdefault(channel, what)
    if len(channels) > MOST_CHANNELS:
        del channels[next(iter(channels))]


def _is_customers_end(event: RecordedEvent) -> bool:
    internal = event.data.get("direction") == Direction.INTERNAL.value
    return event.type == HangupObserved.type and event.version > 1 and not internal
