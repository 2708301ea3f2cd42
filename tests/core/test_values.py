"""Small values whose spelling is stored, so that it may not change."""

from __future__ import annotations

from core.values import ANONYMOUS, Direction, Outcome


def test_directions_are_spelt_as_the_history_holds_them() -> None:
    assert {member.name: member.value for member in Direction} == {"INCOMING": "in", "OUTGOING": "out", "INTERNAL": "internal"}


def test_outcomes_are_spelt_as_the_calls_index_holds_them() -> None:
    assert {member.value for member in Outcome} == {
        "answered",
        "missed",
        "abandoned",
        "unanswered",
        "internal",
        "lost",
    }


def test_a_hidden_caller_has_one_spelling() -> None:
    assert ANONYMOUS == "anonymous"
