"""Given / when / then for calls: a pasted table of what the wire said goes in, what MoySklad was asked comes out.

A scenario is a table, one signal a line: seconds, the call (one letter or any word; ``-`` for nobody's), what, details::

    0.0   A  start   +375290000001
    0.2   A  dial    101 102
    5.0   A  enter   b1 customer
    5.0   A  enter   b1 101
    35.0  A  leave   b1 customer
    35.0  A  leave   b1 101
    35.0  A  close   b1
    35.4  A  hangup  101 answered

``customer`` and extensions in bridges are given the channels that the PBX would give them: an incoming call's customer is
on the call's own channel, an outgoing call's caller is. Details: ``out`` or ``internal`` on dial and hangup; on hangup
also ``answered``, ``status=1``, ``end=35`` / ``start=…`` / ``received=…`` (the PBX's own seconds, ``none`` for unknown),
``rec=https://…``, ``downloaded``; ``number=…`` anywhere; on enter ``connected=…``, on leave ``remaining=0``.
Without ``end=`` the PBX names the second in which the hangup was heard. Only AMI says ``verdict=busy`` on a hangup, with
``by=101`` and ``cause=17``, whose times are exact, and ``stopped 101 busy`` of a telephone.

``given(table)`` plays it against the MoySklad model and stops at the last line; ``.at(seconds)`` lets time pass,
``.finished()`` lets everything come to its end. ``.asked()`` lists what MoySklad was asked, in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from core.call import Call, fold, initial
from core.decisions import Limits
from core.effects import (
    CardEvent,
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    HoldTasks,
    InspectCall,
    InspectTask,
    KeepTask,
    Performed,
    Refused,
    RegisterCall,
    UpdateCall,
    decode_effect,
    encode_effect,
)
from core.events import (
    AnyObservation,
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    CallerIdObserved,
    CardRequested,
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    Exchange,
    HangupObserved,
    RetryRequested,
    RingEnded,
)
from core.plan import Plan, plan
from core.settings import Settings
from core.values import Direction
from tests.moysklad_model import MoySkladModel, Row
from tests.settings import SETTINGS
from tests.strategies import EPOCH_MS
from tests.world import ENTERPRISE, Fault, World, hear_all

NUMBER = "+375290000001"

Heard = tuple[str, AnyObservation]
"""A signal and its own stream."""


def ms(seconds: float) -> int:
    """Seconds of a scenario as UTC milliseconds."""
    return EPOCH_MS + round(seconds * 1000)


def seconds(at_ms: int) -> float:
    """UTC milliseconds as seconds of a scenario."""
    return (at_ms - EPOCH_MS) / 1000


# -- the table ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reader:
    """What the lines read so far say of each call."""

    outgoing: dict[str, str] = field(default_factory=dict)
    began_ms: dict[str, int] = field(default_factory=dict)

    def read(self, line: str) -> Heard:
        at, call, what, *details = line.split()
        heard_ms = ms(float(at))
        self.began_ms.setdefault(call, heard_ms)
        words = [word for word in details if "=" not in word]
        named = dict(word.split("=", 1) for word in details if "=" in word)
        number = named.get("number", NUMBER)
        match what:
            case "start":
                number = words[0] if words else number
                return f"call/{call}", ArrivalObserved(heard_ms=heard_ms, channel=call, number=number, trunk="t")
            case "dial":
                direction, extensions = self._direction(call, words)
                return f"call/{call}", DialObserved(
                    heard_ms=heard_ms, channel=call, direction=direction, number=number, extensions=extensions, trunk="t"
                )
            case "card":
                return f"call/{call}", CardRequested(heard_ms=heard_ms, extensions=tuple(words), number=number)
            case "stopped":
                return f"call/{call}", RingEnded(heard_ms=heard_ms, wire="ami/t", extensions=tuple(words[:-1]), how=words[-1])
            case "callerid":
                return f"channel/{words[0]}", CallerIdObserved(heard_ms=heard_ms, channel=words[0])
            case "enter" | "leave":
                return self._bridge(what, heard_ms, call, words, named, number)
            case "close":
                return f"bridge/{words[0]}", BridgeClosed(heard_ms=heard_ms, bridge=words[0])
            case "hangup":
                return f"call/{call}", self._hangup(heard_ms, call, words, named, number)
            case _:
                raise ValueError(f"a scenario does not know {what!r}: {line}")

    def _direction(self, call: str, words: list[str]) -> tuple[Direction, tuple[str, ...]]:
        extensions = tuple(word for word in words if word[0].isdigit())
        if "out" in words:
            self.outgoing.setdefault(call, extensions[0] if extensions else "")
            return Direction.OUTGOING, extensions
        return Direction.INTERNAL if "internal" in words else Direction.INCOMING, extensions

    def _bridge(self, what: str, heard_ms: int, call: str, words: list[str], named: dict[str, str], number: str) -> Heard:
        bridge, who = words[0], words[1]
        outgoing = call in self.outgoing
        if who == "customer":
            channel, name, caller_id = f"{call}-trunk" if outgoing else call, "PJSIP/trunk-0001", number
        else:
            channel = call if outgoing and self.outgoing[call] == who else f"{call}-{who}"
            name, caller_id = f"PJSIP/{who}-0000", who
        kind = BridgeEntered if what == "enter" else BridgeLeft
        event = kind(
            heard_ms=heard_ms,
            bridge=bridge,
            channel=named.get("channel", channel),
            channel_name=name,
            caller_id=caller_id,
            connected=named.get("connected", ""),
        )
        if isinstance(event, BridgeLeft) and "remaining" in named:
            event = replace(event, remaining=int(named["remaining"]))
        return f"bridge/{bridge}", event

    def _hangup(self, heard_ms: int, call: str, words: list[str], named: dict[str, str], number: str) -> HangupObserved:
        direction, extensions = self._direction(call, words)
        if direction is Direction.INCOMING and call in self.outgoing:
            direction = Direction.OUTGOING
        verdict = named.get("verdict", "")
        answered = "answered" in (*words, verdict)
        ended_ms = _told(named.get("end"), heard_ms)
        return HangupObserved(
            heard_ms=heard_ms,
            channel=call,
            direction=direction,
            number=number,
            extensions=extensions,
            answered=answered,
            status=named.get("status", "2" if answered else "0"),
            received_ms=_told(named.get("received"), self.began_ms[call]),
            started_ms=_told(named.get("start"), None),
            ended_ms=heard_ms if verdict and "end" not in named else ended_ms,
            wire="ami/t" if verdict else "",
            precise=bool(verdict),
            verdict=verdict,
            hung_up_by=named.get("by", ""),
            cause=int(named["cause"]) if "cause" in named else None,
            trunk="" if direction is Direction.INTERNAL else "t",
            record_url=named.get("rec"),
            downloaded="downloaded" in words,
        )


def _told(said: str | None, otherwise_ms: int | None) -> int | None:
    if said == "none":
        return None
    at_ms = ms(float(said)) if said is not None else otherwise_ms
    return None if at_ms is None else at_ms // 1_000 * 1_000


def heard(table: str) -> tuple[Heard, ...]:
    """The signals of a table, in the order of its lines. Blank lines and lines beginning with ``#`` are skipped."""
    reader = _Reader()
    lines = (line.strip() for line in table.splitlines())
    return tuple(reader.read(line) for line in lines if line and not line.startswith("#"))


