"""A PBX that tells of its calls both ways, over AMI and by its script: they are one call, whichever way lags behind."""

from __future__ import annotations

import random

import pytest

from core import conclusions
from core.events import DialObserved
from core.signals import Heard, Wire, envelope, parse
from tests.ami_play import PBX, Listener, customers, deliver, lines_of
from tests.playback import TRUTH, as_call_event, as_dispatcher, recording
from tests.settings import SETTINGS
from tests.test_disorder import FORMS, MINSK
from tests.thorough import of
from tests.world import World

Timed = list[tuple[int, Heard]]

def by_ami(name: str, lag_ms: int) -> Timed:
    """What the connection makes of the recording, heard so much later."""
    return [(at_ms + lag_ms, each) for at_ms, each in Listener().hear_all(lines_of(f"ami/{name}"))]


def by_script(name: str, form: str, lag_ms: int, chance: random.Random) -> Timed:
    """The script's or the dispatcher's signals, so much later, each with a jitter of its own."""
    found: Timed = []
    for line in recording(name):
        posted = FORMS[form](line)
        if posted is None:
            continue
        path, body = posted
        at_ms = line.at_ms + lag_ms + chance.choice((0, 0, 200, 1_200))
        signal = envelope(Wire(path.rpartition("/")[2]), {**body, "enterprise_number": "0367"})
        found.append((at_ms, parse(signal, heard_ms=at_ms, country=PBX.country, zone=MINSK)))
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_both_ways_are_one_call_in_any_interleaving(name: str, form: str) -> None:
    for seed in range(of(quick=6, thorough=16)):
        chance = random.Random(seed)
        script_ms = chance.choice((0, 0, 400, 2_500, 6_000))
        ami_ms = chance.choice((0, 0, 400, 2_500, 4_000))  # within the grace of an ended call
        said = [*by_ami(name, ami_ms), *by_script(name, form, script_ms, chance)]
        if seed % 3 == 0:
            said += [(at_ms + 40, each) for at_ms, each in said]
        world = World(settings=SETTINGS)
        deliver(world, sorted(said, key=lambda each: each[0]))
        world.finish()
        where = f"seed {seed}: script {script_ms} ms late, AMI {ami_ms}"
        rows = {row.external_id: row for row in world.moysklad.rows}
        assert sorted(row.external_id for row in world.moysklad.rows) == sorted(
            f"0367-{each['call']}" for each in customers(TRUTH[name])
        ), where
        for truth in customers(TRUTH[name]):
            call, row = world.calls[truth["call"]], rows[f"0367-{truth['call']}"]
            assert row.screens() == {}, where
            assert str(conclusions.outcome(call)) == truth["outcome"], where
            assert list(call.rung) == truth["rang"], where
            assert list(dict.fromkeys(talk.extension for talk in call.talks)) == truth["talked"], where
            assert call.hangup is not None
            assert (call.hangup.hung_up_by, call.hangup.cause) == (truth["hung_up_by"], truth["cause"]), where
            if truth["talked"]:
                assert row.extension == truth["talked"][-1], where
            if ami_ms == 0:  # what comes first begins the record, and MoySklad never overwrites an end
                assert row.end_ms is not None
                assert row.end_ms - row.start_ms == pytest.approx(truth["duration_s"] * 1_000, abs=50), where


def test_a_script_that_lags_does_not_ring_anew_who_has_stopped_ringing() -> None:
    """101 did not answer and 102 rings; then the script tells, seconds late and in its own words, that 101 is dialled."""
    world = World(settings=SETTINGS)
    ami = by_ami("sequential", 0)
    late = by_script("sequential", "dial and hangup", 5_000, random.Random(9))
    (first, second) = (each for each in late if isinstance(each[1].event, DialObserved))
    ringing_ms = second[1].event.heard_ms - 5_000
    deliver(world, [each for each in ami if each[0] <= ringing_ms + 1_000])
    (call,) = world.calls.values()
    assert call.ringing == ("102",)
    deliver(world, [(ringing_ms + 1_100, first[1])])
    (call,) = world.calls.values()
    assert call.ringing == ("102",)


def test_ami_alone_and_both_ways_cost_the_same_requests() -> None:
    for name in ("inbound_answered", "ring_group", "queue_answered"):
        alone, both = World(settings=SETTINGS), World(settings=SETTINGS)
        deliver(alone, by_ami(name, 0))
        said = [*by_ami(name, 0), *by_script(name, "all events", 300, random.Random(1))]
        deliver(both, sorted(said, key=lambda each: each[0]))
        alone.finish()
        both.finish()
        assert [type(each) for each in both.moysklad.requests] == [type(each) for each in alone.moysklad.requests]


def test_the_forms_are_those_of_the_disorder_tests() -> None:
    assert {"all events": as_call_event, "dial and hangup": as_dispatcher} == FORMS
