"""Whatever comes over the wire: reading is total, and a repeat is known by what it says, not by how it is written."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from core.events import (
    decode,
    encode,
)
from core.signals import EVENTS, SignalError, Wire, derived_call_ids, envelope, parse, redact
from tests.core.wire import HEARD_MS, MINSK, dispatched, heard, pbx

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**80),
    st.floats(),
    st.text(max_size=20),
    st.characters(categories=["Cs", "Cc"]),
    st.sampled_from(["0", "1", "2", "in", "out", "151", "+375290000001", "2026-11-23 15:30:08"]),
    st.sampled_from(["9999-12-31 23:59:59", "0001-01-01T00:00", "2026-11-23T15:30:08+25:00", "2026-11-23T15:30:08Z"]),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
FIELDS = sorted(
    {*pbx("hangup"), *pbx("bridge"), *dispatched(), "Exten", "BridgeNumChannels", "extensions", "Token", "token", "ms_config"}
    | {"record_url", "origin", "start_time", "end_time", "duration", "answered", "event", "event_type", "raw", "_x"}
)
ODD = st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=8)


@given(st.sampled_from(list(Wire)), st.sampled_from([*EVENTS, "nothing"]), ODD, st.one_of(st.none(), ODD), st.booleans())
def test_reading_is_total(wire: Wire, name: str, odd: dict[str, Any], raw: dict[str, Any] | None, usual: bool) -> None:
    base: dict[str, Any] = {**pbx("hangup"), **pbx("bridge"), **dispatched(), "event": name} if usual else {"event": name}
    body = {**base, **odd, **({"raw": raw} if raw is not None else {})}
    try:
        signal = envelope(wire, body)
        derived_call_ids(signal, HEARD_MS)
        said = parse(signal, heard_ms=HEARD_MS, country="BY", zone=MINSK)
    except SignalError:
        return
    stored = encode(said.event)[2]
    assert decode(said.event.type, 1, json.loads(orjson.dumps(stored))).type == said.event.type
    assert "\\u0000" not in orjson.dumps(stored).decode()
    assert len(said.digest) == 32
    assert len(said.stream.encode()) <= 1_000


@given(ANYTHING)
def test_redacting_is_total_and_storable(body: object) -> None:
    assert "\\u0000" not in orjson.dumps(redact(body)).decode()


@given(st.permutations(list(pbx("hangup"))), st.booleans(), st.sampled_from(["375290000001", "+375290000001", "80290000001"]))
def test_a_repeat_is_recognised_however_it_is_written(order: list[str], as_text: bool, phone: str) -> None:
    plain = pbx("hangup")
    written = {key: plain[key] for key in order} | {"Phone": phone, "_sent": 2}
    if as_text:
        written |= {"CallType": "0", "CallStatus": "2"}
    else:
        written |= {"CallStatus": 2, "Extensions": ["SIP/151"]}
    assert heard(Wire.CALL_EVENT, written, heard_ms=HEARD_MS + 3_600_000).digest == heard(Wire.CALL_EVENT, plain).digest


@given(
    st.sampled_from(["UniqueId", "Phone", "Extensions", "CallType", "Trunk", "CallStatus", "DateReceived", "StartTime", "EndTime"]),
)
def test_whatever_has_a_meaning_is_part_of_the_digest(field: str) -> None:
    other = {
        "UniqueId": "1757840723.7",
        "Phone": "375290000002",
        "Extensions": ["152"],
        "CallType": 1,
        "Trunk": "0001002",
        "CallStatus": "0",
    }.get(field, "2026-11-23 15:30:01")
    assert heard(Wire.CALL_EVENT, pbx("hangup", **{field: other})).digest != heard(Wire.CALL_EVENT, pbx("hangup")).digest
