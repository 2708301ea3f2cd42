"""PRODUCT A1 to A6 and A9 over HTTP: bodies as CONTRACT-ASTERISK shows them, and what MoySklad then has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.http.support import PHONE, UNIQUE_ID, dial, dial_body, hangup, heads, rejected
from tests.rig import ENTERPRISE, TOKEN, Rig

START, END = "2026-11-23 15:13:20", "2026-11-23 15:13:52"
"""The rig's clock stands at 15:13:20 Minsk time."""
URL = "https://records.example.invalid/1.mp3"

ENDPOINTS = ("incoming-call", "hangup-call", "recovery-call", "call-event", "notify-incoming", "log-call")


def shows(row: dict[str, Any]) -> list[str]:
    return [each["extension"] for each in row["events"] if each["event_type"] == "SHOW"]


async def test_a_dial_and_a_hangup_become_one_call(rig: Rig) -> None:
    status, answer = await rig.post("/internal/ms/incoming-call", dial())
    assert (status, answer["status"], answer["call"]) == (200, "success", UNIQUE_ID)
    await rig.settle()
    (row,) = await rig.rows()
    assert row["open_cards"] == ["151"]
    await rig.wait(32_000)
    status, answer = await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END, record_url=URL))
    assert (status, answer["status"]) == (200, "success")
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert row["open_cards"] == []
    assert row["record_urls"] == [URL]
    assert row["end_ms"] - row["start_ms"] == 32_000


async def test_an_outgoing_dial_shows_the_card_to_the_caller_only(rig: Rig) -> None:
    raw = dial_body(CallType=1, Extensions=["152"])
    await rig.post("/internal/ms/incoming-call", dial(direction="out", extension="152", raw=raw))
    await rig.settle()
    (row,) = await rig.rows()
    assert row["is_incoming"] is False
    assert shows(row) == ["152"]


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("start", {"UniqueId": "1.1", "Phone": "375290000001", "CallType": 0, "Trunk": "0001001"}),
        ("dial", dial_body("1.1")),
        ("new_callerid", {"UniqueId": "1.1", "Channel": "SIP/1", "CallerIDNum": "375290000001", "Exten": "s"}),
        ("bridge_create", {"UniqueId": "", "BridgeUniqueid": "b1", "BridgeNumChannels": "0"}),
        ("bridge", {"UniqueId": "1.1", "BridgeUniqueid": "b1", "Channel": "SIP/151-1", "CallerIDNum": "151"}),
        ("bridge_leave", {"UniqueId": "1.1", "BridgeUniqueid": "b1", "BridgeNumChannels": "1"}),
        ("bridge_destroy", {"UniqueId": "", "BridgeUniqueid": "b1", "BridgeNumChannels": "0"}),
        ("hangup", dial_body("1.1", DateReceived=START, StartTime=START, EndTime=END, CallStatus="2")),
    ],
)
async def test_every_event_is_taken_in_each_form(rig: Rig, event: str, body: dict[str, Any]) -> None:
    forms = (
        {"event": event, "token": TOKEN, "raw": body},
        {"event": event, "enterprise_number": ENTERPRISE, "raw": body},
        {"event": event, **body, "Token": TOKEN},
        {"event_type": event, **body, "Token": TOKEN, "_queued": 1, "ExternalInitiated": True},
    )
    for number, form in enumerate(forms):
        status, answer = await rig.post("/internal/ms/call-event", form)
        assert (status, answer["status"], answer["enterprise_number"]) == (200, "success", ENTERPRISE)
        assert answer.get("duplicate", False) is (number > 0), "one fact, in whatever form it comes"
    assert await heads(rig) == 1


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_repeat_is_marked_and_changes_nothing(rig: Rig, endpoint: str) -> None:
    body = hangup(start=START, end=END, extensions=["151"], event="hangup")
    first = await rig.post(f"/internal/ms/{endpoint}", body)
    head = await heads(rig)
    second = await rig.post(f"/internal/ms/{endpoint}", body)
    assert first == (200, {"status": "success", "enterprise_number": ENTERPRISE, "call": UNIQUE_ID})
    assert second == (200, {**first[1], "duplicate": True})
    assert await heads(rig) == head


async def test_a_downloaded_hangup_is_the_live_one_again(rig: Rig) -> None:
    await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
    status, answer = await rig.post("/internal/ms/recovery-call", hangup(start=START, end=END, origin="download"))
    assert (status, answer["duplicate"]) == (200, True)


async def test_a_recovered_call_is_recorded_complete_and_shows_no_card(rig: Rig) -> None:
    body = hangup(start="2026-11-23 12:00:00", end="2026-11-23 12:01:05", origin="download", record_url=URL)
    assert (await rig.post("/internal/ms/recovery-call", body))[0] == 200
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert shows(row) == []
    assert (row["end_ms"] - row["start_ms"], row["extension"], row["record_urls"]) == (65_000, "151", [URL])
    assert row["start_ms"] == rig_time(12, 0, 0)


