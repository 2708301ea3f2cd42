"""Who talks with the customer: groups, mobiles, Local channels, parking, conferences."""

from __future__ import annotations

from typing import Any

from tests.ami_lab import EPOCH_MS, Lab
from tests.ami_scenes.stage import MOBILE, NUMBER, group, script, talk, was


@script
def one_declines_another_answers(lab: Lab) -> list[dict[str, Any]]:
    """In a ring group 101 presses reject, 102 answers."""
    customer = lab.arrives()
    first, second = group(lab, customer, "101", "102")
    lab.wait(1)
    lab.ends(customer, first, "NOANSWER", cause=21, sip=603)
    lab.wait(1)
    lab.answers(customer, second)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    bridge = lab.join(second, customer)
    lab.wait(3)
    lab.hangs_up(bridge, customer, second)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["102"], answered_s=answered_s)]


@script
def two_answer_at_once(lab: Lab) -> list[dict[str, Any]]:
    """101 and 102 pick up in the same moment: Asterisk takes the first and drops the second, although it is up."""
    customer = lab.arrives()
    first, second = group(lab, customer, "101", "102")
    lab.wait(1)
    first.state = second.state = 6
    lab.say("Newstate", first)
    lab.say("Newstate", second)
    lab.say("DialEnd", customer, lab.of(second, "Dest"), DialStatus="CANCEL")
    lab.answers(customer, first)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.gone(second, cause=26)
    bridge = lab.join(first, customer)
    lab.wait(3)
    lab.hangs_up(bridge, customer, first)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["101"], answered_s=answered_s)]


@script
def hold_and_back(lab: Lab) -> list[dict[str, Any]]:
    """101 puts the customer on hold and takes him back: music, and nobody leaves the bridge."""
    customer = lab.arrives()
    phone, bridge = talk(lab, customer, "101")
    lab.say("Hold", phone, MusicClass="default")
    lab.say("MusicOnHoldStart", customer, Class="default")
    lab.wait(5)
    lab.say("Unhold", phone)
    lab.say("MusicOnHoldStop", customer)
    lab.wait(2)
    lab.hangs_up(bridge, phone, customer)
    return [was(lab, customer, "answered", rang=["101"], talked=["101"], by="101", answered_s=2.0)]


@script
def followed_to_the_mobile(lab: Lab) -> list[dict[str, Any]]:
    """101 does not answer, and the plan rings the employee's mobile through the other trunk."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    lab.wait(4.9)
    lab.ends(customer, phone, "NOANSWER")
    mobile = lab.dial(customer, "trunk-beta", number=MOBILE)
    lab.rings(customer, mobile)
    lab.wait(2)
    lab.answers(customer, mobile)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    bridge = lab.join(mobile, customer)
    lab.wait(3)
    lab.hangs_up(bridge, mobile, customer)
    return [was(lab, customer, "answered", rang=["101", MOBILE], talked=[MOBILE], by=MOBILE, answered_s=answered_s)]


@script
def forwarded_by_the_telephone(lab: Lab) -> list[dict[str, Any]]:
    """101's telephone answers 302 and names 102: Asterisk takes the leg back and dials 102 through a Local channel."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.wait(0.1)
    lab.say("DialEnd", customer, lab.of(phone, "Dest"), DialStatus="CANCEL", Forward="102@from-internal")
    near = lab.channel("", name="Local/102@from-internal-00000002;1", cid="102", state=0, linked=customer)
    far = lab.channel("", name="Local/102@from-internal-00000002;2", cid=customer.cid, state=4, exten="102", linked=customer)
    lab.begin(customer, near, "102@from-internal")
    lab.gone(phone, cause=0)
    target = lab.dial(far, "102")
    lab.rings(far, target)
    lab.wait(2)
    lab.answers(far, target)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    inner = lab.join(target, far)
    lab.answers(customer, near)
    outer = lab.join(near, customer)
    lab.wait(3)
    lab.asks(customer)
    lab.part(outer, customer, near)
    lab.gone(customer, near)
    lab.part(inner, far, target)
    lab.gone(far, target)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["102"], answered_s=answered_s)]


