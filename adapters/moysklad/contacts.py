"""Whose number it is: searching the JSON API, and choosing one of several by the one rule that calls and look-ups share.

The calls (``gateway.py``) and the questions of the rest of the telephony (``adapters/directory``) ask the same way, so that a
card, a display and a smart redirect never mean three different customers (CONTRACT-MOYSKLAD 2.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from adapters.moysklad.json_api import CREATED_TAG, JsonApi, contact_persons, owner_of
from adapters.moysklad.numbers import NumberKey, number_key
from adapters.moysklad.search_habits import SearchHabits, holds
from adapters.moysklad.short_look import ShortLook
from adapters.moysklad.transport import Trail
from core.contacts import Contact, Known, Owner, Person, Source
from core.effects import Account, Refused
from core.names import is_automatic

Row = Mapping[str, Any]

RULE: Final = (
    "not archived, a name made by hand before one made of a number, own phone before contact person, "
    "most recently updated, smallest id"
)
"""Archived ones come last because MoySklad, as a rule, does not even find them: whether it does must not change the answer."""

NOBODY: Final = "nobody has this number"
SEEN_BEFORE: Final = f"{NOBODY}, as was seen when another was looked up"
"""The history of this call does not hold the answer that shows it."""
MAX_PERSONS: Final = 50
"""Contact persons that are kept of one customer; the one whose phone it is always is."""
MAX_TAGS: Final = 20
MAX_TEXT: Final = 255


class Memory(Protocol):
    """What look-ups and calls remember together (``adapters/directory/memory.py``)."""

    def for_call(self, account: Account, number: str) -> Known | None:
        """Somebody who was found so recently that a call may be linked without another search."""
        ...

    def learn(self, account: Account, known: Known) -> None:
        """MoySklad said so."""
        ...

    def created(self, account: Account, number: str, contact: str, owner: str) -> None:
        """A customer was made of a number."""
        ...

    def registered(self, account: Account, number: str, contact: str, owner: Owner | None) -> None:
        """MoySklad linked a call from this number to a customer, and named the responsible employee."""
        ...

    def gone(self, account: Account, contact: str) -> None:
        """There is no such customer any more."""
        ...


class NoMemory:
    """Remembers nothing."""

    def for_call(self, account: Account, number: str) -> Known | None:
        """See :class:`Memory`."""
        return None

    def learn(self, account: Account, known: Known) -> None:
        """See :class:`Memory`."""

    def created(self, account: Account, number: str, contact: str, owner: str) -> None:
        """See :class:`Memory`."""

    def registered(self, account: Account, number: str, contact: str, owner: Owner | None) -> None:
        """See :class:`Memory`."""

    def gone(self, account: Account, contact: str) -> None:
        """See :class:`Memory`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of those who have the number, and what the rule looks at. Ordered best first by :func:`ranked`."""

    contact: Contact
    is_own: bool
    is_automatic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The answer of a search, and everybody it could have been."""

    known: Known
    candidates: tuple[Candidate, ...] = ()


class Contacts:
    """Searches for numbers. Raises Refused or Unavailable; the exchanges are in the trail."""

    def __init__(self, json: JsonApi) -> None:
        self._json = json
        self._habits = SearchHabits()
        self._short_look = ShortLook(json, self._habits)

    @property
    def compares_digits(self) -> bool:
        """See :attr:`SearchHabits.compares_digits`."""
        return self._habits.compares_digits

    async def look_up(self, number: str, account: Account, trail: Trail, *, now_ms: int) -> Looked:
        """Who has this number. ``now_ms``: when the question is put."""
        key = number_key(number)
        if key is None:
            return Looked(known=Known(number=number, asked_ms=now_ms, rule="no number to search by"))
        if not account.api_token:
            raise Refused("no main API token", remedy="enter the main API token in the integration's settings")
        nobody = NOBODY
        with self._short_look.wanted(key, account):
            rows = await self._search(key, (key.digits,), account, trail)
            if not self.compares_digits:
                self._habits.see(key, rows)
            if not rows and not self.compares_digits:
                rows, nobody = await self._search_as_typed(key, account, trail)
        return choose(number, key, rows, now_ms=now_ms, nobody=nobody)

    async def read(self, contact: str, account: Account, trail: Trail) -> Contact:
        """One customer by its uuid, contact persons inside."""
        row = await self._json.counterparty(contact, account.api_token, trail)
        return contact_of(row, None)

    async def _search_as_typed(self, key: NumberKey, account: Account, trail: Trail) -> tuple[list[Row], str]:
        """Who has the number if MoySklad compares text instead of digits (6.10), which then needs what somebody typed; and what
        to say if it is nobody."""
        near = await self._short_look.look(key, account, trail)
        if near is not None:
            found = [row for row in near.rows if holds(key, row) and row.get("id")]
            return found, SEEN_BEFORE if near.shared else NOBODY
        tails = tuple(tail for tail in key.tails if tail != key.digits)
        return await self._search(key, tails, account, trail.guessing()), NOBODY

    async def _search(self, key: NumberKey, texts: tuple[str, ...], account: Account, trail: Trail) -> list[Row]:
        found = await _all(
            self._json.search_counterparties(text, account.api_token, trail, verified=lambda row: holds(key, row)) for text in texts
        )
        return list({str(row.get("id")): row for rows in found for row in rows if row.get("id")}.values())


