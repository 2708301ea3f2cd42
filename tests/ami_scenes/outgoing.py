"""Outgoing calls, and click-to-call."""

from __future__ import annotations

from typing import Any

from tests.ami_lab import EPOCH_MS, Chan, Lab
from tests.ami_scenes.stage import NUMBER, calls_out, script, talk, went


@script
def out_rejected_by_the_trunk(lab: Lab) -> list[dict[str, Any]]:
    """The provider refuses the call: 403, cause 21, DialStatus NOANSWER."""
    caller, trunk = calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "NOANSWER", cause=21, sip=403)
    lab.gone(caller, cause=21)
    return [went(lab, caller, "rejected", cause=21)]


@script
def out_declined_by_the_customer(lab: Lab) -> list[dict[str, Any]]:
    """The customer's telephone rings, and the customer presses reject."""
    caller, trunk = calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(2)
    lab.ends(caller, trunk, "NOANSWER", cause=21, sip=603)
    lab.gone(caller, cause=21)
    return [went(lab, caller, "declined", cause=21)]


@script
def out_no_such_number(lab: Lab) -> list[dict[str, Any]]:
    """404: the number does not exist."""
    caller, trunk = calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "NOANSWER", cause=1, sip=404)
    lab.gone(caller, cause=1)
    return [went(lab, caller, "failed", cause=1)]


@script
def out_congested(lab: Lab) -> list[dict[str, Any]]:
    """503: the trunk is full."""
    caller, trunk = calls_out(lab)
    lab.wait(0.2)
    lab.ends(caller, trunk, "CONGESTION", cause=34, sip=503)
    lab.gone(caller, cause=34)
    return [went(lab, caller, "failed", cause=34)]


@script
def out_unanswered(lab: Lab) -> list[dict[str, Any]]:
    """The customer's telephone rings until the PBX gives up."""
    caller, trunk = calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(30)
    lab.ends(caller, trunk, "NOANSWER")
    lab.gone(caller)
    return [went(lab, caller, "unanswered", by="pbx")]


@script
def out_busy_tone_is_listened_to(lab: Lab) -> list[dict[str, Any]]:
    """After 486 the PBX plays the busy tone until the employee hangs up: it is the customer who was busy."""
    caller, trunk = calls_out(lab)
    lab.wait(0.5)
    lab.ends(caller, trunk, "BUSY", sip=486)
    lab.wait(4)
    lab.asks(caller)
    lab.gone(caller, cause=17)
    return [went(lab, caller, "busy", cause=17)]


@script
def out_by_the_second_trunk(lab: Lab) -> list[dict[str, Any]]:
    """The first trunk is full, the second one gets through."""
    caller, first = calls_out(lab)
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
    return [went(lab, caller, "answered", talked=["101"], by="101", trunk="trunk-beta", answered_s=answered_s)]


@script
def out_and_handed_on_blind(lab: Lab) -> list[dict[str, Any]]:
    """101 calls a customer and transfers the customer to 102: 101's own channel, which began the call, ends first."""
    caller, trunk = calls_out(lab)
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
    return [went(lab, caller, "answered", talked=["101", "102"], answered_s=answered_s)]


@script
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
    return [went(lab, caller, "busy", cause=17, answered_s=answered_s)]


def _clicked_through_a_local_channel(lab: Lab) -> tuple[Chan, Chan, Chan, str, float]:
    """101 has answered and waits for the customer: the Local pair, 101's telephone, its bridge, and when it answered (s)."""
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
    return near, far, phone, inner, answered_s


@script
def click_through_a_local_channel(lab: Lab) -> list[dict[str, Any]]:
    """Click-to-call by Local/101@…: the Local pair anchors the call, its other half rings 101."""
    near, far, phone, inner, answered_s = _clicked_through_a_local_channel(lab)
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
    return [went(lab, near, "answered", talked=["101"], answered_s=answered_s)]


@script
def click_through_a_local_channel_and_busy(lab: Lab) -> list[dict[str, Any]]:
    """The same, and the customer is busy. 101's connected line has become the customer, who never came."""
    near, far, phone, inner, answered_s = _clicked_through_a_local_channel(lab)
    trunk = lab.dial(near, "trunk-alpha", number=NUMBER)
    phone.connected = NUMBER
    lab.wait(0.3)
    lab.ends(near, trunk, "BUSY", sip=486)
    lab.gone(near, cause=17)
    lab.part(inner, far, phone)
    lab.gone(far, cause=17)
    lab.gone(phone)
    return [went(lab, near, "busy", cause=17, answered_s=answered_s)]


@script
def click_that_calls_the_customer_first(lab: Lab) -> list[dict[str, Any]]:
    """Some click-to-calls call the customer, and 101 when the customer has answered."""
    customer = lab.dial(None, "trunk-alpha", number=NUMBER)
    lab.rings(None, customer)
    lab.wait(1)
    lab.answers(None, customer)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    phone, bridge = talk(lab, customer, "101")
    lab.hangs_up(bridge, phone, customer)
    return [went(lab, customer, "answered", talked=["101"], by="101", answered_s=answered_s)]


@script
def click_that_nobody_picks_up(lab: Lab) -> list[dict[str, Any]]:
    """Click-to-call, and the employee does not pick the own telephone up: no customer was ever called."""
    caller = lab.dial(None, "101")
    lab.rings(None, caller)
    lab.wait(20)
    lab.ends(None, caller, "NOANSWER")
    return []
