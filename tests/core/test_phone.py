"""Numbers, extensions and channel names: one spelling for one number, and nothing that the wire says makes it raise."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import phone
from core.phone import digits, is_helper, is_hidden, looks_like_extension, normalise_number, same_number, strip_technology
from core.values import ANONYMOUS

WIRE_TEXT = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789+-() <>;@/abcdef", max_size=30),
    st.from_regex(r"\A\+?(00|810|8|80|7|375)?[0-9]{0,12}\Z"),
)


@pytest.mark.parametrize(
    ("raw", "country", "number"),
    [
        ("+375290000001", "BY", "+375290000001"),
        ("375290000001", "BY", "+375290000001"),
        ("375290000001", "RU", "+375290000001"),
        ("79161234567", "BY", "+79161234567"),
        ("+7 (916) 123-45-67", "BY", "+79161234567"),
        ("74951110001", "BY", "+74951110001"),
        ("810375290000001", "RU", "+375290000001"),
        ("00375290000001", "BY", "+375290000001"),
        ("89161234567", "RU", "+79161234567"),
        ("9161234567", "RU", "+79161234567"),
        ("4951234567", "RU", "+74951234567"),
        ("80290000001", "BY", "+375290000001"),
        ("80 29 000-00-01", "BY", "+375290000001"),
        ("8 (029) 000-00-01", "BY", "+375290000001"),
        ("80447777781", "BY", "+375447777781"),
        ("447777781", "BY", "+375447777781"),
        # another country's national spelling, where the own one makes no sense of it
        ("89161234567", "BY", "+79161234567"),
        ("80291234567", "RU", "+375291234567"),
        # the dispatcher puts a plus before whatever it was given
        ("+80291234567", "BY", "+375291234567"),
        ("+89161234567", "RU", "+79161234567"),
        ("+151", "BY", "151"),
        ("447911123456", "BY", "+447911123456"),
        ('"Ivan" <375290000001>', "BY", "+375290000001"),
        ("sip:375290000001@192.0.2.7", "BY", "+375290000001"),
        ("tel:+375290000001;ext=12", "BY", "+375290000001"),
    ],
)
def test_one_number_has_one_spelling(raw: str, country: str, number: str) -> None:
    assert normalise_number(raw, country) == number


@pytest.mark.parametrize(
    ("raw", "left"),
    [("103", "103"), ("151", "151"), ("8", "8"), ("2345678", "2345678"), ("+2345678", "2345678")],
)
def test_what_is_nobodys_full_number_keeps_its_digits(raw: str, left: str) -> None:
    assert normalise_number(raw, "BY") == left


HIDDEN = (
    "|  |<unknown>|unknown|anonymous|Anonymous|ANONYMOUS|Restricted|private|withheld|Unavailable|0|0000000|+|-"
    '|anonymous@anonymous.invalid|"Anonymous" <anonymous>|sip:anonymous@192.0.2.7'
)


@pytest.mark.parametrize("raw", HIDDEN.split("|"))
def test_a_hidden_caller_is_anonymous(raw: str) -> None:
    assert is_hidden(raw)
    assert normalise_number(raw, "BY") == ANONYMOUS


@pytest.mark.parametrize(("raw", "country"), [("+375290000001", "BY"), ("103", "BY"), ("89161234567", "RU"), ("447777781", "")])
def test_a_number_is_not_hidden(raw: str, country: str) -> None:
    assert not is_hidden(raw)
    assert normalise_number(raw, country) != ANONYMOUS


@given(WIRE_TEXT, st.sampled_from(["BY", "RU", "KZ", "DE", "US", "", "XX", "by"]))
@example("٣٧٥٢٩", "BY")
@example("1" * 500, "BY")
@example("\ud800", "BY")
def test_normalising_is_total_and_stable(raw: str, country: str) -> None:
    once = normalise_number(raw, country)
    assert normalise_number(once, country) == once
    assert once == ANONYMOUS or (digits(once) and once.removeprefix("+").isascii() and once.removeprefix("+").isdigit())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+79161234567", "79161234567"),
        ("89161234567", "+79161234567"),
        ("9161234567", "+79161234567"),
        ("80291234567", "+375291234567"),
        ("291234567", "375291234567"),
        ("810375291234567", "80291234567"),
        ("00375291234567", "+375 29 123-45-67"),
        ("151", "+151"),
    ],
)
def test_two_spellings_are_the_same_number(one: str, other: str) -> None:
    assert same_number(one, other)
    assert same_number(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("80291234567", "+79291234567"),
        ("+375291234567", "+79291234567"),
        ("+79161234567", "+78161234567"),
        ("+375290000001", "+375290000002"),
        ("151", "375290000151"),
        ("", ""),
        ("anonymous", "anonymous"),
        ("0", ""),
    ],
)
def test_two_people_are_not(one: str, other: str) -> None:
    assert not same_number(one, other)
    assert not same_number(other, one)


@given(WIRE_TEXT, WIRE_TEXT)
def test_comparing_is_total_and_symmetric(one: str, other: str) -> None:
    assert same_number(one, other) == same_number(other, one)
    assert same_number(one, one) == bool(digits(one[:200]))


@given(st.from_regex(r"\A(\+375(29|33|44)[0-9]{7}|\+79[0-9]{9})\Z"), st.sampled_from(["BY", "RU"]))
def test_a_number_is_the_same_as_its_normal_form(number: str, country: str) -> None:
    for spelling in (number, number[1:], f"810{number[1:]}", number.replace("+375", "80").replace("+7", "8")):
        assert normalise_number(spelling, country) == number
        assert same_number(spelling, number)


@pytest.mark.parametrize(
    ("channel", "peer"),
    [
        ("SIP/150", "150"),
        ("PJSIP/101-0000001c", "101"),
        ("SIP/151-00000015", "151"),
        ("Local/152@dialexecute-00000002;1", "152"),
        ("Local/152@ctx-0000;2", "152"),
        ("PJSIP/trunk-alpha-00000037", "trunk-alpha"),
        ("SIP/0001002-00000013", "0001002"),
        ("SIP/trunk/375290000001", "375290000001"),
        ("IAX2/150-1234", "150"),
        ("150", "150"),
        (" 150 ", "150"),
        ("375290000001", "375290000001"),
        ("+375290000001", "+375290000001"),
        ("SIP/", ""),
        ("", ""),
    ],
)
def test_the_peer_behind_a_channel(channel: str, peer: str) -> None:
    assert strip_technology(channel) == peer


@pytest.mark.parametrize(
    ("channel", "helper"),
    [
        ("CBAnn/600-00000001;2", True),
        ("cbrec/600-00000001;1", True),
        ("Snoop/1795437000.1-00000000", True),
        ("PJSIP/101-0000001c", False),
        ("Local/600@from-internal-00000001;2", False),
        ("CBAnn", False),
        ("", False),
    ],
)
def test_who_is_nobody(channel: str, helper: bool) -> None:
    assert is_helper(channel) is helper


@given(st.text(max_size=60))
def test_stripping_is_total(text: str) -> None:
    assert isinstance(strip_technology(text), str)
    assert looks_like_extension(text) == (2 <= len(text) <= 6 and text.isascii() and text.isdigit())


def test_a_trunk_is_no_extension() -> None:
    assert looks_like_extension("150")
    assert not looks_like_extension("0001001")
    assert not looks_like_extension("trunk")
    assert not looks_like_extension("7")


@pytest.mark.parametrize("country", ["BY", "RU", "KZ"])
@pytest.mark.parametrize(("code", "national_digits"), [("375", 9), ("7", 10)])
@given(data=st.data())
def test_whole_numbers_of_our_plans_are_what_reading_them_would_find(
    country: str, code: str, national_digits: int, data: st.DataObject
) -> None:
    rest = data.draw(st.text("0123456789", min_size=national_digits - 1, max_size=national_digits - 1))
    number = code + data.draw(st.sampled_from("12345679")) + rest
    for plus in (False, True):
        assert phone._read(number, country, plus=plus) == f"+{number}"
    assert normalise_number(number, country) == normalise_number(f"+{number}", country) == f"+{number}"
