"""Calls that are really made: who calls whom, what each telephone does, and what then is the truth about them.

The truth is what the telephones know; nothing here looks at Asterisk's events. ``Truth`` has the words of
``tests/recordings/truth.json``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.lab.exchange import Exchange
from adapters.lab.sip import Behaviour, Leg, answering, refusing

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


async def _picked_up(pbx: Exchange, number: str, who: str = "101", caller: str = "") -> tuple[Leg, Leg]:
    """A customer calls ``number``, ``who`` answers, they talk: the customer's leg and the other one."""
    pbx[who].behave = answering(RINGS_S)
    leg = pbx.trunk.call(number, caller=caller or pbx.customer)
    other = await pbx[who].called()
    await other.until("up")
    await leg.until("up")
    await _talk()
    return leg, other


async def _answered(pbx: Exchange, number: str, who: str = "101", rang: str = "101", talked: str = "", caller: str = "") -> Truth:
    """The same, and the customer hangs up. ``talked``: who that is, where it is not ``who``."""
    leg, other = await _picked_up(pbx, number, who, caller)
    leg.hang_up()
    await other.until("over")
    return _incoming(leg, "answered", rang, talked or who, first=other)


async def _given_up(pbx: Exchange, *ringing: str) -> Truth:
    """A customer calls three employees; where these ring, and gives up."""
    leg = pbx.trunk.call("74951110002", caller=pbx.customer)
    others = [await pbx[name].called() for name in ringing]
    await leg.until("ringing")
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    await leg.until("over")
    for other in others:
        await other.until("over")
    return _incoming(leg, "abandoned", "101 102 103")


async def _turned_away(pbx: Exchange, behave: Behaviour, outcome: str) -> Truth:
    """A customer calls one employee, whose telephone does not take the call."""
    pbx["101"].behave = behave
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, outcome, "101", by="101")


async def _called_out(pbx: Exchange, trunk: str) -> Truth:
    """101 calls a customer, who answers on ``trunk``; 101 hangs up."""
    pbx[trunk].behave = answering(RINGS_S)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("up")
    far = await pbx[trunk].called()
    await _talk()
    leg.hang_up()
    await far.until("over")
    return _outgoing(leg, far, "answered", "101", trunk=trunk)


async def _refused_everywhere(pbx: Exchange, status: int) -> Truth:
    """101 calls a customer; both trunks answer with this SIP status."""
    pbx.trunk.behave = refusing(status)
    pbx["trunk-beta"].behave = refusing(status)
    leg = pbx["101"].call(pbx.customer)
    await leg.until("over")
    return _outgoing(leg, None, "failed", "external", trunk="trunk-beta")


async def answered(pbx: Exchange) -> Truth:
    """A customer calls one employee, who answers; the customer hangs up."""
    return await _answered(pbx, "74951110001")


async def answered_and_hung_up(pbx: Exchange) -> Truth:
    """The same; the employee hangs up."""
    leg, employee = await _picked_up(pbx, "74951110001")
    employee.hang_up()
    await leg.until("over")
    return _incoming(leg, "answered", "101", "101", by="101", first=employee)


async def ring_group(pbx: Exchange) -> Truth:
    """Three telephones ring, 102 answers."""
    return await _answered(pbx, "74951110002", "102", rang="101 102 103")


async def ring_group_local(pbx: Exchange) -> Truth:
    """Two telephones ring by way of Local channels, 102 answers."""
    return await _answered(pbx, "74951110008", "102", rang="101 102")


async def abandoned(pbx: Exchange) -> Truth:
    """Three telephones ring, the customer gives up."""
    return await _given_up(pbx, "101", "102", "103")


async def nobody_answers(pbx: Exchange) -> Truth:
    """One telephone rings until the PBX gives up."""
    leg = pbx.trunk.call("74951110001", caller=pbx.customer)
    await leg.until("over", within_s=15)
    return _incoming(leg, "missed", "101", by="pbx")


async def busy(pbx: Exchange) -> Truth:
    """The employee is busy."""
    return await _turned_away(pbx, refusing(486), "busy")


async def busy_and_abandoned(pbx: Exchange) -> Truth:
    """Of three telephones one is busy; the others ring until the customer gives up."""
    pbx["101"].behave = refusing(486)
    return await _given_up(pbx, "102", "103")


async def declined(pbx: Exchange) -> Truth:
    """The employee lets it ring, then presses "decline"."""
    return await _turned_away(pbx, refusing(603, RINGS_S), "declined")


async def unreachable(pbx: Exchange) -> Truth:
    """The employee's telephone is not there (480)."""
    return await _turned_away(pbx, refusing(480), "failed")


async def no_room(pbx: Exchange) -> Truth:
    """The PBX turns the call away before anybody rings."""
    leg = pbx.trunk.call("74951110007", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "rejected", "", by="pbx")


async def sequential(pbx: Exchange) -> Truth:
    """101 does not answer, 102 does."""
    return await _answered(pbx, "74951110003", "102", rang="101 102")


async def follow_me(pbx: Exchange) -> Truth:
    """101 does not answer; the PBX rings the mobile outside, where somebody answers."""
    return await _answered(pbx, "74951110005", "trunk-beta", rang="101 79165550005", talked="79165550005")


async def menu(pbx: Exchange) -> Truth:
    """The PBX answers at once, an employee later."""
    return await _answered(pbx, "74951110006")


