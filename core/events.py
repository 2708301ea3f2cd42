"""The facts a call's history is made of. Their names and fields are the storage format: change them only with an upcaster.

Four families share one stream per call:

* **observations** - what the PBX or the dispatcher said, normalised, with the raw body kept beside it;
* **time facts** - what passing time decided (a straggler can no longer come, nobody ever hung up);
* **outcomes** - what we asked of MoySklad, what it answered, and why it was not asked yet;
* **orders** - what a person, or a change of the settings, asked of us.

Times are ``*_ms``: integer milliseconds since the Unix epoch, UTC. ``heard_ms`` is when this service heard it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from core.values import ANONYMOUS, Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What every observation carries: when it was heard, in which wire form, under which settings, and the raw body."""

    heard_ms: int
    wire: str = ""
    settings_revision: int = 0
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalObserved(Observation):
    """An incoming call entered a trunk (PBX ``start``)."""

    type: ClassVar[str] = "arrival_observed"
    channel: str
    number: str = ANONYMOUS
    trunk: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialObserved(Observation):
    """Somebody is being rung (PBX ``dial``): employees for an incoming call, the customer for an outgoing one.

    ``direction`` is what the PBX's CallType (or, failing that, the dispatcher) says; ``extensions`` are all
    that were dialled, without technology prefixes; for an outgoing call the one who is calling.
    """

    type: ClassVar[str] = "dial_observed"
    channel: str
    direction: Direction
    number: str = ANONYMOUS
    extensions: tuple[str, ...] = ()
    trunk: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdObserved(Observation):
    """A channel got its caller id (PBX ``new_callerid``): often the first thing heard of an outgoing call."""

    type: ClassVar[str] = "caller_id_observed"
    channel: str
    channel_name: str = ""
    caller_id: str = ""
    connected: str = ""
    exten: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOpened(Observation):
    """A bridge was made; it carries no channel yet (``UniqueId`` is always empty)."""

    type: ClassVar[str] = "bridge_opened"
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEntered(Observation):
    """A channel entered a bridge: two parties in one bridge are talking."""

    type: ClassVar[str] = "bridge_entered"
    bridge: str
    channel: str
    channel_name: str = ""
    caller_id: str = ""
    connected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLeft(Observation):
    """A channel left a bridge; ``remaining`` channels are still in it (None: not said)."""

    type: ClassVar[str] = "bridge_left"
    bridge: str
    channel: str
    channel_name: str = ""
    caller_id: str = ""
    connected: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeClosed(Observation):
    """A bridge is gone, and with it everybody's stay in it."""

    type: ClassVar[str] = "bridge_closed"
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HangupObserved(Observation):
    """The context that placed the Dial ended (PBX ``hangup``), live or downloaded later; or the whole call did (AMI).

    ``answered`` is CallStatus "2", the only status that is an answer. ``received_ms``, ``started_ms`` and
    ``ended_ms`` are the PBX's second-precise local times turned into UTC; any may be unknown.

    Only AMI tells the rest (``core/ami_verdict.py``): ``precise``: the times are exact, not cut to the second. ``verdict``: how it
    ended, a word of :class:`core.values.Outcome`; empty when the end came while nobody was listening. ``hung_up_by``:
    ``external``, an extension, or ``pbx``. ``cause``: Asterisk's hangup cause of the channel that began the call.
    ``answered_ms``: when the first telephone was picked up, also the employee's own of a click-to-call.
    """

    type: ClassVar[str] = "hangup_observed"
    channel: str
    direction: Direction
    number: str = ANONYMOUS
    extensions: tuple[str, ...] = ()
    answered: bool = False
    status: str = ""
    received_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    trunk: str = ""
    record_url: str | None = None
    downloaded: bool = False
    precise: bool = False
    verdict: str = ""
    hung_up_by: str = ""
    cause: int | None = None
    answered_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RingEnded(Observation):
    """Telephones stopped ringing while the call went on (AMI ``DialEnd``); losers of a ring group that was answered are not told.

    ``how``: ``busy``, ``declined``, ``rejected``, ``failed``, ``unanswered`` or ``cancelled`` (``core/ami_verdict.py``); empty when
    it was not heard. ``trunk``: the way out that did not get through, for an outgoing call; then nobody's telephone is meant.
    """

    type: ClassVar[str] = "ring_ended"
    extensions: tuple[str, ...] = ()
    how: str = ""
    trunk: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverObserved(Observation):
    """The call passed from one to another (AMI ``BlindTransfer``, ``AttendedTransfer``, ``Pickup``, ``ParkedCall`` and others).

    ``kind``: ``blind``, ``attended``, ``pickup``, ``parked`` or ``retrieved``. ``source`` had the call (of a pick-up: whose
    telephone rang), ``target`` has it now or is rung for it. It is told for people: who talks is known from the bridges.
    """

    type: ClassVar[str] = "handover_observed"
    kind: str
    source: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRequested(Observation):
    """Somebody asked for this call's card on given extensions (PRODUCT A5)."""

    type: ClassVar[str] = "card_requested"
    extensions: tuple[str, ...]
    direction: Direction = Direction.INCOMING
    number: str = ANONYMOUS


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAbsorbed(Observation):
    """This call turned out to be a leg of another one (a consultation, a service channel); ``into`` is that call's id.

    ``certain``: whatever its dials say. Only that it came in from outside itself is proof to the contrary.
    """

    type: ClassVar[str] = "leg_absorbed"
    into: str
    why: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationObserved(Observation):
    """A leg on another UniqueId carried this call's customer at its end: an attended transfer (CONTRACT-ASTERISK, quirk 2).

    ``record_url``: the leg's own recording, which is this call's, too.
    """

    type: ClassVar[str] = "consultation_observed"
    leg: str
    extensions: tuple[str, ...] = ()
    answered: bool = False
    ended_ms: int | None = None
    record_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickJoined(Observation):
    """This call is what came of a click in MoySklad (``core/clicks.py``): ``extension`` asked to call ``number``.

    ``own_leg``: it is only the ringing of that employee's own telephone; the call itself comes under another id, or later.
    """

    type: ClassVar[str] = "click_joined"
    click: str
    extension: str
    number: str
    uid: str = ""
    clicked_ms: int = 0
    own_leg: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettled:
    """Nothing that is still under way can change what is said of the ended call: it may be written for good."""

    type: ClassVar[str] = "call_settled"
    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOverdue:
    """No hangup came within the configured maximum (MS_CALL_MAX_S): the cards go, the end stays open for a late hangup."""

    type: ClassVar[str] = "call_overdue"
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWrittenOff:
    """Even the long grace after the maximum passed without a hangup: the call is recorded with what is known."""

    type: ClassVar[str] = "call_written_off"
    at_ms: int


