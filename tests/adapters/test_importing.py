"""Old logs in, calls out: joined as the service joins them, run to their end, and nothing sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters import importing
from adapters.importing import Import, NotEmpty, imported, keep
from adapters.memory_store import MemoryEventStore
from core.decisions import Limits
from core.difference import facts
from tests.playback import FOLDER, TRUTH, as_dispatcher, recording
from tests.settings import MS_CONFIG

MINSK = ZoneInfo("Europe/Minsk")
PBX = FOLDER / "pbx"
CONFIG = {**MS_CONFIG, "employee_mapping": {}, "incoming_call_actions": {"create_client": False}}


async def of(*paths: Path, **options: Any) -> Import:
    return await imported(paths, "0367", CONFIG, zone=MINSK, limits=Limits(), **options)


def told(found: Import) -> dict[str, dict[str, Any]]:
    return {
        each.history.call: {
            about: fact.value
            for about, fact in facts(
                each.run.events, enterprise="0367", call=each.history.call, settings=each.history.settings
            ).items()
        }
        for each in found.calls
    }


@pytest.mark.parametrize("name", sorted(TRUTH))
async def test_a_recording_becomes_what_happened(name: str) -> None:
    found = await of(PBX / f"{name}.jsonl")
    calls = told(found)
    assert not found.skipped
    for truth in TRUTH[name]:
        if truth["direction"] == "internal":
            continue
        call = calls[truth["call"]]
        assert call["call"] == "recorded"
        if truth["talked"]:
            assert call["extension"] == truth["talked"][-1]
        assert not any(value[-1]["card"] != "hidden" for about, value in call.items() if about.startswith("card "))


async def test_rows_of_the_old_table_give_the_same_as_the_log_itself(tmp_path: Path) -> None:
    rows = []
    for line in recording("ring_group"):
        if (posted := as_dispatcher(line)) is not None:
            rows.append(
                {
                    "integration_type": "ms",
                    "event_type": line.event,
                    "request_data": json.dumps(posted[1]),
                    "created_at": line.at_ms / 1000,
                    "status": "success",
                }
            )
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [*rows, {**rows[0], "event_type": "register_call"}])))
    found = await of(path)
    assert (found.signals, len(found.skipped), found.skipped[0][1].passed_over) == (len(rows), 1, True)
    (call,) = told(found).values()
    assert (call["outcome"], call["extension"]) == ("answered", "102")


async def test_what_cannot_be_understood_is_told_with_its_line_and_repeats_are_counted(tmp_path: Path) -> None:
    lines = (PBX / "inbound_noanswer.jsonl").read_text().splitlines()
    bad = json.dumps({"at": 1_795_436_923, "event": "dial", "body": {"UniqueId": "x", "Phone": "1", "Extensions": 3.5}})
    path = tmp_path / "odd.jsonl"
    path.write_text("\n".join([*lines, lines[0], "nonsense", bad]))
    found = await of(path)
    assert (found.signals, found.repeated) == (len(lines), 1)
    assert [(file, each.line) for file, each in found.skipped] == [("odd.jsonl", len(lines) + 2), ("odd.jsonl", len(lines) + 3)]
    assert "Extensions" in found.skipped[1][1].reason
    assert len(found.calls) == 1


async def test_telephones_that_rang_in_turn_had_the_card_each_time(tmp_path: Path) -> None:
    """A queue's third dial says what its first one said (CONTRACT-ASTERISK, quirk 3); the service tells them apart, too."""
    body = {"UniqueId": "1.1", "Phone": "375290000001", "CallType": 0, "Trunk": "t"}
    dials = [
        {"at": 1_795_436_923 + 20 * turn, "event": "dial", "body": {**body, "Extensions": [extension]}}
        for turn, extension in enumerate(["101", "102", "101", "102"])
    ]
    path = tmp_path / "queue.jsonl"
    path.write_text("\n".join(map(json.dumps, [*dials, dials[-1]])))
    found = await of(path)
    assert (found.signals, found.repeated) == (4, 1)


async def test_files_are_played_each_signal_at_its_time_whatever_file_it_is_in(tmp_path: Path) -> None:
    lines = (PBX / "attended_transfer.jsonl").read_text().splitlines()
    one, other = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_text("\n".join(lines[::2]))
    other.write_text("\n".join(lines[1::2]))
    assert told(await of(one, other)) == told(await of(other, one)) == told(await of(PBX / "attended_transfer.jsonl"))


async def test_too_much_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_SIGNALS", 5)
    with pytest.raises(ValueError, match="import day by day"):
        await of(PBX / "ring_group.jsonl")


async def test_what_is_long_over_is_forgotten_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told(await of(*sorted(PBX.glob("*.jsonl"))))
    monkeypatch.setattr(importing, "FORGET_EVERY", 3)
    monkeypatch.setattr(importing, "FORGET_MS", 60_000)
    assert told(await of(*sorted(PBX.glob("*.jsonl")))) == whole


async def test_it_is_kept_in_an_empty_store_only_and_nothing_of_it_is_due() -> None:
    found, store = await of(PBX / "ring_group.jsonl"), MemoryEventStore()
    count = await keep(found, store, "0367", revision=3)
    assert await store.head() == count == sum(len(each.run.events) for each in found.calls)
    assert await store.next_due_ms() is None
    assert {each.data["settings_revision"] for each in await store.read_log(0, 1_000) if "settings_revision" in each.data} == {3}
    with pytest.raises(NotEmpty, match="not empty"):
        await keep(found, store, "0367", revision=3)