def events(table: str) -> tuple[AnyObservation, ...]:
    """The same, without streams: for folding one call by hand."""
    return tuple(event for _, event in heard(table))


def call_of(table: str, *more: Event, id: str = "A") -> Call:
    """One call folded from every signal of a table (whatever its stream), then from ``more``."""
    return fold(initial(ENTERPRISE, id), (*events(table), *more))


# -- outcomes by hand ---------------------------------------------------------------------------------------------


def started(effect: Effect, at: float, key: str = "k") -> EffectStarted:
    """The effect is about to be asked for."""
    return EffectStarted(key=key, at_ms=ms(at), effect=encode_effect(effect))


def done(effect: Effect, at: float, key: str = "k", **result: object) -> EffectDone:
    """MoySklad did it."""
    return EffectDone(key=key, at_ms=ms(at), effect=encode_effect(effect), result=dict(result))


def failed(
    effect: Effect, at: float, key: str = "k", *, ambiguous: bool = True, retry: float = 1.0, error: str = "connection lost"
) -> EffectFailed:
    """It did not succeed; ``retry`` seconds later it may be tried again."""
    return EffectFailed(
        key=key, at_ms=ms(at), effect=encode_effect(effect), error=error, ambiguous=ambiguous, retry_ms=ms(at + retry)
    )


