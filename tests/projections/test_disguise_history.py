"""A history without numbers and names is still the same call to today's code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.difference import compare
from core.expectations import as_recorded, complaints, facts_of, run_again
from core.history_file import HistoryFile, Stored, dump, load, stored_of
from projections.disguise_history import ENTERPRISE, disguised
from tests.every_text import SOMEBODYS, every_text, undecided

FOLDER = Path(__file__).parents[1] / "histories"
FILES = sorted(FOLDER.rglob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_of_anybody_is_left_and_everything_goes_as_it_went(path: Path) -> None:
    history = load(path.read_bytes())
    hidden = disguised(history)
    text = dump(hidden).decode()
    left = re.sub(r'"(?:call|channel|bridge|leg|into|external_id|channel_name|about)":"[^"]*"', "", text)
    assert not re.search(r"9161234567|447654321|Ковалёва|Токен|Token|raw|request\"|response\"", left), path.name
    assert hidden.enterprise == ENTERPRISE
    assert [about for about, _ in complaints(hidden)] == [about for about, _ in complaints(history)]
    # The run of the hidden one differs from its record no more than the other's does.
    assert otherwise(hidden) == otherwise(history)
    was, is_ = as_recorded(facts_of(history, history.events)), as_recorded(facts_of(hidden, hidden.events))
    assert set(was) == set(is_)
    same = ("outcome", "whose call", "start", "end", "extension", *(about for about in was if about.startswith("card ")))
    assert {about: was.get(about) for about in same} == {about: is_.get(about) for about in same}


def otherwise(history: HistoryFile) -> list[str]:
    """What today's code would do otherwise than the record says (`tests/histories/approved.json` tells what is meant)."""
    return [each.about for each in compare(facts_of(history, history.events), facts_of(history, run_again(history).events))]


def bare(**data: object) -> HistoryFile:
    stored = (Stored(type="hangup_observed", schema=1, data={"heard_ms": 1, **data}),)
    return HistoryFile(enterprise="0367", call="A", config={}, stored=stored)


def data_of(history: HistoryFile) -> dict[str, object]:
    return disguised(history).stored[0].data


def test_one_number_is_one_made_up_number_however_it_is_written() -> None:
    said = "не найден 8 (029) 123-45-67"
    found = data_of(bare(number="+375291234567", caller_id="80291234567", error=said, other="375291234567"))
    assert found == {
        "heard_ms": 1, "number": "+375290000001", "caller_id": "80290000001", "error": "не найден 8 (029) 000-00-01",
        "other": "375290000001",
    }  # fmt: skip


def test_different_numbers_stay_different_and_short_ones_stay() -> None:
    found = data_of(bare(number="+375291234567", connected="+375291234568", extensions=["101", "375297654321"], exten="101"))
    assert found["number"] != found["connected"]
    assert found["extensions"] == ["101", "375290000003"]
    assert found["exten"] == "101"


def test_ids_and_times_stay_names_recordings_and_bodies_go() -> None:
    found = data_of(
        bare(
            channel="1757840723.6", why="leg 1757840723.6 at 2026-11-23 15:30:00", name="Анна", text="звонит Анна",
            record_url="https://r/1", recordings=["https://r/1", "https://r/2"], raw={"Phone": "1"},
            exchanges=[{"method": "GET", "path": "/x?search=375291234567", "status": 401, "response": {"a": 1}, "duration_ms": 3}],
        )
    )  # fmt: skip
    assert found["channel"] == "1757840723.6"
    assert found["why"] == "leg 1757840723.6 at 2026-11-23 15:30:00"
    assert (found["name"], found["text"]) == ("Имя 1", "звонит Имя 1")
    assert found["record_url"] == "https://recordings.example.invalid/1"
    assert found["recordings"] == ["https://recordings.example.invalid/1", "https://recordings.example.invalid/2"]
    assert "raw" not in found
    assert found["exchanges"] == [{"method": "GET", "status": 401, "duration_ms": 3}]


def test_of_the_settings_only_what_decides_is_kept() -> None:
    config = {
        "enabled": True, "api_token": "secret", "company": "ООО «Радуга»", "webhook_url": "https://x",
        "employee_mapping": {"101": {"name": "Анна", "email": "a@b", "employee_id": "u-1"}, "102": "u-2"},
    }  # fmt: skip
    assert disguised(replace(bare(), config=config)).config == {
        "enabled": True, "api_token": "secret", "employee_mapping": {"101": {"employee_id": "u-1"}, "102": "u-2"},
    }  # fmt: skip


def test_nothing_of_anybody_is_left_of_any_event() -> None:
    for event, words in every_text():
        assert [where for where in words if undecided(where)] == [], "say in tests/every_text.py whether that is somebody's"
        text = dump(disguised(replace(bare(), stored=stored_of([event])))).decode()
        assert [where for where, word in words.items() if where in SOMEBODYS and word in text] == [], event.type


def test_logins_and_addresses_go_from_any_sentence() -> None:
    said = "ivanov.petr@romashka at 203.0.113.7 has no right to it"
    found = data_of(bare(uid="ivanov.petr@romashka", error=said, channel_name="PJSIP/anna@trunk-0001"))
    assert (found["uid"], found["error"]) == ("Имя 1", "… at … has no right to it")
    assert found["channel_name"] == "PJSIP/anna@trunk-0001"


def test_the_call_that_has_the_task_stays_what_it_is_called() -> None:
    result = {"by": "lab-1795437008.105", "held_by": "1757840723.6"}
    assert data_of(bare(result=result))["result"] == result


def test_a_login_that_is_an_extension_does_not_hide_the_extension() -> None:
    found = data_of(bare(uid="101", extensions=["101", "102"]))
    assert (found["uid"], found["extensions"]) == ("101", ["101", "102"])


def test_an_expectation_is_hidden_like_the_rest() -> None:
    history = replace(bare(number="+375291234567"), expect={"client made": "+375291234567", "outcome": "missed"})
    assert disguised(history).expect == {"client made": "+375290000001", "outcome": "missed"}