class _OfAnEffect:
    """What tells of an effect: :func:`core.effects.effect_of` reads it once, and keeps here what it has read."""

    __slots__ = ("_read",)
    _read: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectStarted(_OfAnEffect):
    """We are about to ask MoySklad for something. Recorded before the request, so that a crash leaves a question, not a hole.

    ``effect`` is the effect as stored by :mod:`core.effects`; ``key`` names it for its outcome.
    """

    type: ClassVar[str] = "effect_started"
    key: str
    at_ms: int
    effect: dict[str, Any]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer as a person may see it: secrets and authorisation are already gone."""

    method: str = ""
    path: str = ""
    request: Any = None
    status: int | None = None
    response: Any = None
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectDone(_OfAnEffect):
    """MoySklad did what the effect asked. ``result`` is what the fold needs of the answer (see :mod:`core.effects`)."""

    type: ClassVar[str] = "effect_done"
    key: str
    at_ms: int
    effect: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFailed(_OfAnEffect):
    """An attempt did not succeed and will be repeated. ``ambiguous``: MoySklad may have acted all the same."""

    type: ClassVar[str] = "effect_failed"
    key: str
    at_ms: int
    effect: dict[str, Any]
    error: str
    ambiguous: bool
    retry_ms: int
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRefused(_OfAnEffect):
    """MoySklad said no for good: repeating the same request cannot help. ``remedy`` says what a person can do.

    ``started``: this try was recorded as started, so if no request of it left (no ``exchanges``), none did.
    """

    type: ClassVar[str] = "effect_refused"
    key: str
    at_ms: int
    effect: dict[str, Any]
    error: str
    remedy: str = ""
    code: int | None = None
    exchanges: tuple[Exchange, ...] = ()
    started: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectDeferred(_OfAnEffect):
    """An effect was due and not even attempted: MoySklad is known to be away, or the account's limits are used up.

    Nothing was sent. Written only when it is news (:func:`core.remote.is_news`), so that a long outage does not fill the
    history. ``until_ms``: not before then is there any use in asking.
    """

    type: ClassVar[str] = "effect_deferred"
    at_ms: int
    effect: dict[str, Any]
    reason: str
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequested:
    """What MoySklad refused may be asked again: a person said so, or the settings or the account were mended."""

    type: ClassVar[str] = "retry_requested"
    at_ms: int
    by: str
    reason: str = ""


AnyObservation = (
    ArrivalObserved
    | DialObserved
    | CallerIdObserved
    | BridgeOpened
    | BridgeEntered
    | BridgeLeft
    | BridgeClosed
    | HangupObserved
    | RingEnded
    | HandoverObserved
    | CardRequested
    | LegAbsorbed
    | ConsultationObserved
    | ClickJoined
)
TimeFact = CallSettled | CallOverdue | CallWrittenOff
AnyOutcome = EffectStarted | EffectDone | EffectFailed | EffectRefused | EffectDeferred
Event = AnyObservation | TimeFact | AnyOutcome | RetryRequested

OBSERVATIONS: Final[tuple[type[AnyObservation], ...]] = (
    ArrivalObserved,
    DialObserved,
    CallerIdObserved,
    BridgeOpened,
    BridgeEntered,
    BridgeLeft,
    BridgeClosed,
    HangupObserved,
    RingEnded,
    HandoverObserved,
    CardRequested,
    LegAbsorbed,
    ConsultationObserved,
    ClickJoined,
)
TIME_FACTS: Final[tuple[type[TimeFact], ...]] = (CallSettled, CallOverdue, CallWrittenOff)
OUTCOMES: Final[tuple[type[AnyOutcome], ...]] = (EffectStarted, EffectDone, EffectFailed, EffectRefused, EffectDeferred)
ORDERS: Final[tuple[type[RetryRequested], ...]] = (RetryRequested,)

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {kind.type: kind for kind in (*OBSERVATIONS, *TIME_FACTS, *OUTCOMES, *ORDERS)}

SCHEMAS: Final[Mapping[str, int]] = dict.fromkeys(EVENT_TYPES, 1)
"""The version in which each type is written today. Raising one without an upcaster fails the tests."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""``(type, old version) -> function`` that turns stored data of that version into the next one."""