def refused(
    effect: Effect, at: float, key: str = "k", error: str = "no", remedy: str = "", *, sent: bool = True, code: int | None = None
) -> EffectRefused:
    """MoySklad said no for good; ``sent`` False: it is known to say no, and was not even asked."""
    exchanges = (Exchange(status=400),) if sent else ()
    return EffectRefused(
        key=key, at_ms=ms(at), effect=encode_effect(effect), error=error, remedy=remedy, code=code, exchanges=exchanges
    )


def deferred(effect: Effect, at: float, until: float, reason: str = "MoySklad is away") -> EffectDeferred:
    """It was due and not asked for; before ``until`` there is no use in it."""
    return EffectDeferred(at_ms=ms(at), effect=encode_effect(effect), reason=reason, until_ms=ms(until))


def retry(at: float, by: str = "anna", reason: str = "the key was mended") -> RetryRequested:
    """What was refused may be asked again."""
    return RetryRequested(at_ms=ms(at), by=by, reason=reason)


# -- what was asked -----------------------------------------------------------------------------------------------


def describe(effect: Effect) -> str:
    """An effect in words, e.g. ``register SHOW 101 #1`` or ``update HIDE_ALL #4 ext=101 end=35.0``."""
    match effect:
        case FindContact():
            return f"find contact {effect.number}"
        case FindEmployees():
            return f"find employees {' '.join(effect.extensions)}"
        case CreateContact():
            return f"create contact {effect.number}" + (f" owner={effect.owner}" if effect.owner else "")
        case CreateOrder():
            words = [f"create order {effect.contact}"]
            words += [f"owner={effect.owner}"] if effect.owner else []
            words += ["unless open"] if effect.unless_open else []
            return " ".join(words)
        case CreateTask():
            words = [f"create task {effect.number} for {effect.assignee or 'whoever is named'}"]
            words += [f"contact={effect.contact}"] if effect.contact else []
            words += [f"due={seconds(effect.due_ms)}", *(["look"] if effect.look else [])]
            return " ".join(words)
        case CompleteTask():
            return f"complete {effect.task}"
        case InspectTask():
            return f"inspect {effect.task}"
        case ClaimCallback():
            return "claim"
        case KeepTask():
            return f"keep {effect.task}"
        case HoldTasks():
            return "hold"
        case CloseCallback():
            return "close"
        case ConfirmCall():
            return "confirm"
        case InspectCall():
            return "inspect"
        case RegisterCall() | UpdateCall():
            words = ["register" if isinstance(effect, RegisterCall) else "update"]
            words += [_card(card) for card in effect.cards]
            words += [f"ext={effect.extension}"] if effect.extension else []
            words += [f"end={seconds(effect.end_ms)}"] if effect.end_ms is not None else []
            words += [f"rec={len(effect.recordings)}"] if effect.recordings else []
            words += ["comment"] if effect.comment else []
            return " ".join(words)


def _card(card: CardEvent) -> str:
    return f"{card.action} {card.extension}".strip() + f" #{card.sequence}"


