"""From a script to what the wire says, and to what the delivery makes of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from core.events import AnyObservation, BridgeEntered, BridgeLeft, DialObserved, HangupObserved
from core.signals import Wire as WireForm
from core.signals import content_digest, envelope, parse
from core.values import Direction
from tests.playback import as_call_event, recording
from tests.simulation.exchange import MINSK
from tests.simulation.scenario import EXTENSIONS, MAX_ENTERPRISES, RECORDINGS, Kind, Scenario, Script, Transfer
from tests.simulation.stories import LAG_MS, MOST_LATE_MS
from tests.simulation.telling import tell
from tests.simulation.truth import Truth
from tests.strategies import EPOCH_MS, NUMBERS, Wire
from tests.strategies import Truth as Played

BACKLOG_AGE_MS: Final = 3_600_000

Heard = list[tuple[str, AnyObservation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something the PBX said at ``said_ms``, about this call (its index), in its own stream.

    ``digest``: its words, whenever it is heard; ``nth``: how often they were said before.
    """

    enterprise: str
    stream: str
    event: AnyObservation
    said_ms: int
    call: int
    digest: bytes
    nth: int = 0

    @property
    def key(self) -> tuple[str, bytes, int]:
        """What tells it from any other."""
        return self.enterprise, self.digest, self.nth


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A signal on its way: it is at the door at ``at_ms`` for the first time."""

    signal: Signal
    at_ms: int


def enterprise_name(index: int) -> str:
    """What an enterprise is called."""
    return f"036{7 + index}"


def signals_of(scenario: Scenario) -> list[Signal]:
    """All that is said, in the order in which it is; what the delivery loses is gone."""
    found = [signal for index, script in enumerate(_scripts(scenario)) for signal in signals_of_call(index, script)]
    found += [_backlog(index) for index in range(scenario.backlog)]
    rng = random.Random(scenario.noise ^ 0x105E)
    kept = [signal for signal in found if not scenario.lost or rng.randrange(1_000) >= scenario.lost]
    said: Counter[tuple[str, bytes]] = Counter()
    in_order: list[Signal] = []
    for signal in sorted(kept, key=lambda signal: signal.said_ms):
        words = signal.enterprise, signal.digest
        in_order.append(replace(signal, nth=said[words]) if said[words] else signal)
        said[words] += 1
    return in_order


def truths_of(scenario: Scenario) -> dict[str, dict[str, Truth]]:
    """What is true of each story's calls, by their enterprise and MoySklad's name for them."""
    found: dict[str, dict[str, Truth]] = {enterprise_name(index): {} for index in range(MAX_ENTERPRISES)}
    for index, script in enumerate(_scripts(scenario)):
        if script.kind is Kind.STORY:
            name = enterprise_name(script.enterprise)
            found[name].update((f"{name}-{truth.call}", truth) for truth in _story(index, script)[1])
    return found


def _scripts(scenario: Scenario) -> tuple[Script, ...]:
    """The scripts; where each signal lags by as much as any does, nothing in a story lags besides."""
    if scenario.jitter_ms + MOST_LATE_MS <= LAG_MS:
        return scenario.calls
    stories = [replace(script.story, bridges_late_ms=0, legs_late_ms=0) for script in scenario.calls]
    return tuple(replace(script, story=story) for script, story in zip(scenario.calls, stories, strict=True))


@lru_cache(maxsize=64)
def _story(index: int, script: Script) -> tuple[Heard, list[Truth]]:
    told, truths = tell(
        script.story,
        "1795437000",
        1_000 * (index + 1),
        EPOCH_MS + script.at_ms,
        script.number,
        customer_first=script.customer_first,
    )
    heard: Heard = []
    for wire, line, body in told:
        signal = envelope(wire, {**body, "enterprise_number": enterprise_name(script.enterprise)})
        read = parse(signal, heard_ms=line.at_ms, country="BY", zone=MINSK)
        heard.append((read.stream, replace(read.event, raw={})))
    return heard, truths


def deliveries(scenario: Scenario, signals: list[Signal]) -> list[Delivery]:
    """When each of them comes: late, overtaking each other, twice."""
    rng = random.Random(scenario.noise ^ 0xDE11)
    lags: dict[int, int] = {}
    found: list[Delivery] = []
    for signal in signals:
        lag_ms = lags.setdefault(signal.call, rng.randint(0, scenario.lag_ms))
        late_ms = lag_ms + (rng.randint(0, scenario.jitter_ms) if scenario.jitter_ms else 0)
        found.append(Delivery(signal=signal, at_ms=signal.said_ms + late_ms))
        if scenario.twice and rng.randrange(1_000) < scenario.twice:
            found.append(Delivery(signal=signal, at_ms=signal.said_ms + late_ms + rng.choice((1, 40, 3_000))))
    return sorted(found, key=lambda delivery: delivery.at_ms)


def signals_of_call(index: int, script: Script) -> list[Signal]:
    """What the wire says of one call."""
    call, at_ms = f"1795437000.{1000 * (index + 1)}", EPOCH_MS + script.at_ms
    match script.kind:
        case Kind.RECORDING:
            heard = _recorded(RECORDINGS[script.recording], at_ms)
        case Kind.INTERNAL:
            heard = _internal(script, call, at_ms)
        case Kind.INCOMING | Kind.OUTGOING:
            heard = _customer(script, call, at_ms)
        case Kind.STORY:
            heard, _ = _story(index, script)
            script = replace(script, recorded=False, downloaded_ms=0)
    if script.recorded or script.downloaded_ms:
        heard = _with_recording(script, heard)
    name = enterprise_name(script.enterprise)
    return [_signal(name, stream, event, index) for stream, event in heard]


def _signal(enterprise: str, stream: str, event: AnyObservation, call: int) -> Signal:
    digest = content_digest(event, stream)
    return Signal(enterprise=enterprise, stream=stream, event=event, said_ms=event.heard_ms, call=call, digest=digest)


def _customer(script: Script, call: str, at_ms: int) -> Heard:
    wire, truth = _play(script, call, at_ms)
    assert truth.call == call
    return wire.heard


def _play(script: Script, call: str, at_ms: int) -> tuple[Wire, Played]:
    incoming = script.kind is Kind.INCOMING
    number = NUMBERS[script.number if incoming else script.number % 3]
    direction = Direction.INCOMING if incoming else Direction.OUTGOING
    wire = Wire(call=call, number=number, direction=direction, at_ms=at_ms, customer_first=script.customer_first)
    pauses = _Pauses(script.pauses)
    first = EXTENSIONS[script.first]
    target = [extension for extension in EXTENSIONS if extension != first][script.target]
    if not incoming:
        wire.dial((first,))
        wire.wait(pauses.next())
        if not script.answered:
            return wire, wire.hang_up(named=(), answered=False)
        wire.talk(first)
        wire.wait(pauses.next())
        return wire, wire.hang_up(named=(first,), answered=True)
    wire.arrive()
    for group in dict.fromkeys(script.rings):
        wire.wait(pauses.next())
        wire.dial(tuple(EXTENSIONS[each] for each in group))
    wire.wait(pauses.next())
    if not script.answered:
        return wire, wire.hang_up(named=(), answered=False)
    wire.talk(first)
    wire.wait(pauses.next())
    match script.transfer:
        case Transfer.NONE:
            return wire, wire.hang_up(named=(first,), answered=True)
        case Transfer.ATTENDED:
            wire.attended(target)
            wire.wait(pauses.next())
            return wire, wire.hang_up(named=(first,), answered=True)
        case Transfer.BLIND | Transfer.BLIND_UNANSWERED:
            answers = script.transfer is Transfer.BLIND
            wire.part()
            wire.dial((target,))
            wire.wait(pauses.next())
            if answers:
                wire.talk(target)
                wire.wait(pauses.next())
            return wire, wire.hang_up(named=(target,), answered=answers, rewritten=True)


@dataclass(slots=True)
class _Pauses:
    given: tuple[int, ...]
    used: int = 0

    def next(self) -> int:
        self.used += 1
        return self.given[(self.used - 1) % len(self.given)]


def _internal(script: Script, call: str, at_ms: int) -> Heard:
    """Extension to extension; the dial is often absent (``customer_first``), and bridges are told, or not (``target``)."""
    caller, callee = EXTENSIONS[script.first], EXTENSIONS[(script.first + 1) % 3]
    dial = DialObserved(heard_ms=at_ms, channel=call, direction=Direction.INTERNAL, number=caller, extensions=(callee,))
    hangup = HangupObserved(
        heard_ms=at_ms + script.pauses[0],
        channel=call,
        direction=Direction.INTERNAL,
        number=caller,
        extensions=(callee,),
        answered=script.answered,
        status="2" if script.answered else "0",
    )
    stream, bridge = f"call/{call}", f"b-{call}"
    heard: Heard = [] if script.customer_first else [(stream, dial)]
    if script.answered and not script.target:
        for channel, extension, other in ((f"{call}-1", callee, caller), (call, caller, callee)):
            said: dict[str, Any] = {"bridge": bridge, "channel": channel, "caller_id": extension, "connected": other}
            said["channel_name"] = f"PJSIP/{extension}-0000"
            heard.append((f"bridge/{bridge}", BridgeEntered(heard_ms=at_ms + 500, **said)))
            heard.append((f"bridge/{bridge}", BridgeLeft(heard_ms=hangup.heard_ms - 400, **said)))
    return [*heard, (stream, hangup)]


def _with_recording(script: Script, heard: Heard) -> Heard:
    """The last hangup brings a recording, or a copy of it does, later."""
    place = max((at for at, (_, event) in enumerate(heard) if isinstance(event, HangupObserved)), default=None)
    if place is None:
        return heard
    stream, hangup = heard[place]
    assert isinstance(hangup, HangupObserved)
    url = f"https://records.example.invalid/{hangup.channel}.mp3"
    if script.recorded:
        heard = [*heard[:place], (stream, replace(hangup, record_url=url)), *heard[place + 1 :]]
    if script.downloaded_ms:
        copy = replace(hangup, heard_ms=hangup.heard_ms + script.downloaded_ms, record_url=url, downloaded=True)
        heard = [*heard, (stream, copy)]
    return heard


def _backlog(index: int) -> Signal:
    """A call that ended an hour ago and was downloaded now."""
    call, ended_ms = f"1795430000.{index}", EPOCH_MS - BACKLOG_AGE_MS + 20_000 * index
    hangup = HangupObserved(
        heard_ms=EPOCH_MS + 10 * index,
        channel=call,
        direction=Direction.INCOMING,
        number=f"+37529{1_000_000 + index % 40}",
        extensions=(EXTENSIONS[index % 2],),
        answered=True,
        status="2",
        received_ms=ended_ms - 15_000,
        ended_ms=ended_ms,
        trunk="t",
        downloaded=True,
    )
    return _signal(enterprise_name(0), f"call/{call}", hangup, 1_000 + index)


@lru_cache(maxsize=64)
def _parsed(name: str) -> tuple[tuple[str, AnyObservation], ...]:
    found: dict[bytes, tuple[str, AnyObservation]] = {}
    for line in recording(name):
        wire = envelope(WireForm.CALL_EVENT, {**as_call_event(line)[1], "enterprise_number": "0367"})
        heard = parse(wire, heard_ms=line.at_ms, country="BY", zone=MINSK)
        found.setdefault(heard.digest, (heard.stream, replace(heard.event, raw={})))
    return tuple(found.values())


def _recorded(name: str, at_ms: int) -> Heard:
    """A recording, moved to another time by whole seconds, so that what the PBX cut to the second stays so."""
    parsed = _parsed(name)
    by_ms = (at_ms - min(event.heard_ms for _, event in parsed)) // 1_000 * 1_000
    return [(stream, _moved(event, by_ms)) for stream, event in parsed]


def _moved(event: AnyObservation, by_ms: int) -> AnyObservation:
    event = replace(event, heard_ms=event.heard_ms + by_ms)
    if not isinstance(event, HangupObserved):
        return event
    times = {name: at + by_ms for name in ("received_ms", "started_ms", "ended_ms") if (at := getattr(event, name)) is not None}
    return replace(event, **times)
