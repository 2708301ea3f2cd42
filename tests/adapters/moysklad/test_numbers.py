"""A number is recognised however it was typed, and nobody else's is taken for it (CONTRACT-MOYSKLAD 2.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.numbers import number_key

RUSSIAN = "+79161234567"
BELARUSIAN = "+375290000001"


@pytest.mark.parametrize(
    "text",
    [
        "+79161234567",
        "79161234567",
        "89161234567",
        "9161234567",
        "+7 916 123-45-67",
        "+7 (916) 123-45-67",
        "8(916)123-45-67",
        "8-916-123-4567",
        "8 916 123 45 67",
        "916.123.45.67",
        "+7-916-1234567",
        "007 916 1234567",
        "8-10-7-916-123-45-67",
        "+7 916 123-45-67 доб. 12",
        "+7 916 123 45 67#12",
        "Иван: 8 916 123-45-67 (после 18)",
        "8 495 111-22-33, 8 916 123-45-67",
        "8 495 111-22-33; +79161234567",
        "84951112233 89161234567",
        "+7 495 111 22 33 +7 916 123 45 67",
        "+8 916 123 45 67",
    ],
)
def test_russian_as_typed(text: str) -> None:
    key = number_key(RUSSIAN)
    assert key is not None
    assert key.is_in(text)


@pytest.mark.parametrize(
    "text",
    ["+375 29 000-00-01", "375290000001", "8 029 000 00 01", "80290000001", "8 (029) 000-00-01", "29 0000001", "(029) 000-00-01"],
)
def test_belarusian_as_typed(text: str) -> None:
    key = number_key(BELARUSIAN)
    assert key is not None
    assert key.is_in(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (RUSSIAN, "+7 916 123-45-68"),
        (RUSSIAN, "123-45-67"),
        (RUSSIAN, "+44 9161234567"),
        (RUSSIAN, "+37 59161234567"),
        (RUSSIAN, "791612345678"),
        (RUSSIAN, "8 916 123-45, 67"),
        ("+74290000001", "+375 429 000 00 01"),
        (BELARUSIAN, "+7 429 000 00 01"),
        ("+75290000001", "+375 29 000 00 01"),
        ("103", "+7 103 000 00 00"),
        ("7418790", "8 812 741-87-90"),
        (RUSSIAN, ""),
    ],
)
def test_not_taken_for_another(number: str, text: str) -> None:
    key = number_key(number)
    assert key is not None
    assert not key.is_in(text)


@pytest.mark.parametrize(("number", "text"), [("103", "103"), ("7418790", "741-87-90"), ("79161234567", "8 916 123-45-67")])
def test_numbers_that_are_not_international(number: str, text: str) -> None:
    key = number_key(number)
    assert key is not None
    assert key.is_in(text)


@pytest.mark.parametrize("number", ["", "anonymous", "<unknown>"])
def test_a_hidden_number_cannot_be_looked_for(number: str) -> None:
    assert number_key(number) is None


def test_what_is_searched_for() -> None:
    russian, belarusian, polish, short = map(number_key, (RUSSIAN, BELARUSIAN, "+48501234567", "103"))
    assert russian is not None
    assert belarusian is not None
    assert polish is not None
    assert short is not None
    assert (russian.digits, russian.tails) == ("9161234567", ("4567", "45-67", "45 67"))
    assert (belarusian.digits, belarusian.tails) == ("290000001", ("0001", "00-01", "00 01"))
    assert polish.tails == ("4567", "45-67", "45 67", "4-567", "4 567")
    assert (short.digits, short.tails) == ("103", ())


@given(
    beginning=st.sampled_from(["", "7", "+7", "8", "007", "8107"]),
    cuts=st.lists(st.sampled_from(["", " ", "-", "(", ") ", "."]), min_size=10, max_size=10),
    before=st.sampled_from(["", "тел. ", "8 495 111-22-33, ", "+375 29 111-11-11; "]),
    after=st.sampled_from(["", " доб. 15", " (Ольга)", ", +7 999 000-00-00"]),
)
def test_any_separators_and_neighbours(beginning: str, cuts: list[str], before: str, after: str) -> None:
    typed = "".join(separator + digit for separator, digit in zip(cuts, "9161234567", strict=True))
    key = number_key(RUSSIAN)
    assert key is not None
    if beginning.startswith("+"):
        typed = typed.lstrip(".-") if not cuts[0].strip() else " " + typed.lstrip(" (.-)")
    assert key.is_in(before + beginning + typed + after)


@given(st.one_of(st.text(max_size=300), st.none(), st.integers()), st.text(max_size=30))
def test_total(text: object, number: str) -> None:
    key = number_key(number)
    assert key is None or key.is_in(text) in (True, False)
