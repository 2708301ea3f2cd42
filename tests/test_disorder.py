"""Recorded calls as the wire may bring them: neighbours swapped, everything twice, both. The record stays the same.

Pure and fast: each variant runs through :class:`tests.world.World`, so every adjacent pair of every recording is tried.
The undisturbed run is the measure here; ``tests/test_recordings.py`` holds that one to the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.signals import Wire, envelope, parse
from tests.moysklad_model import Row
from tests.playback import NAMES, Line, as_call_event, as_dispatcher, recording
from tests.settings import SETTINGS
from tests.thorough import of
from tests.world import World

MINSK = ZoneInfo("Europe/Minsk")
SWAP_WINDOW_MS = 1_500
END_TOLERANCE_MS = 1_000
START_TOLERANCE_MS = 1_500
REPEAT_AFTER_MS = 40
"""How long after the first copy the second one arrives: before the next signal, or after it."""

Played = Sequence[tuple[int, Line]]
"""When each line is heard (unix ms), in order."""

Form = Callable[[Line], tuple[str, dict[str, Any]] | None]
FORMS: dict[str, Form] = {"all events": as_call_event, "dial and hangup": as_dispatcher}


def posted(name: str, form: Form) -> list[tuple[int, Line]]:
    """The lines of a recording that this form posts, at their times."""
    return [(line.at_ms, line) for line in recording(name) if form(line) is not None]


def play(played: Played, form: Form) -> World:
    """What the service makes of these signals, after every grace and retry."""
    world = World(settings=SETTINGS)
    for at_ms, line in played:
        form_of_line = form(line)
        assert form_of_line is not None
        path, body = form_of_line
        wire = Wire(path.rpartition("/")[2])
        heard = parse(envelope(wire, {**body, "enterprise_number": "0367"}), heard_ms=at_ms, country="BY", zone=MINSK)
        world.hear(heard.stream, heard.event, digest=heard.digest)
    world.finish()
    return world


def swapped(played: Played) -> Iterator[tuple[int, Played]]:
    """Every way to swap one adjacent pair that is at most 1.5 s apart. The times stay, what is heard changes places."""
    for index in range(len(played) - 1):
        (first_ms, first), (second_ms, second) = played[index], played[index + 1]
        if second_ms - first_ms <= SWAP_WINDOW_MS:
            yield index, [*played[:index], (first_ms, second), (second_ms, first), *played[index + 2 :]]


def doubled(played: Played) -> Played:
    """Everything twice, the second copy a moment after the first."""
    return sorted(
        [*played, *((at_ms + REPEAT_AFTER_MS, line) for at_ms, line in played)],
        key=lambda each: each[0],
    )


def differences(expected: World, world: World) -> list[str]:
    """What a person would see differ between the two lists of calls; open cards of the second one too."""
    wanted, got = by_call(expected), by_call(world)
    found = [f"{call} is missing" for call in wanted.keys() - got.keys()]
    found += [f"{call} is too much" for call in got.keys() - wanted.keys()]
    if len(world.moysklad.rows) != len(got):
        found.append("a call is doubled")
    for call in wanted.keys() & got.keys():
        found += [f"{call}: {each}" for each in row_differences(wanted[call], got[call])]
    return found


def by_call(world: World) -> dict[str, Row]:
    return {row.external_id: row for row in world.moysklad.rows}


def row_differences(wanted: Row, got: Row) -> Iterator[str]:
    for field in ("number", "incoming", "extension", "comment", "recordings"):
        before, after = getattr(wanted, field), getattr(got, field)
        if before != after:
            yield f"{field} {after!r} instead of {before!r}"
    if abs(got.start_ms - wanted.start_ms) > START_TOLERANCE_MS:
        yield f"starts {got.start_ms - wanted.start_ms} ms later"
    if got.end_ms is None or wanted.end_ms is None or abs(got.end_ms - wanted.end_ms) > END_TOLERANCE_MS:
        yield f"ends at {got.end_ms} instead of {wanted.end_ms}"
    if got.screens():
        yield f"cards left open: {got.screens()}"
    sequences = [event.sequence for event in got.events]
    if sequences != sorted(set(sequences)):
        yield f"sequences are not increasing: {sequences}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_two_neighbours_swapped_end_in_the_same_record(name: str, form: str) -> None:
    straight = posted(name, FORMS[form])
    expected = play(straight, FORMS[form])
    bad = {
        f"{index}: {played[index][1].event} before {played[index + 1][1].event}": found
        for index, played in swapped(straight)
        if (found := differences(expected, play(played, FORMS[form])))
    }
    assert bad == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_everything_sent_twice_ends_in_the_same_record(name: str, form: str) -> None:
    straight = posted(name, FORMS[form])
    expected = play(straight, FORMS[form])
    world = play(doubled(straight), FORMS[form])
    assert differences(expected, world) == []
    assert [type(each) for each in world.moysklad.requests] == [type(each) for each in expected.moysklad.requests]


@pytest.mark.parametrize("name", NAMES)
def test_swapped_and_sent_twice_ends_in_the_same_record(name: str) -> None:
    straight = posted(name, as_call_event)
    expected = play(straight, as_call_event)
    bad = {
        f"{index}: {played[index][1].event} before {played[index + 1][1].event}": found
        for index, played in swapped(straight)
        if (found := differences(expected, play(doubled(played), as_call_event)))
    }
    assert bad == {}


@pytest.mark.parametrize("name", NAMES)
def test_many_neighbours_swapped_at_once_end_in_the_same_record(name: str) -> None:
    """Many seeded ways each: about a third of all pairs change places at the same time, every other run twice over."""
    straight = posted(name, as_call_event)
    expected = play(straight, as_call_event)
    assert bool(expected.moysklad.rows) == (name != "internal")
    bad = {}
    for seed in range(of(quick=20, thorough=50)):
        played = shuffled(straight, random.Random(seed))
        found = differences(expected, play(doubled(played) if seed % 2 else played, as_call_event))
        if found:
            bad[seed] = found
    assert bad == {}


def shuffled(played: Played, rng: random.Random) -> Played:
    """Disjoint adjacent pairs at most 1.5 s apart, each swapped with a chance of a half."""
    order, index = list(played), 0
    while index < len(order) - 1:
        (first_ms, first), (second_ms, second) = order[index], order[index + 1]
        if second_ms - first_ms <= SWAP_WINDOW_MS and rng.random() < 0.5:
            order[index], order[index + 1] = (first_ms, second), (second_ms, first)
            index += 1
        index += 1
    return order


def test_the_recordings_hold_many_pairs_to_swap() -> None:
    """Nothing here is vacuous: the variants exist."""
    assert sum(sum(1 for _ in swapped(posted(name, as_call_event))) for name in NAMES) >= 150
