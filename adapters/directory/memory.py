"""What is known of numbers, in this process: the first place that is asked, and the one that calls teach (docs/decisions/0016).

Bounded, and per account: an entry is kept under a mark of the enterprise and its credentials, so that after a change of the key or
the token nobody is answered with another account's customers. What is learned here is handed to the table (``table.py``), where
other instances and the next start of this one find it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.moysklad.contacts import created_contact
from adapters.moysklad.per_account import Mark, mark_of
from core.contacts import Known, Owner, Roster, Source, Trust, is_good_for_a_call, is_newer, taught_by_call, trust
from core.effects import Account
from core.hooks import Changed
from core.values import ANONYMOUS

MAX_ENTRIES: Final = 50_000
"""Numbers in memory, of all accounts: a kilobyte each. What falls out is found in the table."""
MAX_ROSTERS: Final = 2_000
MAX_CHANGES: Final = 20_000
"""Customers that changed lately. They are remembered so that an answer that was already under way is not taken for newer than
the change."""

STAFF: Final = ":staff"
"""Stands, among the changes, for "who has which extension may have changed"."""

BLANK: Final = ":blank"
"""Stands, among the ids a number depends on, for "a customer who is entered now may get this number": see :func:`is_blank`."""

Key = tuple[Mark, str]


@dataclass(slots=True, kw_only=True)
class Entry:
    """One number. ``changed_ms``: when MoySklad last told of a change that concerns it."""

    enterprise: str
    known: Known
    changed_ms: int | None = None


def is_blank(known: Known) -> bool:
    """Whether a customer who is entered with this number would change the answer: nobody has it yet, or only somebody without a
    name."""
    return known.contact is None or not known.contact.display


@dataclass(slots=True)
class Memory:
    """See the module. ``watched``: whether webhooks tell of an enterprise's changes; ``learned``: told what is new."""

    now_ms: Callable[[], int]
    watched: Callable[[str], bool] = lambda _: False
    learned: Callable[[str, Mark, Known], None] = lambda *_: None
    _entries: OrderedDict[Key, Entry] = field(default_factory=OrderedDict)
    _index: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    _rosters: OrderedDict[Mark, tuple[str, Roster]] = field(default_factory=OrderedDict)
    _changes: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._entries)

    # -- asking ----------------------------------------------------------------------------------------------

    def find(self, mark: Mark, number: str) -> Entry | None:
        """What is known of a number, however old."""
        entry = self._entries.get((mark, number))
        if entry is not None:
            self._entries.move_to_end((mark, number))
        return entry

    def trust(self, entry: Entry | None, *, for_name: bool = True) -> Trust:
        """How far it is believed now."""
        if entry is None:
            return Trust.NOTHING
        watched = self.watched(entry.enterprise)
        return trust(entry.known, self.now_ms(), changed_ms=entry.changed_ms, watched=watched, for_name=for_name)

    def for_call(self, account: Account, number: str) -> Known | None:
        """See :class:`adapters.moysklad.contacts.Memory`."""
        entry = self._entries.get((mark_of(account), number))
        if entry is None:
            return None
        watched = self.watched(entry.enterprise)
        good = is_good_for_a_call(entry.known, self.now_ms(), changed_ms=entry.changed_ms, watched=watched)
        return entry.known if good else None

    # -- learning --------------------------------------------------------------------------------------------

    def learn(self, account: Account, known: Known) -> None:
        """See :class:`adapters.moysklad.contacts.Memory`."""
        self.take(account.enterprise, mark_of(account), known)

    def take(self, enterprise: str, mark: Mark, known: Known, *, changed_ms: int | None = None, tell: bool = True) -> bool:
        """Remember it, unless something newer is known. ``tell`` False: it comes from the table itself. Whether it was new."""
        if not known.number or known.number == ANONYMOUS:
            return False
        key = (mark, known.number)
        before = self._entries.get(key)
        if not is_newer(known, before.known if before is not None else None):
            return False
        known = _with_extension(known, before.known if before is not None else None)
        if before is not None:
            self._drop(key)
        self._entries[key] = Entry(enterprise=enterprise, known=known, changed_ms=self._change_of(enterprise, known, changed_ms))
        for name in _names(known):
            self._index.setdefault((enterprise, name), set()).add(key)
        while len(self._entries) > MAX_ENTRIES:
            self._drop(next(iter(self._entries)))
        if tell:
            self.learned(enterprise, mark, known)
        return True

    def created(self, account: Account, number: str, contact: str, owner: str) -> None:
        """See :class:`adapters.moysklad.contacts.Memory`."""
        self.learn(account, created_contact(number, contact, owner, now_ms=self.now_ms()))

    def registered(self, account: Account, number: str, contact: str, owner: Owner | None) -> None:
        """See :class:`adapters.moysklad.contacts.Memory`. A customer other than the one we would name is asked about anew."""
        mark = mark_of(account)
        before = self._entries.get((mark, number))
        known = before.known if before is not None else None
        if known is not None and known.contact is not None and known.contact.id != contact and known.is_named:
            assert before is not None
            before.changed_ms = self.now_ms()
            return
        taught = taught_by_call(known, number, contact, owner, self.now_ms())
        if taught != known:
            self.take(account.enterprise, mark, taught)

    def gone(self, account: Account, contact: str) -> None:
        """See :class:`adapters.moysklad.contacts.Memory`."""
        self.changed(account.enterprise, Changed(contacts=frozenset({contact})), self.now_ms())

    def changed(self, enterprise: str, what: Changed, at_ms: int) -> None:
        """MoySklad told of changes: what they concern is doubted from now on."""
        at_ms = min(at_ms, self.now_ms())  # by a clock that is ahead nothing would be newer for as long
        whatever = (*((BLANK,) if what.phones else ()), *((STAFF,) if what.staff else ()))
        for name in (*what.contacts, *what.persons, *what.employees, *whatever):
            self._changes[enterprise, name] = at_ms
            self._changes.move_to_end((enterprise, name))
            for key in self._index.get((enterprise, name), ()):
                entry = self._entries[key]
                entry.changed_ms = max(at_ms, entry.changed_ms or 0)
        while len(self._changes) > MAX_CHANGES:
            self._changes.popitem(last=False)
        if what.staff:
            for mark in [mark for mark, (whose, _) in self._rosters.items() if whose == enterprise]:
                del self._rosters[mark]

    # -- extensions ------------------------------------------------------------------------------------------

    def roster(self, mark: Mark) -> Roster | None:
        """Who has which extension, however old."""
        found = self._rosters.get(mark)
        return found[1] if found is not None else None

    def take_roster(self, enterprise: str, mark: Mark, roster: Roster) -> bool:
        """Remember it, unless a newer one is known or it changed since it was asked for. Whether it is remembered."""
        before, changed_ms = self.roster(mark), self._changes.get((enterprise, STAFF))
        if (before is not None and roster.asked_ms < before.asked_ms) or (changed_ms is not None and roster.asked_ms < changed_ms):
            return False
        self._rosters[mark] = (enterprise, roster)
        self._rosters.move_to_end(mark)
        while len(self._rosters) > MAX_ROSTERS:
            self._rosters.popitem(last=False)
        return True

    # -- inside ----------------------------------------------------------------------------------------------

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key)
        for name in _names(entry.known):
            keys = self._index[entry.enterprise, name]
            keys.discard(key)
            if not keys:
                del self._index[entry.enterprise, name]

    def _change_of(self, enterprise: str, known: Known, changed_ms: int | None) -> int | None:
        """When anything that this answer depends on last changed, including changes that came while the question was under way."""
        found = [at_ms for name in _names(known) if (at_ms := self._changes.get((enterprise, name))) is not None]
        return max([*found, *([changed_ms] if changed_ms is not None else [])], default=None)


def people_of(known: Known) -> list[str]:
    """The ids whose change makes this answer doubtful: the customer, the contact persons, the responsible employee."""
    contact = known.contact
    if contact is None:
        return []
    owner = contact.owner.id if contact.owner is not None else ""
    return [name for name in dict.fromkeys((contact.id, *(person.id for person in contact.persons), owner)) if name]


def _names(known: Known) -> list[str]:
    return [*people_of(known), *([BLANK] if is_blank(known) else [])]


def _with_extension(known: Known, before: Known | None) -> Known:
    """A search does not tell the owner's extension, so the one that a call told earlier of the same owner is kept."""
    if known.source is Source.CALL or known.contact is None or before is None or before.contact is None:
        return known
    owner, earlier = known.contact.owner, before.contact.owner
    if owner is None or earlier is None or owner.id != earlier.id or owner.extension or not earlier.extension:
        return known
    kept = replace(owner, extension=earlier.extension, extension_ms=earlier.extension_ms)
    return replace(known, contact=replace(known.contact, owner=kept))

