"""What the PBX or the dispatcher said, read from the wire into one form (CONTRACT-ASTERISK), not yet believed.

Reading takes two steps, because how a number and a time are meant depends on the enterprise: ``envelope`` says whose
signal it is, ``parse`` reads it with that enterprise's country and zone. The result is an observation, the stream it
belongs to by its own content, and a digest by which a repeat is recognised, whichever endpoint it comes through.

``log-call`` (PRODUCT A6) takes, where there is no PBX body, a call as a whole; only ``phone`` is needed::

    {"enterprise_number": "0367", "phone": "+375290000001", "extension": "151", "direction": "in|out", "unique_id": "…",
     "start_time": "2026-11-23 15:30:08", "end_time": "2026-11-23 15:31:00", "duration": 52, "answered": true, "record_url": "…"}

``duration`` is in seconds; one of it and ``end_time`` gives the other; a call of some length is answered unless ``answered``
says otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson

from core.events import (
    AnyObservation,
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    BridgeOpened,
    CallerIdObserved,
    CardRequested,
    DialObserved,
    HangupObserved,
    encode,
    safe_id,
)
from core.phone import as_extension, digits, looks_like_extension, normalise_number, strip_technology
from core.values import Direction

TEXT_LIMIT: Final = 512
ID_LIMIT: Final = 100
"""Longest id taken: even with every character escaped (:func:`core.events.safe_id`) it fits a stream's name."""

URL_LIMIT: Final = 4_096
EXTENSIONS_LIMIT: Final = 200
YEAR_2000_MS: Final = 946_684_800_000
DAY_MS: Final = 86_400_000
CLOCK_SLACK_MS: Final = 60_000
"""The PBX's clock may be this much ahead of ours."""

REPEAT_WINDOW_MS: Final = 60_000
"""Within this time a repeat of a short form without unique_id is the same call."""

SECRET_KEY: Final = re.compile(
    r"token|secret|passw|authorization|api[_-]?key|integration_code|ms_config|credential|client_?id|\Akey\Z", re.IGNORECASE
)
HIDDEN: Final = "***"

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""A jsonb column holds neither NUL nor half a character."""

_NOT_SAID: Final = frozenset({"heard_ms", "wire", "raw", "settings_revision", "downloaded"})
_ADDED_LATER: Final = frozenset({"precise", "verdict", "hung_up_by", "cause", "answered_ms"})
"""Fields that hangups recorded by older versions do not have: left empty they do not count, so that repeats are still found."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Wire(StrEnum):
    """The wire forms: one for each endpoint that takes calls (PRODUCT A1 to A6)."""

    INCOMING_CALL = "incoming-call"
    HANGUP_CALL = "hangup-call"
    RECOVERY_CALL = "recovery-call"
    CALL_EVENT = "call-event"
    NOTIFY_INCOMING = "notify-incoming"
    LOG_CALL = "log-call"


