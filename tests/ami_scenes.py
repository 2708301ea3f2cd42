"""Calls that the recordings do not show, by hand (see ``tests/ami_lab.py``), each with the truth in the form of ``truth.json``.

What Asterisk does in each is known from its sources and documentation; none of it was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.ami_lab import EPOCH_MS, Chan, Lab, Line

NUMBER = "79161234567"
MOBILE = "79260000002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The messages, and what happened to each call that is a call."""

    lines: tuple[Line, ...]
    truth: tuple[dict[str, Any], ...]


Script = Callable[[Lab], list[dict[str, Any]]]
SCRIPTS: dict[str, Script] = {}


def scene(name: str, version: int = 22) -> Scene:
    """One scene, as said by this version of Asterisk."""
    lab = Lab(version=version)
    truth = SCRIPTS[name](lab)
    return Scene(lines=tuple(lab.lines), truth=tuple(truth))


def _script(script: Script) -> Script:
    SCRIPTS[script.__name__] = script
    return script


def _was(
    lab: Lab,
    chan: Chan,
    outcome: str,
    *,
    rang: list[str],
    talked: list[str] | None = None,
    by: str = "external",
    cause: int = 16,
    direction: str = "in",
    phone: str | None = NUMBER,
    trunk: str | None = "trunk-alpha",
    answered_s: float | None = None,
    end_s: float | None = None,
) -> dict[str, Any]:
    """The truth of a call that began with ``chan`` at the beginning of the scene and ends now; ``answered_s`` since the beginning."""
    duration_s = (lab.at_ms - EPOCH_MS) / 1_000 if end_s is None else end_s
    return {
        "call": chan.id,
        "direction": direction,
        "phone": phone,
        "trunk": trunk,
        "outcome": outcome,
        "answered": outcome == "answered",
        "rang": rang,
        "talked": talked or [],
        "hung_up_by": by,
        "cause": cause,
        "duration_s": round(duration_s, 3),
        "talk_s": 0 if answered_s is None else round(duration_s - answered_s, 3),
    }


def _talk(lab: Lab, customer: Chan, extension: str, ring_s: float = 1.9, talk_s: float = 3.0) -> tuple[Chan, str]:
    """The customer rings an extension, which answers; they talk."""
    phone = lab.dial(customer, extension)
    lab.rings(customer, phone)
    lab.wait(ring_s)
    lab.answers(customer, phone)
    bridge = lab.join(phone, customer)
    lab.wait(talk_s)
    return phone, bridge


def _group(lab: Lab, customer: Chan, *extensions: str) -> list[Chan]:
    """A ring group: all channels are made before the first is dialled."""
    made = [lab.channel(each, state=0, linked=customer) for each in extensions]
    for each, extension in zip(made, extensions, strict=True):
        lab.begin(customer, each, extension)
    lab.rings(customer, *made)
    return made


# -- nobody answers -----------------------------------------------------------------------------------------------


