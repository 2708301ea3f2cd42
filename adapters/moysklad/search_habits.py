"""Whether MoySklad's search compares the digits of telephone numbers, or their texts: learned from its answers (decision 0016).

The contract does not say (CONTRACT-MOYSKLAD 2.4, 6.10), so a number that nobody has costs four searches: its digits, then its end
in every way people type it. A customer who is found by digits that stand nowhere in what MoySklad answers about him can have been
found only by comparing digits. Once that was seen often enough, of own phones and of contact persons' alike, the digits are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from adapters.moysklad.json_api import contact_persons
from adapters.moysklad.numbers import NumberKey

ENOUGH: Final = 3
"""Different customers of each kind: one could have been found by something that the answer does not show."""


class SearchHabits:
    """What was seen since the process began, of all accounts together: it is one MoySklad."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._persons: set[str] = set()

    @property
    def compares_digits(self) -> bool:
        """Whether a search for digits finds every spelling of a number."""
        return len(self._own) >= ENOUGH and len(self._persons) >= ENOUGH

    def see(self, key: NumberKey, rows: Iterable[Mapping[str, Any]]) -> None:
        """Customers who have this number, as a search for its digits found them."""
        if self.compares_digits:
            return
        for row in rows:
            if key.digits in orjson.dumps(row).decode():
                continue  # the text alone is reason enough to find him
            persons = any(key.is_in(person.get("phone")) for person in contact_persons(row))
            seen = self._persons if persons and not key.is_in(row.get("phone")) else self._own if not persons else None
            if seen is not None and len(seen) < ENOUGH:
                seen.add(str(row.get("id")))
