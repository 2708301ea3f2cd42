"""Calls that are really made: who calls whom, what each telephone does, and what then is the truth about them.

The truth is what the telephones know; nothing here looks at Asterisk's events. ``Truth`` has the words of
``tests/recordings/truth.json``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.lab.exchange import Exchange
from adapters.lab.sip import Leg, answering, refusing

RINGS_S: Final = 0.6
TALK_S: Final = 0.8
"""Long enough to be told apart from nothing, short enough for many plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One call as the telephones had it. ``hung_up_by``: an extension, ``external`` or ``pbx``. ``*_s``: unix seconds."""

    direction: str
    phone: str | None
    trunk: str | None
    outcome: str
    rang: tuple[str, ...]
    talked: tuple[str, ...] = ()
    hung_up_by: str
    began_s: float
    ended_s: float
    talk_from_s: float | None = None

    @property
    def talk_s(self) -> float:
        """From the first pick-up to the end."""
        return 0.0 if self.talk_from_s is None else round(self.ended_s - self.talk_from_s, 3)


Play = Callable[[Exchange], Coroutine[Any, Any, Truth]]


def _at(leg: Leg, word: str) -> float | None:
    return next((at for at, said in leg.said if said == word), None)


def _incoming(leg: Leg, outcome: str, rang: str, talked: str = "", by: str = "external", first: Leg | None = None) -> Truth:
    """The truth of a customer's call, from the customer's own leg; ``first``: who picked up first."""
    return Truth(
        direction="in",
        phone=leg.caller if leg.caller[:1].isdigit() else "anonymous",
        trunk=leg.phone.user,
        outcome=outcome,
        rang=tuple(rang.split()),
        talked=tuple(talked.split()),
        hung_up_by=by,
        began_s=leg.said[0][0],
        ended_s=leg.said[-1][0],
        talk_from_s=_at(first, "up") if first is not None else None,
    )


def _outgoing(leg: Leg, far: Leg | None, outcome: str, by: str, trunk: str = "trunk-alpha") -> Truth:
    up = far is not None and _at(far, "up") is not None
    return Truth(
        direction="out",
        phone=leg.number,
        trunk=trunk,
        outcome=outcome,
        rang=(leg.phone.user,),
        talked=(leg.phone.user,) if up else (),
        hung_up_by=by,
        began_s=leg.said[0][0],
        ended_s=leg.said[-1][0],
        talk_from_s=_at(far, "up") if up and far is not None else None,
    )


async def _talk(seconds: float = TALK_S) -> None:
    await asyncio.sleep(seconds)


async def answered(pbx: Exchange) -> Truth:
    """A customer calls one employee, who answers; the customer hangs up."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    employee = await pbx["101"].called()
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101", "101", first=employee)


async def answered_and_hung_up(pbx: Exchange) -> Truth:
    """The same; the employee hangs up."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    employee = await pbx["101"].called()
    await _talk()
    employee.hang_up()
    await leg.until("over")
    return _incoming(leg, "answered", "101", "101", by="101", first=employee)


async def ring_group(pbx: Exchange) -> Truth:
    """Three telephones ring, 102 answers."""
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110002", caller=pbx.customer)
    await leg.until("up")
    employee = await pbx["102"].called()
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101 102 103", "102", first=employee)


async def ring_group_local(pbx: Exchange) -> Truth:
    """Two telephones ring by way of Local channels, 102 answers."""
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110008", caller=pbx.customer)
    await leg.until("up")
    employee = await pbx["102"].called()
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101 102", "102", first=employee)


async def abandoned(pbx: Exchange) -> Truth:
    """Three telephones ring, the customer gives up."""
    leg = pbx.trunk.call("74951110002", caller=pbx.customer)
    others = [await pbx[name].called() for name in ("101", "102", "103")]
    await leg.until("ringing")
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    await leg.until("over")
    for other in others:
        await other.until("over")
    return _incoming(leg, "abandoned", "101 102 103")


async def nobody_answers(pbx: Exchange) -> Truth:
    """One telephone rings until the PBX gives up."""
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over", within_s=15)
    return _incoming(leg, "missed", "101", by="pbx")


async def busy(pbx: Exchange) -> Truth:
    """The employee is busy."""
    pbx["101"].behave = refusing(486)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "busy", "101", by="101")


async def declined(pbx: Exchange) -> Truth:
    """The employee lets it ring, then presses "decline"."""
    pbx["101"].behave = refusing(603, RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "declined", "101", by="101")


async def unreachable(pbx: Exchange) -> Truth:
    """The employee's telephone is not there (480)."""
    pbx["101"].behave = refusing(480)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "failed", "101", by="101")


