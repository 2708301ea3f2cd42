"""What the PBX or the dispatcher said, read from the wire into one form (CONTRACT-ASTERISK), not yet believed.

Reading takes two steps, because how a number and a time are meant depends on the enterprise: ``envelope`` says whose
signal it is, ``parse`` reads it with that enterprise's country and zone. The result is an observation, the stream it
belongs to by its own content, and a digest by which a repeat is recognised, whichever endpoint it comes through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, Final

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
from core.phone import looks_like_extension, normalise_number, strip_technology
from core.values import Direction

TEXT_LIMIT: Final = 512
URL_LIMIT: Final = 4_096
EXTENSIONS_LIMIT: Final = 200
YEAR_2000_MS: Final = 946_684_800_000
DAY_MS: Final = 86_400_000
REPEAT_WINDOW_MS: Final = 60_000
"""Within this time a repeat of a short form without unique_id is the same call."""

SECRET_KEYS: Final = frozenset(
    {"token", "ms_config", "secret", "password", "api_token", "integration_code", "authorization", "api_key", "key"}
)
HIDDEN: Final = "***"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A signal as an observation, with the stream it belongs to and the digest of its content."""

    event: AnyObservation
    stream: str
    digest: bytes


_EVENT_OF_WIRE: Final = {
    Wire.INCOMING_CALL: "dial",
    Wire.HANGUP_CALL: "hangup",
    Wire.RECOVERY_CALL: "hangup",
    Wire.NOTIFY_INCOMING: "card_request",
    Wire.LOG_CALL: "hangup",
}
EVENTS: Final = ("start", "dial", "new_callerid", "bridge_create", "bridge", "bridge_leave", "bridge_destroy", "hangup")
_OUTER_KEYS: Final = ("enterprise_number", "phone", "extension", "extensions", "direction", "event_type", "event", "unique_id")


def envelope(wire: Wire, body: object) -> Envelope:
    """Whose signal it is and what it is. Raises SignalError."""
    if not isinstance(body, dict):
        raise SignalError("the body is not an object", hint='send an object such as {"enterprise_number": …, "raw": {…}}')
    raw = body.get("raw")
    if raw is not None and not isinstance(raw, dict):
        raise SignalError("raw is not an object", "raw", "put the PBX's own body here, as an object")
    inner: Mapping[str, Any] = raw if raw is not None else body
    inline = body.get("ms_config")
    if inline is not None and not isinstance(inline, dict):
        raise SignalError("ms_config is not an object", "ms_config", "send the settings as an object, or leave it out")
    enterprise = _text(body, "enterprise_number")
    token = _text(body, "token") or _text(inner, "Token") or _text(body, "Token")
    if not enterprise and not token and inline is None:
        raise SignalError(
            "enterprise_number is missing", "enterprise_number", "name the enterprise by enterprise_number or by its token"
        )
    event = _event(wire, body)
    unique_id = _text(inner, "UniqueId") or _text(body, "unique_id")
    return Envelope(
        wire=wire,
        enterprise=enterprise,
        token=token,
        event=event,
        unique_id=unique_id,
        outer=body,
        raw=inner,
        inline=inline,
    )


def _event(wire: Wire, body: Mapping[str, Any]) -> str:
    said = _text(body, "event") or _text(body, "event_type")
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
    return Heard(event=event, stream=stream, digest=_digest(event, stream))


def derived_call_ids(signal: Envelope, heard_ms: int) -> tuple[str, str]:
    """Call ids for a short form without unique_id: of the current and of the previous window.

    A repeat just across the border of two windows finds the call under the previous id.
    """
    phone, direction = _text(signal.outer, "phone"), _text(signal.outer, "direction") or "in"
    extension = _text(signal.outer, "extension")
    name = hashlib.sha256(f"{phone}\0{direction}\0{extension}".encode()).hexdigest()[:16]
    window = heard_ms // REPEAT_WINDOW_MS
    return f"short-{name}-{window}", f"short-{name}-{window - 1}"


