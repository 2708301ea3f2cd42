"""After a gap: what the PBX says is up, against what was thought to be. ``tests/test_ami_properties.py`` has every gap there is."""

from __future__ import annotations

import pytest

from core import conclusions
from core.ami import Ami, resync
from core.call import Call
from core.events import (
    ArrivalObserved,
    BridgeClosed,
    BridgeEntered,
    BridgeLeft,
    DialObserved,
    HangupObserved,
    Observation,
    RingEnded,
)
from core.values import Direction, Outcome
from tests.ami_lab import Chan, Lab, core_show_channels
from tests.ami_play import PBX, Listener, deliver
from tests.settings import SETTINGS
from tests.world import World


def lived(lab: Lab) -> tuple[World, Listener]:
    """Everything so far, heard."""
    world, listener = World(settings=SETTINGS), Listener()
    for line in lab.lines:
        deliver(world, listener.hear(line))
    deliver(world, listener.until(None))
    return world, listener


def after(lab: Lab, listener: Listener, *open_calls: Call) -> list[Observation]:
    """What a resync says, ten seconds later."""
    at_ms = lab.at_ms + 10_000
    return [each.event for _, each in listener.resync(core_show_channels(lab.lines, at_ms), open_calls, at_ms)]


def talking() -> tuple[Lab, World, Listener, list[str]]:
    lab = Lab()
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    lab.wait(2)
    lab.answers(customer, phone)
    lab.join(phone, customer)
    world, listener = lived(lab)
    return lab, world, listener, [customer.id, phone.id]


def test_without_a_gap_nothing_follows() -> None:
    lab, world, listener, _ = talking()
    assert after(lab, listener, *world.calls.values()) == []


def test_a_restarted_service_takes_a_call_that_goes_on_up_where_it_was() -> None:
    lab, world, _, _ = talking()
    restarted = Listener()
    assert after(lab, restarted, *world.calls.values()) == []
    (track,) = restarted.state.tracks.values()
    assert (track.direction, track.number, track.talked) == (Direction.INCOMING, "+79161234567", ("101",))


def test_a_call_that_ended_meanwhile_is_closed_and_says_that_nobody_heard_how() -> None:
    lab, world, listener, _ = talking()
    alive_ms = listener.state.last_ms
    lab.lines.clear()
    closed, hangup = after(lab, listener, *world.calls.values())
    assert isinstance(closed, BridgeClosed)
    assert isinstance(hangup, HangupObserved)
    assert (hangup.answered, hangup.verdict, hangup.hung_up_by, hangup.ended_ms) == (True, "", "", alive_ms)
    assert hangup.heard_ms == lab.at_ms + 10_000
    deliver(world, [(at_ms, each) for at_ms, each in listener.said[-2:]])
    world.finish()
    (call,) = world.calls.values()
    assert conclusions.outcome(call) is Outcome.ANSWERED
    (row,) = world.moysklad.rows
    assert row.end_ms is not None
    assert (row.end_ms - alive_ms < 1_000, row.screens()) == (True, {})


def test_of_a_call_that_was_only_ringing_nobody_knows_whether_it_was_answered() -> None:
    lab = Lab()
    customer = lab.arrives()
    lab.rings(customer, lab.dial(customer, "101"))
    world, listener = lived(lab)
    lab.lines.clear()
    deliver(world, listener.resync([], list(world.calls.values()), lab.at_ms + 10_000))
    (call,) = world.calls.values()
    assert conclusions.outcome(call) is Outcome.LOST


def test_a_call_that_began_meanwhile_is_there_with_its_dial_and_its_talk() -> None:
    lab, listener = Lab(), Listener()
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    ringing = [*after(lab, listener), *(each.event for _, each in listener.until(None))]
    assert [type(each) for each in ringing] == [ArrivalObserved, DialObserved]
    lab.wait(2)
    lab.answers(customer, phone)
    lab.join(phone, customer)
    assert [type(each) for each in after(lab, listener)] == [BridgeEntered, BridgeEntered]
    outgoing, other = Lab(), Listener()
    caller = outgoing.channel("101", exten="79161234567")
    trunk = outgoing.dial(caller, "trunk-alpha", number="79161234567")
    outgoing.answers(caller, trunk)
    outgoing.join(trunk, caller)
    dial, *entered = after(outgoing, other)
    assert isinstance(dial, DialObserved)
    assert (dial.direction, dial.extensions, dial.number) == (Direction.OUTGOING, ("101",), "+79161234567")
    assert [type(each) for each in entered] == [BridgeEntered, BridgeEntered]


