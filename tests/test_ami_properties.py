"""Whatever people do on the phones, and wherever the connection is cut: every call ends, once, right, with no card left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ami_peers import Side, party_of
from core.conclusions import outcome
from core.lifecycle import LIVE, Phase
from core.phone import looks_like_extension
from core.values import Direction
from tests.ami_lab import Line, core_show_channels
from tests.ami_play import (
    PBX,
    RECORDINGS,
    Listener,
    Truth,
    customers,
    deliver,
    differences,
    gapped_world,
    heard_world,
    lines_of,
)
from tests.ami_scenes import SCRIPTS, Scene, scene
from tests.ami_strategies import calls, offices
from tests.settings import SETTINGS
from tests.thorough import of
from tests.world import World

LOST = (0, 1, 2, 3, 5, 8, 13, 21, 34)


@settings(deadline=None)
@given(calls())
def test_whatever_happens_is_told_in_full(played: Scene) -> None:
    world, listener = heard_world(played.lines)
    for truth in played.truth:
        assert list(differences(truth, world.calls[truth["call"]])) == []
    assert sorted(row.external_id for row in world.moysklad.rows) == sorted(f"0367-{each['call']}" for each in played.truth)
    assert all(row.screens() == {} for row in world.moysklad.rows)
    assert (listener.state.channels, listener.state.bridges, listener.state.tracks) == ({}, {}, {})


@settings(deadline=None)
@given(offices())
def test_calls_at_the_same_time_are_told_apart(played: Scene) -> None:
    world, _ = heard_world(played.lines)
    for truth in played.truth:
        assert list(differences(truth, world.calls[truth["call"]])) == []
    assert len(world.moysklad.rows) == len(played.truth)


@settings(deadline=None)
@given(st.one_of(calls(), offices()), st.data())
def test_a_gap_anywhere_leaves_no_call_open_and_none_double(played: Scene, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(played.lines)))
    lost = data.draw(st.integers(0, len(played.lines) - cut))
    assert_sound(played.lines, played.truth, cut, lost, restarted=data.draw(st.booleans()))


def test_a_gap_at_any_place_of_any_recording(subtests_of: list[str]) -> None:
    """Some cuts, one length each; :func:`test_a_gap_of_any_length_at_any_place` has all of them."""
    every = of(quick=5, thorough=2)
    for number, name in enumerate(subtests_of):
        lines = lines_of(name)
        for cut in range(1 + number % every, len(lines) + 1, every):
            lost = LOST[cut % len(LOST)]
            if cut + lost <= len(lines):
                assert_sound(lines, RECORDINGS[name], cut, lost, restarted=cut % 4 < 2)


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_a_holder_records_after_another_s_resync_tells_each_call_whole(name: str) -> None:
    lines = lines_of(name)
    for cut in range(0, len(lines), len(lines) // 3 + 1):
        world, holder = World(settings=SETTINGS), Listener()
        for line in lines[:cut]:
            deliver(world, holder.hear(line))
        heard, back_ms = holder.hear_all(lines[cut:]), lines[-1][0] + 1_000
        open_calls = [call for call in world.calls.values() if call.phase in (*LIVE, Phase.INTERNAL)]
        deliver(world, Listener().resync([], open_calls, back_ms))
        deliver(world, [(back_ms + 1, each) for _, each in heard])
        assert all(row.screens() == {} for row in world.moysklad.rows), f"a card of what is over, cut after {cut}"
        for truth in RECORDINGS[name]:
            assert list(differences(truth, world.calls[truth["call"]])) == [], f"cut after {cut}"


def assert_sound(lines: Sequence[Line], truth: Sequence[Truth], cut: int, lost: int, *, restarted: bool) -> None:
    """What must hold whatever was not heard."""
    where = f"cut after {cut}, {lost} lost, {'restarted' if restarted else 'reconnected'}"
    world, listener, live = gapped_world(lines, cut, lost, restarted=restarted)
    assert [call.id for call in world.calls.values() if call.is_live] == [], where
    assert (listener.state.channels, listener.state.bridges, listener.state.tracks) == ({}, {}, {}), where
    # A process that dies between the two halves of a bridge leaves one that no call is known to have: it stands until the end.
    half_told = restarted and is_half_told(lines[:cut])
    for call in live if not half_told else ():
        phones = {each for each in call.talking if looks_like_extension(each)}
        if sum(stay.left_ms is None for stay in call.bridges.stays) == 1:
            continue  # one half alone is there for a moment: its connected line is taken for the other one
        assert phones == talking_by(lines[: cut + lost], call.id, call.direction), where
    world.finish()
    ids = [row.external_id for row in world.moysklad.rows]
    assert len(ids) == len(set(ids)), where
    assert set(ids) <= {f"0367-{each['call']}" for each in truth}, where
    assert [row.screens() for row in world.moysklad.rows if row.screens()] == [], where
    for each in customers(truth) if not lost and not restarted else ():
        found = world.calls.get(each["call"])
        if found is None or found.hangup is None:
            continue
        # Whoever listens anew does not know that nothing was lost: of an end just afterwards it may say that it did not hear it.
        assert str(outcome(found)) in (each["outcome"], "lost"), where
        assert found.hangup.hung_up_by in (each["hung_up_by"], ""), where


def is_half_told(lines: Sequence[Line]) -> bool:
    """Whether of a bridge that was made only the first one was heard to enter, whatever else was heard since."""
    bridges = [message for _, message in lines if message["Event"].startswith("Bridge")]
    return bool(bridges) and bridges[-1]["Event"] == "BridgeEnter" and bridges[-1]["BridgeNumChannels"] == "1"


def talking_by(lines: Sequence[Line], call: str, direction: Direction) -> set[str]:
    """Who talks with a call's customer, by the PBX's own list; Local channels are looked through."""
    listed = core_show_channels(lines)
    parties = {each["Uniqueid"]: party_of(each["Channel"], each["CallerIDNum"], PBX) for each in listed}
    bridges = {each["Uniqueid"]: each["BridgeId"] for each in listed}
    pairs: dict[str, list[str]] = {}
    for each in listed:
        if parties[each["Uniqueid"]].side is Side.LOCAL and each["BridgeId"]:
            pairs.setdefault(parties[each["Uniqueid"]].who, []).append(each["BridgeId"])
    ours = [
        each["Uniqueid"]
        for each in listed
        if (each["Uniqueid"] == call if direction is Direction.INCOMING else each["Linkedid"] == call)
        and parties[each["Uniqueid"]].side is Side.OUTSIDE
        and each["BridgeId"]
    ]
    rooms = {bridges[each] for each in ours}
    while more := {bridge for pair in pairs.values() if rooms & set(pair) for bridge in pair} - rooms:
        rooms |= more
    return {
        parties[each].who
        for each, bridge in bridges.items()
        if bridge in rooms and each not in ours and parties[each].side is Side.PHONE
    }


@pytest.fixture(params=sorted({name.partition("/")[0] for name in RECORDINGS}))
def subtests_of(request: pytest.FixtureRequest) -> list[str]:
    return [name for name in RECORDINGS if name.startswith(f"{request.param}/")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_gap_at_any_place_of_any_scene(name: str) -> None:
    played, every = scene(name), of(quick=3, thorough=1)
    for cut in range(1 + len(name) % every, len(played.lines) + 1, every):
        lost = LOST[cut % 5]
        if cut + lost <= len(played.lines):
            assert_sound(played.lines, played.truth, cut, lost, restarted=cut % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_gap_of_any_length_at_any_place(name: str) -> None:
    lines = lines_of(name)
    for cut in range(1, len(lines) + 1):
        for lost in LOST:
            if cut + lost <= len(lines):
                for restarted in (False, True):
                    assert_sound(lines, RECORDINGS[name], cut, lost, restarted=restarted)