def redact(body: object, depth: int = 0) -> Any:
    """A body as it may be kept: secrets replaced, nesting and size bounded."""
    if depth > 8:
        return HIDDEN
    if isinstance(body, Mapping):
        return {
            str(key)[:TEXT_LIMIT]: HIDDEN if str(key).lower() in SECRET_KEYS else redact(value, depth + 1)
            for key, value in list(body.items())[:500]
        }
    if isinstance(body, list | tuple):
        return [redact(value, depth + 1) for value in body[:500]]
    if isinstance(body, str):
        return body[:URL_LIMIT].replace("\x00", "")
    return body if isinstance(body, int | float | bool | None) else str(body)[:TEXT_LIMIT]


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
        record_url = _text(self._outer, "record_url", limit=URL_LIMIT) or None
        if record_url is not None and not record_url.startswith(("http://", "https://")):
            raise SignalError("record_url is not a URL", "record_url", "send an http(s) URL, or null")
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
            record_url=record_url,
            downloaded=self._is_downloaded(),
        )

    def _card_request(self) -> CardRequested:
        extensions = self._extensions()
        if not extensions:
            raise SignalError("extensions is missing", "extensions", "name the extensions whose screens should show the card")
        number = self._number()
        return CardRequested(
            **self._base(), extensions=extensions, direction=self._direction(number, extensions), number=number
        )

    def _is_downloaded(self) -> bool:
        return self._signal.wire in (Wire.RECOVERY_CALL, Wire.LOG_CALL) or _text(self._outer, "origin") == "download"

    def _channel(self) -> str:
        if not self.call_id:
            raise SignalError("unique_id is missing", "unique_id", "send the PBX's UniqueId of the call")
        return self.call_id

    def _bridge(self) -> str:
        bridge = _text(self._raw, "BridgeUniqueid")
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
        found: dict[str, None] = {}
        for each in said:
            if isinstance(each, bool) or not isinstance(each, str | int) or len(str(each)) > TEXT_LIMIT:
                raise SignalError("an extension is not a string", "Extensions", 'send strings such as "150"')
            peer = strip_technology(str(each)).lstrip("+")
            if peer:
                found[peer] = None
        return tuple(found)

    def _direction(self, number: str, extensions: tuple[str, ...]) -> Direction:
        """CallType decides; without it, two extensions and no trunk are an internal call, whatever the dispatcher guessed."""
        said = self._raw.get("CallType")
        if said is not None and (isinstance(said, bool) or str(said) not in ("0", "1", "2")):
            raise SignalError(f"CallType {str(said)[:20]!r} is unknown", "CallType", "0 incoming, 1 outgoing, 2 internal")
        inside = looks_like_extension(number.lstrip("+")) and not self._trunk()
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
        return (start, start, end if end is not None else start)

    def _logged_as_answered(self, extensions: tuple[str, ...], times: tuple[int | None, int | None, int | None]) -> bool:
        told = self._outer.get("answered")
        if isinstance(told, bool):
            return told
        return bool(extensions) and times[0] is not None and times[2] is not None and times[2] > times[0]

    def _time(self, key: str) -> int | None:
        """A local time without a zone, as UTC ms; empty is unknown."""
        said = _text(self._raw, key) or _text(self._outer, key)
        if not said:
            return None
        try:
            moment = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError:
            raise SignalError(f"{key} is not a time", key, "send YYYY-MM-DD HH:MM:SS, the PBX's local time") from None
        try:
            at_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).timestamp() * 1000)
        except (OverflowError, ValueError, OSError):
            at_ms = 0
        if not YEAR_2000_MS <= at_ms <= self._heard_ms + DAY_MS:
            raise SignalError(f"{key} is an absurd time", key, "a time since 2000 and not in the future; check the zone")
        return at_ms


def _text(body: Mapping[str, Any], key: str, *, limit: int = TEXT_LIMIT) -> str:
    """A field as text; numbers are taken as they are written, null is empty. Raises SignalError for anything else."""
    value = body.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SignalError(f"{key} has the wrong type", key, "send a string")
    text = str(value).strip()
    if len(text) > limit:
        raise SignalError(f"{key} is too long", key, f"at most {limit} characters")
    if "\x00" in text or not _is_encodable(text):
        raise SignalError(f"{key} holds characters that are none", key, "send plain text")
    return text


def _is_encodable(text: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


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


def _digest(event: AnyObservation, stream: str) -> bytes:
    """What the signal says, however it came: not when it was heard, through which endpoint, or whether live or downloaded."""
    plain = replace(event, heard_ms=0, wire="", raw={})
    type_, _, data = encode(plain)
    for key in ("heard_ms", "wire", "raw", "settings_revision", "downloaded"):
        data.pop(key, None)
    return hashlib.sha256(orjson.dumps([stream, type_, data], option=orjson.OPT_SORT_KEYS)).digest()
