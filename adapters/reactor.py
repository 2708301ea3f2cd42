"""The reactor: attends to every call that has something to do, one step of a call at a time, many calls at once.

What is done for one call is in ``attendant.py``; whose turn it is, in ``agenda.py``. Here is when: at once for what was just
heard, by a timer for a deadline that is near, and by polling for everything else, which also finds what an earlier process,
or another instance, left behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from adapters.agenda import PLACES, Agenda, Places
from adapters.attendant import (
    Again,
    Attendant,
    Counters,
    Held,
    Progress,
    Rests,
    Waits,
    Yields,
)
from adapters.click_caller import ClickCaller
from adapters.folded import OWN_SIGNALS
from adapters.tail import Tail
from core.clicks import STREAM as CLICKS
from core.errors import StoreUnavailable
from core.ports import RecordedEvent, StreamId
from core.values import Urgency

log = structlog.get_logger("reactor")

MAX_STEPS: Final = 60
"""Steps of one call in one go; whatever is left then is due again at once. Bounds a loop that would never settle."""

DUE_OF_EACH: Final = 64
"""Due calls of one enterprise and urgency taken up in one poll: more than MoySklad takes of it in a second."""

MANY_WAITING: Final = 5_000
"""While this many calls wait, no backlog is read: there would be no room for it, and it would be read again each second."""

MANY_OWNED: Final = 50
FEW_OF_EACH: Final = 8
"""Where an instance owns more than ``MANY_OWNED`` enterprises, only this much of each one's backlog is read in one poll: a
thousand backlogs must not fill the memory."""

ENOUGH: Final = 4
"""No more of an enterprise's backlog is read while this many of its backlog calls wait for their turn."""

POLL_S: Final = 1.0
"""Between two looks for what is due. What is heard is attended to at once, and near deadlines have a timer."""

MORE_S: Final = 0.1
"""The pause after a look that found as many calls as it asked for, once they are done: there may be more, as after the restart
of a large company's calls."""

TIMER_MS: Final = 60_000
"""A deadline that is nearer than this gets a timer; a later one is found by polling."""

LATE_MS: Final = 20
"""A call that says it is late already is looked at again after so long: whatever made it say so, it makes no tight loop."""

TIMERS: Final = 50_000
"""Timers at most; whatever has none is found by polling."""

REMEMBERED_OF_EACH: Final = 1_000
"""Calls of an enterprise that are remembered while it is being claimed, or MoySklad is away; the others are found by polling."""

REMEMBERED_ENTERPRISES: Final = 10_000
"""Enterprises of which calls are remembered."""

STOP_S: Final = 5.0
"""How long requests under way may take when the service stops. One that ends in time is known to have worked or not."""

BUG_PAUSE_MS: Final = 60_000
"""A call that met a bug is left alone for this long, so that it costs one traceback a minute and not a loop."""

_OWN_SIGNALS: Final = frozenset(kind.type for kind in OWN_SIGNALS)