@script
def through_a_local_channel_that_is_optimised_away(lab: Lab) -> list[dict[str, Any]]:
    """The queue member is Local/101@…; once both halves are up Asterisk takes the pair out, and 101 joins the customer."""
    customer = lab.arrives()
    near = lab.channel("", name="Local/101@agents-00000003;1", cid="101", state=0, linked=customer)
    far = lab.channel("", name="Local/101@agents-00000003;2", cid=customer.cid, state=4, exten="101", linked=customer)
    lab.begin(customer, near, "Local/101@agents")
    phone = lab.dial(far, "101")
    lab.rings(far, phone)
    lab.wait(2)
    lab.answers(far, phone)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    inner = lab.join(phone, far)
    lab.answers(customer, near)
    outer = lab.join(near, customer)
    lab.wait(0.2)
    lab.say("LocalOptimizationBegin")
    lab.leave(phone)
    lab.leave(near)
    lab.enter(outer, phone)
    lab.gone(near)
    lab.part(inner, far)
    lab.gone(far)
    lab.wait(3)
    lab.hangs_up(outer, customer, phone)
    return [was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=answered_s)]


@script
def parked_and_taken(lab: Lab) -> list[dict[str, Any]]:
    """101 parks the customer, 103 takes the call from there."""
    customer = lab.arrives()
    phone, bridge = talk(lab, customer, "101")
    lab.part(bridge, customer, phone)
    lot = lab.join(customer, technology="holding_bridge")
    parkee = lab.of(customer, "Parkee")
    lab.say("ParkedCall", None, parkee, ParkerDialString="PJSIP/101", Parkinglot="default", ParkingSpace="701", ParkingTimeout="45")
    lab.gone(phone)
    lab.wait(5)
    other = lab.channel("103", exten="701")
    lab.say("UnParkedCall", None, parkee, lab.of(other, "Retriever"), ParkerDialString="PJSIP/101", ParkingSpace="701")
    lab.leave(customer)
    lab.close(lot)
    other.state = 6
    lab.say("Newstate", other)
    last = lab.join(other, customer)
    lab.wait(3)
    lab.hangs_up(last, customer, other)
    return [was(lab, customer, "answered", rang=["101"], talked=["101", "103"], answered_s=2.0)]


@script
def conference(lab: Lab) -> list[dict[str, Any]]:
    """The customer, 101 and 102 in one conference bridge; 101 leaves first, then the customer; 102 stays a while."""
    customer = lab.arrives()
    first, bridge = talk(lab, customer, "101")
    second = lab.channel("102", exten="600")
    second.state = 6
    lab.say("Newstate", second)
    helper = lab.channel("", name="CBAnn/600-00000001;2", cid="", state=6)
    lab.enter(bridge, helper)
    lab.enter(bridge, second)
    lab.wait(3)
    lab.asks(first)
    lab.leave(first)
    lab.gone(first)
    lab.wait(3)
    lab.asks(customer)
    lab.leave(customer)
    lab.gone(customer)
    end_s = (lab.at_ms - EPOCH_MS) / 1_000
    truth = was(lab, customer, "answered", rang=["101"], talked=["101", "102"], answered_s=2.0, end_s=end_s)
    lab.wait(5)
    lab.asks(second)
    lab.leave(second)
    lab.leave(helper)
    lab.close(bridge)
    lab.gone(second, helper)
    return [truth]







@script
def internal_unanswered(lab: Lab) -> list[dict[str, Any]]:
    """101 calls 102, who does not answer."""
    caller = lab.channel("101", exten="102")
    phone = lab.dial(caller, "102")
    lab.rings(caller, phone)
    lab.wait(9)
    lab.ends(caller, phone, "NOANSWER")
    lab.gone(caller)
    return [was(lab, caller, "missed", rang=["102"], by="pbx", direction="internal", phone=None, trunk=None)]


@script
def both_hang_up_at_once(lab: Lab) -> list[dict[str, Any]]:
    """101's request comes 30 ms before the customer's: it was 101."""
    customer = lab.arrives()
    phone, bridge = talk(lab, customer, "101")
    lab.asks(phone)
    lab.wait(0.03)
    lab.asks(customer)
    lab.part(bridge, phone, customer)
    lab.gone(phone, customer)
    return [was(lab, customer, "answered", rang=["101"], talked=["101"], by="101", answered_s=2.0)]


@script
def chan_sip_names(lab: Lab) -> list[dict[str, Any]]:
    """The old SIP driver, as many an Asterisk 16 still has it."""
    customer = lab.channel("trunk-alpha", cid=NUMBER, exten="74951110001", name="SIP/trunk-alpha-0000001a")
    phone = lab.dial(customer, "101", name="SIP/101-0000001b")
    lab.rings(customer, phone)
    lab.wait(1.9)
    lab.answers(customer, phone)
    bridge = lab.join(customer, phone)
    lab.wait(3)
    lab.hangs_up(bridge, customer, phone)
    return [was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0)]