@dataclass(slots=True)
class PickyModel(MoySkladModel):
    """The model, saying no for good to whatever ``refuses`` gives a reason for."""

    refuses: Callable[[Effect], str] = lambda effect: ""

    def perform(self, effect: Effect) -> Performed:
        """Carry the effect out, or refuse it."""
        if reason := self.refuses(effect):
            self.requests.append(effect)
            raise Refused(reason)
        return MoySkladModel.perform(self, effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A played table. ``world`` is where everything is; the rest says it in a test's words."""

    world: World

    def at(self, at: float) -> Scenario:
        """Let time pass until ``at`` seconds."""
        self.world.advance(ms(at))
        return self

    def then(self, table: str) -> Scenario:
        """More signals."""
        hear_all(self.world, heard(table))
        return self

    def finished(self) -> Scenario:
        """Let every grace and every retry pass."""
        self.world.finish()
        return self

    def call(self, id: str = "A") -> Call:
        """A call as folded."""
        return self.world.calls[id]

    def phase(self, id: str = "A") -> str:
        """Where a call stands."""
        return self.world.calls[id].phase.value

    def asked(self, id: str = "A", *, timed: bool = False) -> list[str]:
        """What MoySklad was asked for this call, in order; ``timed`` puts the seconds before each."""
        found: list[str] = []
        write = None
        for event in self.world.streams.get(f"call/{id}", []):
            if isinstance(event, EffectStarted):
                write = event.key
            elif not isinstance(event, EffectDone | EffectFailed | EffectRefused) or event.key == write:
                continue
            text = describe(decode_effect(event.effect))
            found.append(f"{seconds(event.at_ms)} {text}" if timed else text)
        return found

    def requests(self) -> list[str]:
        """What really reached MoySklad, for every call together."""
        return [describe(effect) for effect in self.world.moysklad.requests]

    @property
    def rows(self) -> list[Row]:
        """MoySklad's list of calls."""
        return self.world.moysklad.rows

    @property
    def row(self) -> Row:
        """The only row there is."""
        (row,) = self.rows
        return row

    def screens(self) -> dict[str, str]:
        """Extension -> ``shown`` or ``timing``, over all calls."""
        return {extension: card for row in self.rows for extension, card in row.screens().items()}

    def planned(self, id: str = "A") -> Plan:
        """What would be done now."""
        return self.world.planned(id)

    def notes(self, id: str = "A") -> dict[str, str]:
        """What was decided or left undone now, and why: about -> text."""
        return {note.about: note.text for note in self.planned(id).notes}


def given(
    table: str | Iterable[Heard],
    *,
    settings: Settings = SETTINGS,
    limits: Limits | None = None,
    faults: dict[int, Fault] | None = None,
    troubled: dict[str, tuple[Fault, ...]] | None = None,
    moysklad: MoySkladModel | None = None,
    contacts: dict[str, str] | None = None,
) -> Scenario:
    """Play a table (or signals from ``tests.strategies.Wire``) up to its last line. ``contacts``: number -> uuid MoySklad has."""
    model = moysklad or MoySkladModel()
    model.contacts.update(contacts or {})
    world = World(settings=settings, limits=limits or Limits(), faults=faults or {}, troubled=troubled or {}, moysklad=model)
    return Scenario(world=hear_all(world, heard(table) if isinstance(table, str) else table))


def look(call: Call, at: float, *, settings: Settings = SETTINGS, limits: Limits | None = None) -> Plan:
    """What is planned for a folded call at ``at`` seconds."""
    return plan(call, settings, ms(at), limits or Limits())


def step_of(planned: Plan) -> str:
    """The planned step in words; ``nothing`` when there is none."""
    return describe(planned.step.effect) if planned.step is not None else "nothing"


def shifted(signals: Iterable[Heard], by: float) -> tuple[Heard, ...]:
    """The same signals, heard ``by`` seconds later."""
    return tuple((stream, replace(event, heard_ms=event.heard_ms + round(by * 1000))) for stream, event in signals)
