"""A recorded call run again in virtual time, under other settings or by today's code. Pure: nothing is asked of anybody.

What was heard is kept, each thing when it was heard. Everything else is decided anew: what time decides, what is planned, what
MoySklad is asked. It answers as :mod:`core.stand_in` says.

The record also says *when* this service acted: after how long, between which two signals, how long MoySklad took, when it was
away. None of that depends on settings or code. So what the run wants to do happens at the moment, and ends in the way, in which
the record did the same kind of thing. Only what the record never did is done at a moment of the run's own: a little later than
it could be, and never while MoySklad was away.

So the same code under the same settings repeats the record event by event, troubles included. That is why a difference means
something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.call import Call, evolve, initial
from core.decisions import Limits, decide
from core.effects import Effect, Way, encode_effect, is_write, way_of
from core.events import (
    AnyOutcome,
    CallOverdue,
    CallSettled,
    CallWrittenOff,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    Observation,
    RetryRequested,
)
from core.plan import plan
from core.remote import is_account_wide
from core.settings import Settings
from core.stand_in import Answer, StandIn, content, effect_of, is_card_or_record, learned
from core.steps import Step

QUICK_MS: Final = 200
"""How long the run must want something that the record did not do before it is done: our own usual latency. What only a burst
of signals suggests for some milliseconds, the service would never have done."""

PATIENT_MS: Final = 3_000
"""If the record does the same kind of thing within this time, it is taken for the same thing, and the run does it at that
moment."""

UNHURRIED_MS: Final = 60_000
"""The same once the call is over and no card stands: then the service lets live calls go first, and acts later."""

LOOK_UP_MS: Final = 10_000
"""A look-up that the record answers within this time is taken to have been sent as soon as it was wanted, whatever was heard
meanwhile."""

AGAIN_MS: Final = 1_000
"""A failed request is tried again no sooner than this."""

MOST_STEPS: Final = 400
"""A run that acts more often than this on its own never comes to rest: it is stopped, and the result says so (``stuck``)."""

_LOOKS: Final = 64
"""How many deadlines of the call are looked at between two events until one of them makes something due; a call has only a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What the history would have been. ``assumed``: what the record does not say, in words. ``stuck``: it never came to rest.

    ``parted_ms``: where the run first did otherwise than the record, and ``parted`` how, for whoever looks for the reason.
    """

    events: tuple[Event, ...]
    call: Call
    assumed: tuple[str, ...] = ()
    stuck: bool = False
    parted_ms: int | None = None
    parted: str = ""


def rerun(
    history: Sequence[Event],
    *,
    enterprise: str,
    call: str,
    settings: Settings,
    limits: Limits,
    until_ms: int | None = None,
    moysklad: StandIn | None = None,
) -> Rerun:
    """Run a call again. ``until_ms``: when the record was looked at (None: at its last event); the run goes no further.

    ``moysklad``: who answers what the record does not (None: whoever the record tells of).
    """
    run = _Run(history, initial(enterprise, call), settings, limits, moysklad or learned(history))
    run.walk()
    run.go_on_until(run.clock_ms if until_ms is None else until_ms)
    return Rerun(
        events=tuple(run.events),
        call=run.call,
        assumed=tuple(dict.fromkeys(run.assumed)),
        stuck=run.stuck,
        parted_ms=run.parted_ms,
        parted=run.parted,
    )


def time_of(event: Event) -> int:
    """When it happened, as this service saw it."""
    return event.heard_ms if isinstance(event, Observation) else event.at_ms


class _Run:
    """One run. ``since_ms``: since when there is something to do that the record has not done yet."""

    def __init__(
        self, history: Sequence[Event], call: Call, settings: Settings, limits: Limits, moysklad: StandIn
    ) -> None:
        self.call = call
        self.events: list[Event] = []
        self.assumed: list[str] = []
        self.stuck = False
        self.clock_ms = 0
        self.parted_ms: int | None = None
        self.parted = ""
        self._record = history
        self._settings = settings
        self._limits = limits
        self._moysklad = moysklad
        self._since_ms: int | None = None
        self._flight: tuple[str, Step] | None = None
        self._begun: set[str] = set()
        self._trouble: dict[Way, AnyOutcome] = {}
        self._coming = _own_events_to_come(history)
        self._at = 0
        self._steps = 0

    def walk(self) -> None:
        """Through the record, event by event."""
        for index, event in enumerate(self._record):
            self._at = index
            at_ms = time_of(event)
            self.go_on_until(at_ms)
            match event:
                case CallSettled() | CallOverdue() | CallWrittenOff():
                    self._move_to(at_ms)
                    self._flight = None
                    if not self._decide(at_ms):
                        self._part(f"the record has {event.type}, the run decides nothing")
                case EffectStarted():
                    self._move_to(at_ms)
                    self._begin(event)
                case EffectDone() | EffectFailed() | EffectRefused():
                    self._end(event)
                case EffectDeferred():
                    self._put_off(event)
                case _:
                    self._move_to(at_ms)
                    if isinstance(event, RetryRequested):
                        self._trouble = {way: last for way, last in self._trouble.items() if not isinstance(last, EffectRefused)}
                    self._add(event)
            self._watch()
        self._at = len(self._record)

    def go_on_until(self, until_ms: int) -> None:
        """Do by itself what the record does not do, as far as it comes due."""
        while not self.stuck and self._flight is None:
            wanted_ms = self._wanted_ms(until_ms)
            if wanted_ms is None:
                return
            self._since_ms = wanted_ms
            act_ms = max(wanted_ms + QUICK_MS, self.clock_ms)
            if act_ms > until_ms or self._is_done_soon_by_the_record(wanted_ms):
                return
            self._move_to(act_ms)
            self._act()
            self._since_ms = None
            self._steps += 1
            self.stuck = self._steps > MOST_STEPS

    # -- the record's own events, in their places -----------------------------------------------------------------

    def _decide(self, at_ms: int) -> bool:
        """Let time decide; whether it decided anything."""
        facts = decide(self.call, at_ms, self._limits)
        for fact in facts:
            self._add(fact)
        return bool(facts)

    def _begin(self, event: EffectStarted) -> None:
        """The record begins a write. If the run wants one of this kind now, it is this one."""
        self._begun.add(event.key)
        self._flight = None
        self._decide(self.clock_ms)
        step = self._step(self.clock_ms)
        if step is not None and step.effect.type == event.effect.get("type"):
            if content(encode_effect(step.effect)) != content(event.effect):
                self._part(f"the record asks for another {step.effect.type} than the run")
            self._start(step)
            self._flight = (event.key, step)
        else:
            self._part(f"the record asks for {event.effect.get('type')}, the run for {_named(step)}")

    def _end(self, event: EffectDone | EffectFailed | EffectRefused) -> None:
        """An answer of the record's. It is the run's, if the run has asked for the same kind of thing."""
        step = None
        if self._flight is not None and self._flight[0] == event.key:
            step = self._flight[1]
        elif event.key not in self._begun:
            # A look-up (or what was known to be refused) has no beginning: it was asked for as soon as it was wanted.
            step = self._asked(event, event.at_ms)
        if event.key in self._begun or step is not None:
            self._flight = None
        self._move_to(event.at_ms)
        self._note_trouble(event)
        if step is not None:
            self._answer(step, event)
        elif event.key not in self._begun:
            self._part(f"the record asks for {event.effect.get('type')}, the run does not")

    def _put_off(self, event: EffectDeferred) -> None:
        step = self._asked(event, event.at_ms)
        self._flight = None
        self._move_to(event.at_ms)
        self._note_trouble(event)
        if step is not None:
            self._add(replace(event, effect=_as_recorded(step.effect, event)))

    def _asked(self, event: AnyOutcome, until_ms: int) -> Step | None:
        """What the run asked for, since the last event, that this is the answer to."""
        self._decide(self.clock_ms)
        moment_ms: int | None = self.clock_ms
        for _ in range(_LOOKS):
            if moment_ms is None or moment_ms > until_ms:
                return None
            planned = plan(self.call, self._settings, moment_ms, self._limits)
            if planned.step is not None and planned.step.not_before_ms is None:
                same = planned.step.effect.type == event.effect.get("type")
                away = isinstance(event, EffectDeferred) and way_of(planned.step.effect) == _way_of(event)
                return planned.step if same or away else None
            moment_ms = planned.wake_ms if planned.wake_ms is None or planned.wake_ms > moment_ms else None
        return None

    def _answer(self, step: Step, event: EffectDone | EffectFailed | EffectRefused) -> None:
        effect = _as_recorded(step.effect, event)
        adapted = self._moysklad.adapted(step.effect, event)
        if isinstance(event, EffectFailed):
            self._add(replace(event, key=step.key, effect=effect))
        elif adapted is None:
            self._outcome(step, self._moysklad.answer(step.effect))
        elif adapted.refusal is not None:
            self._add(replace(adapted.refusal, key=step.key, at_ms=self.clock_ms, effect=effect))
        else:
            exchanges = event.exchanges
            self._add(EffectDone(key=step.key, at_ms=self.clock_ms, effect=effect, result=adapted.result, exchanges=exchanges))

    def _note_trouble(self, event: AnyOutcome) -> None:
        """Whether MoySklad is away for the run as well, or refuses all of this account."""
        way = _way_of(event)
        refuses = isinstance(event, EffectRefused) and is_account_wide(event)
        if refuses or isinstance(event, EffectFailed | EffectDeferred):
            self._trouble[way] = event
        else:
            self._trouble.pop(way, None)

    # -- the run's own ----------------------------------------------------------------------------------------------

    def _wanted_ms(self, until_ms: int) -> int | None:
        """Since when, or from when on, there is something to do that can be done; None: not before ``until_ms``."""
        if self._since_ms is not None:
            return self._since_ms
        moment_ms = self.clock_ms
        for _ in range(_LOOKS):
            if self._is_due(moment_ms):
                return moment_ms
            wake_ms = plan(self.call, self._settings, moment_ms, self._limits).wake_ms
            if wake_ms is None or wake_ms > until_ms or wake_ms <= moment_ms:
                return None
            moment_ms = wake_ms
        return None

    def _is_due(self, at_ms: int) -> bool:
        if self.call.version == 0:
            return False
        if decide(self.call, at_ms, self._limits):
            return True
        step = self._step(at_ms)
        return step is not None and not self._is_away(step.effect)

    def _is_away(self, effect: Effect) -> bool:
        """Whether there is no use in asking. A call that waits for its contact asks all the same: told no, it goes without."""
        last = self._trouble.get(way_of(effect))
        waits = way_of(effect) is Way.JSON and self.call.remote.call is None
        return last is not None and not isinstance(last, EffectRefused) and not waits

    def _is_done_soon_by_the_record(self, wanted_ms: int) -> bool:
        coming = self._coming[self._at] if self._at < len(self._coming) else None
        patience_ms = PATIENT_MS if self.call.is_live or self.call.remote.open_cards else UNHURRIED_MS
        if coming is None or time_of(coming) - wanted_ms > patience_ms:
            return False
        facts = decide(self.call, wanted_ms, self._limits)
        if facts:
            return coming.type == facts[0].type
        step = self._step(wanted_ms)
        return step is not None and step.effect.type == getattr(coming, "effect", {}).get("type")

    def _act(self) -> None:
        if self._decide(self.clock_ms):
            self._part(f"the run decides {self.events[-1].type}, the record nothing so soon")
            return
        step = self._step(self.clock_ms)
        if step is None or self._is_away(step.effect):
            return
        self._part(f"the run asks for {step.effect.type}, the record for nothing so soon")
        last = self._trouble.get(way_of(step.effect))
        if isinstance(last, EffectRefused):  # known beforehand: nothing is sent
            self._outcome(step, Answer(refusal=replace(last, exchanges=())))
            return
        if is_write(step.effect):
            self._start(step)
        if last is not None:
            self.assumed.append("the record does not say that MoySklad's main API was back: taken as away")
            self._add(_failed_likewise(step, last, self.clock_ms))
            return
        self._outcome(step, self._moysklad.answer(step.effect))

    def _outcome(self, step: Step, answer: Answer) -> None:
        effect = encode_effect(step.effect)
        if answer.assumed:
            self.assumed.append(answer.assumed)
        if answer.refusal is not None:
            self._add(replace(answer.refusal, key=step.key, at_ms=self.clock_ms, effect=effect))
        else:
            self._add(EffectDone(key=step.key, at_ms=self.clock_ms, effect=effect, result=answer.result))

    def _start(self, step: Step) -> None:
        effect = encode_effect(step.effect)
        self._add(EffectStarted(key=step.key, at_ms=self.clock_ms, effect=effect, why=step.why))

    def _step(self, at_ms: int) -> Step | None:
        """What is to be done now."""
        step = plan(self.call, self._settings, at_ms, self._limits).step
        return step if step is not None and step.not_before_ms is None else None

    def _watch(self) -> None:
        """Note since when something is due, and whether the record's next answer is to the look-up that the run wants."""
        if not self._is_due(self.clock_ms):
            self._since_ms = None
            return
        if self._since_ms is None:
            self._since_ms = self.clock_ms
        coming = self._coming[self._at + 1] if self._at + 1 < len(self._coming) else None
        if self._flight is None and isinstance(coming, EffectDone | EffectFailed | EffectRefused):
            step = None if decide(self.call, self.clock_ms, self._limits) else self._step(self.clock_ms)
            soon = time_of(coming) - self.clock_ms <= LOOK_UP_MS
            if step is not None and soon and not is_write(step.effect) and step.effect.type == coming.effect.get("type"):
                self._flight = (coming.key, step)

    def _part(self, how: str) -> None:
        if self.parted_ms is None:
            self.parted_ms, self.parted = self.clock_ms, how

    def _move_to(self, at_ms: int) -> None:
        self.clock_ms = max(self.clock_ms, at_ms)

    def _add(self, event: Event) -> None:
        self.call = evolve(self.call, event)
        self.events.append(event)
        if not isinstance(event, Observation):
            self._since_ms = None


