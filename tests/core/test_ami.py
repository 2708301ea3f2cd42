"""AMI messages become what happened: recordings of real Asterisks, scenes by hand, and whatever else may come down the wire."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ami import Ami, Pbx, hear, resync, tick
from core.ami_state import MAX_CHANNELS
from core.events import (
    ArrivalObserved,
    BridgeEntered,
    BridgeLeft,
    DialObserved,
    HandoverObserved,
    HangupObserved,
    RingEnded,
)
from core.signals import Heard, Wire, envelope, parse
from core.values import Direction
from tests.ami_lab import EPOCH_MS, Lab, Line
from tests.ami_play import PBX, RECORDINGS, Listener, customers, differences, heard_world, lines_of
from tests.ami_scenes import SCRIPTS, scene
from tests.playback import TRUTH, as_call_event, recording
from tests.test_disorder import MINSK


def said(lines: list[Line] | tuple[Line, ...], kind: type) -> list[Any]:
    """What was said of one kind, in order."""
    return [each.event for _, each in Listener().hear_all(lines) if isinstance(each.event, kind)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_becomes_what_happened_in_full(name: str) -> None:
    world, listener = heard_world(lines_of(name))
    found = {truth["call"]: list(differences(truth, world.calls[truth["call"]])) for truth in RECORDINGS[name]}
    assert found == {truth["call"]: [] for truth in RECORDINGS[name]}
    rows = {row.external_id: row for row in world.moysklad.rows}
    assert sorted(rows) == sorted(f"0367-{truth['call']}" for truth in customers(RECORDINGS[name]))
    assert len(world.moysklad.rows) == len(rows)
    for truth in customers(RECORDINGS[name]):
        row = rows[f"0367-{truth['call']}"]
        assert row.screens() == {}
        last = truth["talked"][-1] if truth["talked"] and len(truth["talked"][-1]) <= 6 else None
        assert last is None or row.extension == last
        assert row.end_ms is not None
        assert row.end_ms - row.start_ms == pytest.approx(truth["duration_s"] * 1_000, abs=50)
    assert (listener.state.channels, listener.state.bridges, listener.state.tracks) == ({}, {}, {})


@pytest.mark.parametrize("version", [16, 22])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scene_becomes_what_happened_in_full(name: str, version: int) -> None:
    played = scene(name, version)
    world, listener = heard_world(played.lines)
    found = {truth["call"]: list(differences(truth, world.calls[truth["call"]])) for truth in played.truth}
    assert found == {truth["call"]: [] for truth in played.truth}
    assert sorted(row.external_id for row in world.moysklad.rows) == sorted(
        f"0367-{truth['call']}" for truth in customers(played.truth)
    )
    assert [row.screens() for row in world.moysklad.rows if row.screens()] == []
    assert (listener.state.channels, listener.state.bridges, listener.state.tracks) == ({}, {}, {})


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_what_the_pbx_script_says_too_is_a_repeat(name: str) -> None:
    """Arrivals, dials and bridges are the same observation, whichever way they came; only ends differ: AMI says more."""
    script = set()
    for line in recording(name):
        if line.event in ("start", "dial", "bridge", "bridge_leave", "bridge_destroy"):
            path, body = as_call_event(line)
            signal = envelope(Wire(path.rpartition("/")[2]), {**body, "enterprise_number": "0367"})
            script.add(parse(signal, heard_ms=line.at_ms, country="RU", zone=MINSK).digest)
    ami = {each.digest for _, each in Listener().hear_all(lines_of(f"ami/{name}"))}
    assert script <= ami


def test_a_ring_group_is_one_dial_and_its_messages_are_kept() -> None:
    (dial,) = said(lines_of("ami/ring_group"), DialObserved)
    assert dial.extensions == ("101", "102", "103")
    assert [each["DestCallerIDNum"] for each in dial.raw["messages"]] == ["101", "102", "103"]
    assert dial.wire == "ami/lab"


def test_a_ring_group_waits_for_its_last_telephone_no_longer_than_a_moment() -> None:
    lab, listener = Lab(), Listener()
    customer = lab.arrives()
    lab.dial(customer, "101")
    for line in lab.lines:
        listener.hear(line)
    assert [type(each.event) for _, each in listener.said] == [ArrivalObserved]
    due_ms = listener.state.due_ms
    assert due_ms is not None
    assert due_ms - lab.at_ms <= 150
    assert tick(listener.state, due_ms - 1, PBX) == (listener.state, ())
    (found,) = tick(listener.state, due_ms, PBX)[1]
    assert isinstance(found.event, DialObserved)
    assert found.event.heard_ms == lab.at_ms + lab.lag_ms, "it is told a moment later, but as of when it began"


def test_telephones_that_stop_ringing_while_the_call_goes_on_are_told_with_the_reason() -> None:
    ended = said(scene("busy_then_unanswered").lines, RingEnded)
    assert [(each.extensions, each.how) for each in ended] == [(("101",), "busy"), (("102",), "unanswered")]
    assert said(lines_of("ami/ring_group"), RingEnded) == [], "losers of a group that was answered are no news"
    (trunk,) = said(scene("out_by_the_second_trunk").lines, RingEnded)
    assert (trunk.extensions, trunk.how, trunk.trunk) == ((), "failed", "trunk-alpha")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ami/blind_transfer", ("blind", "101", "102")),
        ("ami/attended_transfer", ("attended", "101", "102")),
        ("ami/pickup", ("pickup", "101", "103")),
    ],
)
def test_transfers_and_pick_ups_are_told_of_the_customers_call(name: str, told: tuple[str, str, str]) -> None:
    found = [each for _, each in Listener().hear_all(lines_of(name)) if isinstance(each.event, HandoverObserved)]
    assert [each.stream for each in found] == [f"call/{RECORDINGS[name][0]['call']}"]
    (event,) = (each.event for each in found)
    assert isinstance(event, HandoverObserved)
    assert (event.kind, event.source, event.target) == told


def test_who_is_at_the_far_end_of_a_local_channel_is_in_the_customers_bridge() -> None:
    lines = scene("forwarded_by_the_telephone").lines
    entered = said(lines, BridgeEntered)
    customers_bridge = next(each.bridge for each in entered if each.caller_id == "79161234567")
    assert [each.channel_name.partition("-")[0] for each in entered if each.bridge == customers_bridge] == [
        "PJSIP/trunk",
        "PJSIP/102",
    ]
    left = [each for each in said(lines, BridgeLeft) if each.bridge == customers_bridge]
    assert len(left) == 2


def test_the_same_dial_a_second_time_is_news_and_no_repeat() -> None:
    dials = [each for _, each in Listener().hear_all(scene("blind_and_back").lines) if isinstance(each.event, DialObserved)]
    assert [each.event.extensions for each in dials if isinstance(each.event, DialObserved)] == [("101",), ("102",), ("101",)]
    assert len({each.digest for each in dials}) == 3


def test_a_late_connection_tells_when_it_happened() -> None:
    """Frozen for ten seconds after the first message, then everything at once: the times are the PBX's, the clock ours."""
    lines = lines_of("ami/inbound_answered")
    thaw_ms = lines[-1][0] + 10_000
    late = [lines[0], *((thaw_ms, message) for _, message in lines[1:])]
    (straight,), (thawed,) = said(lines, HangupObserved), said(late, HangupObserved)
    assert thawed.ended_ms == pytest.approx(straight.ended_ms, abs=5)
    assert thawed.answered_ms == pytest.approx(straight.answered_ms, abs=5)


