"""An approval file: what is wanted passes, what nobody wanted and what is gone does not."""

from __future__ import annotations

from typing import Any

import pytest

from core.approval import BadApproval, objections, read_approved, renewed, told
from core.difference import Change
from core.what_if import Verdict

SHOWN = {"about": "card 103", "was": None, "would": "shown 1 s, hidden 9 s"}
ENDS = {"about": "end", "was": "35 s", "would": "36 s"}


def verdict(*changes: Change, stuck: bool = False) -> Verdict:
    return Verdict(
        enterprise="0367", call="A", start_ms=1_000_000, number="", direction="in", outcome=None, changes=changes, stuck=stuck
    )


def test_times_are_told_from_the_beginning_of_the_call() -> None:
    cards = [{"card": "shown", "at_ms": 1_001_200}, {"card": "hidden", "at_ms": 1_008_900}]
    changes = (Change(about="card 103", was=None, would=cards), Change(about="end", was=1_035_000, would=1_036_400))
    assert told(verdict(*changes)) == [SHOWN, ENDS]
    assert told(verdict(Change(about="comment", was="a", would="b"))) == [{"about": "comment", "was": "a", "would": "b"}]
    assert told(verdict(stuck=True)) == [{"about": "never rests", "was": None, "would": "asks for ever"}]


@pytest.mark.parametrize(
    ("approved", "found", "says"),
    [
        ({}, {}, []),
        ({"a": [SHOWN]}, {"a": [SHOWN]}, []),
        ({"a": [{**SHOWN, "why": "103 is new"}]}, {"a": [SHOWN]}, []),
        ({}, {"a": [SHOWN]}, ["a: card 103 would be otherwise, and nobody approved it: None → shown 1 s, hidden 9 s"]),
        ({"a": [SHOWN]}, {}, ["a: approved, and not so any more: card 103: None → shown 1 s, hidden 9 s"]),
        ({"a": [SHOWN]}, {"b": [SHOWN]}, ["a: approved", "b: card 103"]),
        ({"a": [SHOWN]}, {"a": [SHOWN, ENDS]}, ["a: end"]),
    ],
)
def test_what_is_objected_to(approved: dict[str, Any], found: dict[str, Any], says: list[str]) -> None:
    lines = list(objections(approved, found))
    assert len(lines) == len(says)
    assert all(line.startswith(start) for line, start in zip(lines, says, strict=True))


def test_a_renewed_approval_keeps_the_reasons_that_still_hold() -> None:
    approved = {"a": [{**SHOWN, "why": "103 is new"}, {**ENDS, "why": "gone by now"}]}
    found: dict[str, list[dict[str, Any]]] = {"a": [SHOWN], "b": [ENDS], "c": []}
    assert renewed(read_approved({"histories": approved}), found) == {"a": [{**SHOWN, "why": "103 is new"}], "b": [ENDS]}


@pytest.mark.parametrize("content", [None, [], {}, {"histories": []}, {"histories": {"a": {}}}, {"histories": {"a": [{"was": 1}]}}])
def test_a_file_that_approves_nothing_is_said_to_be_none(content: object) -> None:
    with pytest.raises(BadApproval):
        read_approved(content)


def test_a_file_is_read() -> None:
    assert read_approved({"histories": {"a": [SHOWN]}, "about": "words"}) == {"a": [SHOWN]}
