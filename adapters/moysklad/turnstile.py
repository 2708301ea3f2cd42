"""Who may ask now: the queue of one credential at one API (docs/decisions/0011).

The rules themselves are pure and elsewhere: how much (``limits.py``), whether at all (``breaker.py``), how many failures
(``guard.py``). Here they meet those who wait: whoever is more urgent goes first, and among equals whoever came first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from adapters.moysklad.breaker import Advice, Away, Breaker, Go, Never, Outcome, Pause, State
from adapters.moysklad.door import Door
from adapters.moysklad.errors import MAX_RETRY_AFTER_MS, Api, ApiRefusal, Trouble
from adapters.moysklad.guard import Guard
from adapters.moysklad.limits import CALM_MS, Clock, Limit, Window, left_free
from adapters.moysklad.traffic import AccountState, Traffic
from core.effects import Deferred, Refused, Turn
from core.values import Urgency

MAX_ENTERPRISES: Final = 16
"""Enterprises remembered for one credential; more than one share it only by mistake or in a group of companies."""

UNANSWERED_MS: Final = 1_000
"""When to come again where only an answer makes room: nobody can say when it comes."""

RECENT_FAILURES: Final = 200
"""Failures of the last minute that are counted for people; the guard allows fewer."""

MINUTE_MS: Final = 60_000


class Line(NamedTuple):
    """Where somebody stands. A ``guess`` will most likely find nothing: it stands behind whatever else is as urgent, and leaves
    room for what others found out to be needed, as the less urgent do."""

    urgency: Urgency
    guess: bool = False

    @property
    def heeds(self) -> Urgency:
        """Whose rules it goes by."""
        return max(self.urgency, Urgency.ENDED) if self.guess else self.urgency


LINES: Final = tuple(Line(urgency, guess) for urgency in Urgency for guess in (False, True))


@dataclass(eq=False, slots=True, kw_only=True)
class _Waiter:
    """Somebody in the queue."""

    line: Line
    since_ms: int
    given: asyncio.Future[Place]
    patience: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class Place:
    """Room for one request. ``start`` right before it is sent, ``settle`` with what came of it, ``leave`` in any case.

    A place that is left without a start is not counted. ``hurried``: the request should not take its full time, because
    others wait for what it finds out.
    """

    turnstile: Turnstile
    suspect: bool
    probe: bool
    hurried: bool
    started_ms: int | None = None
    outcome: Outcome = Outcome.NOTHING
    failed: bool = False
    reason: str = ""
    refusal: ApiRefusal | None = None
    left: bool = False

    def start(self, entity: str = "") -> None:
        """The request is about to be sent; ``entity``: what it PUTs. Raises Deferred if that was done too often of late."""
        self.turnstile.check_put(entity)
        self.turnstile.put(entity)
        self.started_ms = self.turnstile.now_ms()

    def not_sent(self) -> None:
        """It was started and not sent after all."""
        self.started_ms = None

    def settle(self, outcome: Outcome, *, failed: bool, reason: str = "", refusal: ApiRefusal | None = None) -> None:
        """What came of the request. ``failed``: MoySklad counts it among the failing ones, or may."""
        self.outcome, self.failed, self.reason, self.refusal = outcome, failed, reason, refusal

    def leave(self) -> None:
        """Make room for the next; a second time it does nothing."""
        if not self.left:
            self.left = True
            self.turnstile.leave(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all turnstiles of one API share.

    ``limit``: in force now. ``born_ms``: since when this process knows what it asked. ``chance``: 0 to 1, at random.
    ``mended``: called with the enterprise when its API answers for the first time since the process began, or again.
    ``unwell``: those that do not let requests through now.
    """

    api: Api
    limit: Callable[[], Limit]
    clock: Clock
    born_ms: int
    chance: Callable[[], float]
    mended: Callable[[Api, str], None]
    door: Door = field(default_factory=Door)
    traffic: Traffic = field(default_factory=Traffic)
    unwell: set[Turnstile] = field(default_factory=set)


