"""Bodies as the PBX and the dispatcher send them, and what the core reads from them: for the tests of signals."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.events import (
    AnyObservation,
)
from core.signals import Heard, SignalError, Wire, envelope, parse

MINSK = ZoneInfo("Europe/Minsk")
BERLIN = ZoneInfo("Europe/Berlin")
HEARD_MS = 1_795_437_020_000  # 2026-11-23 15:30:20 in Minsk
TOKEN = "unit-token-0367"


def heard(wire: Wire, body: object, *, heard_ms: int = HEARD_MS, zone: tzinfo = MINSK, country: str = "BY") -> Heard:
    return parse(envelope(wire, body), heard_ms=heard_ms, country=country, zone=zone)


def event(wire: Wire, body: object, **how: Any) -> AnyObservation:
    return heard(wire, body, **how).event


def refused(wire: Wire, body: object, *, heard_ms: int = HEARD_MS) -> SignalError:
    with pytest.raises(SignalError) as caught:
        heard(wire, body, heard_ms=heard_ms)
    assert caught.value.error
    return caught.value


def pbx(name: str = "dial", **body: Any) -> dict[str, Any]:
    """A PBX body as call-event takes it; a value of ... leaves the field out."""
    usual: dict[str, dict[str, Any]] = {
        "start": {"Phone": "375290000001", "CallType": 0, "Trunk": "0001001"},
        "dial": {"Phone": "375290000001", "Extensions": ["151"], "CallType": 0, "Trunk": "0001001", "ExtTrunk": "", "ExtPhone": ""},
        "hangup": {
            "Phone": "375290000001",
            "Extensions": ["151"],
            "CallType": 0,
            "Trunk": "0001001",
            "CallStatus": "2",
            "DateReceived": "2026-11-23 15:30:08",
            "StartTime": "2026-11-23 15:30:09",
            "EndTime": "2026-11-23 15:30:18",
        },
        "bridge": {"BridgeUniqueid": "b-1", "Channel": "SIP/151-00000015", "CallerIDNum": "151", "ConnectedLineNum": "<unknown>"},
    }
    whole = {"event": name, "Token": TOKEN, "UniqueId": "1757840723.6", **usual.get(name, {}), **body}
    return {key: value for key, value in whole.items() if value is not ...}


def dispatched(raw: dict[str, Any] | None = None, **outer: Any) -> dict[str, Any]:
    """A dispatcher body with its guesses; a value of ... leaves the field out."""
    body = {
        "enterprise_number": "0367",
        "phone": "+375290000001",
        "extension": "151",
        "direction": "in",
        "event_type": "dial",
        "unique_id": "1757840723.6",
        "raw": raw,
        **outer,
    }
    return {key: value for key, value in body.items() if value is not ...}


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