def ranked(key: NumberKey, rows: Iterable[Row]) -> list[Candidate]:
    """Everybody who has the number, the best first by :data:`RULE`."""
    found = sorted((_candidate(key, row) for row in rows), key=lambda each: each.contact.id)
    found.sort(key=lambda each: each.contact.updated, reverse=True)
    found.sort(key=lambda each: (each.contact.is_archived, each.is_automatic, not each.is_own))
    return found


def choose(number: str, key: NumberKey, rows: list[Row], *, now_ms: int, nobody: str = NOBODY) -> Looked:
    """One of several customers with the same number."""
    candidates = ranked(key, rows)
    if not candidates:
        return Looked(known=Known(number=number, asked_ms=now_ms, rule=nobody))
    best = candidates[0]
    where = "own phone" if best.is_own else "contact person's phone"
    rule = where if len(candidates) == 1 else f"{where}; of {len(candidates)}: {RULE}"
    known = Known(number=number, asked_ms=now_ms, contact=best.contact, matches=len(candidates), rule=rule)
    return Looked(known=known, candidates=tuple(candidates))


def as_result(known: Known) -> dict[str, Any]:
    """The result of ``FindContact``, as it is kept in a call's history."""
    contact = known.contact
    if contact is None:
        return {"contact": None, "name": None, "matches": 0, "rule": known.rule, "owner": None}
    owner = contact.owner.id if contact.owner is not None else None
    return {"contact": contact.id, "name": contact.name, "matches": known.matches, "rule": known.rule, "owner": owner}


def created_contact(number: str, contact: str, owner: str, *, now_ms: int) -> Known:
    """What is known of a customer that was just made of a number."""
    made = Contact(
        id=contact, name=number, phone=number, tags=(CREATED_TAG,), owner=Owner(id=owner) if owner else None
    )
    return Known(number=number, asked_ms=now_ms, contact=made, matches=1, rule="made of the number", source=Source.CREATED)


def contact_of(row: Row, key: NumberKey | None) -> Contact:
    """A counterparty as it is remembered; ``key``: whose contact person is told apart."""
    persons = tuple(_person(each) for each in contact_persons(row))
    person = None
    if key is not None and not key.is_in(row.get("phone")):
        person = next((each for each in persons if key.is_in(each.phone)), None)
    kept = persons[:MAX_PERSONS] if person is None or person in persons[:MAX_PERSONS] else (person, *persons[: MAX_PERSONS - 1])
    tags = row.get("tags")
    meta = row.get("meta")
    return Contact(
        id=_text(row, "id"),
        name=_text(row, "name"),
        phone=_text(row, "phone"),
        company_type=_text(row, "companyType"),
        family=_text(row, "legalLastName"),
        given=_text(row, "legalFirstName"),
        middle=_text(row, "legalMiddleName"),
        persons=kept,
        person_id=person.id if person is not None else "",
        tags=tuple(str(tag)[:MAX_TEXT] for tag in tags[:MAX_TAGS]) if isinstance(tags, list) else (),
        is_archived=row.get("archived") is True,
        updated=_text(row, "updated"),
        page=_text(meta, "uuidHref") if isinstance(meta, Mapping) else "",
        owner=_owner(row),
    )


def for_number(contact: Contact, number: str) -> Contact | None:
    """The same customer as the owner of one of its numbers; None when it is not among them."""
    key = number_key(number)
    if key is None:
        return None
    if key.is_in(contact.phone):
        return replace(contact, person_id="")
    person = next((each for each in contact.persons if key.is_in(each.phone)), None)
    return None if person is None else replace(contact, person_id=person.id)


def _candidate(key: NumberKey, row: Row) -> Candidate:
    contact = contact_of(row, key)
    person = contact.person
    automatic = is_automatic(contact.name) and (person is None or is_automatic(person.name))
    return Candidate(contact=contact, is_own=key.is_in(contact.phone), is_automatic=automatic)


def _person(row: Row) -> Person:
    return Person(id=_text(row, "id"), name=_text(row, "name"), phone=_text(row, "phone"))


def _owner(row: Row) -> Owner | None:
    """The responsible employee: in full where it was expanded, otherwise by uuid."""
    id_ = owner_of(row)
    if id_ is None:
        return None
    owner = row.get("owner")
    full = owner if isinstance(owner, Mapping) else {}
    return Owner(id=id_, name=_text(full, "name") or _text(full, "fullName"), is_archived=full.get("archived") is True)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value[: 4 * MAX_TEXT].replace("\0", "") if isinstance(value, str) else ""


async def _all(requests: Iterable[Coroutine[Any, Any, list[Row]]]) -> list[list[Row]]:
    """Everything at once; the first failure ends the others and is raised as itself."""
    pending = list(requests)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(request) for request in pending]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