class _Remembered:
    """Calls, by enterprise, to be woken when something happens; so many at most, for whatever is not here is found by polling."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[StreamId, Urgency]] = {}

    def add(self, stream: StreamId, urgency: Urgency) -> None:
        """Remember this call, unless there is no room."""
        calls = self._calls.setdefault(stream.enterprise, {})
        if len(calls) < REMEMBERED_OF_EACH:
            calls[stream] = urgency
        while len(self._calls) > REMEMBERED_ENTERPRISES:
            self._calls.pop(next(iter(self._calls)))

    def take(self, enterprise: str) -> dict[StreamId, Urgency]:
        """Those of this enterprise, which are forgotten."""
        return self._calls.pop(enterprise, {})


class Reactor:
    """Runs until cancelled. ``wake`` is cheap and may be called for any stream at any time."""

    def __init__(
        self,
        attendant: Attendant,
        *,
        tail: Tail | None = None,
        clicks: ClickCaller | None = None,
        places: Mapping[Urgency, Places] | None = None,
        stop_s: float = STOP_S,
    ) -> None:
        """``attendant``: does what is to be done for one call. ``tail``: what this process records itself, the attendant's own; a
        call's own signal in it needs no ``wake``.

        ``clicks``: attends to the streams of clicks. ``places``: how many calls are attended to at once. ``stop_s``: how long
        requests under way may take to end.
        """
        self._attendant = attendant
        if tail is not None:
            tail.listen(self._recorded)
        self._clicks = clicks
        self._store = attendant.store
        self._now_ms = attendant.now_ms
        self._ownership = attendant.ownership
        self._agenda = Agenda(places or PLACES)
        self._stop_s = stop_s
        self._stopping = False
        self._running: dict[StreamId, asyncio.Task[None]] = {}
        self._again: dict[StreamId, Urgency] = {}
        self._asked, self._put_off = _Remembered(), _Remembered()
        self._timers: dict[StreamId, asyncio.TimerHandle] = {}
        self._paused: dict[StreamId, asyncio.TimerHandle] = {}
        self._pace: asyncio.TimerHandle | None = None
        self._look = asyncio.Event()
        self._everywhere_at_s = float("-inf")
        """From then on (the loop's clock) the next look is for what is due of all enterprises, not only of those just claimed."""

        self._claimed: set[str] = set()
        self._more = False
        """The last look found as much as it asked for of some enterprise: there may be more, due just as long."""

        self._polling = False

    def wake(self, stream: StreamId, urgency: Urgency = Urgency.LIVE) -> None:
        """Attend to this call as soon as it is its turn; if it is being attended to, once more afterwards."""
        if not self._ownership.owns(stream.enterprise):
            self._asked.add(stream, urgency)
            self._ownership.request(stream.enterprise)
            return
        if stream in self._running:
            self._again[stream] = min(urgency, self._again.get(stream, urgency))
        elif stream not in self._paused:
            self._agenda.add(stream, urgency)
            self._start()

    def joined(self, stream: StreamId) -> None:
        """The switchboard has taken in what was heard of it. Nearly always that was attended to when it was recorded."""
        if stream.name.startswith(CLICKS) or not self._attendant.is_done(stream):
            self.wake(stream)

    def _recorded(self, events: Sequence[RecordedEvent]) -> None:
        """What a call says of itself may need no switchboard: its attendant knows."""
        if self._polling:
            for stream in {event.stream: None for event in events if event.type in _OWN_SIGNALS}:
                self.wake(stream)

    def claimed(self, enterprise: str) -> None:
        """The enterprise is ours now: go on with what was waiting for that, and look at what is due."""
        self._attendant.doubt_all(enterprise)
        for stream, urgency in self._asked.take(enterprise).items():
            self.wake(stream, urgency)
        self._claimed.add(enterprise)
        self._look.set()

    def lost(self, enterprise: str) -> None:
        """The enterprise is another instance's: leave its calls alone."""
        self._agenda.forget(enterprise)
        self._put_off.take(enterprise)

    def answers_again(self, enterprise: str) -> None:
        """An API that was away for the enterprise answers: what was put off until then need not wait for its time."""
        for stream, urgency in self._put_off.take(enterprise).items():
            self.wake(stream, urgency)

    def look(self) -> None:
        """Look for what is due now rather than at the next poll."""
        self._everywhere_at_s = float("-inf")
        self._look.set()

    def is_busy(self, enterprise: str) -> bool:
        """Whether a call of this enterprise is being attended to."""
        return self._agenda.is_busy(enterprise)

    async def run(self) -> None:
        """Attend to every call whose work is due, including what an earlier process left behind."""
        self._polling, self._stopping = True, False
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._look.clear()
                if clock() >= self._everywhere_at_s:
                    self._everywhere_at_s = clock() + POLL_S
                    await self._poll()
                else:
                    await self._poll_claimed()
                try:
                    async with asyncio.timeout_at(self._everywhere_at_s):
                        await self._look.wait()
                except TimeoutError:  # the clock may not be there yet: timers go off a little early
                    self._everywhere_at_s = float("-inf")
        finally:
            self._polling = False
            await self._stop()

    @property
    def counters(self) -> Counters:
        """What was done since the process started."""
        return self._attendant.counters

    @property
    def attending(self) -> int:
        """How many calls are being attended to now."""
        return self._agenda.running

    async def idle(self) -> None:
        """Wait until no call is being attended to (tests)."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            await asyncio.sleep(0)

    async def attend(self, stream: StreamId, turn: Urgency = Urgency.LIVE) -> None:
        """Bring one call as far as it goes now. Raises StoreUnavailable; the call stays due and is taken up again."""
        with structlog.contextvars.bound_contextvars(call=stream.name.removeprefix("call/"), enterprise=stream.enterprise):
            for _ in range(MAX_STEPS):
                if self._stopping or not self._ownership.owns(stream.enterprise):
                    return
                match await self._advance(stream, turn):
                    case Again(performed=performed):
                        if performed:
                            self._agenda.release(stream.enterprise)
                        continue
                    case Rests(wake_ms=wake_ms, urgency=rank, until_back=until_back):
                        self._set_timer(stream, wake_ms, rank)
                        if until_back:
                            self._put_off.add(stream, rank)
                    case Yields(urgency=rank):
                        self._again[stream] = rank
                    case Waits(until_ms=until_ms):
                        if until_ms is not None:
                            self._set_timer(stream, until_ms, turn)
                    case Held(until_ms=until_ms):
                        self._agenda.hold(stream.enterprise, until_ms)
                    case _:
                        pass
                return
            if not stream.name.startswith(CLICKS):
                await self._attendant.put_off(stream, turn)
            elif self._clicks is not None:
                await self._clicks.put_off(stream)
            log.warning("call_has_many_steps", steps=MAX_STEPS)

    async def _advance(self, stream: StreamId, turn: Urgency) -> Progress:
        if not stream.name.startswith(CLICKS):
            return await self._attendant.advance(stream, turn)
        return Waits() if self._clicks is None else await self._clicks.advance(stream)

    async def _poll(self) -> None:
        """Take up what is due of all enterprises that are ours."""
        self._more = False
        self._claimed.clear()
        await self._take_up(self._ownership.owned())

    async def _poll_claimed(self) -> None:
        """The same of those that were claimed since: a thousand are claimed one after another, and each wants to be looked at."""
        claimed = self._claimed & set(self._ownership.owned() or ())
        self._claimed.clear()
        if claimed:
            await self._take_up(claimed)

    async def _take_up(self, enterprises: Collection[str] | None) -> None:
        """Take up what is due of these (None: of all); what waits or is attended to already stays where it is."""
        many = len(self._ownership.owned() or ()) > MANY_OWNED
        backlog = 0 if len(self._agenda) >= MANY_WAITING else FEW_OF_EACH if many else DUE_OF_EACH
        sated = self._agenda.sated(Urgency.BACKLOG, ENOUGH)
        try:
            due = await self._store.due(self._now_ms(), DUE_OF_EACH, enterprises, backlog=backlog, sated=sated)
        except StoreUnavailable as error:
            log.warning("database_unavailable", reason=str(error))
            return
        found = Counter((each.stream.enterprise, each.urgency) for each in due if each.urgency is not Urgency.BACKLOG)
        self._more = self._more or max(found.values(), default=0) >= DUE_OF_EACH
        for each in due:
            if not (each.stream in self._running or each.stream in self._paused or each.stream in self._agenda):
                self._attendant.doubt(each.stream)  # who made it due may have recorded something
                self._agenda.add(each.stream, each.urgency)
        self._start()

    def _start(self) -> None:
        """Begin with whoever's turn it is."""
        while not self._stopping and (found := self._agenda.take(self._now_ms())) is not None:
            stream, turn = found
            task = asyncio.create_task(self.attend(stream, turn), name=f"call {stream.name}")
            self._running[stream] = task
            task.add_done_callback(partial(self._finished, stream))
        again_ms = None if self._stopping or self._pace is not None else self._agenda.again_ms(self._now_ms())
        if again_ms is not None:
            self._pace = asyncio.get_running_loop().call_later(again_ms / 1000, self._go_on_at_its_pace)

    def _go_on_at_its_pace(self) -> None:
        self._pace = None
        self._start()

    def _finished(self, stream: StreamId, task: asyncio.Task[None]) -> None:
        del self._running[stream]
        self._agenda.done(stream)
        again = self._again.pop(stream, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._attendant.forget(stream)
        if isinstance(error, StoreUnavailable):
            log.warning("call_waits_for_database", call=stream.name, reason=str(error))
        elif error is not None:
            # A bug: this call is left alone for a while, the others go on, and the log has the place.
            log.error("call_failed", call=stream.name, error=f"{type(error).__name__}", exc_info=error)
            loop = asyncio.get_running_loop()
            self._paused[stream] = loop.call_later(BUG_PAUSE_MS / 1000, self._go_on_after_bug, stream)
        elif again is not None and not task.cancelled():
            self._agenda.add(stream, again)
        self._start()
        if self._more and len(self._running) < DUE_OF_EACH // 2 and not len(self._agenda):
            self._more = False
            asyncio.get_running_loop().call_later(MORE_S, self.look)

    def _go_on_after_bug(self, stream: StreamId) -> None:
        del self._paused[stream]
        self.wake(stream)

    async def _stop(self) -> None:
        """Let the requests under way end, for each that does leaves no doubt; then stop whatever is left."""
        self._stopping = True
        for timer in (*self._timers.values(), *self._paused.values()):
            timer.cancel()
        if self._pace is not None:
            self._pace.cancel()
            self._pace = None
        self._timers.clear()
        self._paused.clear()
        if tasks := list(self._running.values()):
            await asyncio.wait(tasks, timeout=self._stop_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _set_timer(self, stream: StreamId, wake_ms: int | None, rank: Urgency) -> None:
        if (old := self._timers.pop(stream, None)) is not None:
            old.cancel()
        if wake_ms is None or not self._polling or len(self._timers) >= TIMERS:
            return
        in_ms = wake_ms - self._now_ms()
        if in_ms <= TIMER_MS:
            loop = asyncio.get_running_loop()
            self._timers[stream] = loop.call_later((in_ms if in_ms > 0 else LATE_MS) / 1000, self._rings, stream, rank)

    def _rings(self, stream: StreamId, rank: Urgency) -> None:
        self._timers.pop(stream, None)
        self.wake(stream, rank)
