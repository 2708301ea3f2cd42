"""What a row says of how long a call stands as it stands; the rest of a row is tried with the table (``test_calls.py``)."""

from __future__ import annotations

from projections.folded import folded_on, unheard
from tests.scenario import events, ms


def since(table: str) -> int:
    """Since when the call stands as it stands, in ms."""
    return int(folded_on(unheard(("0367", "call/A")), events(table)).row["phase_ms"])


def test_a_talk_stands_since_it_began_and_not_since_it_was_heard() -> None:
    assert since("0 A start\n0.5 A dial 101\n5.5 A enter b1 101\n5 A enter b1 customer\n") == ms(5.5)


def test_any_other_phase_stands_since_the_event_that_led_there() -> None:
    assert since("0 A start\n0.5 A dial 101\n2 A dial 102\n") == ms(0.5)
