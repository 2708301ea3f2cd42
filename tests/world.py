"""The whole service without its edges: what was heard goes in, what MoySklad then has comes out. Pure and single-threaded.

``World`` keeps streams as the event store does, runs the switchboard's rules, folds, lets time decide, plans and
performs against :class:`tests.moysklad_model.MoySkladModel`. Time is whatever the caller says. ``faults`` names what
goes wrong with the n-th write: see :class:`Fault`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from adapters.callbacks import answer
from adapters.memory_callbacks import MemoryCallbacks
from core.call import Call, evolve, fold, initial
from core.decisions import Limits, decide
from core.effects import Effect, Performed, Refused, Way, encode_effect, is_write, way_of
from core.events import (
    AnyObservation,
    ConsultationObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    Exchange,
    LegAbsorbed,
    RetryRequested,
    encode,
)
from core.follow_up_plan import waits_for_tasks
from core.legs import Absorb, Legs, Link, evidence_in, hear
from core.plan import Plan, parked_reason, plan
from core.settings import Settings
from core.steps import Step
from tests.moysklad_model import MoySkladModel
from tests.simulation.loop import drive

ENTERPRISE = "0367"
MAX_STEPS = 200


class Fault(StrEnum):
    """What goes wrong with one write.

    ``LOST_BEFORE``/``LOST_AFTER``: the connection breaks before/after MoySklad acted, the answer never comes.
    ``CRASH_BEFORE``/``CRASH_AFTER``: the service dies after recording the start, before/after MoySklad acted, and
    comes back with nothing but its streams. ``NOT_SENT``: nothing left the machine.
    """

    LOST_BEFORE = "lost before"
    LOST_AFTER = "lost after"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    NOT_SENT = "not sent"


@dataclass(slots=True)
class World:
    """One enterprise, its calls and its MoySklad.

    ``deferrals``: before which steps (0 is the first) nothing was sent for a while. ``revoked``: the account is known to be
    refused, so that nothing is sent at all. ``troubled``: what goes wrong with the first tries of an effect, by its type.
    """

    settings: Settings
    moysklad: MoySkladModel = field(default_factory=MoySkladModel)
    limits: Limits = field(default_factory=Limits)
    faults: Mapping[int, Fault] = field(default_factory=dict)
    deferrals: Collection[int] = ()
    revoked: bool = False
    streams: dict[str, list[Event]] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    legs: Legs = field(default_factory=Legs)
    relayed: dict[tuple[str, str], int] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    writes: int = 0
    steps: int = 0
    now_ms: int = 0
    callbacks: MemoryCallbacks = field(init=False)
    again: list[str] = field(default_factory=list)
    troubled: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.callbacks = MemoryCallbacks(lambda: self.now_ms, lambda enterprise, call: self.again.append(call))

    def hear(self, stream: str, event: AnyObservation, *, digest: bytes | None = None, at_ms: int | None = None) -> bool:
        """Take in one signal from its own stream; False for a duplicate. Time moves to when it was heard."""
        self.advance(event.heard_ms if at_ms is None else at_ms)
        mark = digest or _digest(stream, event)
        if mark in self.seen:
            return False
        self.seen.add(mark)
        self._append(stream, event)
        touched = [stream.removeprefix("call/")] if stream.startswith("call/") else []
        self.legs, findings = hear(self.legs, stream, event)
        pairs = [(stream, call) for call in sorted(self.legs.links.get(stream, ()))]
        pairs += [(finding.leg, finding.call) for finding in findings if isinstance(finding, Link)]
        for leg, call in dict.fromkeys(pairs):
            self._relay(leg, call)
            touched.append(call)
        for finding in findings:
            if isinstance(finding, Absorb):
                self._absorb(finding)
                touched += [finding.leg, finding.into]
        for call in dict.fromkeys(touched):
            self.attend(call)
        return True

    def advance(self, to_ms: int) -> None:
        """Let time pass: every deadline and retry on the way is met at its time."""
        for _ in range(MAX_STEPS * 10):
            due = [(at, call) for call in self.calls if (at := self.wake_ms(call)) is not None and at <= to_ms]
            if not due:
                break
            at, call = min(due)
            self.now_ms = max(self.now_ms, at)
            before = self.calls[call].version
            self.attend(call)
            if self.calls[call].version == before and self.wake_ms(call) == at:
                raise AssertionError(f"{call} wakes at {at} for nothing: {self.planned(call)}")
        else:
            raise AssertionError("deadlines never end")
        self.now_ms = max(self.now_ms, to_ms)

    def planned(self, call: str) -> Plan:
        """What would be done for the call now."""
        return plan(self.calls[call], self.settings, self.now_ms, self.limits)

    def wake_ms(self, call: str) -> int | None:
        """When the call next needs attention."""
        planned = self.planned(call)
        if planned.step is not None and planned.step.not_before_ms is None:
            return self.now_ms
        return planned.wake_ms

    def attend(self, call: str) -> None:
        """Bring one call as far as it goes now."""
        for _ in range(MAX_STEPS):
            if facts := decide(self.calls[call], self.now_ms, self.limits):
                for fact in facts:
                    self._append(f"call/{call}", fact)
                continue
            step = self.planned(call).step
            if step is None or step.not_before_ms is not None:
                return
            self._perform(call, step)
        raise AssertionError(f"{call} never comes to rest: {self.planned(call)}")

    def finish(self, after_ms: int = 200_000_000) -> None:
        """Let everything come to its end: every grace, every retry."""
        self.advance(self.now_ms + after_ms)

    def retry(self, call: str) -> bool:
        """Ask again for what was refused, as a person does; False when the call is not parked."""
        if not parked_reason(self.calls[call]):
            return False
        self._append(f"call/{call}", RetryRequested(at_ms=self.now_ms, by="a person"))
        self.attend(call)
        return True

    def refold(self) -> dict[str, Call]:
        """Every call folded anew from its stream."""
        return {
            name.removeprefix("call/"): fold(initial(ENTERPRISE, name.removeprefix("call/")), events)
            for name, events in self.streams.items()
            if name.startswith("call/")
        }

    def _append(self, stream: str, event: Event) -> None:
        self.streams.setdefault(stream, []).append(event)
        if stream.startswith("call/"):
            call = stream.removeprefix("call/")
            self.calls[call] = evolve(self.calls.get(call) or initial(ENTERPRISE, call), event)

    def _relay(self, leg: str, call: str) -> None:
        held = self.streams.get(leg, [])
        for event in held[self.relayed.get((leg, call), 0) :]:
            self._append(f"call/{call}", event)
        self.relayed[leg, call] = len(held)

    def _absorb(self, finding: Absorb) -> None:
        absorbed = LegAbsorbed(heard_ms=self.now_ms, into=finding.into, why=finding.why, certain=finding.certain)
        before = evidence_in(self.streams[f"call/{finding.leg}"], certain=finding.certain) if finding.told_before else []
        self._append(f"call/{finding.leg}", absorbed)
        for hangup in before if finding.hangup is None else [finding.hangup]:
            consultation = ConsultationObserved(
                heard_ms=hangup.heard_ms,
                leg=finding.leg,
                extensions=hangup.extensions,
                answered=hangup.answered,
                ended_ms=hangup.ended_ms,
                record_url=hangup.record_url,
            )
            self._append(f"call/{finding.into}", consultation)

    def _perform(self, call: str, step: Step) -> None:
        stream, effect, now = f"call/{call}", encode_effect(step.effect), self.now_ms
        fault = None
        self.steps += 1
        if self.steps - 1 in self.deferrals:
            self._append(stream, EffectDeferred(at_ms=now, effect=effect, reason="the limits are used up", until_ms=now + 1_500))
            return
        if self.revoked and way_of(step.effect) is not Way.HOUSE:
            self._append(stream, EffectRefused(key=step.key, at_ms=now, effect=effect, error="key revoked", code=1056))
            return
        if is_write(step.effect):
            fault = self.faults.get(self.writes)
            self.writes += 1
            self._append(stream, EffectStarted(key=step.key, at_ms=now, effect=effect, why=step.why))
        if self.tried[step.effect.type] < len(of_these := self.troubled.get(step.effect.type, ())):
            fault = of_these[self.tried[step.effect.type]]
        self.tried[step.effect.type] += 1
        if fault in (None, Fault.LOST_AFTER, Fault.CRASH_AFTER):
            try:
                performed = self._ask(step.effect)
            except Refused as error:
                answers = (Exchange(status=400),)
                refused = EffectRefused(
                    key=step.key, at_ms=now, effect=effect, error=error.error, code=error.code, exchanges=answers
                )
                self._append(stream, refused)
                return
            if fault is None:
                self._append(stream, EffectDone(key=step.key, at_ms=now, effect=effect, result=performed.result))
                return
        if fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            self.calls = self.refold()
            return
        failed = EffectFailed(
            key=step.key,
            at_ms=now,
            effect=effect,
            error="connection lost",
            ambiguous=fault is not Fault.NOT_SENT,
            retry_ms=now + 1_000,
        )
        self._append(stream, failed)


    def _ask(self, effect: Effect) -> Performed:
        if way_of(effect) is Way.HOUSE:
            return Performed(result=drive(answer(self.callbacks, ENTERPRISE, effect)))
        return self.moysklad.perform(effect)

    def ask_again(self) -> None:
        """What the house ordered to be asked again, as the worker for such orders does."""
        while self.again:
            call = self.again.pop(0)
            if parked_reason(self.calls[call]) or waits_for_tasks(self.calls[call]):
                self._append(f"call/{call}", RetryRequested(at_ms=self.now_ms, by="the service"))
                self.attend(call)


def _digest(stream: str, event: AnyObservation) -> bytes:
    type_, _, data = encode(replace(event, heard_ms=0, wire="", raw={}))
    return hashlib.sha256(repr((stream, type_, sorted(data.items()))).encode()).digest()


def hear_all(world: World, heard: Iterable[tuple[str, AnyObservation]]) -> World:
    """Feed a whole history, in the order given."""
    for stream, event in heard:
        world.hear(stream, event)
    return world
