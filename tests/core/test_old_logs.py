"""Old logs are read, whichever they are; what cannot be understood is told with its line."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from core.old_logs import Said, Skipped, read_log
from core.signals import Wire, envelope, parse
from tests.playback import NAMES, recording

MINSK = ZoneInfo("Europe/Minsk")
AT_MS = 1_795_437_000_000
DIAL = {"UniqueId": "1795437000.1", "Phone": "375290000001", "Extensions": ["101"], "CallType": 0, "Trunk": "t"}
POSTED = {
    "enterprise_number": "0999",
    "phone": "+375290000001",
    "extension": "101",
    "direction": "in",
    "event_type": "dial",
    "unique_id": "1795437000.1",
    "raw": DIAL,
}


def read(*lines: Any) -> list[Said | Skipped]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return list(read_log(text.encode(), "0367", MINSK))


def one(line: Any) -> Said:
    (found,) = read(line)
    assert isinstance(found, Said), found
    return found


def row(event: str, data: Any, **changed: Any) -> dict[str, Any]:
    """A row of the old table."""
    return {
        "id": 1, "enterprise_number": "0999", "integration_type": "ms", "event_type": event, "request_data": data,
        "response_data": None, "status": "success", "error_message": None, "created_at": "2026-11-23T12:30:00+00:00", **changed,
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_pbx_s_log_is_read_as_it_was_said(name: str) -> None:
    lines = [{"at": line.at_ms / 1000, "event": line.event, "body": line.body} for line in recording(name)]
    found = read(*lines)
    assert len(found) == len(lines)
    for each, line in zip(found, recording(name), strict=True):
        assert isinstance(each, Said)
        assert abs(each.at_ms - line.at_ms) <= 1
        assert "Token" not in str(each.body)
        body = {"event": line.event, "enterprise_number": "0367", "raw": line.body}
        direct = parse(envelope(Wire.CALL_EVENT, body), heard_ms=line.at_ms, country="BY", zone=MINSK)
        again = parse(envelope(each.wire, dict(each.body)), heard_ms=each.at_ms, country="BY", zone=MINSK)
        assert (again.digest, again.stream) == (direct.digest, direct.stream)


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        (row("dial", POSTED), Wire.INCOMING_CALL),
        (row("incoming-call", json.dumps(POSTED)), Wire.INCOMING_CALL),
        (row("hangup", {**POSTED, "event_type": "hangup"}), Wire.HANGUP_CALL),
        (row("hangup", {**POSTED, "event_type": "hangup", "origin": "download"}), Wire.RECOVERY_CALL),
        (row("dial", {"event": "dial", **DIAL}), Wire.CALL_EVENT),
        (row("dial", {"call": "A", "phone": "+375290000001", "extensions": ["101"], "direction": "out"}), Wire.CALL_EVENT),
        (row("hangup", {"call": "A", "phone": "+375290000001", "extensions": [], "answered": False}), Wire.CALL_EVENT),
        ({**POSTED, "at": AT_MS}, Wire.INCOMING_CALL),
        ({"event": "dial", **DIAL}, Wire.CALL_EVENT),
    ],
)
def test_rows_and_bodies_become_what_would_be_posted_today(line: Any, wire: Wire) -> None:
    found = one(line)
    assert (found.wire, found.body["enterprise_number"]) == (wire, "0367")
    parse(envelope(found.wire, dict(found.body)), heard_ms=found.at_ms, country="BY", zone=MINSK)


def test_a_hangup_of_our_own_journal_says_whether_it_was_answered_and_when() -> None:
    found = one(row("hangup", {"call": "A", "phone": "+375290000001", "extensions": ["101"], "answered": True}))
    assert found.body["raw"] == {
        "UniqueId": "A", "Phone": "+375290000001", "Extensions": ["101"], "CallStatus": "2", "EndTime": "2026-11-23 15:30:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "at_ms"),
    [
        ({**POSTED, "at": AT_MS}, AT_MS),
        ({**POSTED, "at": AT_MS / 1000}, AT_MS),
        ({**POSTED, "created_at": "2026-11-23T12:30:00Z"}, AT_MS),
        ({**POSTED, "created_at": "2026-11-23 15:30:00"}, AT_MS),
        ({"event": "hangup", **DIAL, "EndTime": "2026-11-23 15:30:00"}, AT_MS),
        ({"event": "hangup", **DIAL, "DateReceived": "2026-11-23 15:30:00"}, AT_MS),
        (POSTED, 1_795_437_000_000),
    ],
)
def test_when_it_was_said(line: Any, at_ms: int) -> None:
    assert one(line).at_ms == at_ms


def test_a_table_with_a_header_and_a_list_are_read_too() -> None:
    data = json.dumps(POSTED).replace('"', '""')
    head = "id,integration_type,event_type,request_data,created_at"
    table = f'{head}\n7,ms,dial,"{data}",2026-11-23 15:30:00\n8,ms,register_call,,x\n'
    dial, other = read(table)
    assert isinstance(dial, Said)
    assert (dial.line, dial.at_ms, dial.wire) == (2, AT_MS, Wire.INCOMING_CALL)
    assert isinstance(other, Skipped)
    assert other.line == 3
    assert [type(each) for each in read(json.dumps([POSTED, 3]))] == [Said, Skipped]


@pytest.mark.parametrize(
    ("line", "reason", "passed_over"),
    [
        ("{nonsense", "not JSON", False),
        ({"event": "dial"}, "it does not say when", False),
        ({"event": "explosion", "at": AT_MS}, "'explosion' is no signal", False),
        (row("register_call", {"requests": []}), "'register_call' is no signal", True),
        (row("dial", POSTED, integration_type="retailcrm"), "a row of retailcrm", True),
        (row("dial", "a text"), "what was said is not an object", False),
        (row("hangup", {"call": "A"}, created_at="soon"), "it does not say when", False),
    ],
)
def test_what_says_nothing_is_told_with_its_line(line: Any, reason: str, passed_over: bool) -> None:
    good, bad = read(POSTED, line)
    assert isinstance(good, Said)
    assert isinstance(bad, Skipped)
    assert (bad.line, bad.passed_over) == (2, passed_over)
    assert bad.reason.startswith(reason)


@for_all(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_makes_it_fail(content: bytes) -> None:
    for each in read_log(content, "0367", MINSK):
        assert isinstance(each, Skipped | Said)


KEYS = [*POSTED, *DIAL, "at", "body", "request_data", "event", "created_at", "call"]
SMALL = st.none() | st.booleans() | st.integers(-(2**40), 2**50) | st.text(max_size=12)
VALUES = SMALL | st.lists(SMALL, max_size=3) | st.dictionaries(st.sampled_from(KEYS), SMALL, max_size=5)


@for_all(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), min_size=1, max_size=4))
def test_whatever_stands_in_it_each_line_is_read_or_told(rows: list[dict[str, Any]]) -> None:
    assert len(read(*rows)) == len(rows)
