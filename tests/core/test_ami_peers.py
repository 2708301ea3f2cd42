"""Who is behind a channel's name."""

from __future__ import annotations

import pytest

from core.ami_peers import Party, Pbx, Side, dialled_number, other_half, party_of
from core.phone import strip_technology

PBX = Pbx(name="a", enterprise="0367", trunks=("trunk-alpha", "DAHDI/i1", "SIP/1001", "Provider"))


@pytest.mark.parametrize(
    ("name", "side", "who"),
    [
        ("PJSIP/101-0000000e", Side.PHONE, "101"),
        ("SIP/150-00000001", Side.PHONE, "150"),
        ("PJSIP/trunk-alpha-0000000d", Side.OUTSIDE, "trunk-alpha"),
        ("IAX2/provider-1234", Side.OUTSIDE, "provider"),
        ("DAHDI/i1/79161234567-5", Side.OUTSIDE, "i1"),
        ("SIP/1001-0000000a", Side.OUTSIDE, "1001"),
        ("PJSIP/1001-0000000a", Side.PHONE, "1001"),
        ("PJSIP/anonymous-00000001", Side.OUTSIDE, "anonymous"),
        ("Local/101@from-internal-00000001;1", Side.LOCAL, "101@from-internal-00000001"),
        ("AsyncGoto/PJSIP/101-0000000e", Side.PHONE, "101"),
        ("PJSIP/101-0000000e<ZOMBIE>", Side.PHONE, "101"),
        ("CBAnn/600-00000001;2", Side.HELPER, ""),
        ("Message/ast_msg_queue", Side.HELPER, ""),
        ("nonsense", Side.HELPER, ""),
        ("", Side.HELPER, ""),
    ],
)
def test_who_is_behind_a_name(name: str, side: Side, who: str) -> None:
    party = party_of(name, "", PBX)
    assert (party.side, party.who) == (side, who)


def test_a_telephone_named_by_a_word_is_known_by_the_extension_it_calls_with() -> None:
    assert party_of("PJSIP/reception-00000001", "105", PBX) == Party(side=Side.PHONE, who="105", shown="PJSIP/105-00000001")
    assert party_of("PJSIP/reception-00000001", "79161234567", PBX).side is Side.OUTSIDE
    unnamed = Pbx(name="a", enterprise="0367")
    assert party_of("PJSIP/operator-00000001", "105", unnamed).side is Side.OUTSIDE, "where no trunk is named it may be one"


def test_a_pattern_says_which_peers_are_telephones_and_what_their_extension_is() -> None:
    pbx = Pbx(name="a", enterprise="0367", extensions=r"0367-(\d+)")
    assert party_of("PJSIP/0367-101-00000001", "", pbx) == Party(side=Side.PHONE, who="101", shown="PJSIP/101-00000001")
    assert party_of("PJSIP/101-00000001", "", pbx).side is Side.OUTSIDE
    assert party_of("PJSIP/101-1", "", Pbx(name="a", enterprise="0367", extensions="10.")).who == "101"
    assert party_of("PJSIP/101-1", "", Pbx(name="a", enterprise="0367", extensions="(")).side is Side.OUTSIDE


def test_what_is_shown_reads_as_what_it_is() -> None:
    """Everything after the translation tells sides by the name alone."""
    assert strip_technology(party_of("SIP/1001-0000000a", "", PBX).shown) == "trunk-1001"
    assert strip_technology(party_of("PJSIP/101-0000000e", "", PBX).shown) == "101"


def test_the_other_half_of_a_local_channel() -> None:
    assert other_half("Local/101@ctx-00000001;1") == "Local/101@ctx-00000001;2"
    assert other_half("Local/101@ctx-00000001;2") == "Local/101@ctx-00000001;1"
    assert other_half("PJSIP/101-00000001") == ""


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("79161234567@trunk-alpha", "79161234567"),
        ("trunk-alpha/79161234567", "79161234567"),
        ("+79161234567@trunk-alpha", "+79161234567"),
        ("PJSIP/trunk-alpha/sip:79161234567@10.0.0.1:5060", "79161234567"),
        ("sip:79161234567@10.0.0.1", "79161234567"),
        ("i1/79161234567", "79161234567"),
        ("trunk-alpha", "8800"),
        ("", "8800"),
    ],
)
def test_the_number_that_a_trunk_was_asked_for(said: str, number: str) -> None:
    assert dialled_number(said, "", "8800", "9900") == number


def test_a_technical_prefix_is_no_part_of_the_number() -> None:
    assert dialled_number("98#79161234567@trunk", "74951110001", "79161234567") == "79161234567"
    assert dialled_number("79161234567@trunk", "979161234567") == "79161234567", "what was dialled for a line is no part either"
    assert dialled_number("+79161234567@trunk", "9161234567") == "+79161234567", "a whole number stays whole"
    assert dialled_number("79161234567@trunk", "4567") == "79161234567"