@_script
def declined(lab: Lab) -> list[dict[str, Any]]:
    """101 presses reject: 603, cause 21, and DialStatus says only NOANSWER."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    lab.wait(2)
    lab.ends(customer, phone, "NOANSWER", cause=21, sip=603)
    lab.gone(customer, cause=21)
    return [_was(lab, customer, "declined", rang=["101"], by="101", cause=21)]


@_script
def all_busy(lab: Lab) -> list[dict[str, Any]]:
    """A ring group in which everybody is busy."""
    customer = lab.arrives()
    first, second = (lab.channel(each, state=0, linked=customer) for each in ("101", "102"))
    lab.begin(customer, first, "101")
    lab.begin(customer, second, "102")
    lab.wait(0.05)
    lab.ends(customer, first, "BUSY", sip=486)
    lab.ends(customer, second, "BUSY", sip=486)
    lab.gone(customer, cause=17)
    return [_was(lab, customer, "busy", rang=["101", "102"], by="102", cause=17)]


@_script
def busy_then_unanswered(lab: Lab) -> list[dict[str, Any]]:
    """101 is busy, 102 rings until the plan gives up."""
    customer = lab.arrives()
    first = lab.dial(customer, "101")
    lab.wait(0.05)
    lab.ends(customer, first, "BUSY", sip=486)
    second = lab.dial(customer, "102")
    lab.rings(customer, second)
    lab.wait(5)
    lab.ends(customer, second, "NOANSWER")
    lab.gone(customer)
    return [_was(lab, customer, "missed", rang=["101", "102"], by="pbx")]


@_script
def one_declines_and_the_caller_gives_up(lab: Lab) -> list[dict[str, Any]]:
    """In a ring group 101 presses reject; the others ring on until the caller hangs up."""
    customer = lab.arrives()
    first, second = _group(lab, customer, "101", "102")
    lab.wait(1)
    lab.ends(customer, first, "NOANSWER", cause=21, sip=603)
    lab.wait(2)
    lab.asks(customer, 127)
    lab.ends(customer, second, "CANCEL", cause=127)
    lab.gone(customer, cause=127)
    return [_was(lab, customer, "abandoned", rang=["101", "102"], cause=127)]


@_script
def unreachable(lab: Lab) -> list[dict[str, Any]]:
    """No telephone is registered at 101: Dial makes no channel, so there is no DialBegin either."""
    customer = lab.arrives()
    lab.wait(0.05)
    lab.gone(customer, cause=3)
    return [_was(lab, customer, "failed", rang=[], by="pbx", cause=3)]


@_script
def congested(lab: Lab) -> list[dict[str, Any]]:
    """The telephone cannot take the call: 503."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.wait(0.1)
    lab.ends(customer, phone, "CONGESTION", cause=34, sip=503)
    lab.gone(customer, cause=34)
    return [_was(lab, customer, "failed", rang=["101"], by="101", cause=34)]


@_script
def gives_up_in_the_menu(lab: Lab) -> list[dict[str, Any]]:
    """The PBX answers with a menu, and the caller hangs up before anybody rings."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.wait(4)
    lab.asks(customer)
    lab.gone(customer)
    return [_was(lab, customer, "abandoned", rang=[])]


@_script
def after_hours(lab: Lab) -> list[dict[str, Any]]:
    """The PBX says that nobody is there, and hangs up."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.wait(6)
    lab.gone(customer)
    return [_was(lab, customer, "missed", rang=[], by="pbx")]


@_script
def voicemail(lab: Lab) -> list[dict[str, Any]]:
    """101 does not answer; the caller leaves a message and hangs up."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    lab.wait(5)
    lab.ends(customer, phone, "NOANSWER")
    customer.state = 6
    lab.say("Newstate", customer)
    lab.wait(7)
    lab.asks(customer)
    lab.gone(customer)
    return [_was(lab, customer, "missed", rang=["101"])]


@_script
def queue_member_does_not_answer(lab: Lab) -> list[dict[str, Any]]:
    """A queue rings 101 in vain, waits, and rings 102, who answers. app_queue takes legs back a second time."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.say("QueueCallerJoin", customer, Queue="support", Position=1, Count=1)
    first = lab.dial(customer, "101", string="PJSIP/101")
    lab.rings(customer, first)
    lab.wait(4)
    lab.say("DialEnd", customer, lab.of(first, "Dest"), DialStatus="NOANSWER")
    lab.say("AgentRingNoAnswer", customer, Queue="support", RingTime="4000")
    lab.ends(customer, first, "CANCEL", cause=0)
    lab.wait(2)
    second = lab.dial(customer, "102", string="PJSIP/102")
    lab.rings(customer, second)
    lab.wait(1)
    lab.answers(customer, second)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.say("QueueCallerLeave", customer, Queue="support", Position=1, Count=0)
    bridge = lab.join(second, customer)
    lab.wait(3)
    lab.hangs_up(bridge, second, customer)
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["102"], by="102", answered_s=answered_s)]


