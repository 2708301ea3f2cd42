"""Who a number is, as far as MoySklad and the calls have said, and who should answer (PRODUCT E1, E2).

What is known of a number is a :class:`Known`: a customer, or that nobody has it, with the rule by which it was chosen and the time
at which it was asked. The cache holds nothing else, so its rules are here: how long what was said is believed (:func:`trust`),
what a call's answer adds (:func:`taught_by_call`), and whose extension follows from it (:func:`responsible`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from core.names import display_name, real, split_name
from core.phone import digits, normalise_number
from core.settings import EmployeeRef
from core.values import ANONYMOUS

FRESH_MS: Final = 600_000
"""A customer is believed for so long without asking; nobody tells us of changes."""
FRESH_WATCHED_MS: Final = 6 * 3_600_000
"""The same where MoySklad's webhooks tell of changes: only what they lose grows old."""
AGED_MS: Final = 24 * 3_600_000
"""For so long it is still said at once, while it is asked anew behind the caller's back."""
ABSENT_MS: Final = 60_000
"""Nobody has the number: somebody may be entering it right now."""
ABSENT_WATCHED_MS: Final = 600_000
ABSENT_AGED_MS: Final = 600_000
CALL_TRUST_MS: Final = 300_000
"""A call is linked without another search to a customer who was found this recently: most often when the ringing telephone
asked for the name."""
CALL_TRUST_WATCHED_MS: Final = 3_600_000
KEPT_MS: Final = 30 * 86_400_000
"""What nobody has asked about for so long is forgotten; asked again it is looked up."""
ABSENT_KEPT_MS: Final = 86_400_000

MAX_EXTENSION_DIGITS: Final = 6
_SEPARATOR: Final = re.compile(r"[,;/|\n\r\t]|доб|ext|вн")
EXTENSION_NEWS_MS: Final = 3_600_000
"""That a call says the same extension again is worth a write only so often."""


