"""Whether somebody is there whom a search for a number's digits did not find: one look for all who call at that moment.

As long as nobody knows whether the search compares digits (``search_habits.py``), a number that it does not find may stand in
MoySklad with dashes. However it was typed, each of its digits stands there: so *one* short search, for a single digit which the
numbers that are being looked up have in common, finds whoever has any of them, under either reading of CONTRACT-MOYSKLAD 2.4. Where
its answer is whole, that settles it. Where it is not (a large account), customers in it serve to find out what is not known.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.moysklad.json_api import PAGE, JsonApi, contact_persons
from adapters.moysklad.numbers import NumberKey
from adapters.moysklad.per_account import Mark, PerAccount, held, mark_of
from adapters.moysklad.search_habits import SearchHabits, holds
from adapters.moysklad.transport import Trail
from core.effects import Account, Deferred, Refused, Unavailable
from core.values import Urgency

Row = Mapping[str, Any]

FRESH_S: Final = 2.0
"""How old an answer may be that serves another number: those who call at the same moment are not told in the same millisecond."""
VAIN_S: Final = 600.0
"""How long an account is not looked at again whose answer was not whole and proved nothing."""
FAILED_S: Final = 60.0
"""The same where MoySklad did not answer."""
MAX_KEPT: Final = 20
"""Answers kept at once, of all accounts; each goes after :data:`FRESH_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Everybody in whose phones, or elsewhere, ``digit`` stands. ``asked_s``: when, by the loop's clock."""

    digit: str
    asked_s: float
    rows: tuple[Row, ...]

    def serves(self, key: NumberKey, began_s: float, now_s: float) -> bool:
        """Whether it tells who has this number, of which a look-up wants to know since ``began_s``."""
        return self.digit in key.digits and (self.asked_s >= began_s or now_s - self.asked_s <= FRESH_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Everybody who may have a number. ``shared``: another look-up asked, and has the answer in its history."""

    rows: tuple[Row, ...] = ()
    shared: bool = False


@dataclass(slots=True, kw_only=True)
class _Account:
    """``wanted``: what is being looked up now. A lock for each urgency: nobody waits for the less urgent."""

    wanted: list[NumberKey] = field(default_factory=list)
    locks: defaultdict[Urgency, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    vain_until_s: float = 0.0


class ShortLook:
    """See the module. Raises Deferred; whatever else goes wrong is the same as not knowing."""

    def __init__(self, json: JsonApi, habits: SearchHabits) -> None:
        self._json = json
        self._habits = habits
        self._accounts = PerAccount(_Account)
        self._kept: OrderedDict[Mark, Sight] = OrderedDict()

    @contextmanager
    def wanted(self, key: NumberKey, account: Account) -> Iterator[None]:
        """As long as this number is being looked up, a look means it too."""
        wanted = self._accounts.of(account).wanted
        wanted.append(key)
        try:
            yield
        finally:
            wanted.remove(key)

    async def look(self, key: NumberKey, account: Account, trail: Trail) -> Near | None:
        """Everybody who may have this number, which its digits did not find; None: that cannot be told this way."""
        about, began_s = self._accounts.of(account), _now_s()
        if began_s < about.vain_until_s:
            return None
        async with held(about.locks[trail.turn.urgency], trail):
            if self._habits.compares_digits:
                return Near()
            if _now_s() < about.vain_until_s:
                return None
            kept = self._kept.get(mark_of(account))
            if kept is not None and kept.serves(key, began_s, _now_s()):
                return Near(rows=kept.rows, shared=True)
            try:
                return await self._ask(key, about, account, trail.guessing())
            except Deferred:
                raise
            except (Refused, Unavailable):
                about.vain_until_s = _now_s() + FAILED_S
                return None

    async def _ask(self, key: NumberKey, about: _Account, account: Account, trail: Trail) -> Near | None:
        digit, asked_s = _in_common(key, about.wanted), _now_s()
        rows, size = await self._json.counterparties(digit, account.api_token, trail, told=lambda row: holds(key, row))
        if size <= len(rows) < PAGE and all(map(_is_whole, rows)):
            self._keep(mark_of(account), Sight(digit=digit, asked_s=asked_s, rows=tuple(rows)))
            return Near(rows=tuple(rows))
        for probe, row in self._habits.probes(rows):
            found, _ = await self._json.counterparties(probe.digits, account.api_token, trail, told=_nobody)
            if not self._habits.see(probe, [each for each in found if each.get("id") == row.get("id")]):
                break
        if self._habits.compares_digits:
            return Near()
        about.vain_until_s = _now_s() + VAIN_S
        return None

    def _keep(self, mark: Mark, sight: Sight) -> None:
        self._kept[mark] = sight
        self._kept.move_to_end(mark)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        asyncio.get_running_loop().call_later(FRESH_S, self._drop, mark, sight.asked_s)

    def _drop(self, mark: Mark, asked_s: float) -> None:
        if (kept := self._kept.get(mark)) is not None and kept.asked_s == asked_s:
            del self._kept[mark]


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _in_common(key: NumberKey, wanted: list[NumberKey]) -> str:
    """The digit of this number that most of the others have too, the first of several."""
    return max(dict.fromkeys(key.digits), key=lambda digit: sum(digit in other.digits for other in wanted))


def _is_whole(row: Row) -> bool:
    """Whether all contact persons of the customer are in the answer."""
    persons = row.get("contactpersons")
    meta = persons.get("meta") if isinstance(persons, Mapping) else None
    size = meta.get("size") if isinstance(meta, Mapping) else None
    return isinstance(size, int) and size <= len(contact_persons(row))


def _nobody(_: Row) -> bool:
    """A call's history does not tell of customers it has nothing to do with."""
    return False