@_script
def gives_up_in_the_queue_while_nobody_rings(lab: Lab) -> list[dict[str, Any]]:
    """Between two members the caller hangs up: it is the caller who gave up."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.say("QueueCallerJoin", customer, Queue="support", Position=1, Count=1)
    phone = lab.dial(customer, "101", string="PJSIP/101")
    lab.rings(customer, phone)
    lab.wait(4)
    lab.ends(customer, phone, "NOANSWER")
    lab.wait(2)
    lab.asks(customer)
    lab.say("QueueCallerAbandon", customer, Queue="support", Position=1, HoldTime=6)
    lab.say("QueueCallerLeave", customer, Queue="support", Position=1, Count=0)
    lab.gone(customer, cause=0)
    return [_was(lab, customer, "abandoned", rang=["101"], cause=0)]


# -- outgoing -----------------------------------------------------------------------------------------------------


def _calls_out(lab: Lab, trunk: str = "trunk-alpha") -> tuple[Chan, Chan]:
    caller = lab.channel("101", exten=NUMBER)
    caller.cid = "74951110001"
    lab.say("NewCallerid", caller)
    return caller, lab.dial(caller, trunk, number=NUMBER)


def _went(lab: Lab, caller: Chan, outcome: str, **more: Any) -> dict[str, Any]:
    return _was(lab, caller, outcome, rang=["101"], direction="out", **more)


@_script
def out_rejected_by_the_trunk(lab: Lab) -> list[dict[str, Any]]:
    """The provider refuses the call: 403, cause 21, DialStatus NOANSWER."""
    caller, trunk = _calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "NOANSWER", cause=21, sip=403)
    lab.gone(caller, cause=21)
    return [_went(lab, caller, "rejected", cause=21)]


@_script
def out_declined_by_the_customer(lab: Lab) -> list[dict[str, Any]]:
    """The customer's telephone rings, and the customer presses reject."""
    caller, trunk = _calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(2)
    lab.ends(caller, trunk, "NOANSWER", cause=21, sip=603)
    lab.gone(caller, cause=21)
    return [_went(lab, caller, "declined", cause=21)]


@_script
def out_no_such_number(lab: Lab) -> list[dict[str, Any]]:
    """404: the number does not exist."""
    caller, trunk = _calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "NOANSWER", cause=1, sip=404)
    lab.gone(caller, cause=1)
    return [_went(lab, caller, "failed", cause=1)]


@_script
def out_congested(lab: Lab) -> list[dict[str, Any]]:
    """503: the trunk is full."""
    caller, trunk = _calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "CONGESTION", cause=34, sip=503)
    lab.gone(caller, cause=34)
    return [_went(lab, caller, "failed", cause=34)]


@_script
def out_unanswered(lab: Lab) -> list[dict[str, Any]]:
    """The customer's telephone rings until the PBX gives up."""
    caller, trunk = _calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(30)
    lab.ends(caller, trunk, "NOANSWER")
    lab.gone(caller)
    return [_went(lab, caller, "unanswered", by="pbx")]


@_script
def out_busy_tone_is_listened_to(lab: Lab) -> list[dict[str, Any]]:
    """After 486 the PBX plays the busy tone until the employee hangs up: it is the customer who was busy."""
    caller, trunk = _calls_out(lab)
    lab.wait(0.5)
    lab.ends(caller, trunk, "BUSY", sip=486)
    lab.wait(4)
    lab.asks(caller)
    lab.gone(caller, cause=17)
    return [_went(lab, caller, "busy", cause=17)]


@_script
def out_by_the_second_trunk(lab: Lab) -> list[dict[str, Any]]:
    """The first trunk is full, the second one gets through."""
    caller, first = _calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, first, "CONGESTION", cause=34, sip=503)
    second = lab.dial(caller, "trunk-beta", number=NUMBER)
    lab.rings(caller, second)
    lab.wait(2)
    lab.answers(caller, second)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    bridge = lab.join(second, caller)
    lab.wait(3)
    lab.hangs_up(bridge, caller, second)
    return [_went(lab, caller, "answered", talked=["101"], by="101", trunk="trunk-beta", answered_s=answered_s)]


@_script
def out_and_handed_on_blind(lab: Lab) -> list[dict[str, Any]]:
    """101 calls a customer and transfers the customer to 102: 101's own channel, which began the call, ends first."""
    caller, trunk = _calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(1)
    lab.answers(caller, trunk)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.join(trunk, caller)
    lab.wait(3)
    lab.blind(caller, trunk, "102")
    phone = lab.dial(trunk, "102")
    lab.rings(trunk, phone)
    lab.wait(1)
    lab.answers(trunk, phone)
    bridge = lab.join(phone, trunk)
    lab.wait(2)
    lab.hangs_up(bridge, trunk, phone)
    return [_went(lab, caller, "answered", talked=["101", "102"], answered_s=answered_s)]


