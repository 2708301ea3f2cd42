"""What a row says of how long a call stands as it stands; the rest of a row is tried with the table (``test_calls.py``)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from core.call import evolve, initial
from core.events import Event
from projections.call_row import row_of, told
from projections.folded import folded_on, unheard
from tests.scenario import events, ms
from tests.settings import SETTINGS
from tests.strategies import faults, histories
from tests.world import Fault, World, hear_all


def since(table: str) -> int:
    """Since when the call stands as it stands, in ms."""
    return int(folded_on(unheard(("0367", "call/A")), events(table)).row["phase_ms"])


def test_a_talk_stands_since_it_began_and_not_since_it_was_heard() -> None:
    assert since("0 A start\n0.5 A dial 101\n5.5 A enter b1 101\n5 A enter b1 customer\n") == ms(5.5)


def test_any_other_phase_stands_since_the_event_that_led_there() -> None:
    assert since("0 A start\n0.5 A dial 101\n2 A dial 102\n") == ms(0.5)


@pytest.mark.parametrize(
    ("table", "extensions"),
    [
        ("9 A hangup 101 answered downloaded\n", ("101",)),  # of a lost dial only the hangup was heard
        ("9 A hangup 101 status=0 downloaded\n", ("101",)),
        ("0 A dial 101 102\n9 A hangup 105 answered\n", ("101", "102", "105")),  # taken at a desk that was never dialled
        ("0 A dial 101 102\n9 A hangup 102 answered\n", ("101", "102")),
        ("9 A hangup 101 102 status=0\n", ()),  # nobody's: several, and nobody answered
    ],
)
def test_a_call_is_found_by_whose_it_was_though_only_the_hangup_said_so(table: str, extensions: tuple[str, ...]) -> None:
    assert folded_on(unheard(("0367", "call/A")), events(table)).row["extensions"] == extensions


@given(histories(), faults())
def test_what_is_found_out_once_is_what_the_call_says_after_every_event(history: Any, faulty: dict[int, Fault]) -> None:
    world = hear_all(World(settings=SETTINGS, faults=faulty), history.heard)
    world.finish()
    for name, stream in world.streams.items():
        if not name.startswith("call/"):
            continue
        call = initial("0367", name)
        event: Event
        for event in stream:
            call = evolve(call, event)
            assert row_of(call, 5, 2) == told(call, 5, 2)