async def no_room(pbx: Exchange) -> Truth:
    """The PBX turns the call away before anybody rings."""
    leg = pbx.trunk.call("74951110007", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "rejected", "", by="pbx")


async def sequential(pbx: Exchange) -> Truth:
    """101 does not answer, 102 does."""
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110003", caller=pbx.customer)
    await leg.until("up")
    employee = await pbx["102"].called()
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101 102", "102", first=employee)


async def follow_me(pbx: Exchange) -> Truth:
    """101 does not answer; the PBX rings the mobile outside, where somebody answers."""
    pbx["trunk-beta"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110005", caller=pbx.customer)
    await leg.until("up")
    mobile = await pbx["trunk-beta"].called()
    await _talk()
    leg.hang_up()
    await mobile.until("over")
    return _incoming(leg, "answered", "101 79165550005", "79165550005", first=mobile)


async def menu(pbx: Exchange) -> Truth:
    """The PBX answers at once, an employee later."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110006", caller=pbx.customer)
    employee = await pbx["101"].called()
    await employee.until("up")
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101", "101", first=employee)


async def queue(pbx: Exchange) -> Truth:
    """A queue rings two members, 102 answers."""
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110004", caller=pbx.customer)
    employee = await pbx["102"].called()
    await employee.until("up")
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101 102", "102", first=employee)


async def queue_local(pbx: Exchange) -> Truth:
    """A queue whose members are Local channels; 101 answers."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110010", caller=pbx.customer)
    employee = await pbx["101"].called()
    await employee.until("up")
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101 102", "101", first=employee)


async def queue_abandoned(pbx: Exchange) -> Truth:
    """The customer leaves the queue before anybody answers."""
    leg = pbx.trunk.call("74951110004", caller=pbx.customer)
    others = [await pbx[name].called() for name in ("101", "102")]
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    for other in others:
        await other.until("over")
    return _incoming(leg, "abandoned", "101 102")


async def pickup(pbx: Exchange) -> Truth:
    """101 rings, 103 picks the call up."""
    leg = pbx.trunk.call("74951110009", caller=pbx.customer)
    ringing = await pbx["101"].called()
    await ringing.until("ringing")
    await asyncio.sleep(RINGS_S)
    taking = pbx["103"].call("*8")
    await leg.until("up")
    await _talk()
    leg.hang_up()
    await taking.until("over")
    truth = _incoming(leg, "answered", "101", "103")
    return _with(truth, talk_from_s=_at(leg, "up"))


async def blind_transfer(pbx: Exchange) -> Truth:
    """101 talks, then sends the customer on to 102 without asking."""
    pbx["101"].behave = answering(RINGS_S)
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    first = await pbx["101"].called()
    await _talk()
    first.send_to("102")
    second = await pbx["102"].called()
    await second.until("up")
    await first.until("over")
    await _talk()
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101 102", "101 102", first=first)


async def blind_transfer_by_keys(pbx: Exchange) -> Truth:
    """The same, by pressing #1 and the number."""
    pbx["101"].behave = answering(RINGS_S)
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110009", caller=pbx.customer)
    await leg.until("up")
    first = await pbx["101"].called()
    await _talk()
    first.press("#1")
    await asyncio.sleep(1.0)  # while the PBX says "transfer"
    first.press("102")
    second = await pbx["102"].called()
    await second.until("up")
    await first.until("over")
    await _talk()
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101 102", "101 102", first=first)