@_script
def click_customer_busy(lab: Lab) -> list[dict[str, Any]]:
    """Click-to-call: 101 picks the own telephone up, the customer is busy."""
    caller = lab.dial(None, "101")
    lab.rings(None, caller)
    lab.wait(1)
    lab.answers(None, caller)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    caller.exten = NUMBER
    trunk = lab.dial(caller, "trunk-alpha", number=NUMBER)
    lab.wait(0.5)
    lab.ends(caller, trunk, "BUSY", sip=486)
    lab.gone(caller, cause=17)
    return [_went(lab, caller, "busy", cause=17, answered_s=answered_s)]


@_script
def click_through_a_local_channel(lab: Lab) -> list[dict[str, Any]]:
    """Click-to-call by Local/101@…: the Local pair anchors the call, its other half rings 101."""
    near = lab.channel("", name="Local/101@from-internal-00000001;1", cid="101", state=0)
    far = lab.channel("", name="Local/101@from-internal-00000001;2", cid="101", state=4, exten="101", linked=near)
    lab.begin(None, near, "101@from-internal")
    phone = lab.dial(far, "101")
    lab.rings(far, phone)
    lab.wait(1)
    lab.answers(far, phone)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    inner = lab.join(phone, far)
    lab.answers(None, near)
    near.exten = NUMBER
    trunk = lab.dial(near, "trunk-alpha", number=NUMBER)
    lab.rings(near, trunk)
    lab.wait(2)
    lab.answers(near, trunk)
    outer = lab.join(trunk, near)
    lab.wait(3)
    lab.asks(trunk)
    lab.part(outer, trunk, near)
    lab.gone(trunk, near)
    lab.part(inner, far, phone)
    lab.gone(far, phone)
    return [_went(lab, near, "answered", talked=["101"], answered_s=answered_s)]


@_script
def click_that_calls_the_customer_first(lab: Lab) -> list[dict[str, Any]]:
    """Some click-to-calls call the customer, and 101 when the customer has answered."""
    customer = lab.dial(None, "trunk-alpha", number=NUMBER)
    lab.rings(None, customer)
    lab.wait(1)
    lab.answers(None, customer)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    phone, bridge = _talk(lab, customer, "101")
    lab.hangs_up(bridge, phone, customer)
    return [_went(lab, customer, "answered", talked=["101"], by="101", answered_s=answered_s)]


@_script
def click_that_nobody_picks_up(lab: Lab) -> list[dict[str, Any]]:
    """Click-to-call, and the employee does not pick the own telephone up: no customer was ever called."""
    caller = lab.dial(None, "101")
    lab.rings(None, caller)
    lab.wait(20)
    lab.ends(None, caller, "NOANSWER")
    return []


# -- who talks ----------------------------------------------------------------------------------------------------


@_script
def one_declines_another_answers(lab: Lab) -> list[dict[str, Any]]:
    """In a ring group 101 presses reject, 102 answers."""
    customer = lab.arrives()
    first, second = _group(lab, customer, "101", "102")
    lab.wait(1)
    lab.ends(customer, first, "NOANSWER", cause=21, sip=603)
    lab.wait(1)
    lab.answers(customer, second)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    bridge = lab.join(second, customer)
    lab.wait(3)
    lab.hangs_up(bridge, customer, second)
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["102"], answered_s=answered_s)]


@_script
def two_answer_at_once(lab: Lab) -> list[dict[str, Any]]:
    """101 and 102 pick up in the same moment: Asterisk takes the first and drops the second, although it is up."""
    customer = lab.arrives()
    first, second = _group(lab, customer, "101", "102")
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
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["101"], answered_s=answered_s)]


@_script
def hold_and_back(lab: Lab) -> list[dict[str, Any]]:
    """101 puts the customer on hold and takes him back: music, and nobody leaves the bridge."""
    customer = lab.arrives()
    phone, bridge = _talk(lab, customer, "101")
    lab.say("Hold", phone, MusicClass="default")
    lab.say("MusicOnHoldStart", customer, Class="default")
    lab.wait(5)
    lab.say("Unhold", phone)
    lab.say("MusicOnHoldStop", customer)
    lab.wait(2)
    lab.hangs_up(bridge, phone, customer)
    return [_was(lab, customer, "answered", rang=["101"], talked=["101"], by="101", answered_s=2.0)]