@pytest.mark.parametrize("off_s", [-3_600, 3_600, 86_400 * 365])
def test_a_pbx_whose_clock_is_wrong_changes_nothing(off_s: int) -> None:
    lines = lines_of("ami/inbound_answered")
    wrong = [(at_ms, {**each, "Timestamp": f"{float(each['Timestamp']) + off_s:.6f}"}) for at_ms, each in lines]
    assert [event.heard_ms for event in said(wrong, HangupObserved)] == [event.heard_ms for event in said(lines, HangupObserved)]


def test_a_pbx_that_tells_no_timestamps_is_heard_by_our_clock() -> None:
    lines = lines_of("ami/inbound_answered")
    bare = [
        (at_ms, {key: value for key, value in each.items() if key != "Timestamp"}) for at_ms, each in lines
    ]
    (hangup,) = said(bare, HangupObserved)
    assert hangup.ended_ms == bare[-1][0]


def test_an_enterprise_whose_trunks_are_not_named_still_tells_inside_from_outside() -> None:
    listener = Listener(pbx=Pbx(name="lab", enterprise="0367", country="RU"))
    found = [each.event for _, each in listener.hear_all(lines_of("ami/outbound_answered")) if isinstance(each.event, DialObserved)]
    assert [(each.direction, each.extensions, each.number) for each in found] == [
        (Direction.OUTGOING, ("101",), "+79161234567")
    ]