class UnknownEventType(ValueError):
    """The history holds an event that this code does not know: it was written by a newer version of the service."""


def encode(event: Event) -> tuple[str, int, dict[str, Any]]:
    """Turn an event into what the store keeps: ``(type, schema version, JSON-able data)``."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    return event.type, SCHEMAS[event.type], data


def decode(
    type_: str,
    schema: int,
    data: dict[str, Any],
    *,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    schemas: Mapping[str, int] = SCHEMAS,
) -> Event:
    """Read a stored event back, lifting old versions through the upcasters one step at a time.

    Raises :class:`UnknownEventType` for a type or a version that is newer than this code.
    """
    kind = EVENT_TYPES.get(type_)
    if kind is None or schema > schemas[type_]:
        raise UnknownEventType(f"event {type_!r} version {schema} is newer than this service; update it")
    while schema < schemas[type_]:
        data = upcasters[(type_, schema)](data)
        schema += 1
    event: Event = msgspec.convert(data, kind)
    return event


_UNSAFE = re.compile(r"[^A-Za-z0-9.~-]")


def safe_id(text: str) -> str:
    """Make an opaque PBX id safe inside a URL path and a stream name (CONTRACT-MOYSKLAD 1.9: a slash breaks the extid routes).

    Every unsafe character becomes ``_`` and its code point, so different ids stay different.
    """
    return _UNSAFE.sub(lambda match: f"_{ord(match.group()):x}_", text)