async def blind_transfer_unanswered(pbx: Exchange) -> Truth:
    """101 sends the customer on to 102, where nobody answers: the customer gives up."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    first = await pbx["101"].called()
    await _talk()
    first.send_to("102")
    second = await pbx["102"].called()
    first.hang_up()
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101 102", "101", first=first)


async def blind_transfer_returned(pbx: Exchange) -> Truth:
    """101 sends the customer on to 102, who is busy: the customer comes back to 101."""
    pbx["101"].behave = answering(RINGS_S)
    pbx["102"].behave = refusing(486)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    first = await pbx["101"].called()
    await _talk()
    first.send_to("102")
    await pbx["102"].called()
    first.hang_up()
    back = await pbx["101"].called(2)
    await back.until("up")
    await _talk()
    leg.hang_up()
    await back.until("over")
    return _incoming(leg, "answered", "101 102", "101", first=first)


async def attended_transfer(pbx: Exchange) -> Truth:
    """101 puts the customer on hold, asks 102, and hands over."""
    pbx["101"].behave = answering(RINGS_S)
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("up")
    first = await pbx["101"].called()
    await _talk()
    first.hold()
    asking = pbx["101"].call("102")
    await asking.until("up")
    second = await pbx["102"].called()
    await _talk()
    first.join_with(asking)
    await first.until("over")
    await asking.until("over")
    await _talk()
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101", "101 102", first=first)


async def hidden(pbx: Exchange) -> Truth:
    """A hidden caller is answered."""
    pbx["101"].behave = answering(RINGS_S)
    leg = pbx.trunk.call("74951110001", caller="anonymous")
    await leg.until("up")
    employee = await pbx["101"].called()
    await _talk()
    leg.hang_up()
    await employee.until("over")
    return _incoming(leg, "answered", "101", "101", first=employee)


async def outgoing(pbx: Exchange) -> Truth:
    """101 calls a customer, who answers; 101 hangs up."""
    pbx.trunk.behave = answering(RINGS_S)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("up")
    far = await pbx.trunk.called()
    await _talk()
    leg.hang_up()
    await far.until("over")
    return _outgoing(leg, far, "answered", "101")


async def outgoing_busy(pbx: Exchange) -> Truth:
    """101 calls a customer, who is busy."""
    pbx.trunk.behave = refusing(486)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("over")
    return _outgoing(leg, None, "busy", "external")


async def outgoing_cancelled(pbx: Exchange) -> Truth:
    """101 calls a customer and gives up."""
    leg = pbx["101"].call(pbx.customer)
    far = await pbx.trunk.called()
    await leg.until("ringing")
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    await far.until("over")
    return _outgoing(leg, far, "cancelled", "101")


async def outgoing_by_the_other_trunk(pbx: Exchange) -> Truth:
    """101 calls a customer; the first trunk cannot, the second can."""
    pbx.trunk.behave = refusing(503)
    pbx["trunk-beta"].behave = answering(RINGS_S)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("up")
    far = await pbx["trunk-beta"].called()
    await _talk()
    leg.hang_up()
    await far.until("over")
    return _outgoing(leg, far, "answered", "101", trunk="trunk-beta")


async def outgoing_failed(pbx: Exchange) -> Truth:
    """101 calls a customer; neither trunk can."""
    pbx.trunk.behave = refusing(503)
    pbx["trunk-beta"].behave = refusing(503)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("over")
    return _outgoing(leg, None, "failed", "external", trunk="trunk-beta")


async def outgoing_no_number(pbx: Exchange) -> Truth:
    """101 calls a number that does not exist: both trunks say so (404)."""
    pbx.trunk.behave = refusing(404)
    pbx["trunk-beta"].behave = refusing(404)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("over")
    return _outgoing(leg, None, "failed", "external", trunk="trunk-beta")


async def internal(pbx: Exchange) -> Truth:
    """101 calls 102."""
    pbx["102"].behave = answering(RINGS_S)
    leg = pbx["101"].call("102")
    await leg.until("up")
    other = await pbx["102"].called()
    await _talk()
    leg.hang_up()
    await other.until("over")
    return Truth(
        direction="internal",
        phone=None,
        trunk=None,
        outcome="answered",
        rang=("102",),
        talked=("102",),
        hung_up_by="101",
        began_s=leg.said[0][0],
        ended_s=leg.said[-1][0],
        talk_from_s=_at(leg, "up"),
    )


def _with(truth: Truth, **changes: Any) -> Truth:
    return Truth(**{name: getattr(truth, name) for name in truth.__dataclass_fields__} | changes)


PLAYS: Final[Mapping[str, Play]] = {
    play.__name__: play
    for play in (
        answered, answered_and_hung_up, ring_group, ring_group_local, abandoned, nobody_answers, busy, declined, unreachable,
        no_room, sequential, follow_me, menu, queue, queue_local, queue_abandoned, pickup, blind_transfer, blind_transfer_by_keys,
        blind_transfer_unanswered, blind_transfer_returned, attended_transfer, hidden, outgoing, outgoing_busy,
        outgoing_cancelled, outgoing_by_the_other_trunk, outgoing_failed, outgoing_no_number, internal,
    )
}  # fmt: skip
