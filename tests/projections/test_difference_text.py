"""Differences in words, English and Russian, one call's and many calls'."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.difference import Change
from core.known_as import Known
from core.what_if import Verdict
from projections import difference_text
from projections.difference_text import Tally, as_json, detail, render, sentence
from tests.projections.test_story_ru import english

MINSK = ZoneInfo("Europe/Minsk")
AT = 1_795_437_000_000
CARDS = [{"card": "shown", "at_ms": AT + 1_000}, {"card": "hidden", "at_ms": AT + 9_000}]
EVERY: tuple[tuple[str, Any, Any], ...] = (
    ("card 103", None, CARDS),
    ("card 103", CARDS, None),
    ("card 103", CARDS, CARDS[:1]),
    ("whose card 103", "u-1", "u-2"),
    ("whose call", "101", "nobody"),
    ("outcome", "missed", "answered"),
    ("call", None, "recorded"),
    ("call", "recorded", None),
    ("start", AT, AT + 5_000),
    ("end", AT, None),
    ("extension", "101", "102"),
    ("employee", None, "u-1"),
    ("comment", "a", "b"),
    ("recordings", ["a"], ["a", "b"]),
    ("contact", None, "c-1"),
    ("contact", "c-1", None),
    ("contact", "c-1", "c-2"),
    ("client made", None, "+375290000001"),
    ("client made", "+375290000001", None),
    ("parked", None, "no"),
    ("parked", "no", None),
    ("parked", "no", "still no"),
    ("create order", None, {"contact": "c-1"}),
    ("create order", {"contact": "c-1"}, None),
    ("create task", None, {"number": "1"}),
    ("create task", None, {"number": "1", "missed_ms": AT, "due_ms": AT, "contact": "c-1", "assignee": "u-1", "rang": ["101"]}),
    ("create order", None, {"contact": "c-1", "number": "1", "incoming": True, "owner": "u-1", "state": "1", "source": "2"}),
    ("create order", {"contact": "c-1"}, {"contact": "c-2"}),
    ("complete task", {"task": "t-1"}, {"task": "t-2"}),
    ("complete task", None, {"task": "t-1"}),
    ("complete task", {"task": "t-1"}, None),
)


def verdict(*changes: Change, **fields: Any) -> Verdict:
    given: dict[str, Any] = {
        "enterprise": "0367", "call": "A", "start_ms": AT, "number": "+375290000001", "direction": "in", "outcome": "missed",
    }  # fmt: skip
    return Verdict(**{**given, "changes": changes, **fields})


SHOWN = Change(
    about="card 103", was=None, would=CARDS, was_because="no employee has this extension",
    would_because="the card belongs on a screen: SHOW 101, SHOW 103",
)  # fmt: skip


@pytest.mark.parametrize(("about", "was", "would"), EVERY)
def test_every_difference_has_a_sentence_in_both_languages(about: str, was: Any, would: Any) -> None:
    change = Change(about=about, was=was, would=would)
    told = as_json(verdict(change), MINSK, russian=True)["changes"][0]
    assert english(told["sentence"]) == [], told["sentence"]
    assert sentence(change) in render(verdict(change), MINSK)
    assert (told["about"], told["was"], told["would"]) == (about, was, would)
    assert told["was_words"]
    assert told["would_words"]
    if about.startswith(("create", "complete")):
        assert english(told["was_words"] + told["would_words"]) == []


KNOWN = {
    "u-1": Known(name="Анна Иванова", extensions=("101",)),
    "u-2": Known(extensions=("102", "103")),
    "u-3": Known(name="Пётр"),
    "u-4": Known(name="Пётр"),
    "u-5": Known(),
    "c-1": Known(name="ООО Ромашка"),
}


@pytest.mark.parametrize(
    ("about", "value", "words", "russian"),
    [
        ("employee", "u-1", "Анна Иванова (101)", "Анна Иванова (101)"),
        ("whose card 103", "u-2", "whoever has 102, 103", "сотрудник с номером 102, 103"),
        ("employee", "u-3", "Пётр u-3", "Пётр u-3"),
        ("employee", "u-5", "u-5", "u-5"),
        ("contact", "c-1", "ООО Ромашка", "ООО Ромашка"),
        ("contact", "imagined-contact", "a new one", "новый"),
        ("create order", {"contact": "c-1", "owner": "u-1"}, "client ООО Ромашка, employee Анна Иванова (101)",
         "контрагент ООО Ромашка, сотрудник Анна Иванова (101)"),
    ],
)  # fmt: skip
def test_people_are_named_as_people_know_them(about: str, value: Any, words: str, russian: str) -> None:
    found = verdict(Change(about=about, was=None, would=value), known=KNOWN)
    assert f"would: {words}\n" in render(found, MINSK)
    told = as_json(found, MINSK, russian=True)
    assert told["changes"][0]["would_words"] == russian
    assert told["changes"][0]["would"] == value
    assert "known" not in told


@pytest.mark.parametrize(
    ("direction", "number", "words"),
    [("in", "+375290000001", "from +375290000001"), ("out", "+375290000001", "to +375290000001"),
     ("internal", "101", "internal, 101"), ("internal", "", "internal")],
)  # fmt: skip
def test_a_call_is_told_by_whom_it_was_with(direction: str, number: str, words: str) -> None:
    assert f", {words}: missed\n" in render(verdict(direction=direction, number=number), MINSK)


def test_one_call_as_text() -> None:
    told = render(verdict(SHOWN, parted_ms=AT, parted="the run asks for update_call", assumed=("something",)), MINSK)
    assert told == (
        "Call A of enterprise 0367, 2026-11-23 15:30:00, from +375290000001: missed\n"
        "  ≠ the card would also be shown to 103\n"
        "      was:   — (no employee has this extension)\n"
        "      would: shown 15:30:01, hidden 15:30:09 (the card belongs on a screen: SHOW 101, SHOW 103)\n"
        "  first otherwise at 15:30:00: the run asks for update_call\n"
        "  assumed: something\n"
    )
    assert "nothing would be otherwise" in render(verdict(), MINSK)
    assert "never comes to rest" in render(verdict(stuck=True), MINSK)
    assert "Not because of this" in render(verdict(anyway=(SHOWN,)), MINSK)


@pytest.mark.parametrize(
    "text",
    [
        "the settings say so", "MoySklad says so",
        "the record does not say who has 103, 104: taken as nobody",
        "the record does not say who has 103: taken as somebody",
        "the record does not say whose number it is: taken as nobody's",
        "the record does not say that MoySklad's main API was back: taken as away",
    ],
)  # fmt: skip
def test_what_was_assumed_is_said_in_russian(text: str) -> None:
    told = as_json(verdict(SHOWN, assumed=(text,)), MINSK, russian=True)
    assert english(told["assumed"][0]) == []


def test_cards_and_moments_are_told_in_the_zone_of_the_pbx() -> None:
    assert detail("card 101", CARDS, MINSK) == "shown 15:30:01, hidden 15:30:09"
    assert detail("end", AT, ZoneInfo("UTC")) == "12:30:00"
    assert detail("recordings", ["a", "b"], MINSK) == "a, b"
    assert detail("create task", {"number": "1", "rang": ["101", "102"]}, MINSK) == "number 1, rang 101, 102"
    assert detail("comment", None, MINSK) == "—"


def test_many_calls_as_a_sum() -> None:
    tally = Tally()
    for number in range(5):
        tally.add(replace(verdict(SHOWN), call=f"call-{number}"))
    tally.add(verdict())
    tally.add(verdict(Change(about="outcome", was="missed", would="answered"), anyway=(SHOWN,)))
    lines = list(tally.lines(MINSK))
    assert lines[0] == "6 of 7 calls differ"
    assert lines[1].startswith("1 differ without the change too")
    assert lines[2] == (
        "        5  the card would also be shown to 103, because the card belongs on a screen: SHOW 101, SHOW 103"
    )
    assert lines[3].strip() == "e.g. call-0, call-1, call-2"
    told = tally.as_json(russian=True)
    assert (told["calls"], told["differing"], told["anyway"], told["unreadable"]) == (7, 6, 1, 0)
    assert told["groups"][0]["what"] == "карточка появилась бы и у 103"
    assert told["groups"][0]["examples"][0] == {"enterprise": "0367", "call": "call-0"}


def test_a_sum_stays_small_whatever_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference_text, "GROUPS", 3)
    tally = Tally()
    for number in range(200):
        tally.add(verdict(Change(about=f"card {number}", was=None, would=CARDS)))
    assert len(tally.groups) == 4
    assert sum(count for _, count in tally.ordered) == 200
    assert len(tally.first) == difference_text.SHOWN
    assert list(tally.lines(MINSK))[-1].startswith("… and 180 more")
