"""Transfers, also those that come to nothing."""

from __future__ import annotations

from typing import Any

from tests.ami_lab import EPOCH_MS, Lab
from tests.ami_scenes.stage import MOBILE, asks, calls_out, consultation, script, talk, was, went


@script
def blind_and_nobody_answers(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers to 102, who lets it ring; the PBX ends the call."""
    customer = lab.arrives()
    first, _ = talk(lab, customer, "101")
    lab.blind(first, customer, "102")
    phone = lab.dial(customer, "102")
    lab.rings(customer, phone)
    lab.wait(5)
    lab.ends(customer, phone, "NOANSWER")
    lab.gone(customer)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["101"], by="pbx", answered_s=2.0)]


@script
def blind_and_back(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers to 102, who is busy; the plan rings 101 again, who takes the customer back."""
    customer = lab.arrives()
    first, _ = talk(lab, customer, "101")
    lab.blind(first, customer, "102")
    phone = lab.dial(customer, "102")
    lab.wait(0.1)
    lab.ends(customer, phone, "BUSY", sip=486)
    again, bridge = talk(lab, customer, "101")
    lab.hangs_up(bridge, again, customer)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["101"], by="101", answered_s=2.0)]


@script
def blind_to_an_outside_number(lab: Lab) -> list[dict[str, Any]]:
    """101 transfers the customer to a mobile."""
    customer = lab.arrives()
    first, _ = talk(lab, customer, "101")
    lab.blind(first, customer, MOBILE)
    mobile = lab.dial(customer, "trunk-beta", number=MOBILE)
    lab.rings(customer, mobile)
    lab.wait(2)
    lab.answers(customer, mobile)
    bridge = lab.join(mobile, customer)
    lab.wait(3)
    lab.hangs_up(bridge, customer, mobile)
    return [was(lab, customer, "answered", rang=["101", MOBILE], talked=["101", MOBILE], answered_s=2.0)]


@script
def attended_and_thought_better_of(lab: Lab) -> list[dict[str, Any]]:
    """101 asks 102, hangs up on 102 and goes on with the customer: the consultation was a call of its own."""
    customer = lab.arrives()
    first, bridge = talk(lab, customer, "101")
    lab.say("Hold", first)
    start_s = (lab.at_ms - EPOCH_MS) / 1_000
    second, phone, asked = asks(lab, "101", "102")
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.wait(2)
    lab.hangs_up(asked, second, phone)
    end_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.say("Unhold", first)
    lab.wait(3)
    lab.hangs_up(bridge, customer, first)
    return [
        was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0),
        consultation(second, "101", start_s, answered_s, end_s),
    ]


@script
def attended_of_an_outgoing_call(lab: Lab) -> list[dict[str, Any]]:
    """101 calls a customer, asks 102, and leaves the customer with 102."""
    caller, trunk = calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(1)
    lab.answers(caller, trunk)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.join(trunk, caller)
    lab.wait(3)
    second, phone, asked = asks(lab, "101", "102")
    lab.wait(1)
    lab.attended(caller, second, trunk, phone)
    lab.wait(3)
    lab.hangs_up(asked, trunk, phone)
    return [went(lab, caller, "answered", talked=["101", "102"], answered_s=answered_s)]


@script
def two_customers_are_brought_together(lab: Lab) -> list[dict[str, Any]]:
    """101 talks with one customer, calls another one, and leaves them to each other: their channels are one call's from then on."""
    customer = lab.arrives("79160000003")
    first, _ = talk(lab, customer, "101")
    start_s = (lab.at_ms - EPOCH_MS) / 1_000
    caller, trunk = calls_out(lab)
    lab.rings(caller, trunk)
    lab.wait(1)
    lab.answers(caller, trunk)
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    bridge = lab.join(trunk, caller)
    lab.wait(1)
    lab.attended(first, caller, customer, trunk)
    lab.wait(3)
    lab.hangs_up(bridge, trunk, customer)
    end_s = (lab.at_ms - EPOCH_MS) / 1_000
    came = was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0, phone="79160000003")
    called = went(lab, caller, "answered", talked=["101"], answered_s=answered_s)
    return [came, {**called, "duration_s": round(end_s - start_s, 3)}]


@script
def attended_before_the_other_answers(lab: Lab) -> list[dict[str, Any]]:
    """101 calls 102 and transfers while it still rings: the customer's channel takes the place of 101's second one."""
    customer = lab.arrives()
    first, bridge = talk(lab, customer, "101")
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
    last = lab.join(phone, customer)
    lab.wait(3)
    lab.hangs_up(last, phone, customer)
    return [was(lab, customer, "answered", rang=["101", "102"], talked=["101", "102"], by="102", answered_s=2.0)]


@script
def the_customer_leaves_during_the_consultation(lab: Lab) -> list[dict[str, Any]]:
    """While 101 asks 102 the customer hangs up."""
    customer = lab.arrives()
    first, bridge = talk(lab, customer, "101")
    start_s = (lab.at_ms - EPOCH_MS) / 1_000
    second, phone, asked = asks(lab, "101", "102")
    answered_s = (lab.at_ms - EPOCH_MS) / 1_000
    lab.wait(1)
    lab.hangs_up(bridge, customer, first)
    truth = was(lab, customer, "answered", rang=["101"], talked=["101"], answered_s=2.0)
    lab.wait(1)
    lab.hangs_up(asked, phone, second)
    return [truth, consultation(second, "102", start_s, answered_s, (lab.at_ms - EPOCH_MS) / 1_000)]
