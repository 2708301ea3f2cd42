"""What was said before this service was there: rows of ``integration_logs``, the PBX's log, the dispatcher's bodies. Pure.

One file holds one of these, told apart by what stands in it, line by line as JSON, as one JSON list, or as CSV with a header:

* rows of ``integration_logs`` (CONTRACT-ASTERISK): ``request_data`` is what was said, ``created_at`` when; rows that are answers of
  MoySklad, or another integration's, say nothing and are passed over;
* the PBX's log: ``{"at": unix seconds, "event": …, "body": {…}}``;
* what the dispatcher posts, with ``at`` or ``created_at`` beside it; without either the PBX's own times in it must do.

What cannot be understood is told with its line and left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import orjson

from core.signals import EVENTS, Wire

_TIMES: Final = ("at", "created_at", "received_at", "time", "timestamp")
_NAMES: Final[Mapping[str, str]] = {
    "incoming_call": "dial",
    "incoming-call": "dial",
    "outgoing_call": "dial",
    "hangup_call": "hangup",
    "hangup-call": "hangup",
    "recovery-call": "hangup",
    "recovery_call": "hangup",
    "call_start": "start",
}
"""What events are called in some logs."""

_EPOCH: Final = re.compile(r"(?<!\d)(1[4-9]\d{8})\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that was said: when, and as which endpoint would take it."""

    line: int
    at_ms: int
    wire: Wire
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A line that says nothing. ``passed_over``: it is none of a call's signals, which is no fault of the file."""

    line: int
    reason: str
    passed_over: bool = False


def read_log(content: bytes, enterprise: str, zone: tzinfo) -> Iterator[Said | Skipped]:
    """Every line of a file, for this enterprise. Times without a zone are in ``zone``."""
    for line, row in _rows(content):
        if isinstance(row, str):
            yield Skipped(line=line, reason=row)
            continue
        yield _read(line, row, enterprise, zone)


def _rows(content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    text = content.decode("utf-8-sig", "replace")
    start = text.lstrip()[:1]
    if start == "[":
        yield from _listed(text)
    elif start == "{":
        for line, each in enumerate(text.splitlines(), start=1):
            if each.strip():
                yield line, _object(each)
    else:
        yield from _table(text)


def _listed(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield 1, f"not JSON: {error}"
        return
    for line, row in enumerate(rows, start=1):
        yield line, row if isinstance(row, dict) else "not an object"


def _table(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(text.splitlines())
    if not reader.fieldnames or "request_data" not in reader.fieldnames:
        yield 1, "neither JSON nor a table with request_data in its first line"
        return
    try:
        for row in reader:
            yield reader.line_num, {name: value for name, value in row.items() if name is not None}
    except csv.Error as error:
        yield reader.line_num, f"not CSV: {error}"


def _object(text: str) -> dict[str, Any] | str:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error}"
    return row if isinstance(row, dict) else "not an object"


def _read(line: int, row: Mapping[str, Any], enterprise: str, zone: tzinfo) -> Said | Skipped:
    if "request_data" in row:
        kind = str(row.get("integration_type") or "ms")
        if kind != "ms":
            return Skipped(line=line, reason=f"a row of {kind}", passed_over=True)
        body: Any = _inner(row.get("request_data"))
        event = _event(row.get("event_type"))
    elif isinstance(row.get("body"), Mapping):
        body, event = row["body"], _event(row.get("event"))
    else:
        body, event = row, _event(row.get("event") or row.get("event_type"))
    if not isinstance(body, Mapping):
        return Skipped(line=line, reason="what was said is not an object")
    event = event or _event(body.get("event") or body.get("event_type"))
    if event not in EVENTS:
        said = row.get("event_type") or row.get("event") or "nothing"
        return Skipped(line=line, reason=f"{str(said)[:40]!r} is no signal", passed_over="request_data" in row)
    at_ms = _when(row, body, event, zone)
    if at_ms is None:
        return Skipped(line=line, reason="it does not say when: at or created_at is needed")
    wire, posted = _posted(event, body, enterprise, at_ms, zone)
    return Said(line=line, at_ms=at_ms, wire=wire, body=posted)


def _event(said: object) -> str:
    name = str(said or "").strip().lower()
    return _NAMES.get(name, name)


def _inner(value: object) -> object:
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _posted(event: str, body: Mapping[str, Any], enterprise: str, at_ms: int, zone: tzinfo) -> tuple[Wire, dict[str, Any]]:
    """The same as it would be posted to this service, for this enterprise."""
    kept = {name: value for name, value in body.items() if name not in ("Token", "token", "ms_config", *_TIMES)}
    raw = kept.get("raw")
    if isinstance(raw, Mapping) or "unique_id" in kept:
        wire = Wire.INCOMING_CALL if event == "dial" else Wire.HANGUP_CALL if event == "hangup" else Wire.CALL_EVENT
        if wire is Wire.HANGUP_CALL and kept.get("origin") == "download":
            wire = Wire.RECOVERY_CALL
        if isinstance(raw, Mapping):
            kept["raw"] = {name: value for name, value in raw.items() if name != "Token"}
        return wire, {**kept, "event": event, "enterprise_number": enterprise}
    if "call" in kept and "UniqueId" not in kept:
        return Wire.CALL_EVENT, {"event": event, "enterprise_number": enterprise, "raw": _of_the_journal(event, kept, at_ms, zone)}
    return Wire.CALL_EVENT, {"event": event, "enterprise_number": enterprise, "raw": kept}


def _of_the_journal(event: str, row: Mapping[str, Any], at_ms: int, zone: tzinfo) -> dict[str, Any]:
    """What this service itself writes into ``integration_logs`` of a signal, as the PBX would have said it."""
    raw: dict[str, Any] = {"UniqueId": row["call"], "Phone": row.get("phone", ""), "Extensions": row.get("extensions") or []}
    way = {"in": 0, "out": 1, "internal": 2}.get(str(row.get("direction")))
    if way is not None:
        raw["CallType"] = way
    if event == "hangup":
        raw["CallStatus"] = "2" if row.get("answered") else "0"
        raw["EndTime"] = datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
    return raw


def _when(row: Mapping[str, Any], body: Mapping[str, Any], event: str, zone: tzinfo) -> int | None:
    for name in _TIMES:
        if (at_ms := _moment(row.get(name), zone)) is not None:
            return at_ms
    raw = body.get("raw")
    inner: Mapping[str, Any] = raw if isinstance(raw, Mapping) else body
    if event == "hangup" and (at_ms := _moment(inner.get("EndTime"), zone)) is not None:
        return at_ms
    if (at_ms := _moment(inner.get("DateReceived"), zone)) is not None:
        return at_ms
    # The PBX names a channel by the second in which it was made.
    found = _EPOCH.search(str(inner.get("UniqueId") or body.get("unique_id") or ""))
    return int(found.group(1)) * 1000 if found is not None and event in ("start", "dial") else None


def _moment(value: object, zone: tzinfo) -> int | None:
    """A time as it stands in logs: seconds or milliseconds since 1970, or written out."""
    if isinstance(value, bool) or value in (None, ""):
        return None
    try:
        number = float(str(value))
    except ValueError:
        try:
            moment = datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
            return int(moment.astimezone(UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    return int(number) if number > 1e11 else int(number * 1000) if number > 1e9 else None