def _own_events_to_come(history: Sequence[Event]) -> list[Event | None]:
    """For each place in the record the next event there, or later, that this service made itself."""
    found: list[Event | None] = [None] * len(history)
    coming: Event | None = None
    for index in range(len(history) - 1, -1, -1):
        event = history[index]
        if not isinstance(event, Observation | RetryRequested):
            coming = event
        found[index] = coming
    return found


def _failed_likewise(step: Step, last: AnyOutcome, at_ms: int) -> EffectFailed:
    """The failure that the record last met, for a step of the run's own."""
    wait_ms = AGAIN_MS
    error = "MoySklad is away"
    if isinstance(last, EffectFailed):
        wait_ms, error = max(AGAIN_MS, last.retry_ms - last.at_ms), last.error
    elif isinstance(last, EffectDeferred):
        wait_ms, error = max(AGAIN_MS, last.until_ms - last.at_ms), last.reason
    return EffectFailed(
        key=step.key,
        at_ms=at_ms,
        effect=encode_effect(step.effect),
        error=error,
        ambiguous=False,
        retry_ms=at_ms + wait_ms,
    )


def _named(step: Step | None) -> str:
    return "nothing" if step is None else step.effect.type


def _as_recorded(effect: Effect, event: AnyOutcome) -> dict[str, Any]:
    """The effect as the run records it. The record's own where it asks for the same: a look-up's deadline depends on the
    millisecond in which it began, and that alone is no difference."""
    asked = encode_effect(effect)
    same = not is_card_or_record(effect) and content(asked) == content(event.effect)
    return event.effect if same else asked


def _way_of(event: AnyOutcome) -> Way:
    """Who was asked: MoySklad's two APIs have troubles of their own."""
    effect = effect_of(event)
    return Way.PHONE if effect is None else way_of(effect)