class Source(StrEnum):
    """What taught us."""

    SEARCH = "search"
    CALL = "call"
    CREATED = "created"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A contact person of a customer; the phone as typed."""

    id: str = ""
    name: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The employee who is responsible. ``extension``: as MoySklad said it with a call at ``extension_ms``."""

    id: str
    name: str = ""
    is_archived: bool = False
    extension: str = ""
    extension_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A customer. ``person_id``: the contact person whose phone it is; ``family``, ``given``, ``middle``: a natural person's own
    fields; ``phone``: as typed; ``updated``: MoySklad's text."""

    id: str
    name: str = ""
    phone: str = ""
    company_type: str = ""
    family: str = ""
    given: str = ""
    middle: str = ""
    persons: tuple[Person, ...] = ()
    person_id: str = ""
    tags: tuple[str, ...] = ()
    is_archived: bool = False
    updated: str = ""
    page: str = ""
    owner: Owner | None = None

    @property
    def person(self) -> Person | None:
        """The contact person whose phone was asked about."""
        return next((each for each in self.persons if each.id and each.id == self.person_id), None)

    @property
    def is_individual(self) -> bool:
        """Whether the customer is a person, not a company."""
        return self.company_type.startswith("individual")

    @property
    def company(self) -> str:
        """The company's name; empty for a person, and where a program made it of the number."""
        return "" if self.is_individual else real(self.name)

    @property
    def person_name(self) -> str:
        """Who has this telephone, where MoySklad knows one."""
        if (person := self.person) is not None:
            return real(person.name)
        return real(self.name) if self.is_individual else ""

    @property
    def display(self) -> str:
        """What a telephone shows; empty: nothing worth showing."""
        return display_name(self.company or real(self.name), self.person_name)

    @property
    def full_name(self) -> tuple[str, str, str]:
        """Last, first and middle name: MoySklad's own fields, or what the person's one name proves."""
        if self.person is None and (self.family or self.given):
            return self.family, self.given, self.middle
        return split_name(self.person_name) if self.person_name else ("", "", "")

    @property
    def phones(self) -> tuple[str, ...]:
        """Every phone field, the customer's own first, as typed."""
        return tuple(dict.fromkeys(text for text in (self.phone, *(each.phone for each in self.persons)) if text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one number. ``contact`` None: nobody has it. ``is_named`` False: only a call's answer taught us, so names
    are still to be asked for. ``asked_ms``: when the question was put whose answer this is: a change after that is not in it.
    """

    number: str
    asked_ms: int
    contact: Contact | None = None
    matches: int = 0
    rule: str = ""
    source: Source = Source.SEARCH
    is_named: bool = True


def numbers_of(contact: Contact, country: str) -> tuple[str, ...]:
    """Every telephone number of a customer, one spelling for each; a field may hold several."""
    parts = (part for text in contact.phones for part in _SEPARATOR.split(text))
    numbers = (normalise_number(part, country) for part in parts)
    return tuple(dict.fromkeys(number for number in numbers if is_somebodys(number)))


def is_somebodys(number: str) -> bool:
    """Whether a normalised number can be a customer's: not hidden, and longer than an extension."""
    return number != ANONYMOUS and len(digits(number)) > MAX_EXTENSION_DIGITS


class Trust(StrEnum):
    """How far what is known is believed. ``FRESH``: say it. ``AGED``: say it, and ask anew behind it. ``DOUBTED``: ask first; it
    is said only if no answer comes in time. ``NOTHING``: as if nothing were known.
    """

    FRESH = "fresh"
    AGED = "aged"
    DOUBTED = "doubted"
    NOTHING = "nothing"


def trust(
    known: Known | None, now_ms: int, *, changed_ms: int | None = None, watched: bool = False, for_name: bool = True
) -> Trust:
    """How far it is believed now. ``changed_ms``: when MoySklad last told of a change that concerns it; ``watched``: it tells.

    ``for_name`` False: the question is who is responsible, which a call's answer says as well.
    """
    if known is None:
        return Trust.NOTHING
    age_ms = now_ms - known.asked_ms
    doubted = changed_ms is not None and changed_ms >= known.asked_ms
    if known.contact is None:
        if doubted or age_ms > ABSENT_AGED_MS:
            return Trust.NOTHING
        return Trust.FRESH if age_ms <= (ABSENT_WATCHED_MS if watched else ABSENT_MS) else Trust.AGED
    if doubted or (for_name and not known.is_named) or age_ms > AGED_MS:
        return Trust.DOUBTED if age_ms <= KEPT_MS else Trust.NOTHING
    if known.source is not Source.SEARCH:
        return Trust.AGED  # who else has the number, or what MoySklad made of it, was not asked
    return Trust.FRESH if age_ms <= (FRESH_WATCHED_MS if watched else FRESH_MS) else Trust.AGED


def is_good_for_a_call(known: Known, now_ms: int, *, changed_ms: int | None = None, watched: bool = False) -> bool:
    """Whether a call may be linked by it without a search of its own.

    Only somebody who is there: that nobody is there decides about creating a customer, and is always asked.
    """
    if known.contact is None or known.source not in (Source.SEARCH, Source.CREATED):
        return False
    if changed_ms is not None and changed_ms >= known.asked_ms:
        return False
    return 0 <= now_ms - known.asked_ms <= (CALL_TRUST_WATCHED_MS if watched else CALL_TRUST_MS)


def is_newer(fresh: Known, known: Known | None) -> bool:
    """Whether the first replaces the second: it answers a later question, or it has the names that the second lacks of the same
    customer. Whom a call was linked to since is not unlearned by a search that was put before."""
    if known is None or fresh.asked_ms >= known.asked_ms:
        return True
    return fresh.is_named and not known.is_named and _is_of(fresh, known)


def _is_of(one: Known, other: Known) -> bool:
    return one.contact is not None and other.contact is not None and one.contact.id == other.contact.id


def taught_by_call(known: Known | None, number: str, contact: str, owner: Owner | None, asked_ms: int) -> Known:
    """What is known once MoySklad has linked a call from this number to a customer and named who is responsible."""
    if known is None or known.contact is None or known.contact.id != contact:
        fresh = Contact(id=contact, owner=owner)
        rule = "MoySklad linked a call to it"
        return Known(
            number=number, asked_ms=asked_ms, contact=fresh, matches=1, rule=rule, source=Source.CALL, is_named=False
        )
    before = known.contact.owner
    if owner is not None and before is not None and before.id == owner.id:
        if owner.extension == before.extension and asked_ms - before.extension_ms < EXTENSION_NEWS_MS:
            return known
        owner = replace(before, extension=owner.extension, extension_ms=owner.extension_ms)
    return replace(known, contact=replace(known.contact, owner=owner or before))


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who has which extension, as the Phone API said at ``asked_ms``: (employee's uuid, extension) pairs."""

    asked_ms: int
    extensions: tuple[tuple[str, str], ...] = ()

    def extension_of(self, employee: str) -> str:
        """The employee's extension, the shortest of several; empty: none."""
        found = [extension for id_, extension in self.extensions if id_ == employee]
        return min(found, key=lambda extension: (len(extension), extension), default="")


ARCHIVED: Final = "the responsible employee is archived"
BY_MAPPING: Final = "the settings' employee mapping"
BY_ROSTER: Final = "the Phone API's employees"
BY_CALL: Final = "MoySklad's answer to a call (counterpartyowner)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Responsible:
    """Who should answer. ``rule``: how the extension was found; ``reason``: why there is none."""

    extension: str = ""
    manager_id: str = ""
    manager_name: str = ""
    rule: str = ""
    reason: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether a directory of extensions could not say anything else."""
        return not self.manager_id or self.rule == BY_MAPPING or self.reason == ARCHIVED


def responsible(known: Known | None, mapping: Sequence[tuple[str, EmployeeRef]], roster: Roster | None) -> Responsible:
    """The owner's extension: by the settings' own mapping, by the Phone API's directory, by what a call taught."""
    if known is None or known.contact is None:
        return Responsible(reason="nobody has this number" if known is not None else "")
    owner = known.contact.owner
    if owner is None or not owner.id:
        return Responsible(reason="the customer has no responsible employee")
    mapped = next(((extension, ref) for extension, ref in mapping if ref.id == owner.id), None)
    name = owner.name or (mapped[1].name if mapped is not None else "")
    found = Responsible(manager_id=owner.id, manager_name=name)
    if owner.is_archived:
        return replace(found, reason=ARCHIVED)
    if mapped is not None:
        return replace(found, extension=mapped[0], rule=BY_MAPPING)
    if roster is not None and (extension := roster.extension_of(owner.id)):
        return replace(found, extension=extension, rule=BY_ROSTER)
    if owner.extension and (roster is None or roster.asked_ms <= owner.extension_ms):
        return replace(found, extension=owner.extension, rule=BY_CALL)
    return replace(found, reason="the responsible employee has no extension" if roster is not None else "extensions are not known")


def as_raw(contact: Contact) -> Mapping[str, object]:
    """The customer in MoySklad's own words, as far as it is kept: for whoever wants more than a name."""
    owner = contact.owner
    return {
        "id": contact.id,
        "name": contact.name,
        "phone": contact.phone,
        "companyType": contact.company_type,
        "archived": contact.is_archived,
        "updated": contact.updated,
        "tags": list(contact.tags),
        "uuidHref": contact.page,
        "owner": {"id": owner.id, "name": owner.name, "archived": owner.is_archived} if owner is not None else None,
        "contactpersons": [{"id": each.id, "name": each.name, "phone": each.phone} for each in contact.persons],
    }