def test_telephones_that_stopped_meanwhile_stop_and_others_ring() -> None:
    lab = Lab()
    customer = lab.arrives()
    first = lab.dial(customer, "101")
    lab.rings(customer, first)
    world, listener = lived(lab)
    lab.ends(customer, first, "NOANSWER")
    second = lab.dial(customer, "102")
    lab.rings(customer, second)
    said = [*after(lab, listener, *world.calls.values()), *(each.event for _, each in listener.until(None))]
    assert [type(each) for each in said] == [RingEnded, DialObserved]
    assert (said[0].extensions, said[0].how, said[1].extensions) == (("101",), "", ("102",))  # type: ignore[attr-defined]


def test_whoever_was_transferred_meanwhile_talks_with_the_new_one() -> None:
    lab, world, listener, (customer_id, phone_id) = talking()
    customer, phone = (next(each for each in lab.members(lab_bridge(lab)) if each.id == id_) for id_ in (customer_id, phone_id))
    lab.blind(phone, customer, "102")
    other = lab.dial(customer, "102")
    lab.answers(customer, other)
    lab.join(other, customer)
    deliver(world, listener.resync(core_show_channels(lab.lines), list(world.calls.values()), lab.at_ms + 10))
    (call,) = world.calls.values()
    assert call.talking == ("102",)
    assert [type(each.event) for _, each in listener.said[-3:]] == [BridgeClosed, BridgeEntered, BridgeEntered]


def lab_bridge(lab: Lab) -> str:
    return next(message["BridgeUniqueid"] for _, message in reversed(lab.lines) if message["Event"] == "BridgeEnter")


def test_who_left_a_bridge_that_goes_on_is_told_to_have_left() -> None:
    lab, world, listener, (_, phone_id) = talking()
    bridge = lab_bridge(lab)
    second = lab.channel("102")
    lab.enter(bridge, second)
    lab.leave(next(each for each in lab.members(bridge) if each.id == phone_id))
    left, entered = after(lab, listener, *world.calls.values())
    assert isinstance(left, BridgeLeft)
    assert isinstance(entered, BridgeEntered)
    assert (left.channel, left.heard_ms, entered.channel) == (phone_id, lab.at_ms + lab.lag_ms, second.id)


OURS, MOBILE = "74951110001", "79165550005"


def dial_mobile(lab: Lab, customer: Chan, number: str = MOBILE, *, shows: str = OURS) -> Chan:
    """A mobile of the ring plan begins to ring; its trunk's channel may show the company's own number."""
    mobile = lab.channel("trunk-beta", cid=shows, state=0, linked=customer)
    lab.begin(customer, mobile, f"{number}@trunk-beta")
    lab.rings(customer, mobile)
    return mobile


@pytest.mark.parametrize("answered_meanwhile", [False, True])
def test_a_mobile_that_rings_on_is_known_though_its_trunk_shows_the_company_s_number(answered_meanwhile: bool) -> None:
    lab = Lab()
    customer = lab.arrives()
    mobile = dial_mobile(lab, customer)
    world, _ = lived(lab)
    if answered_meanwhile:
        lab.answers(customer, mobile)  # and is asked to press a key
    restarted = Listener()
    assert after(lab, restarted, *world.calls.values()) == []
    lab.wait(12)
    heard = len(lab.lines)
    if not answered_meanwhile:
        lab.answers(customer, mobile)
    lab.hangs_up(lab.join(mobile, customer), customer, mobile)
    deliver(world, restarted.hear_all(lab.lines[heard:]))
    world.finish()
    (call,) = world.calls.values()
    assert (conclusions.outcome(call), call.rung) == (Outcome.ANSWERED, (MOBILE,))
    assert conclusions.attribution(call, SETTINGS)[0] == MOBILE