class SignalError(ValueError):
    """Input that cannot be understood: what is wrong, in which field, and what would be right."""

    def __init__(self, error: str, field_: str = "", hint: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.field = field_
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Whose signal it is. ``raw`` is the PBX's body, ``outer`` the dispatcher's guesses around it."""

    wire: Wire
    enterprise: str
    token: str = field(default="", repr=False)
    event: str
    unique_id: str
    outer: Mapping[str, Any] = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)
    inline: Mapping[str, Any] | None = field(default=None, repr=False)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A signal as an observation, with the stream it belongs to and the digest of its content. ``encoded``: as it is stored,
    where that was made already."""

    event: AnyObservation
    stream: str
    digest: bytes
    encoded: tuple[str, int, dict[str, Any]] | None = None


_EVENT_OF_WIRE: Final = {
    Wire.INCOMING_CALL: "dial",
    Wire.HANGUP_CALL: "hangup",
    Wire.RECOVERY_CALL: "hangup",
    Wire.NOTIFY_INCOMING: "card_request",
    Wire.LOG_CALL: "hangup",
}
EVENTS: Final = ("start", "dial", "new_callerid", "bridge_create", "bridge", "bridge_leave", "bridge_destroy", "hangup")


def envelope(wire: Wire, body: object) -> Envelope:
    """Whose signal it is and what it is. Raises SignalError."""
    if not isinstance(body, dict):
        raise SignalError("the body is not an object", hint='send an object such as {"enterprise_number": …, "raw": {…}}')
    raw = body.get("raw")
    if raw is not None and not isinstance(raw, dict):
        raise SignalError("raw is not an object", "raw", "put the PBX's own body here, as an object")
    inner: Mapping[str, Any] = raw or body
    inline = body.get("ms_config")
    if inline is not None and not isinstance(inline, dict):
        raise SignalError("ms_config is not an object", "ms_config", "send the settings as an object, or leave it out")
    enterprise = _text(body, "enterprise_number")
    # Only the PBX's own form is known by the host's Token; the dispatcher always names the enterprise.
    token = _text(body, "token") or _text(inner if wire is Wire.CALL_EVENT else body, "Token")
    if not enterprise and not token and not inline:
        raise SignalError(
            "enterprise_number is missing", "enterprise_number", "name the enterprise by enterprise_number or by its token"
        )
    event = _event(wire, body)
    unique_id = _text(inner, "UniqueId", limit=ID_LIMIT) or _text(body, "unique_id", limit=ID_LIMIT)
    if not unique_id and not (inline or wire is Wire.LOG_CALL or event in ("bridge_create", "bridge_destroy")):
        # Without the PBX's id nothing else that is heard of the call would ever find it.
        name = "UniqueId" if wire is Wire.CALL_EVENT else "unique_id"
        raise SignalError(f"{name} is missing", name, "send the PBX's UniqueId of the call")
    return Envelope(
        wire=wire,
        enterprise=enterprise,
        token=token,
        event=event,
        unique_id=unique_id,
        outer=body,
        raw=inner,
        inline=inline or None,
    )


def _event(wire: Wire, body: Mapping[str, Any]) -> str:
    said = _text(body, "event") or _text(body, "event_type")
    if wire is Wire.INCOMING_CALL and said == "hangup":
        return "hangup"  # posted to the wrong address: whatever ends a call must not show its card
    if wire is not Wire.CALL_EVENT:
        return _EVENT_OF_WIRE[wire]
    if not said:
        raise SignalError("event is missing", "event", f"one of {', '.join(EVENTS)}")
    if said not in EVENTS:
        raise SignalError(f"event {said[:40]!r} is unknown", "event", f"one of {', '.join(EVENTS)}")
    return said


def parse(signal: Envelope, *, heard_ms: int, country: str, zone: tzinfo) -> Heard:
    """Read the signal. ``heard_ms`` is now; ``zone`` is the PBX's. Raises SignalError that names the field."""
    reader = _Reader(signal, heard_ms, country, zone)
    event = reader.read()
    stream = _stream(event, reader.call_id)
    encoded = encode(event)
    said = {**encoded[2], **reader.instead} if reader.instead else encoded[2]
    digest = _digest(stream, encoded[0], said)
    return Heard(event=event, stream=stream, digest=digest, encoded=encoded)


def derived_call_ids(signal: Envelope, heard_ms: int) -> tuple[str, str]:
    """Call ids for a call without unique_id: of the current and of the previous window.

    Made of the number and of whose settings came with it, so that a hangup finds its dial, whichever of the two names the
    extension; only hidden callers are told apart by that. A repeat just across the border of two windows finds the call
    under the previous id.
    """
    phone, inline = _text(signal.raw, "Phone") or _text(signal.outer, "phone"), signal.inline or {}
    who = digits(phone) or f"hidden\0{_text(signal.outer, 'extension')}"
    whose = f"{signal.enterprise}\0{inline.get('integration_code') or inline.get('api_token') or ''}"
    name = hashlib.sha256(f"{who}\0{whose}".encode("utf-8", "replace")).hexdigest()[:16]
    window = heard_ms // REPEAT_WINDOW_MS
    return f"short-{name}-{window}", f"short-{name}-{window - 1}"


def redact(body: object, depth: int = 0) -> Any:
    """A body as it may be kept: secrets replaced, nesting and size bounded, nothing that JSON or PostgreSQL cannot hold."""
    if isinstance(body, str):
        return _UNSTORABLE.sub("\ufffd", body[:URL_LIMIT])
    if depth > 8:
        return HIDDEN
    if type(body) is dict or isinstance(body, Mapping):
        kept: dict[str, Any] = {}
        for key, value in body.items() if len(body) <= 500 else list(body.items())[:500]:
            name, is_secret = _kept_key(key) if type(key) is str and len(key) <= 64 else _key_as_kept(str(key))
            if is_secret:
                kept[name] = HIDDEN
            elif type(value) is str and len(value) <= URL_LIMIT and value.isascii() and "\0" not in value:
                kept[name] = value
            else:
                kept[name] = redact(value, depth + 1)
        return kept
    if isinstance(body, list | tuple):
        return [redact(value, depth + 1) for value in body[:500]]
    if isinstance(body, bool | None):
        return body
    if isinstance(body, int) and body.bit_length() < 64:
        return body
    if isinstance(body, float) and body - body == 0:
        return body
    return f"({type(body).__name__})"


def _key_as_kept(key: str) -> tuple[str, bool]:
    """A key as it may be kept, and whether what stands under it may not."""
    return _UNSTORABLE.sub("\ufffd", key[:TEXT_LIMIT]), SECRET_KEY.search(key) is not None


_kept_key: Final = lru_cache(maxsize=1_024)(_key_as_kept)
"""Cached, for the PBX sends the same fifty keys in every body; a sender of made-up keys only pushes entries out."""


def _is_plain(text: str) -> bool:
    """Whether nothing in it is unstorable, found out cheaply for what is nearly always sent."""
    return ("\0" not in text) if text.isascii() else _UNSTORABLE.search(text) is None


class _Reader:
    """Reads one envelope. The PBX's body is the truth; the dispatcher's outer fields are guesses that fill gaps."""

    def __init__(self, signal: Envelope, heard_ms: int, country: str, zone: tzinfo) -> None:
        self._signal = signal
        self._raw = signal.raw
        self._outer = signal.outer
        self._heard_ms = heard_ms
        self._country = country
        self._zone = zone
        self.call_id = safe_id(signal.unique_id)
        self.instead: dict[str, Any] = {}
        """What the signal said in place of what was concluded from it and would differ in a repeat."""

    def read(self) -> AnyObservation:
        match self._signal.event:
            case "start":
                return ArrivalObserved(**self._base(), channel=self._channel(), number=self._number(), trunk=self._trunk())
            case "dial":
                return self._dial()
            case "hangup":
                return self._hangup()
            case "card_request":
                return self._card_request()
            case "new_callerid":
                return CallerIdObserved(
                    **self._base(),
                    channel=self._channel(),
                    channel_name=_text(self._raw, "Channel"),
                    caller_id=_text(self._raw, "CallerIDNum"),
                    connected=_text(self._raw, "ConnectedLineNum"),
                    exten=_text(self._raw, "Exten"),
                )
            case "bridge_create":
                return BridgeOpened(**self._base(), bridge=self._bridge())
            case "bridge_destroy":
                return BridgeClosed(**self._base(), bridge=self._bridge())
            case "bridge":
                return BridgeEntered(**self._base(), **self._member())
            case _:
                return BridgeLeft(**self._base(), **self._member(), remaining=self._remaining())

    def _base(self) -> dict[str, Any]:
        return {"heard_ms": self._heard_ms, "wire": self._signal.wire.value, "raw": redact(self._raw)}

    def _dial(self) -> DialObserved:
        extensions = self._extensions()
        number = self._number()
        return DialObserved(
            **self._base(),
            channel=self._channel(),
            direction=self._direction(number, extensions),
            number=number,
            extensions=extensions,
            trunk=self._trunk(),
        )

    def _hangup(self) -> HangupObserved:
        extensions, number = self._extensions(), self._number()
        status = _text(self._raw, "CallStatus")
        logged = self._signal.wire is Wire.LOG_CALL and "CallStatus" not in self._raw
        times = self._logged_times() if logged else self._pbx_times()
        if logged:
            status = "2" if self._logged_as_answered(extensions, times) else "0"
        return HangupObserved(
            **self._base(),
            channel=self._channel(),
            direction=self._direction(number, extensions),
            number=number,
            extensions=extensions,
            answered=status == "2",
            status=status,
            received_ms=times[0],
            started_ms=times[1],
            ended_ms=times[2],
            trunk=self._trunk(),
            record_url=self._record_url(),
            downloaded=self._is_downloaded(),
        )

    def _card_request(self) -> CardRequested:
        extensions = self._extensions()
        if not extensions:
            raise SignalError("extensions is missing", "extensions", "name the extensions whose screens should show the card")
        number = self._number()
        return CardRequested(**self._base(), extensions=extensions, direction=self._direction(number, extensions), number=number)

    def _record_url(self) -> str | None:
        """The recording's address. A path on the PBX is of no use to MoySklad, and no reason to lose the end of a call."""
        said = _text(self._outer, "record_url", limit=URL_LIMIT) or _text(self._raw, "record_url", limit=URL_LIMIT)
        return said if said.lower().startswith(("http://", "https://")) else None

    def _is_downloaded(self) -> bool:
        return self._signal.wire in (Wire.RECOVERY_CALL, Wire.LOG_CALL) or _text(self._outer, "origin") == "download"

    def _channel(self) -> str:
        if not self.call_id:
            raise SignalError("unique_id is missing", "unique_id", "send the PBX's UniqueId of the call")
        return self.call_id

    def _bridge(self) -> str:
        bridge = _text(self._raw, "BridgeUniqueid", limit=ID_LIMIT)
        if not bridge:
            raise SignalError("BridgeUniqueid is missing", "BridgeUniqueid", "a bridge event names its bridge")
        return safe_id(bridge)

    def _member(self) -> dict[str, Any]:
        return {
            "bridge": self._bridge(),
            "channel": self._channel(),
            "channel_name": _text(self._raw, "Channel"),
            "caller_id": _text(self._raw, "CallerIDNum"),
            "connected": _text(self._raw, "ConnectedLineNum"),
        }

    def _remaining(self) -> int | None:
        said = _text(self._raw, "BridgeNumChannels")
        return int(said) if said.isascii() and said.isdigit() else None

    def _trunk(self) -> str:
        return _text(self._raw, "Trunk")

    def _number(self) -> str:
        phone = _text(self._raw, "Phone") if "Phone" in self._raw else _text(self._outer, "phone")
        if "Phone" not in self._raw and "phone" not in self._outer:
            raise SignalError("phone is missing", "phone", "send the customer's number; an empty one is a hidden caller")
        return normalise_number(phone, self._country)

    def _extensions(self) -> tuple[str, ...]:
        said = self._raw.get("Extensions")
        if said is None:
            said = self._outer.get("extensions")
        if said is None:
            said = [_text(self._outer, "extension")]
        if isinstance(said, str | int):
            said = [said]
        if not isinstance(said, list):
            raise SignalError("Extensions is not a list", "Extensions", 'send a list of strings such as ["150", "151"]')
        if len(said) > EXTENSIONS_LIMIT:
            raise SignalError("too many extensions", "Extensions", f"at most {EXTENSIONS_LIMIT}")
        said_texts = (_text({"Extensions": each}, "Extensions", limit=ID_LIMIT) for each in said)
        found = dict.fromkeys(strip_technology(text).lstrip("+") for text in said_texts)
        return tuple(peer for peer in found if peer)

    def _direction(self, number: str, extensions: tuple[str, ...]) -> Direction:
        """CallType decides; without it, two extensions and no trunk are an internal call, whatever the dispatcher guessed."""
        said = self._raw.get("CallType")
        if said is not None and (isinstance(said, bool) or str(said) not in ("0", "1", "2")):
            raise SignalError(f"CallType {str(said)[:20]!r} is unknown", "CallType", "0 incoming, 1 outgoing, 2 internal")
        short, by_trunk = bool(as_extension(number)), bool(self._trunk())
        came_in = str(said) == "0" and by_trunk and not short
        if extensions == (number.lstrip("+"),) and not came_in:
            return Direction.INTERNAL  # a telephone that rings for itself: somebody clicked, and picks up first (quirk 10)
        inside = short and not by_trunk
        if said is not None:
            told = (Direction.INCOMING, Direction.OUTGOING, Direction.INTERNAL)[int(str(said))]
            return Direction.INTERNAL if told is Direction.INCOMING and inside else told
        guess = _text(self._outer, "direction").lower()
        if guess not in ("", "in", "out", "internal", "incoming", "outgoing"):
            raise SignalError(f"direction {guess[:20]!r} is unknown", "direction", "in or out")
        if guess == "internal" or (inside and all(looks_like_extension(each) for each in extensions)):
            return Direction.INTERNAL
        return Direction.OUTGOING if guess in ("out", "outgoing") else Direction.INCOMING

    def _pbx_times(self) -> tuple[int | None, int | None, int | None]:
        return (self._time("DateReceived"), self._time("StartTime"), self._time("EndTime"))

    def _logged_times(self) -> tuple[int | None, int | None, int | None]:
        start, end = self._time("start_time"), self._time("end_time")
        seconds = self._outer.get("duration")
        if seconds is not None:
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= DAY_MS / 1000:
                raise SignalError("duration is not a number of seconds", "duration", "send seconds, such as 65")
            if start is not None and end is None:
                end = start + int(seconds * 1000)
            elif end is not None and start is None:
                start = end - int(seconds * 1000)
            elif start is None:
                # How long, but not when: it is told as soon as it is over.
                start, end = self._heard_ms - int(seconds * 1000), self._heard_ms
                self.instead = {"received_ms": None, "started_ms": None, "ended_ms": None, "duration": seconds}
        return (start, start, end if end is not None else start)

    def _logged_as_answered(self, extensions: tuple[str, ...], times: tuple[int | None, int | None, int | None]) -> bool:
        told = self._outer.get("answered")
        if isinstance(told, bool):
            return told
        return times[0] is not None and times[2] is not None and times[2] > times[0]

    def _time(self, key: str) -> int | None:
        """A local time without a zone, as UTC ms; empty is unknown."""
        said = _text(self._raw, key) or _text(self._outer, key)
        if not said:
            return None
        try:
            moment = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError:
            raise SignalError(f"{key} is not a time", key, "send YYYY-MM-DD HH:MM:SS, the PBX's local time") from None
        at_ms = self._utc_ms(moment)
        if not YEAR_2000_MS <= at_ms <= self._heard_ms + DAY_MS:
            raise SignalError(f"{key} is an absurd time", key, "a time since 2000 and not in the future; check the zone")
        return at_ms

    def _utc_ms(self, moment: datetime) -> int:
        """An hour that the autumn change repeats is the later one that was not still to come when it was heard."""
        try:
            if moment.tzinfo is not None:
                return (moment - _EPOCH) // timedelta(milliseconds=1)
            first, second = (
                (moment.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
                for fold in (0, 1)
            )
        except (OverflowError, ValueError):
            return 0
        # In the hour that the spring change leaves out the second reading is the earlier one: the first is the moment meant.
        return second if first < second <= self._heard_ms + CLOCK_SLACK_MS else first


def _text(body: Mapping[str, Any], key: str, *, limit: int = TEXT_LIMIT) -> str:
    """A field as text; numbers are taken as they are written, null is empty. Raises SignalError for anything else."""
    value = body.get(key)
    if value is None:
        return ""
    if type(value) is str and value.isascii() and len(value) <= limit and "\0" not in value:
        return value.strip()  # what is nearly always sent
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value.bit_length() > 64):
        raise SignalError(f"{key} has the wrong type", key, "send a string")
    text = str(value).strip()
    if len(text) > limit:
        raise SignalError(f"{key} is too long", key, f"at most {limit} characters")
    if not _is_plain(text):
        raise SignalError(f"{key} holds characters that are none", key, "send plain text")
    return text


def _stream(event: AnyObservation, call_id: str) -> str:
    match event:
        case BridgeOpened() | BridgeEntered() | BridgeLeft() | BridgeClosed():
            return f"bridge/{event.bridge}"
        case CallerIdObserved():
            return f"channel/{event.channel}"
        case _:
            if not call_id:
                raise SignalError("unique_id is missing", "unique_id", "send the PBX's UniqueId of the call")
            return f"call/{call_id}"


def content_digest(event: AnyObservation, stream: str) -> bytes:
    """What the signal says, however it came: not when it was heard, through which endpoint, or whether live or downloaded."""
    type_, _, data = encode(event)
    return _digest(stream, type_, data)


def _digest(stream: str, type_: str, data: Mapping[str, Any]) -> bytes:
    said = {
        key: value
        for key, value in data.items()
        if key not in _NOT_SAID and not (key in _ADDED_LATER and value in ("", None, False))
    }
    return hashlib.sha256(orjson.dumps([stream, type_, said], option=orjson.OPT_SORT_KEYS)).digest()