async def queue(pbx: Exchange) -> Truth:
    """A queue rings two members, 102 answers."""
    return await _answered(pbx, "74951110004", "102", rang="101 102")


async def queue_local(pbx: Exchange) -> Truth:
    """A queue whose members are Local channels; 101 answers."""
    return await _answered(pbx, "74951110010", rang="101 102")


async def queue_abandoned(pbx: Exchange) -> Truth:
    """The customer leaves the queue before anybody answers."""
    leg = pbx.trunk.call("74951110004", caller=pbx.customer)
    others = [await pbx[name].called() for name in ("101", "102")]
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    for other in others:
        await other.until("over")
    return _incoming(leg, "abandoned", "101 102")


async def queue_timeout(pbx: Exchange) -> Truth:
    """Nobody in the queue answers in time: the PBX hangs up."""
    leg = pbx.trunk.call("74951110012", caller=pbx.customer)
    await leg.until("over")
    return _incoming(leg, "missed", "101 102", by="pbx")


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
    return replace(truth, talk_from_s=_at(leg, "up"))


async def blind_transfer(pbx: Exchange) -> Truth:
    """101 talks, then sends the customer on to 102 without asking."""
    pbx["102"].behave = answering(RINGS_S)
    leg, first = await _picked_up(pbx, "74951110001")
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
    pbx["102"].behave = answering(RINGS_S)
    leg, first = await _picked_up(pbx, "74951110009")
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
    leg, first = await _picked_up(pbx, "74951110001")
    first.send_to("102")
    second = await pbx["102"].called()
    first.hang_up()
    await asyncio.sleep(RINGS_S)
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101 102", "101", first=first)


async def blind_transfer_returned(pbx: Exchange) -> Truth:
    """101 sends the customer on to 102, who is busy: the customer comes back to 101."""
    pbx["102"].behave = refusing(486)
    leg, first = await _picked_up(pbx, "74951110001")
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
    pbx["102"].behave = answering(RINGS_S)
    leg, first = await _picked_up(pbx, "74951110001")
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


async def _asked_by_keys(pbx: Exchange) -> tuple[Leg, Leg, Leg]:
    """101 presses *2 and 102, where it rings: the customer's leg and the two others."""
    leg, first = await _picked_up(pbx, "74951110009")
    first.press("*2")
    await asyncio.sleep(1.0)  # while the PBX says "transfer"
    first.press("102")
    return leg, first, await pbx["102"].called()


async def attended_transfer_by_keys(pbx: Exchange) -> Truth:
    """101 asks 102 by pressing *2 and the number, and hands over by hanging up."""
    pbx["102"].behave = answering(RINGS_S)
    leg, first, second = await _asked_by_keys(pbx)
    await second.until("up")
    await _talk()
    first.hang_up()
    await _talk()
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101", "101 102", first=first)


async def asked_by_keys_and_busy(pbx: Exchange) -> Truth:
    """101 asks 102 by the same keys, who is busy, and goes on with the customer."""
    pbx["102"].behave = refusing(486)
    leg, first, _ = await _asked_by_keys(pbx)
    await _talk(2.0)
    leg.hang_up()
    await first.until("over")
    return _incoming(leg, "answered", "101", "101", first=first)


async def attended_transfer_by_keys_while_it_rings(pbx: Exchange) -> Truth:
    """101 asks 102 by the same keys and hangs up while it still rings: it rings for the customer from then on."""
    pbx["102"].behave = answering(2.0)
    leg, first, second = await _asked_by_keys(pbx)
    await asyncio.sleep(RINGS_S)
    first.hang_up()
    await second.until("up")
    await _talk()
    leg.hang_up()
    await second.until("over")
    return _incoming(leg, "answered", "101 102", "101 102", first=first)


async def hidden(pbx: Exchange) -> Truth:
    """A hidden caller is answered."""
    return await _answered(pbx, "74951110001", caller="anonymous")


async def outgoing(pbx: Exchange) -> Truth:
    """101 calls a customer, who answers; 101 hangs up."""
    return await _called_out(pbx, "trunk-alpha")


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
    return await _called_out(pbx, "trunk-beta")


async def outgoing_failed(pbx: Exchange) -> Truth:
    """101 calls a customer; neither trunk can."""
    return await _refused_everywhere(pbx, 503)


async def outgoing_no_number(pbx: Exchange) -> Truth:
    """101 calls a number that does not exist: both trunks say so (404)."""
    return await _refused_everywhere(pbx, 404)


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


PLAYS: Final[Mapping[str, Play]] = {
    play.__name__: play
    for play in (
        answered, answered_and_hung_up, ring_group, ring_group_local, abandoned, nobody_answers, busy, busy_and_abandoned,
        declined, unreachable, no_room, sequential, follow_me, menu, queue, queue_local, queue_abandoned, queue_timeout, pickup,
        blind_transfer, blind_transfer_by_keys, blind_transfer_unanswered, blind_transfer_returned, attended_transfer,
        attended_transfer_by_keys, asked_by_keys_and_busy, attended_transfer_by_keys_while_it_rings, hidden,
        outgoing, outgoing_busy, outgoing_cancelled, outgoing_by_the_other_trunk, outgoing_failed, outgoing_no_number, internal,
    )
}  # fmt: skip