# -- whatever comes down the wire ---------------------------------------------------------------------------------

NAMES = (
    "Newchannel", "Newstate", "NewCallerid", "Hangup", "HangupRequest", "DialBegin", "DialState", "DialEnd", "BridgeCreate",
    "BridgeEnter", "BridgeLeave", "BridgeDestroy", "QueueCallerJoin", "QueueCallerAbandon", "BlindTransfer",
    "AttendedTransfer", "Pickup", "ParkedCall", "UnParkedCall", "Rename", "FullyBooted", "", "Cdr",
)  # fmt: skip
ODD = ("", "<unknown>", "x", "\0", "\ud800", "9" * 2_000, "-1", "PJSIP/101-0001", "Local/1@c-1;1", "PJSIP/trunk-alpha-1")
KEYS = (
    "Channel", "Uniqueid", "Linkedid", "ChannelState", "CallerIDNum", "DestChannel", "DestUniqueid", "DestLinkedid",
    "DialString", "DialStatus", "BridgeUniqueid", "BridgeNumChannels", "BridgeTechnology", "Cause", "TechCause", "Timestamp",
    "Result", "TransfereeUniqueid", "TargetUniqueid", "ParkeeUniqueid", "BridgeId", "Application", "Duration", "Newname",
)  # fmt: skip
IDS = st.sampled_from(("1795437000.1", "1795437000.2", "1795437000.3", "b-1"))
MESSAGES = st.builds(
    lambda name, fields: {"Event": name, **fields},
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(KEYS), st.one_of(IDS, st.sampled_from(ODD), st.sampled_from(("4", "5", "6", "ANSWER")))),
)


@given(st.lists(MESSAGES, max_size=30))
def test_nonsense_never_raises_and_is_never_stored_unfit(messages: list[dict[str, str]]) -> None:
    state = Ami()
    for number, message in enumerate(messages):
        before = state
        state, heard = hear(state, message, EPOCH_MS + number * 70, PBX)
        assert hear(before, message, EPOCH_MS + number * 70, PBX) == (state, heard), "it depends on nothing else"
        for each in heard:
            assert len(each.stream) < 400
            assert "\0" not in str(each.event)
    resync(state, messages, (), EPOCH_MS + 100_000, PBX)
    assert tick(state, EPOCH_MS + 200_000, PBX)[0].due_ms is None


def test_fields_that_are_no_texts_are_passed_over() -> None:
    odd: dict[str, Any] = {"Event": "Newchannel", "Uniqueid": 7, "Channel": None, "Linkedid": ["x"]}
    assert hear(Ami(), odd, EPOCH_MS, PBX)[1] == ()


def test_events_that_mean_nothing_for_calls_change_nothing_but_the_clock() -> None:
    state, heard = hear(Ami(), {"Event": "PeerStatus", "Peer": "PJSIP/101", "Timestamp": "1795437000.5"}, EPOCH_MS + 500, PBX)
    assert heard == ()
    assert (state.channels, state.tracks, state.last_ms) == ({}, {}, EPOCH_MS + 500)


def test_what_never_ends_does_not_grow_for_ever() -> None:
    state = Ami()
    for number in range(MAX_CHANNELS + 500):
        message = {
            "Event": "Newchannel", "Channel": f"PJSIP/trunk-alpha-{number:08x}", "Uniqueid": f"1.{number}",
            "Linkedid": f"1.{number}", "ChannelState": "4", "CallerIDNum": "79161234567",
        }  # fmt: skip
        state, _ = hear(state, message, EPOCH_MS + number, PBX)
    assert len(state.channels) == MAX_CHANNELS
    assert len(state.tracks) <= MAX_CHANNELS


def heards(name: str) -> list[Heard]:
    return [each for _, each in Listener().hear_all(lines_of(name))]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_call_is_told_in_few_events(name: str) -> None:
    """Some thirty messages a call become ten events; of a call with a transfer, twice that."""
    per_call = len(heards(name)) / max(1, len({each.stream for each in heards(name) if each.stream.startswith("call/")}))
    assert per_call <= 20