@_script
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
    return [_was(lab, customer, "answered", rang=["101", MOBILE], talked=[MOBILE], by=MOBILE, answered_s=answered_s)]


@_script
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
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["102"], answered_s=answered_s)]


@_script
def through_a_local_channel_that_is_optimised_away(lab: Lab) -> list[dict[str, Any]]:
    """The queue member is Local/101@…; once both halves are up Asterisk takes the pair out and moves 101 to the customer's bridge."""
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
    return [_was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=answered_s)]


@_script
def parked_and_taken(lab: Lab) -> list[dict[str, Any]]:
    """101 parks the customer, 103 takes the call from there."""
    customer = lab.arrives()
    phone, bridge = _talk(lab, customer, "101")
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
    talk = lab.join(other, customer)
    lab.wait(3)
    lab.hangs_up(talk, customer, other)
    return [_was(lab, customer, "answered", rang=["101"], talked=["101", "103"], answered_s=2.0)]


@_script
def conference(lab: Lab) -> list[dict[str, Any]]:
    """The customer, 101 and 102 in one conference bridge; 101 leaves first, then the customer; 102 stays a while."""
    customer = lab.arrives()
    first, bridge = _talk(lab, customer, "101")
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
    truth = _was(lab, customer, "answered", rang=["101"], talked=["101", "102"], answered_s=2.0, end_s=end_s)
    lab.wait(5)
    lab.asks(second)
    lab.leave(second)
    lab.leave(helper)
    lab.close(bridge)
    lab.gone(second, helper)
    return [truth]


# -- transfers ----------------------------------------------------------------------------------------------------


@_script
def blind_and_nobody_answers(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers to 102, who lets it ring; the PBX ends the call."""
    customer = lab.arrives()
    first, _ = _talk(lab, customer, "101")
    lab.blind(first, customer, "102")
    phone = lab.dial(customer, "102")
    lab.rings(customer, phone)
    lab.wait(5)
    lab.ends(customer, phone, "NOANSWER")
    lab.gone(customer)
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["101"], by="pbx", answered_s=2.0)]


@_script
def blind_and_back(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers to 102, who is busy; the plan rings 101 again, who takes the customer back."""
    customer = lab.arrives()
    first, _ = _talk(lab, customer, "101")
    lab.blind(first, customer, "102")
    phone = lab.dial(customer, "102")
    lab.wait(0.1)
    lab.ends(customer, phone, "BUSY", sip=486)
    again, bridge = _talk(lab, customer, "101")
    lab.hangs_up(bridge, again, customer)
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["101"], by="101", answered_s=2.0)]


