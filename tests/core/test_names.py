"""Which names are names, and how they look on a display."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.names import MAX_NAME_CHARS, clean, display_name, is_automatic, real, split_name


@pytest.mark.parametrize(
    "name",
    [
        "+375290000001",
        "375 29 000-00-01",
        "8 (029) 000 00 01",
        "80290000001",
        "Клиент +375290000001",
        "Новый клиент 375290000001",
        "Входящий звонок с номера +7 (916) 123-45-67",
        "тел. 12345",
        "Client 375290000001",
        "+375290000001, +375290000002",
        "",
        "   ",
        "\u200b",
    ],
)
def test_a_number_is_no_name(name: str) -> None:
    assert is_automatic(name)
    assert real(name) == ""


@pytest.mark.parametrize(
    "name",
    ["ООО «Радуга»", "Магазин 24", "ИП Смирнова О. В. +375290000001", "1С", "7 дней", "Клиент", "3000 мелочей", "Иван"],
)
def test_whatever_says_more_is_a_name(name: str) -> None:
    assert real(name) == name


@pytest.mark.parametrize(
    ("company", "person", "shown"),
    [
        ("ООО «Радуга»", "Игорь", "ООО «Радуга» (Игорь)"),
        ("ООО «Радуга»", "", "ООО «Радуга»"),
        ("", "Игорь", "Игорь"),
        ("", "", ""),
        ("ИП Смирнова", "смирнова", "ИП Смирнова"),
        ("Иванов", "Иванов", "Иванов"),
    ],
)
def test_what_a_display_shows(company: str, person: str, shown: str) -> None:
    assert display_name(company, person) == shown


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Павлов Игорь Петрович", ("Павлов", "Игорь", "Петрович")),
        ("Игорь Петрович Павлов", ("Павлов", "Игорь", "Петрович")),
        ("Анна Сергеевна", ("", "Анна", "Сергеевна")),
        ("Игорь Павлов, закупки", ("", "Игорь Павлов", "")),
        ("Ольга (бухгалтерия)", ("", "Ольга", "")),
        ("Алиев Тимур Рустам оглы", ("", "Алиев Тимур Рустам оглы", "")),
        ("", ("", "", "")),
        ("Ольга Станкевич", ("Станкевич", "Ольга", "")),
        ("Никита Адамович", ("", "Никита", "Адамович")),
        ("Станкевич Иван Петрович", ("Станкевич", "Иван", "Петрович")),
        ("Ольга Ивановна Станкевич", ("Станкевич", "Ольга", "Ивановна")),
    ],
)
def test_only_what_a_patronymic_proves_is_split(text: str, parts: tuple[str, str, str]) -> None:
    assert split_name(text) == parts


@given(st.one_of(st.text(), st.none(), st.integers()))
def test_whatever_stands_there_one_line_comes_out(text: object) -> None:
    shown = clean(text)
    assert len(shown) <= MAX_NAME_CHARS
    assert shown.isprintable()
    assert clean(shown) == shown
    split_name(shown)
    is_automatic(shown)


def test_text_that_turns_a_display_round_is_taken_out() -> None:
    assert clean("ООО\u202e «Радуга»\x00\n\tМинск") == "ООО «Радуга» Минск"