class Turnstile:
    """Lets the requests of one credential through, one by one, when every rule allows it."""

    def __init__(self, house: House) -> None:
        now_ms = house.clock()
        self.now_ms = house.clock
        self._house = house
        self._window = Window()
        self._breaker = Breaker(now_ms=now_ms)
        self._guard = Guard(now_ms=now_ms, born_ms=house.born_ms)
        self._queues: Mapping[Line, dict[_Waiter, None]] = {line: {} for line in LINES}
        self._timer: asyncio.TimerHandle | None = None
        self._held_until_ms = now_ms
        self._shared_until_ms = now_ms
        self._paced_until_ms = now_ms
        self._live_ms = now_ms
        self._places_lost = 0
        self._crowded_ms = now_ms
        self._failures: deque[int] = deque(maxlen=RECENT_FAILURES)
        self._told: OrderedDict[str, bool] = OrderedDict()

    # -- coming in -------------------------------------------------------------------------------------------

    async def enter(self, turn: Turn, *, wait_ms: int, enterprise: str = "", entity: str = "", guess: bool = False) -> Place:
        """Room for one request, when it is this one's turn; ``entity``: what it will PUT; ``guess``: see :class:`Line`.

        Raises :class:`Deferred` when there is none within ``wait_ms``, with the time after which there may be, and
        :class:`Refused` while MoySklad refuses everything of this account.
        """
        now_ms = self.now_ms()
        self._take_note(turn, enterprise, now_ms)
        line = Line(turn.urgency, guess)
        self._heed(self._breaker.advise(now_ms, line.heeds), line.heeds, now_ms)
        self.check_put(entity)
        pause_ms = self._pause_ms(line.heeds, now_ms)
        if pause_ms is not None and pause_ms > wait_ms:
            raise self._not_now(line, now_ms)
        self._make_room_in_the_queue(line, now_ms)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(line=line, since_ms=now_ms, given=loop.create_future())
        self._queues[line][waiter] = None
        self.serve()
        if not waiter.given.done():
            waiter.patience = loop.call_later(wait_ms / 1000, self._lost_patience, waiter)
        try:
            return await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled() and waiter.given.exception() is None:
                waiter.given.result().leave()
            raise
        finally:
            self._queues[line].pop(waiter, None)
            if waiter.patience is not None:
                waiter.patience.cancel()

    def check_put(self, entity: str) -> None:
        """Raises Deferred if this entity was PUT so often that MoySklad might block the account."""
        if entity and (wait_ms := self._guard.put_wait_ms(self.now_ms(), entity)) > 0:
            raise Deferred(Trouble.REPEATED, retry_after_ms=wait_ms)

    def put(self, entity: str) -> None:
        """A PUT to this entity is about to be sent."""
        if entity:
            self._guard.put(self.now_ms(), entity)

    def serve(self) -> None:
        """Let in whoever may come in now, and look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ms = self.now_ms()
        for line, queue in self._queues.items():
            urgency = line.heeds
            while queue:
                waiter = next(iter(queue))
                if waiter.given.done():
                    del queue[waiter]  # it was cancelled, and has not yet noticed
                    continue
                advice = self._breaker.advise(now_ms, urgency)
                if isinstance(advice, Away | Never):
                    self._send_away(queue, advice, now_ms)
                    break
                pause_ms = self._pause_ms(urgency, now_ms)
                if pause_ms != 0:
                    # whoever leaves calls again; so does the time at which there are more places
                    again_ms = self._more_places_ms(now_ms) if pause_ms is None else pause_ms
                    if again_ms is not None:
                        self._timer = asyncio.get_running_loop().call_later(again_ms / 1000, self.serve)
                    return
                if not self._house.door.has_room(suspect=self.suspect):
                    self._house.door.wait(self, urgency)
                    return
                del queue[waiter]
                self._let_in(waiter, advice, now_ms)

    def _let_in(self, waiter: _Waiter, advice: Advice, now_ms: int) -> None:
        assert isinstance(advice, Go)
        hurried = advice.probe and self._breaker.hurried
        place = Place(turnstile=self, suspect=self.suspect, probe=advice.probe, hurried=hurried)
        self._house.door.enter(suspect=place.suspect)
        self._window.in_flight += 1
        self._breaker.entered(advice)
        if waiter.line.urgency is Urgency.BACKLOG:
            self._paced_until_ms = now_ms + self._pace_ms(waiter.line.urgency, now_ms)
        self._house.traffic.waited(now_ms - waiter.since_ms)
        waiter.given.set_result(place)

    def _send_away(self, queue: dict[_Waiter, None], advice: Advice, now_ms: int) -> None:
        """Nobody of this urgency is let in for now: they need not stand here for it."""
        waiters = list(queue)
        queue.clear()
        for waiter in waiters:
            if waiter.given.done():
                continue
            try:
                self._heed(advice, waiter.line.heeds, now_ms)
            except (Deferred, Refused) as answer:
                waiter.given.set_exception(answer)

    def _heed(self, advice: Advice, urgency: Urgency, now_ms: int) -> None:
        match advice:
            case Away():
                self._breaker.told_to_come_again(now_ms, urgency, advice.retry_after_ms)
                raise Deferred(f"{Trouble.AWAY}: {advice.reason}", retry_after_ms=advice.retry_after_ms)
            case Never():
                raise advice.refusal.again()
            case Go() | Pause():
                return

    def _lost_patience(self, waiter: _Waiter) -> None:
        if not waiter.given.done():
            waiter.given.set_exception(self._not_now(waiter.line, self.now_ms()))

    def _make_room_in_the_queue(self, line: Line, now_ms: int) -> None:
        """The queue is bounded. Where it is full, the last of the least urgent goes, if it is less urgent than this."""
        if sum(len(queue) for queue in self._queues.values()) < self._house.limit().waiting:
            return
        last = max(other for other, queue in self._queues.items() if queue)
        if last <= line:
            raise self._not_now(line, now_ms)
        waiter = next(reversed(self._queues[last]))
        del self._queues[last][waiter]
        self._lost_patience(waiter)

    # -- when ------------------------------------------------------------------------------------------------

    def _limit(self) -> Limit:
        return self._window.limit(self._house.limit())

    def _most(self, now_ms: int) -> int:
        limit = self._limit()
        return limit.trickle if now_ms < self._shared_until_ms else limit.share

    def _pause_ms(self, urgency: Urgency, now_ms: int) -> int | None:
        """How long until every rule lets one of this urgency in; None: not before somebody leaves."""
        limit, most = self._limit(), self._most(now_ms)
        if self._window.in_flight >= self._places(urgency, limit, now_ms):
            return None
        window_ms = self._window.wait_ms(now_ms, limit, most, self._free(most, urgency, now_ms))
        if (shared_ms := self._shared_until_ms - now_ms) > 0:
            window_ms = shared_ms if window_ms is None else min(window_ms, shared_ms)  # then there is more to be had
        if window_ms is None:
            return None
        advice = self._breaker.advise(now_ms, urgency)
        waits = [
            window_ms,
            self._held_until_ms - now_ms,
            self._guard.wait_ms(now_ms, urgency, self._window.in_flight),
            advice.wait_ms if isinstance(advice, Pause) else 0,
        ]
        if urgency is Urgency.BACKLOG:
            # What an owner leaves free after taking over is for cards; and a backlog goes out evenly, not in bursts.
            waits += [shared_ms, self._paced_until_ms - now_ms]
        return max(0, *waits)

    def _places(self, urgency: Urgency, limit: Limit, now_ms: int) -> int:
        """How many requests may be under way at once."""
        if self.suspect or now_ms < self._shared_until_ms:
            return 1
        places = max(1, limit.parallel - self._lost_now(limit, now_ms))
        return max(1, places - 1) if urgency is Urgency.BACKLOG else places

    def _more_places_ms(self, now_ms: int) -> int | None:
        """When there are more places by the passing of time alone."""
        if now_ms < self._shared_until_ms:
            return self._shared_until_ms - now_ms
        period_ms = self._limit().period_ms
        return period_ms - (now_ms - self._crowded_ms) % period_ms if self._lost_now(self._limit(), now_ms) else None

    def _lost_now(self, limit: Limit, now_ms: int) -> int:
        return max(0, self._places_lost - (now_ms - self._crowded_ms) // limit.period_ms)

    def _pace_ms(self, urgency: Urgency, now_ms: int) -> int:
        most = self._most(now_ms)
        return self._limit().period_ms // max(1, most - self._free(most, urgency, now_ms))

    def _free(self, most: int, urgency: Urgency, now_ms: int) -> int:
        return left_free(most, urgency, calm=now_ms - self._live_ms >= CALM_MS)

    def _not_now(self, line: Line, now_ms: int) -> Deferred:
        """What to say to somebody for whom there is no room: why, and when there should be, those before them served."""
        urgency = line.heeds
        pause_ms = self._pause_ms(urgency, now_ms)
        ahead = sum(len(queue) for other, queue in self._queues.items() if other <= line)
        wait_ms = (UNANSWERED_MS if pause_ms is None else pause_ms) + ahead * self._pace_ms(urgency, now_ms)
        reason = Trouble.UNANSWERED if pause_ms is None else Trouble.BUSY
        if self._failed_of_late(now_ms) and self._guard.wait_ms(now_ms, urgency, self._window.in_flight) > 0:
            reason = Trouble.GUARDED
        return Deferred(reason, retry_after_ms=min(max(wait_ms, 1), MAX_RETRY_AFTER_MS))

    # -- going out -------------------------------------------------------------------------------------------

    def leave(self, place: Place) -> None:
        """A place is free again: take in what its request showed."""
        now_ms = self.now_ms()
        outcome = place.outcome
        if place.started_ms is None:
            self._window.unused()
            outcome = Outcome.NOTHING
        else:
            self._window.answered(now_ms)
            self._house.traffic.answered(now_ms - place.started_ms, failed=place.failed)
            if place.failed:
                self._guard.failed(now_ms)
                self._failures.append(now_ms)
        changed = self._breaker.left(
            now_ms,
            outcome,
            probe=place.probe,
            chance=self._house.chance(),
            reason=place.reason,
            refusal=place.refusal,
        )
        self._house.door.leave(suspect=place.suspect)
        self.serve()
        if changed:
            if self._breaker.state is State.CLOSED:
                self._house.unwell.discard(self)
            else:
                self._house.unwell.add(self)
                self._told = OrderedDict.fromkeys(self._told, False)
        if outcome is Outcome.GOOD:
            self._tell_mended()

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer's headers say of the limit, before its place is left."""
        self._window.learn(headers, self.now_ms(), self._house.limit())

    def hold(self, retry_after_ms: int) -> None:
        """Let nobody in for so long: MoySklad said it is too much per time."""
        self._held_until_ms = max(self._held_until_ms, self.now_ms() + min(retry_after_ms, MAX_RETRY_AFTER_MS))

    def crowded(self, retry_after_ms: int) -> None:
        """MoySklad said it is too many at once: half as many from now on, and one more again with each period.

        Where there is one place only, somebody else uses the others: then it helps to wait.
        """
        now_ms, limit = self.now_ms(), self._house.limit()
        places = max(1, limit.parallel - self._lost_now(limit, now_ms))
        if places == 1:
            self.hold(retry_after_ms)
        self._places_lost = limit.parallel - max(1, places // 2)
        self._crowded_ms = now_ms

    def forget(self) -> None:
        """The settings were changed, or a person asked for it: the next request may try at once."""
        self._breaker.forget()
        if any(self._queues.values()):
            self.serve()

    def _tell_mended(self) -> None:
        untold = [enterprise for enterprise, told in self._told.items() if not told]
        for enterprise in untold:
            self._told[enterprise] = True
            self._house.mended(self._house.api, enterprise)

    def _take_note(self, turn: Turn, enterprise: str, now_ms: int) -> None:
        if turn.urgency is Urgency.LIVE:
            self._live_ms = now_ms
        if turn.quiet_ms is not None:
            until_ms = now_ms + self._house.limit().period_ms - turn.quiet_ms
            self._shared_until_ms = max(self._shared_until_ms, until_ms)
            self._guard.confine(now_ms, turn.quiet_ms)
        if enterprise:
            self._told.setdefault(enterprise, False)
            self._told.move_to_end(enterprise)
            while len(self._told) > MAX_ENTERPRISES:
                self._told.popitem(last=False)

    # -- what it looks like ----------------------------------------------------------------------------------

    @property
    def whose(self) -> tuple[Api, str]:
        """Its API, and the enterprise that asked last."""
        return self._house.api, next(reversed(self._told), "")

    @property
    def suspect(self) -> bool:
        """There is no reason to believe that the next request succeeds."""
        return self._breaker.suspect

    @property
    def is_forgotten(self) -> bool:
        """It was away when it was last asked, long ago: the next request may try, and nobody need be told."""
        return self._breaker.is_forgotten(self.now_ms())

    @property
    def is_away(self) -> bool:
        """MoySklad is known to be away: whoever is in no hurry would be sent away now."""
        return isinstance(self._breaker.advise(self.now_ms(), Urgency.BACKLOG), Away)

    @property
    def idle(self) -> bool:
        """Nobody is inside or waiting, and nothing is left to remember."""
        now_ms = self.now_ms()
        return (
            not any(self._queues.values())
            and self._window.is_empty(now_ms, self._limit().period_ms)
            and self._breaker.state is State.CLOSED
            and self._breaker.failures == 0
            and now_ms >= max(self._held_until_ms, self._shared_until_ms)
            and self._guard.is_idle(now_ms)
        )

    def _failed_of_late(self, now_ms: int) -> int:
        return sum(1 for at_ms in self._failures if at_ms > now_ms - MINUTE_MS)

    def describe(self, wall_now_ms: int) -> AccountState:
        """How it stands; ``wall_now_ms`` is the time of day that belongs to now."""
        now_ms, limit, breaker = self.now_ms(), self._limit(), self._breaker
        ahead_ms = wall_now_ms - now_ms
        api, enterprise = self.whose
        waits_until_ms = max(breaker.next_ms(Urgency.LIVE), self._held_until_ms)
        state = "half-open" if breaker.state is State.OPEN and breaker.probing else str(breaker.state)
        if breaker.is_forgotten(now_ms):
            state = str(State.CLOSED)  # the next request goes through: nothing is known against it
        return AccountState(
            api=api,
            enterprise=enterprise,
            state=state,
            reason=breaker.reason,
            since_ms=breaker.since_ms + ahead_ms,
            until_ms=waits_until_ms + ahead_ms if waits_until_ms > now_ms else None,
            waiting={
                urgency.name.lower(): sum(len(queue) for line, queue in self._queues.items() if line.urgency is urgency)
                for urgency in Urgency
            },
            in_flight=self._window.in_flight,
            used=self._window.used(now_ms, limit.period_ms),
            limit=self._most(now_ms),
            failures_last_minute=self._failed_of_late(now_ms),
        )
