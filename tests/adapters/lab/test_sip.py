"""The SIP telephones, against each other: what one does the other sees, and each remembers what happened on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.lab.sip import Leg, Message, Phone, answering, parse, refusing, tag_of, user_of
from tests.eventually import until


@pytest.fixture
async def phones() -> AsyncIterator[tuple[Phone, Phone]]:
    """Two telephones, each the other's exchange."""
    one, two = Phone("101", ("127.0.0.1", 0)), Phone("102", ("127.0.0.1", 0))
    await one.open()
    await two.open()
    one.pbx, two.pbx = two.where, one.where
    yield one, two
    one.close()
    two.close()


def words(leg: Leg) -> list[str]:
    return [word for _, word in leg.said]


async def test_a_call_is_answered_and_hung_up(phones: tuple[Phone, Phone]) -> None:
    one, two = phones
    two.behave = answering()
    leg = one.call("102", caller="79160000001")
    await leg.until("up")
    other = await two.called()
    assert (other.caller, other.number, other.outgoing) == ("79160000001", "102", False)
    leg.hang_up()
    await other.until("over")
    assert (words(leg), leg.ended_by) == (["calling", "ringing", "up", "over"], "us")
    assert (words(other), other.ended_by) == (["offered", "ringing", "up", "over"], "them")


async def test_whoever_answered_may_hang_up_too(phones: tuple[Phone, Phone]) -> None:
    one, two = phones
    two.behave = answering()
    leg = one.call("102")
    await leg.until("up")
    (await two.called()).hang_up()
    await leg.until("over")
    assert leg.ended_by == "them"


@pytest.mark.parametrize("code", [486, 603, 404, 503])
async def test_a_call_is_refused(phones: tuple[Phone, Phone], code: int) -> None:
    one, two = phones
    two.behave = refusing(code)
    leg = one.call("102")
    await leg.until("over")
    assert (leg.code, leg.ended_by) == (code, "them")


async def test_a_call_is_given_up_while_it_rings(phones: tuple[Phone, Phone]) -> None:
    one, two = phones
    leg = one.call("102")
    await leg.until("ringing")
    leg.hang_up()
    other = await two.called()
    await other.until("over")
    await leg.until("over")
    assert (leg.code, leg.ended_by, other.ended_by) == (487, "us", "them")


async def test_hold_keys_and_a_transfer_reach_the_other_side(phones: tuple[Phone, Phone]) -> None:
    one, two = phones
    two.behave = answering()
    leg = one.call("102")
    await leg.until("up")
    leg.hold()
    leg.press("#1")
    leg.send_to("103")
    await until(lambda: not one._waiting)  # everything was answered
    assert words(leg)[-2:] == ["hold", "refer 103"]
    assert leg.state == "up", "a transfer that nobody confirms changes nothing"


async def test_whoever_waits_in_vain_is_told_how_things_are(phones: tuple[Phone, Phone]) -> None:
    one, _ = phones
    leg = one.call("102")
    with pytest.raises(TimeoutError, match="101: the call is ringing, not up"):
        await leg.until("up", within_s=0.05)
    with pytest.raises(TimeoutError, match="101 was called 0 times, not 1"):
        await one.called(within_s=0.05)


async def test_what_is_no_sip_is_nobody_s(phones: tuple[Phone, Phone]) -> None:
    one, two = phones
    for junk in (b"", b"\0\0", b"hello", b"INVITE\r\n\r\n", b"SIP/2.0 x\r\n\r\n"):
        one.datagram_received(junk, two.where)
    assert one.legs == []


def test_a_message_is_read() -> None:
    head = b"INVITE sip:101@127.0.0.1 SIP/2.0\r\nFrom: <sip:102@x>;tag=a1\r\nCSeq: 7 INVITE\r\nVia: 1\r\nVia: 2\r\n\r\n"
    message = parse(head + b"body")
    assert (message.method, message.uri, message.body) == ("INVITE", "sip:101@127.0.0.1", "body")
    assert message.get("from") == "<sip:102@x>;tag=a1"
    assert (message.sequence, tag_of(message.get("from")), user_of(message.uri)) == ((7, "INVITE"), "a1", "101")
    assert [value for name, value in message.headers if name == "via"] == ["1", "2"]
    assert Message().get("to") == tag_of("x") == user_of("x") == ""
