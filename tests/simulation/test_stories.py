"""Stories are told as the PBX tells such calls (the recordings are the measure), whatever their steps; and their truth is held."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from tests.moysklad_model import Row
from tests.playback import recording
from tests.simulation.calls import truths_of
from tests.simulation.invariants import found_in
from tests.simulation.run import Run
from tests.simulation.scenario import Kind, Scenario, Script, from_seed, scenarios
from tests.simulation.stories import BY_BRIDGES, MOBILE, Act, Step, Story, Telling
from tests.simulation.telling import tell
from tests.simulation.truth import NOBODY, Screens, Truth, untrue, untrue_calls, untrue_screens
from tests.strategies import EPOCH_MS

ANSWERED = (Step(act=Act.RING), Step(act=Act.ANSWER))
STORIES: dict[str, Story] = {
    "inbound_answered": Story(steps=ANSWERED),
    "inbound_noanswer": Story(),
    "ring_group": Story(steps=(Step(act=Act.RING, who=(0, 1, 2)), Step(act=Act.ANSWER, who=(1,)))),
    "sequential": Story(steps=(Step(act=Act.RING), Step(act=Act.RING, who=(1,)), Step(act=Act.ANSWER, who=(1,)))),
    "pickup": Story(steps=(Step(act=Act.RING), Step(act=Act.ANSWER, who=(2,)))),
    "attended_transfer": Story(steps=(*ANSWERED, Step(act=Act.ATTENDED, who=(1,)))),
    "blind_transfer": Story(steps=(*ANSWERED, Step(act=Act.BLIND, who=(1,)))),
    "outbound_answered": Story(steps=ANSWERED, outgoing=True),
    "outbound_busy": Story(steps=ANSWERED[:1], outgoing=True),
}
"""What people did in a recording."""


def told(story: Story, number: int = 2) -> list[tuple[str, dict[str, Any]]]:
    posted, _ = tell(story, "1", 1, EPOCH_MS, number, customer_first=False)
    return [(line.event, line.body) for _, line, _ in posted]


def gist(lines: list[tuple[str, dict[str, Any]]]) -> Counter[tuple[object, ...]]:
    """Each line without what differs from call to call: ids and times. Who of two leaves first at the end differs, too."""
    ids: dict[str, int] = {}
    found: list[tuple[object, ...]] = []
    for event, body in lines:
        channel = body["UniqueId"] and ids.setdefault(body["UniqueId"], len(ids))
        if event in ("bridge", "bridge_leave"):
            found.append((event, body["Channel"].rpartition("-")[0], body["CallerIDNum"], body["ConnectedLineNum"]))
        elif event in ("dial", "hangup", "start"):
            said = [body.get(name) for name in ("Phone", "CallType", "CallStatus", "Trunk", "ExtTrunk", "ExtPhone")]
            timed = [bool(body.get(name)) for name in ("DateReceived", "StartTime", "EndTime")] if event == "hangup" else []
            found.append((event, channel == 0, *said, *timed, *sorted(body.get("Extensions", ()))))
        else:
            found.append((event,))
    return Counter(found)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_told_as_the_recording_of_such_a_call(name: str) -> None:
    recorded = [(line.event, line.body) for line in recording(name)]
    assert gist(told(STORIES[name])) == gist(recorded)


@given(scenarios())
@settings(max_examples=50, deadline=None)
def test_any_story_can_be_told(scenario: Scenario) -> None:
    for script in scenario.calls:
        posted, truths = tell(script.story, "1", 1, EPOCH_MS, script.number, customer_first=script.customer_first)
        assert posted or script.story.telling not in BY_BRIDGES
        assert all(truth.starts_ms[0] <= truth.starts_ms[1] and truth.ends_ms[0] <= truth.ends_ms[1] for truth in truths)
        assert all(truth.extensions for truth in truths)


def test_the_seeds_tell_everything_that_is_to_be_tried() -> None:
    stories = [script.story for seed in range(400) for script in from_seed(seed).calls if script.kind is Kind.STORY]
    acts = Counter(step.act for story in stories for step in story.steps)
    assert min(acts[act] for act in Act) >= 20
    assert min(Counter(story.telling for story in stories)[telling] for telling in Telling) >= 10
    for name in ("outgoing", "silent", "merges", "legs_late_ms", "legs_upside_down", "bridges_late_ms", "copied_ms", "recorded"):
        assert sum(bool(getattr(story, name)) for story in stories) >= 20, name
    assert any(len([step for step in story.steps if step.act is Act.RING]) >= 4 for story in stories), "telephones in turn"
    assert any(who >= MOBILE for story in stories for step in story.steps if step.act is Act.RING for who in step.who)


def truth(**changes: Any) -> Truth:
    told = Truth(
        call="A",
        incoming=True,
        number="+375290000001",
        extensions=frozenset({"101"}),
        took_part=frozenset({"101", "102"}),
        starts_ms=(1_000, 1_000),
        ends_ms=(60_000, 60_000),
        talked=True,
        recordings=frozenset({"https://a"}),
        legs_recordings=frozenset({"https://b"}),
        others_recordings=frozenset({"https://b", "https://c"}),
        screens=(Screens(0, {"101": "shown"}), Screens(10_000, None), Screens(20_000, {}), Screens(21_000, {"101": "timing"})),
    )
    return replace(told, **changes)


RIGHT = Row(
    id="1",
    external_id="0367-A",
    number="+375290000001",
    incoming=True,
    start_ms=1_500,
    contact="",
    extension="101",
    end_ms=60_900,
    recordings=["https://a", "https://b"],
)


@pytest.mark.parametrize(
    ("row", "said", "of", "strictly"),
    [
        ({}, "", {}, True),
        ({"number": "+375290000002"}, "says '+375290000002'", {}, False),
        ({"incoming": False}, "incoming False", {}, False),
        ({"extension": "102"}, "is said to be 102's", {}, True),
        ({"extension": "102"}, "", {}, False),
        ({"extension": "103"}, "is said to be 103's", {}, False),
        ({"extension": ""}, "is said to be nobody's", {}, True),
        ({"comment": "Пропущенный вызов"}, "somebody talked", {}, True),
        ({"comment": ""}, "does not say that nobody talked", {"talked": False}, True),
        ({"start_ms": 3_000}, "starts 2000 ms later", {}, False),
        ({"end_ms": 58_000}, "ends -2000 ms later", {}, False),
        ({"end_ms": 30_000}, "", {"handed_on_ms": 30_000}, False),
        ({"end_ms": 30_000}, "ends -30000 ms later", {"handed_on_ms": 30_000}, True),
        ({"recordings": ["https://a"]}, "has the recordings", {}, True),
        ({"recordings": ["https://a", "https://b", "https://c"]}, "", {}, True),
        ({"recordings": ["https://a", "https://b", "https://d"]}, "has the recordings", {}, True),
    ],
)
def test_a_row_is_held_to_the_truth(row: dict[str, Any], said: str, of: dict[str, Any], strictly: bool) -> None:
    found = list(untrue(truth(**of), replace(RIGHT, **row), strictly=strictly, certain=True))
    assert [said in each for each in found] == ([True] if said else [])


def test_calls_are_held_to_the_truth() -> None:
    truths = {"0367-A": truth()}
    other = replace(RIGHT, number="+375290000002")
    assert list(untrue_calls(truths, ["0367-A", "0367-L"], {"0367-A": RIGHT, "0367-other": other})) == []
    assert list(untrue_calls(truths, ["0367-A"], {})) == ["0367-A is not listed, and it was a customer's call"]
    both = {"0367-A": RIGHT, "0367-L": RIGHT}
    assert list(untrue_calls(truths, both, both)) == ["0367-L is listed, and it was no customer's call"]
    alone = {"0367-A": truth(lone_leg=True)}
    assert len(list(untrue_calls(alone, ["0367-A"], {"0367-B": other}))) == 1
    assert list(untrue_calls(alone, ["0367-A"], {"0367-B": RIGHT})) == [], "it may be a leg of that one"


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ([(500, {"101": "shown"})], 0),
        ([(500, {"101": "shown"}), (9_000, {})], 1),
        ([], 1),
        ([(9_990, {"101": "shown"})], 1),
    ],
)
def test_cards_are_held_to_the_truth_once_they_have_stood_for_long(seen: list[tuple[int, dict[str, str]]], wrong: int) -> None:
    assert len(list(untrue_screens(truth(), seen, 0))) == wrong


def test_two_calls_that_are_brought_together_end_as_what_they_were() -> None:
    """Told by one story: what its calls are, and that nothing else is listed."""
    steps = (*ANSWERED, Step(act=Act.CONNECT, who=(1,), ms=4_000))
    scenario = Scenario(calls=(Script(kind=Kind.STORY, story=Story(steps=steps)),))
    truths = truths_of(scenario)["0367"]
    assert [each.extensions for each in truths.values()] == [{"101"}, {"101"}]
    assert found_in(scenario) == []
    assert len(Run(scenario).play().cloud.accounts["0367"].model.rows) == 2


def test_who_has_only_a_mobile_is_nobody() -> None:
    steps = (Step(act=Act.RING, who=(MOBILE,)), Step(act=Act.ANSWER, who=(MOBILE,)))
    scenario = Scenario(calls=(Script(kind=Kind.STORY, story=Story(steps=steps)),))
    assert [each.extensions for each in truths_of(scenario)["0367"].values()] == [{NOBODY}]
    assert found_in(scenario) == []