@_script
def blind_to_an_outside_number(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers the customer to a mobile."""
    customer = lab.arrives()
    first, _ = _talk(lab, customer, "101")
    lab.blind(first, customer, MOBILE)
    mobile = lab.dial(customer, "trunk-beta", number=MOBILE)
    lab.rings(customer, mobile)
    lab.wait(2)
    lab.answers(customer, mobile)
    bridge = lab.join(mobile, customer)
    lab.wait(3)
    lab.hangs_up(bridge, customer, mobile)
    return [_was(lab, customer, "answered", rang=["101", MOBILE], talked=["101", MOBILE], answered_s=2.0)]


def _asks(lab: Lab, extension: str, target: str) -> tuple[Chan, Chan, str]:
    """``extension`` calls ``target`` on a second line."""
    second = lab.channel(extension, exten=target)
    phone = lab.dial(second, target)
    lab.rings(second, phone)
    lab.wait(1)
    lab.answers(second, phone)
    return second, phone, lab.join(phone, second)


def _consultation(second: Chan, by: str, start_s: float, answered_s: float, end_s: float) -> dict[str, Any]:
    return {
        "call": second.id,
        "direction": "internal",
        "phone": None,
        "trunk": None,
        "outcome": "answered",
        "answered": True,
        "rang": ["102"],
        "talked": ["102"],
        "hung_up_by": by,
        "cause": 16,
        "duration_s": round(end_s - start_s, 3),
        "talk_s": round(end_s - answered_s, 3),
    }


@_script
def attended_and_thought_better_of(lab: Lab) -> list[dict[str, Any]]:
    """101 asks 102, hangs up on 102 and goes on with the customer: the consultation was a call of its own."""
    customer = lab.arrives()
    first, bridge = _talk(lab, customer, "101")
    lab.say("Hold", first)
    start_s = (lab.at_ms - EPOCH_MS) / 1_000
    second, phone, asked = _asks(lab, "101", "102")
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.wait(2)
    lab.hangs_up(asked, second, phone)
    end_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.say("Unhold", first)
    lab.wait(3)
    lab.hangs_up(bridge, customer, first)
    return [
        _was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0),
        _consultation(second, "101", start_s, answered_s, end_s),
    ]


@_script
def attended_of_an_outgoing_call(lab: Lab) -> list[dict[str, Any]]:
    """101 calls a customer, asks 102, and leaves the customer with 102."""
    caller, trunk = _calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(1)
    lab.answers(caller, trunk)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.join(trunk, caller)
    lab.wait(3)
    second, phone, asked = _asks(lab, "101", "102")
    lab.wait(1)
    lab.attended(caller, second, trunk, phone)
    lab.wait(3)
    lab.hangs_up(asked, trunk, phone)
    return [_went(lab, caller, "answered", talked=["101", "102"], answered_s=answered_s)]


@_script
def attended_before_the_other_answers(lab: Lab) -> list[dict[str, Any]]:
    """101 calls 102 and transfers while it still rings: the customer's channel takes the place of 101's second one."""
    customer = lab.arrives()
    first, bridge = _talk(lab, customer, "101")
    second = lab.channel("101", exten="102")
    phone = lab.dial(second, "102")
    lab.rings(second, phone)
    lab.wait(1)
    lab.leave(customer)
    lab.say(
        "AttendedTransfer", None, lab.of(first, "OrigTransferer"), lab.of(second, "SecondTransferer"),
        lab.of(customer, "Transferee"), Result="Success", DestType="App", DestApp="Dial",
    )  # fmt: skip
    lab.part(bridge, first)
    lab.gone(first)
    # The customer takes the second channel's place in Dial (a masquerade): from now on the dial is the customer's.
    phone.linked = customer.linked
    lab.gone(second)
    lab.wait(1)
    lab.answers(customer, phone)
    talk = lab.join(phone, customer)
    lab.wait(3)
    lab.hangs_up(talk, phone, customer)
    return [_was(lab, customer, "answered", rang=["101", "102"], talked=["101", "102"], by="102", answered_s=2.0)]


@_script
def the_customer_leaves_during_the_consultation(lab: Lab) -> list[dict[str, Any]]:
    """While 101 asks 102 the customer hangs up."""
    customer = lab.arrives()
    first, bridge = _talk(lab, customer, "101")
    start_s = (lab.at_ms - EPOCH_MS) / 1_000
    second, phone, asked = _asks(lab, "101", "102")
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.wait(1)
    lab.hangs_up(bridge, customer, first)
    truth = _was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0)
    lab.wait(1)
    lab.hangs_up(asked, phone, second)
    return [truth, _consultation(second, "102", start_s, answered_s, (lab.at_ms - EPOCH_MS) / 1_000)]


# -- internal, and odd --------------------------------------------------------------------------------------------


@_script
def internal_unanswered(lab: Lab) -> list[dict[str, Any]]:
    """101 calls 102, who does not answer."""
    caller = lab.channel("101", exten="102")
    phone = lab.dial(caller, "102")
    lab.rings(caller, phone)
    lab.wait(9)
    lab.ends(caller, phone, "NOANSWER")
    lab.gone(caller)
    return [_was(lab, caller, "missed", rang=["102"], by="pbx", direction="internal", phone=None, trunk=None)]


@_script
def both_hang_up_at_once(lab: Lab) -> list[dict[str, Any]]:
    """101's request comes 30 ms before the customer's: it was 101."""
    customer = lab.arrives()
    phone, bridge = _talk(lab, customer, "101")
    lab.asks(phone)
    lab.wait(0.03)
    lab.asks(customer)
    lab.part(bridge, phone, customer)
    lab.gone(phone, customer)
    return [_was(lab, customer, "answered", rang=["101"], talked=["101"], by="101", answered_s=2.0)]


@_script
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
    return [_was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0)]
