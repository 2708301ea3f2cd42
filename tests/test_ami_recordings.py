"""Recordings of AMI through the whole service, on a real PostgreSQL and beside the sandbox, against what really happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from adapters.attendant import new_event
from core.phone import digits
from core.ports import Append, StreamId
from core.signals import Heard
from tests.ami_lab import Line
from tests.ami_play import RECORDINGS, Listener, customers, lines_of
from tests.ami_scenes import SCRIPTS, scene
from tests.rig import ENTERPRISE, Rig, running


async def take_in(rig: Rig, said: Sequence[tuple[int, Heard]]) -> None:
    """What came of one message is recorded in one commit."""
    if not said:
        return
    current = await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    appends = [
        Append(
            stream=StreamId(enterprise=ENTERPRISE, name=each.stream),
            events=(new_event(replace(each.event, settings_revision=current.revision)),),
            digest=each.digest,
            due_ms=rig.clock.now_ms,
        )
        for _, each in said
    ]
    await rig.service.store.append_many(appends)
    await rig.settle()


async def play(rig: Rig, lines: Sequence[Line]) -> None:
    listener = Listener()
    for line in lines:
        for at_ms, together in groupby(listener.until(line[0]), key=lambda each: each[0]):
            await rig.wait(max(0, at_ms - rig.clock.now_ms))
            await take_in(rig, list(together))
        await rig.wait(max(0, line[0] - rig.clock.now_ms))
        await take_in(rig, listener.hear(line))
    while (due_ms := listener.state.due_ms) is not None:
        await rig.wait(max(0, due_ms - rig.clock.now_ms))
        await take_in(rig, listener.until(due_ms))
    await rig.wait(120_000)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_becomes_the_record_at_moysklad(name: str, database_url: str) -> None:
    lines, truth = lines_of(name), customers(RECORDINGS[name])
    async with running(database_url) as rig:
        rig.clock.now_ms = lines[0][0] - 1_000
        await play(rig, lines)
        rows = {row["external_id"].partition("-")[2]: row for row in await rig.rows()}
        assert sorted(rows) == sorted(each["call"] for each in truth)
        for each in truth:
            check(each, rows[each["call"]])


def check(truth: Any, row: dict[str, Any]) -> None:
    assert digits(row["number"]) == digits(truth["phone"]) or truth["phone"] == row["number"] == "anonymous"
    assert row["is_incoming"] == (truth["direction"] == "in")
    assert (row["open_cards"], row["out_of_order"]) == ([], 0)
    shown = {event["extension"] for event in row["events"] if event["event_type"] == "SHOW"}
    assert shown <= {*truth["rang"], *truth["talked"]}
    if truth["direction"] == "out":
        assert shown == {truth["rang"][0]}
    if truth["talked"] and len(truth["talked"][-1]) <= 6:
        assert row["extension"] == truth["talked"][-1]
    assert row["end_ms"] - row["start_ms"] == pytest.approx(truth["duration_s"] * 1_000, abs=50)
    assert bool(row["comment"]) == (truth["outcome"] != "answered" or truth["phone"] == "anonymous")


@pytest.mark.parametrize(
    "name",
    ["inbound_answered", "ring_group", "queue_answered", "pickup", "ivr_then_answered", "short_call", "inbound_hidden_cli"],
)
async def test_an_answered_incoming_call_costs_at_most_three_phone_requests(name: str, database_url: str) -> None:
    lines = lines_of(f"ami/{name}")
    async with running(database_url) as rig:
        async with rig.sandbox.get("/sandbox/cards") as answer:
            screens = (await answer.json())["screens"]
        mapping = {screen["extension"]: screen["employee"]["id"] for screen in screens}
        await rig.service.settings.save(ENTERPRISE, {"employee_mapping": mapping}, by="test", reason="test")
        rig.clock.now_ms = lines[0][0] - 1_000
        await play(rig, lines)
        asked = await rig.requests()
        assert len(asked) <= 3, [(each["method"], each["path"]) for each in asked]


async def test_a_card_goes_when_its_telephone_stops_ringing_and_not_first_when_somebody_else_is_rung(database_url: str) -> None:
    """A queue pauses between two members: nobody's card stands then. A ring plan does not pause: one request moves the card."""
    paused, plan = scene("queue_member_does_not_answer").lines, lines_of("ami/sequential")
    async with running(database_url) as rig:
        rig.clock.now_ms = paused[0][0] - 1_000
        await play(rig, paused)
        (row,) = await rig.rows()
        assert [(each["event_type"], each["extension"]) for each in row["events"]] == [
            ("SHOW", "101"), ("HIDE", "101"), ("SHOW", "102"), ("STARTTIME", "102"), ("HIDE_ALL", None),
        ]  # fmt: skip
    async with running(database_url) as rig:
        rig.clock.now_ms = plan[0][0] - 1_000
        await play(rig, plan)
        moved = [each for each in await rig.requests() if each["method"] != "GET"]
        assert len(moved) == 4, [(each["method"], each["path"]) for each in moved]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_scene_becomes_the_record_at_moysklad(name: str, database_url: str) -> None:
    played = scene(name)
    async with running(database_url) as rig:
        rig.clock.now_ms = played.lines[0][0] - 1_000
        await play(rig, played.lines)
        rows = {row["external_id"].partition("-")[2]: row for row in await rig.rows()}
        assert sorted(rows) == sorted(each["call"] for each in customers(played.truth))
        for each in customers(played.truth):
            check(each, rows[each["call"]])
