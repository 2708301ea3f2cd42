"""Small values whose spelling is stored, so that it may not change."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from core.values import ANONYMOUS, MISSED_CALLS, Direction, Outcome, plainly


def test_directions_are_spelt_as_the_history_holds_them() -> None:
    assert {member.name: member.value for member in Direction} == {"INCOMING": "in", "OUTGOING": "out", "INTERNAL": "internal"}


def test_outcomes_are_spelt_as_the_calls_index_holds_them() -> None:
    assert {member.value for member in Outcome} == {
        "answered",
        "missed",
        "abandoned",
        "busy",
        "declined",
        "rejected",
        "cancelled",
        "failed",
        "unanswered",
        "internal",
        "lost",
    }


def test_a_missed_call_is_one_whose_customer_got_nobody() -> None:
    """As the list of missed calls, its index and the page's filter have it."""
    root = Path(__file__).parents[2]
    words = {each.value for each in MISSED_CALLS}
    for path in ("adapters/postgres/sql/calls_missed.sql", "migrations/0060_missed_calls.sql"):
        listed = re.search(r"outcome IN \(([^)]*)\)", (root / path).read_text())
        assert listed is not None
        assert set(re.findall(r"'([a-z]+)'", listed.group(1))) == words
    page = re.search(r'MISSED = "([a-z,]+)"', (root / "adapters/http/static/calls-words.js").read_text())
    assert page is not None
    assert set(page.group(1).split(",")) == words


def test_a_hidden_caller_has_one_spelling() -> None:
    assert ANONYMOUS == "anonymous"


def test_a_plain_members_class_still_is_an_enum() -> None:
    @plainly
    class Kind(StrEnum):
        ONE = "one"
        TWO = "two"

    assert type.__getattribute__(Kind, "__dict__")["ONE"] is Kind("one"), "naming it should find the member itself"
    assert [*Kind] == [Kind.ONE, Kind.TWO] == [Kind["ONE"], Kind["TWO"]]
    assert (Kind.TWO.name, Kind.TWO.value) == ("TWO", "two")