def test_mobiles_that_ring_on_together_are_told_apart_by_the_order_in_which_they_were_called() -> None:
    lab = Lab()
    lab._channels = 7  # the second mobile's UniqueId is longer
    customer = lab.arrives()
    first, second = dial_mobile(lab, customer), dial_mobile(lab, customer, "79165550006")
    world, _ = lived(lab)
    listed = core_show_channels(lab.lines)[::-1]  # Asterisk lists them in any order
    restarted = Listener()
    assert restarted.resync(listed, list(world.calls.values()), lab.at_ms + 10) == []
    (track,) = restarted.state.tracks.values()
    assert [(leg.who, leg.channel) for leg in track.legs] == [(MOBILE, first.id), ("79165550006", second.id)]


def test_whoever_answered_meanwhile_and_shows_his_own_number_is_not_taken_for_another() -> None:
    lab = Lab()
    customer = lab.arrives()
    other = "79165550006"
    first, second = dial_mobile(lab, customer, shows=MOBILE), dial_mobile(lab, customer, other, shows=other)
    world, _ = lived(lab)
    lab.answers(customer, second)
    lab.ends(customer, first, "CANCEL")
    restarted = Listener()
    (ended,) = after(lab, restarted, *world.calls.values())
    assert isinstance(ended, RingEnded)
    assert ended.extensions == (MOBILE,)
    heard = len(lab.lines)
    lab.hangs_up(lab.join(second, customer), customer, second)
    deliver(world, restarted.hear_all(lab.lines[heard:]))
    world.finish()
    (call,) = world.calls.values()
    assert conclusions.attribution(call, SETTINGS)[0] == other


def test_a_mobile_that_began_to_ring_meanwhile_is_another_one() -> None:
    lab = Lab()
    customer = lab.arrives()
    mobile = dial_mobile(lab, customer)
    world, _ = lived(lab)
    lab.wait(4)
    lab.ends(customer, mobile, "NOANSWER")
    dial_mobile(lab, customer, "79165550006", shows="79165550006")
    restarted = Listener()
    said = [*after(lab, restarted, *world.calls.values()), *(each.event for _, each in restarted.until(None))]
    assert [type(each) for each in said] == [RingEnded, DialObserved]
    assert [each.extensions for each in said] == [(MOBILE,), ("79165550006",)]  # type: ignore[attr-defined]


def test_what_is_said_after_a_resync_is_never_taken_for_a_repeat() -> None:
    """The same dial as before the gap: 101 rings, stops, and rings again while nobody listens."""
    lab = Lab()
    customer = lab.arrives()
    lab.rings(customer, lab.dial(customer, "101"))
    world, listener = lived(lab)
    before = {each.digest for _, each in listener.said}
    restarted = Listener()
    first = [each for each in core_show_channels(lab.lines) if each["CallerIDNum"] != "101"]
    restarted.resync(first, list(world.calls.values()), lab.at_ms + 1_000)
    lab.rings(customer, lab.dial(customer, "101"))
    for line in lab.lines[-4:]:
        restarted.hear(line)
    restarted.until(None)
    assert any(isinstance(each.event, DialObserved) for _, each in restarted.said)
    assert before.isdisjoint(each.digest for _, each in restarted.said)


def test_two_incoming_calls_that_were_joined_stay_two() -> None:
    """101 connects two customers: Asterisk gives both one Linkedid, and each is still a customer's own call."""
    lab = Lab()
    first, second = lab.arrives(), lab.arrives("79260000002", "trunk-beta")
    lab.join(first, second)
    world, listener = lived(lab)
    assert len(world.calls) == 2
    restarted = Listener()
    restarted.resync(core_show_channels(lab.lines), list(world.calls.values()), lab.at_ms + 1_000)
    assert set(restarted.state.tracks) == set(listener.state.tracks) == set(world.calls)


def test_nonsense_in_the_list_is_passed_over() -> None:
    odd = [{}, {"Uniqueid": "1.1"}, {"Uniqueid": "1.2", "Channel": "x", "Duration": "a:b:c", "ChannelState": "?"}]
    state, heard = resync(Ami(), odd, (), 1_795_437_000_000, PBX)
    assert heard == ()
    assert list(state.channels) == ["1.2"]
