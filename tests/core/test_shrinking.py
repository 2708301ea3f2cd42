"""The shortest history with the same fault; Hypothesis finds none that is shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import find
from hypothesis import given as for_all
from hypothesis import settings as how
from hypothesis import strategies as st

from core.expectations import BadExpectation, complaints
from core.history_file import HistoryFile, stored_of
from core.shrinking import minimal, same_fault, shrunk, with_expectations
from tests.scenario import given
from tests.settings import MS_CONFIG
from tests.strategies import parts_of
from tests.world import ENTERPRISE

BUSY = (
    "0 A start\n0.5 A dial 101\n4 A dial 101 102\n9 A enter b1 customer\n9 A enter b1 102\n35 A leave b1 102\n"
    "35 A leave b1 customer\n35.4 A hangup 102 answered end=35 rec=https://r/1\n"
)


def history() -> HistoryFile:
    world = given(BUSY).finished().world
    stored = stored_of(world.streams["call/A"])
    return HistoryFile(enterprise=ENTERPRISE, call="A", config=MS_CONFIG, stored=stored, until_ms=world.now_ms)


def types(found: HistoryFile) -> list[str]:
    return [each.type for each in found.stored]


def test_what_the_fault_does_not_need_is_left_out() -> None:
    whole = with_expectations(history(), ["card 101: timing", "outcome: answered"])
    small = shrunk(whole)
    assert len(whole.stored) > 15
    assert types(small) == ["dial_observed", "dial_observed", "hangup_observed"] or len(small.stored) <= 3
    assert dict(complaints(small)) == dict(complaints(whole))
    assert small.expect == {"card 101": "timing"}, "only what is wrong is expected of it"


def test_nothing_wrong_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="nothing is wrong"):
        shrunk(with_expectations(history(), []))


def test_the_fault_must_not_become_an_empty_one() -> None:
    """A card that is missed in an empty history proves nothing: whoever is complained of still takes part."""
    found = replace(history(), config={**MS_CONFIG, "notifications": {"call_notify_mode": "none"}})
    small = shrunk(with_expectations(found, ["card 102: shown"]))
    assert 0 < len(small.stored) < len(found.stored)
    assert "102" in str([each.data.get("extensions") for each in small.stored])


def test_expectations_are_those_typed_or_all_that_was_so() -> None:
    assert with_expectations(history(), ["card 101: none"]).expect == {"card 101": None}
    assert with_expectations(history(), []).expect["outcome"] == "answered"
    with pytest.raises(BadExpectation):
        with_expectations(history(), ["nonsense"])


@for_all(st.lists(st.integers(0, 30), unique=True, max_size=30), st.data())
@how(max_examples=60, deadline=None)
def test_of_a_minimal_part_nothing_can_be_left_out(items: list[int], data: st.DataObject) -> None:
    wanted = set(data.draw(st.lists(st.sampled_from(items), unique=True))) if items else set()

    def holds(part: Sequence[int]) -> bool:
        return wanted <= set(part)

    assert minimal(items, holds) == [each for each in items if each in wanted]


@pytest.mark.slow
def test_hypothesis_shrinks_to_the_same_length() -> None:
    whole = with_expectations(history(), ["card 101: timing"])
    found = find(parts_of(whole), same_fault(whole), settings=how(max_examples=2_000, deadline=None))
    assert len(found.stored) == len(shrunk(whole).stored)
