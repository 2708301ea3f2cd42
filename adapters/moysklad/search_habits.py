"""Whether MoySklad's search compares the digits of telephone numbers, or their texts: learned from its answers (decision 0016).

The contract does not say (CONTRACT-MOYSKLAD 2.4, 6.10). A customer who is found by digits that stand nowhere in what MoySklad
answers about him can have been found only by comparing digits. Once that was seen of an own phone and of a contact person's, a
search for a number's digits is enough. Until then somebody who was not found by them may still be there, typed with dashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Any, Final

import orjson

from adapters.moysklad.json_api import contact_persons
from adapters.moysklad.numbers import NumberKey, number_key

Row = Mapping[str, Any]

PROBE_DIGITS: Final = range(9, 13)
"""Digits of a phone that is searched for to learn something: one number with its area, not two numbers or an extension."""


class Kind(Enum):
    """Whose phone: two conditions of MoySklad's search (2.4), and neither speaks for the other."""

    OWN = auto()
    PERSON = auto()


class SearchHabits:
    """What was seen since the process began, of all accounts together: it is one MoySklad."""

    def __init__(self) -> None:
        self._proven: set[Kind] = set()

    @property
    def compares_digits(self) -> bool:
        """Whether a search for digits finds every spelling of a number."""
        return len(self._proven) == len(Kind)

    def see(self, key: NumberKey, rows: Iterable[Row]) -> bool:
        """Customers who have this number, as a search for its digits found them. Whether that proves something."""
        seen = {kind for row in rows if (kind := _would_prove(key, row)) is not None}
        self._proven |= seen
        return bool(seen)

    def probes(self, rows: Iterable[Row]) -> Iterator[tuple[NumberKey, Row]]:
        """Customers, and a number of each, whose being found by its digits would prove what is not proven yet: one of each kind."""
        wanted = set(Kind) - self._proven
        for row in rows:
            for phone in (row.get("phone"), *(person.get("phone") for person in contact_persons(row))):
                key = number_key(phone) if isinstance(phone, str) and _digits(phone) in PROBE_DIGITS else None
                if key is not None and (kind := _would_prove(key, row)) in wanted:
                    wanted.discard(kind)
                    yield key, row
            if not wanted:
                return


def holds(key: NumberKey, row: Row) -> bool:
    """Whether a counterparty, or one of its contact persons, has this number."""
    return key.is_in(row.get("phone")) or any(key.is_in(person.get("phone")) for person in contact_persons(row))


def _would_prove(key: NumberKey, row: Row) -> Kind | None:
    """What it proves that a search for the number's digits finds this customer; None: nothing."""
    own, persons = key.is_in(row.get("phone")), any(key.is_in(person.get("phone")) for person in contact_persons(row))
    if own == persons or key.digits in orjson.dumps(row).decode():
        return None  # nobody's, in doubt whose, or the text alone is reason enough to find him
    return Kind.OWN if own else Kind.PERSON


def _digits(text: str) -> int:
    return sum(char in "0123456789" for char in text)
