"""What MoySklad sends is read forgivingly as a number, and never as anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.click_request import Unfit, Wish, as_sent, plain_text, wish_of
from core.origination import Origination


def wish(source: str = "101", wanted: str = "+375290000001", uid: str = "ivanov@demo", country: str = "BY") -> Wish | Unfit:
    return wish_of({"srcNumber": source, "destNumber": wanted, "uid": uid}, country)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ("+375290000001", "+375290000001"),
        ("+375 (29) 000-00-01", "+375290000001"),
        ("80290000001", "+375290000001"),
        ("8 029 000 00 01", "+375290000001"),
        ("375290000001", "+375290000001"),
        ("+7 916 123-45-67", "+79161234567"),
        ("8\u00a0(916)\u00a0123\u201145\u201167", "+79161234567"),
        (" 00 49 30 1234567 ", "+49301234567"),
        ("2000000", "2000000"),
    ],
)
def test_numbers_as_people_write_them(wanted: str, number: str) -> None:
    assert wish(wanted=wanted) == Wish(extension="101", number=number, uid="ivanov@demo")


@pytest.mark.parametrize("source", ["101", " 101 ", "+101"])
def test_extensions(source: str) -> None:
    found = wish(source=source)
    assert isinstance(found, Wish)
    assert found.extension == "101"


@pytest.mark.parametrize("wanted", ["101", "+101", "112", "103", "123456", "", "anonymous", "+", "000", "1" * 16])
def test_short_hidden_and_endless_numbers_are_not_dialled(wanted: str) -> None:
    assert isinstance(wish(wanted=wanted), Unfit)


@pytest.mark.parametrize(
    "wanted",
    [
        "*72*80290000001#",
        "80290000001#",
        "80290000001,1",
        "80290000001;ext=5",
        "80290000001 доб. 5",
        "w80290000001",
        "++375290000001",
        "375290000001 375290000002 375290000003 375290000004 375290000005",
        "tel:+375290000001",
        "Local/80290000001@out",
        "٨٠٢٩٠٠٠٠٠٠١",
    ],
)
def test_what_may_be_a_command_is_not_dialled(wanted: str) -> None:
    assert isinstance(wish(wanted=wanted), Unfit)


@pytest.mark.parametrize("source", ["", "1", "1234567", "s", "10a", "101;102", "101\nAction: x", "SIP/101"])
def test_what_is_no_extension_dials_nothing(source: str) -> None:
    assert isinstance(wish(source=source), Unfit)


@given(
    st.dictionaries(st.sampled_from(["srcNumber", "destNumber", "uid"]), st.text(max_size=40)), st.sampled_from(["BY", "RU", "XX"])
)
def test_whatever_is_sent_only_an_order_comes_out(values: dict[str, str], country: str) -> None:
    found = wish_of(values, country)
    if isinstance(found, Wish):
        Origination(enterprise="0367", extension=found.extension, number=found.number, channel_id="click-a")
        assert found.uid.isprintable()
    else:
        assert found.error
        assert found.remedy


def test_only_the_known_fields_are_kept() -> None:
    assert as_sent({"srcNumber": "101\x00", "token": "secret", "uid": "a" * 300}) == {"srcNumber": "101", "uid": "a" * 255}
    assert plain_text("a\ud800\x07b") == "ab"