def rig_time(hour: int, minute: int, second: int) -> int:
    """Minsk time on 2026-11-23, as unix ms."""
    return 1_795_392_000_000 - 10_800_000 + ((hour * 60 + minute) * 60 + second) * 1_000


async def test_a_logged_call_is_one_complete_call_without_a_card(rig: Rig) -> None:
    body = {
        "enterprise_number": ENTERPRISE,
        "phone": PHONE,
        "extension": "151",
        "direction": "out",
        "start_time": "2026-11-23 15:10:08",
        "duration": 52,
        "record_url": URL,
    }
    status, answer = await rig.post("/internal/ms/log-call", body)
    assert (status, answer["status"]) == (200, "success")
    await rig.wait(120_000)
    (row,) = await rig.rows()
    assert shows(row) == []
    assert (row["is_incoming"], row["extension"]) == (False, "151")
    assert (row["start_ms"], row["end_ms"]) == (rig_time(15, 10, 8), rig_time(15, 11, 0))
    assert (await rig.post("/internal/ms/log-call", body))[1]["duplicate"] is True
    await rig.wait(120_000)
    assert len(await rig.rows()) == 1


async def test_two_logged_calls_of_one_number_stay_two(rig: Rig) -> None:
    """A program that logs its day's calls in one go names no ids: what tells them apart is when they were."""
    body = {"enterprise_number": ENTERPRISE, "phone": PHONE, "extension": "151", "direction": "out", "duration": 52}
    for start in ("2026-11-23 10:00:00", "2026-11-23 11:00:00"):
        assert (await rig.post("/internal/ms/log-call", {**body, "start_time": start}))[0] == 200
    await rig.wait(120_000)
    assert sorted(row["start_ms"] for row in await rig.rows()) == [rig_time(10, 0, 0), rig_time(11, 0, 0)]


async def test_a_card_can_be_asked_for(rig: Rig) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    asked = {"enterprise_number": ENTERPRISE, "phone": PHONE, "unique_id": UNIQUE_ID, "extensions": ["152", "150"]}
    assert (await rig.post("/internal/ms/notify-incoming", asked))[0] == 200
    await rig.settle()
    (row,) = await rig.rows()
    assert sorted(row["open_cards"]) == ["150", "151", "152"]


async def test_where_the_integration_is_off_the_call_is_kept_and_moysklad_not_asked(rig: Rig) -> None:
    await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    assert (await rig.post("/internal/ms/incoming-call", dial()))[1]["status"] == "disabled"
    status, answer = await rig.post("/internal/ms/hangup-call", hangup(start=START, end=END))
    assert (status, answer["status"]) == (200, "disabled")
    await rig.wait(120_000)
    assert await rig.rows() == []
    assert await rig.requests("phone") == []
    assert await heads(rig) >= 2


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_unknown_enterprise_is_not_found(rig: Rig, endpoint: str) -> None:
    status, answer = await rig.post(f"/internal/ms/{endpoint}", dial(enterprise_number="9999", event="dial"))
    assert (status, answer["field"]) == (404, "enterprise_number")
    assert await heads(rig) == 0
    assert [row["endpoint"] for row in await rejected(rig)] == [endpoint]


async def test_an_unknown_token_is_not_found(rig: Rig) -> None:
    status, answer = await rig.post("/internal/ms/call-event", {"event": "dial", **dial_body(Token="nobody-s-token-1")})
    assert (status, answer["field"]) == (404, "token")
    assert "nobody-s-token-1" not in str(await rejected(rig))


@pytest.mark.parametrize(
    ("endpoint", "missing", "named"),
    [
        ("incoming-call", "enterprise_number", "enterprise_number"),
        ("hangup-call", "enterprise_number", "enterprise_number"),
        ("incoming-call", "unique_id", "unique_id"),
        ("hangup-call", "unique_id", "unique_id"),
        ("recovery-call", "unique_id", "unique_id"),
        ("incoming-call", "phone", "phone"),
        ("log-call", "phone", "phone"),
        ("call-event", "event", "event"),
        ("notify-incoming", "extension", "extensions"),
    ],
)
async def test_the_missing_field_is_named(rig: Rig, endpoint: str, missing: str, named: str) -> None:
    body = {key: value for key, value in dial(event="dial").items() if key not in (missing, "raw", "event_type")}
    status, answer = await rig.post(f"/internal/ms/{endpoint}", body)
    assert (status, answer["field"]) == (400, named), answer
    assert answer["error"]
    assert answer["hint"]
    (kept,) = await rejected(rig)
    assert (kept["endpoint"], kept["field"], kept["error"]) == (endpoint, named, answer["error"])
