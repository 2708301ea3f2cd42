"""Incoming calls that nobody answered, or not at once."""

from __future__ import annotations

from typing import Any

from tests.ami_lab import EPOCH_MS, Lab
from tests.ami_scenes.stage import group, script, was


@script
def declined(lab: Lab) -> list[dict[str, Any]]:
    """101 presses reject: 603, cause 21, and DialStatus says only NOANSWER."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.rings(customer, phone)
    lab.wait(2)
    lab.ends(customer, phone, "NOANSWER", cause=21, sip=603)
    lab.gone(customer, cause=21)
    return [was(lab, customer, "declined", rang=["101"], by="101", cause=21)]


@script
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
    return [was(lab, customer, "busy", rang=["101", "102"], by="102", cause=17)]


@script
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
    return [was(lab, customer, "missed", rang=["101", "102"], by="pbx")]


@script
def one_declines_and_the_caller_gives_up(lab: Lab) -> list[dict[str, Any]]:
    """In a ring group 101 presses reject; the others ring on until the caller hangs up."""
    customer = lab.arrives()
    first, second = group(lab, customer, "101", "102")
    lab.wait(1)
    lab.ends(customer, first, "NOANSWER", cause=21, sip=603)
    lab.wait(2)
    lab.asks(customer, 127)
    lab.ends(customer, second, "CANCEL", cause=127)
    lab.gone(customer, cause=127)
    return [was(lab, customer, "abandoned", rang=["101", "102"], cause=127)]


@script
def unreachable(lab: Lab) -> list[dict[str, Any]]:
    """No telephone is registered at 101: Dial makes no channel, so there is no DialBegin either."""
    customer = lab.arrives()
    lab.wait(0.05)
    lab.gone(customer, cause=3)
    return [was(lab, customer, "failed", rang=[], by="pbx", cause=3)]


@script
def congested(lab: Lab) -> list[dict[str, Any]]:
    """The telephone cannot take the call: 503."""
    customer = lab.arrives()
    phone = lab.dial(customer, "101")
    lab.wait(0.1)
    lab.ends(customer, phone, "CONGESTION", cause=34, sip=503)
    lab.gone(customer, cause=34)
    return [was(lab, customer, "failed", rang=["101"], by="101", cause=34)]


@script
def gives_up_in_the_menu(lab: Lab) -> list[dict[str, Any]]:
    """The PBX answers with a menu, and the caller hangs up before anybody rings."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.wait(4)
    lab.asks(customer)
    lab.gone(customer)
    return [was(lab, customer, "abandoned", rang=[])]


@script
def after_hours(lab: Lab) -> list[dict[str, Any]]:
    """The PBX says that nobody is there, and hangs up."""
    customer = lab.arrives()
    customer.state = 6
    lab.say("Newstate", customer)
    lab.wait(6)
    lab.gone(customer)
    return [was(lab, customer, "missed", rang=[], by="pbx")]


@script
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
    return [was(lab, customer, "missed", rang=["101"])]


@script
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
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["102"], by="102", answered_s=answered_s)]


@script
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
    return [was(lab, customer, "abandoned", rang=["101"], cause=0)]
