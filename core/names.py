"""Which names of a customer are names, and how they are shown on a telephone (CONTRACT-ASTERISK, "What other parts ask").

A name that some program made of the number says nothing to the person whose telephone rings, so it is no name at all. Pure and
total: whatever stands in MoySklad's fields, there is an answer.
"""

from __future__ import annotations

import re
from typing import Final

MAX_NAME_CHARS: Final = 200
"""No display shows more; MoySklad itself holds 255 (CONTRACT-MOYSKLAD 2.5)."""

_NUMBER: Final = re.compile(r"\+?\(?\d[\d\s().\-–—/]*\d")  # a run of digits as people and programs write numbers
_SHORTEST_NUMBER: Final = 5
_FILLING: Final = frozenset(
    {
        "клиент", "новый", "покупатель", "контрагент", "абонент", "звонок", "входящий", "исходящий", "неизвестный", "аноним",
        "тел", "телефон", "номер", "моб", "мобильный", "от", "с", "по", "номера", "телефона",
        "client", "customer", "caller", "call", "phone", "tel", "number", "new", "unknown", "incoming", "outgoing", "from",
    }
)  # fmt: skip
"""Words that programs put around a number; together with one they are still no name."""

_WORD: Final = re.compile(r"[^\W\d_]+")
_PATRONYMIC: Final = re.compile(r"(?:вич|вна|ична|чна|оглы|кызы)\Z", re.IGNORECASE)

_HIS: Final = frozenset({"никита", "илья", "кузьма", "лука", "савва", "фома", "данила", "гаврила"})
"""Men's names that end as women's do."""


def clean(text: object) -> str:
    """A field as one line that can be shown: without control characters and marks that turn text round, bounded."""
    if not isinstance(text, str):
        return ""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_NAME_CHARS])
    return " ".join(shown.split())[:MAX_NAME_CHARS].strip()


def is_automatic(name: str) -> bool:
    """Whether this is not a name but a number, in any spelling, alone or in words that a program puts around it."""
    text = clean(name)
    numbers = [found for found in _NUMBER.findall(text) if sum(char.isdigit() for char in found) >= _SHORTEST_NUMBER]
    if not numbers:
        return not text
    rest = _NUMBER.sub(" ", text)
    return not any(char.isdigit() for char in rest) and all(word.lower() in _FILLING for word in _WORD.findall(rest))


def real(name: object) -> str:
    """The name if it is one, otherwise nothing."""
    text = clean(name)
    return "" if is_automatic(text) else text


def display_name(company: str, person: str) -> str:
    """``Company (Person)``, or whichever there is; empty when there is neither."""
    if company and person and person.casefold() not in company.casefold():
        return f"{company} ({person})"
    return company or person


def _is_hers(first_name: str) -> bool:
    """Whether it is a woman's: her patronymic never ends as a man's does, and as many a surname of Belarus."""
    name = first_name.lower()
    return name.endswith(("а", "я")) and name not in _HIS


def split_name(text: str) -> tuple[str, str, str]:
    """Last, first and middle name of a person whom MoySklad knows by one text. Only what a patronymic proves is split.

    "Павлов Игорь Петрович" and "Игорь Петрович Павлов" are recognised by it; without one the order of names is anybody's guess, and
    the whole text is the first name. What stands after a comma or in brackets is the person's business, not a name.
    """
    name = re.split(r"[,;(/]", clean(text), maxsplit=1)[0].strip()
    words = name.split()
    match [bool(_PATRONYMIC.search(word)) and len(word) > 4 for word in words]:
        case [False | True, False, True]:
            return words[0], words[1], words[2]
        case [False, True, True]:
            return words[2], words[0], words[1]
        case [False, True, False]:
            return words[2], words[0], words[1]
        case [False, True] if _is_hers(words[0]) and words[1].lower().endswith("вич"):
            return words[1], words[0], ""
        case [False, True]:
            return "", words[0], words[1]
        case _:
            return "", name, ""
