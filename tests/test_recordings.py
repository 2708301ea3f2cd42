"""Every recorded call, through the wire into a real PostgreSQL and out to the sandbox, against what really happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

import pytest

from adapters.sandbox import Switches
from core.phone import digits
from tests.playback import NAMES, TRUTH, Line, as_call_event, as_dispatcher, recording
from tests.rig import Rig, running

Form = Callable[[Line], tuple[str, dict[str, Any]] | None]
FORMS: dict[str, Form] = {"all events": as_call_event, "dial and hangup": as_dispatcher}
TOLERANCE_MS = 1_000


async def play(rig: Rig, lines: list[Line], form: Form, *, twice: bool = False) -> None:
    for line in lines:
        await rig.wait(max(0, line.at_ms - rig.clock.now_ms))
        posted = form(line)
        for repeat in range(2 if twice else 1):
            if posted is None:
                continue
            status, answer = await rig.post(*posted)
            assert status == 200, answer
            assert answer.get("duplicate") or not repeat, answer
            await rig.settle()
    await rig.wait(120_000)


def talked_last(row: dict[str, Any]) -> str:
    return str(row.get("extension") or "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_recording_becomes_what_happened(name: str, form: str, database_url: str) -> None:
    lines = recording(name)
    async with running(database_url) as rig:
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await play(rig, lines, FORMS[form])
        rows = await rig.rows()
        truth = [call for call in TRUTH.get(name, []) if call["direction"] != "internal"]
        if name in TRUTH:
            assert len(rows) == len(truth)
        else:
            assert len(rows) == 1  # the production recordings hold one customer call each, beside internal ones
        for row in rows:
            assert row["open_cards"] == []
            assert row["out_of_order"] == 0
        by_call = {row["external_id"].partition("-")[2]: row for row in rows}
        for call in truth:
            row = by_call[call["call"]]
            check(call, row, lines, form)


def check(call: dict[str, Any], row: dict[str, Any], lines: list[Line], form: str) -> None:
    assert digits(row["number"]) == digits(call["phone"]) or call["phone"] == row["number"] == "anonymous"
    assert row["is_incoming"] == (call["direction"] == "in")
    shown = {event["extension"] for event in row["events"] if event["event_type"] == "SHOW"}
    assert shown <= {*call["rang"], *call["talked"]}
    if call["direction"] == "out":
        assert shown == {call["rang"][0]}
    if call["talked"] and (form == "all events" or len(call["talked"]) == 1):
        assert talked_last(row) == call["talked"][-1]
    posted = [line for line in lines if FORMS[form](line) is not None and line.body.get("UniqueId") == call["call"]]
    assert row["start_ms"] == posted[0].at_ms
    started = min(line.at_ms for line in lines if line.body.get("UniqueId") == call["call"])
    assert row["end_ms"] == pytest.approx(started + call["duration_s"] * 1_000, abs=TOLERANCE_MS)


@pytest.mark.parametrize("name", ["attended_transfer", "blind_transfer", "ring_group", "two_simultaneous_same_caller"])
async def test_a_recording_sent_twice_ends_in_the_same_record(name: str, database_url: str) -> None:
    lines = recording(name)
    async with running(database_url) as rig:
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await play(rig, lines, as_call_event, twice=True)
        rows = await rig.rows()
        assert len(rows) == len(TRUTH[name])
        assert {row["extension"] for row in rows} == {call["talked"][-1] for call in TRUTH[name]}


@pytest.mark.parametrize(
    "name", ["inbound_answered", "ring_group", "queue_answered", "pickup", "ivr_then_answered", "short_call", "inbound_hidden_cli"]
)
async def test_an_answered_incoming_call_costs_at_most_three_phone_requests(name: str, database_url: str) -> None:
    lines = recording(name)
    async with running(database_url) as rig:
        async with rig.sandbox.get("/sandbox/cards") as answer:
            screens = (await answer.json())["screens"]
        mapping = {screen["extension"]: screen["employee"]["id"] for screen in screens}
        await rig.service.settings.save("0367", {"employee_mapping": mapping}, by="test", reason="test")
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await play(rig, lines, as_call_event)
        asked = await rig.requests()
        assert len(asked) <= 3, [(each["method"], each["path"]) for each in asked]
        assert len(await rig.rows()) == 1


async def test_a_mapping_that_names_nobody_costs_a_request_but_not_the_call(database_url: str) -> None:
    lines = recording("inbound_answered")
    config = {"employee_mapping": {"101": "7bac6104-1c79-11e8-5bec-bccf00000101"}}
    async with running(database_url, config=config) as rig:
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await play(rig, lines, as_call_event)
        (row,) = await rig.rows()
        assert (row["extension"], row["open_cards"]) == ("101", [])
        assert [event["event_type"] for event in row["events"]] == ["SHOW", "STARTTIME", "HIDE_ALL"]


OTHERWISE: Final = Switches(
    repeated_external_id="create-duplicate",
    number_match="off",
    retroactive_linking=True,
    duration_computed=False,
    record_url_deduplicated=True,
    inactive_employee_3045=True,
    unknown_extension="reject-3007",
    phone_requires_gzip=False,
    phone_limit_headers=True,
    phone_429_body=False,
    extid_get=True,
    bad_id_code=1052,
    sequence_drops_late=True,
    sequence_int32_only=True,
    search_normalises_digits=False,
    search_includes_archived=True,
    rate_limit_header="raw",
    request_weight=4,
    subresource_answer="object",
    task_text_filter=False,
    metadata_attributes="inline",
    wrong_content_type="2001",
    answers_compressed=False,
    limits_enforced=False,
    limit_algorithm="sliding",
)
"""All that the contract leaves open, otherwise than the sandbox has it by itself (CONTRACT-MOYSKLAD 6)."""


def test_every_switch_is_turned() -> None:
    same = {each.name for each in fields(Switches) if getattr(OTHERWISE, each.name) == getattr(Switches(), each.name)}
    assert same == {"phone_latency_ms", "remap_latency_ms"}


@pytest.mark.parametrize("name", ["ring_group", "attended_transfer", "outbound_answered"])
async def test_a_recording_becomes_the_same_where_all_that_is_not_established_is_otherwise(name: str, database_url: str) -> None:
    lines = recording(name)
    async with running(database_url, switches=OTHERWISE) as rig:
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await play(rig, lines, as_call_event)
        rows = {row["external_id"].partition("-")[2]: row for row in await rig.rows()}
        truth = [call for call in TRUTH[name] if call["direction"] != "internal"]
        assert len(rows) == len(truth)
        for call in truth:
            row = rows[call["call"]]
            assert (row["open_cards"], row["out_of_order"]) == ([], 0)
            check(call, row, lines, "all events")
