"""Answers who is calling and who should answer, before the telephone has rung twice (PRODUCT E1, E2; docs/decisions/0016).

A deadline is kept whatever happens: settings, memory, table and MoySklad each get a part of it, and what has not come by then is
looked up behind the answer. What was known before is better than nothing when the truth does not come in time; it is never better
than the truth.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from adapters.directory.lookups import Lookup, Lookups
from adapters.directory.memory import Entry, Memory
from adapters.directory.table import Table
from adapters.latency import Latency
from adapters.moysklad.contacts import for_number
from adapters.moysklad.per_account import Mark, mark_of
from adapters.settings_store import Current, SettingsStore
from core.contacts import Known, Responsible, Roster, Source, Trust, is_somebodys, numbers_of, responsible
from core.errors import StoreUnavailable
from core.phone import is_hidden, normalise_number
from core.values import Urgency

COLD_S: Final = 1.4
"""For an answer that has to be asked for; a tenth of a second of the 1.5 is the answer's own way."""
CLOSE_S: Final = 5.0
"""For whoever wants the truth and not a quick answer: enrichment, and a person who asks why."""
OWNER_S: Final = 1.0
"""For extensions, on top of that."""
SETTINGS_S: Final = 0.1
"""For settings that were seen before: those of a moment ago are as good."""
ROSTER_FRESH_MS: Final = 300_000
ROSTER_AGED_MS: Final = 86_400_000
"""For so long extensions are said at once, while they are asked anew behind the caller's back."""

OFF: Final = "the integration is switched off"
HIDDEN: Final = "the caller hides the number"
SHORT: Final = "an extension is nobody's contact"
NO_TOKEN: Final = "no main API token in the settings"
NO_SETTINGS: Final = "the settings cannot be read just now"
CROWDED: Final = "too many look-ups are under way"
LATE: Final = "MoySklad has not answered yet: the look-up goes on, ask again"


class Where(StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    DATABASE = "database"
    MOYSKLAD = "moysklad"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What is waited for, in seconds. Tests bring shorter ones."""

    cold_s: float = COLD_S
    close_s: float = CLOSE_S
    settings_s: float = SETTINGS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to one question. ``reason``: why nothing better can be said; ``is_late``: a look-up goes on behind it.

    ``before``: what the cache had, and ``trust``, how far it was believed.
    """

    number: str = ""
    current: Current | None = None
    known: Known | None = None
    where: Where = Where.NOWHERE
    reason: str = ""
    is_late: bool = False
    before: Entry | None = None
    before_from: Where = Where.NOWHERE
    trust: Trust = Trust.NOTHING
    lookup: Lookup | None = None
    settings_ms: int = 0
    took_ms: int = 0


class UnknownEnterprise(Exception):
    """Nobody knows this enterprise."""


@dataclass(slots=True, kw_only=True)
class Counters:
    """Since the process started; read by metrics. ``answers``: (question, whence) -> how many; ``took``: question -> how long."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    took: dict[str, Latency] = field(default_factory=dict)


class Desk:
    """See the module. Every question may raise :class:`UnknownEnterprise`, and nothing else."""

    def __init__(
        self,
        *,
        settings: SettingsStore,
        memory: Memory,
        table: Table,
        lookups: Lookups,
        now_ms: Callable[[], int],
        times: Times | None = None,
    ) -> None:
        self.memory = memory
        self.table = table
        self.lookups = lookups
        self.counters = Counters()
        self._settings = settings
        self._now_ms = now_ms
        self._times = times or Times()

    async def who(self, question: str, enterprise: str, phone: str) -> Found:
        """Whose number it is. ``question`` names it for the figures."""
        started_s, until_s = self._clock(self._times.cold_s)
        begun = await self._begin(enterprise, phone, until_s)
        found = begun if begun.reason else await self._look(begun, until_s, for_name=True)
        return self._counted(question, found, started_s)

    async def responsible(self, question: str, enterprise: str, phone: str) -> tuple[Found, Responsible]:
        """Who should answer; that the customer's name is not known yet does not matter."""
        started_s, until_s = self._clock(self._times.cold_s)
        begun = await self._begin(enterprise, phone, until_s)
        if begun.reason or begun.current is None:
            return self._counted(question, begun, started_s), Responsible(reason=begun.reason)
        current = begun.current
        # It starts when the look-up has to wait, and not at all when the answer is at hand.
        extensions = asyncio.ensure_future(self._roster(current, until_s))
        try:
            found = await self._look(begun, until_s, for_name=False)
            answer = responsible(found.known, current.settings.employees, None)
            if not answer.is_settled:
                roster = await extensions
                answer = responsible(found.known, current.settings.employees, roster)
                if roster is None and not answer.extension:
                    found = replace(found, is_late=True)
        finally:
            extensions.cancel()
        if found.known is None:
            answer = Responsible(reason=found.reason)
        return self._counted(question, found, started_s), answer

    async def closely(self, question: str, enterprise: str, phone: str) -> Found:
        """The truth, asked for now, with everything that led to it; what was known, if it does not come in time."""
        started_s, until_s = self._clock(self._times.close_s)
        begun = await self._begin(enterprise, phone, until_s)
        found = begun if begun.reason else await self._look(begun, until_s, for_name=True, anew=True)
        return self._counted(question, found, started_s)

    async def owner_of(self, found: Found) -> Responsible:
        """Who is responsible for the customer who was found, for a person who asks why."""
        if found.current is None:
            return Responsible(reason=found.reason)
        roster = await self._roster(found.current, asyncio.get_running_loop().time() + OWNER_S)
        return responsible(found.known, found.current.settings.employees, roster)

    async def retell(self, found: Found) -> tuple[tuple[str, ...], int]:
        """A customer's other numbers, and how many records of the cache an answer of MoySklad has just made new."""
        known, current = found.known, found.current
        if known is None or known.contact is None or current is None:
            return (), 0
        contact, mark = known.contact, mark_of(current.account)
        others = tuple(number for number in numbers_of(contact, current.settings.country) if number != found.number)
        if found.where is not Where.MOYSKLAD:
            return others, 0
        updated = 1
        for number in others:
            entry, _ = await self._remembered(current, mark, number)
            theirs = entry.known.contact if entry is not None else None
            if entry is None or (theirs is not None and theirs.id != contact.id):
                continue  # nobody asked about it, or the rule chose another customer for it
            same = for_number(contact, number)
            told = replace(known, number=number, contact=same, matches=1, rule="told with another number", source=Source.CHANGED)
            updated += same is not None and self.memory.take(current.enterprise, mark, told)
        return others, updated

    # -- inside ----------------------------------------------------------------------------------------------

    @staticmethod
    def _clock(patience_s: float) -> tuple[float, float]:
        now_s = asyncio.get_running_loop().time()
        return now_s, now_s + patience_s

    def _counted(self, question: str, found: Found, started_s: float) -> Found:
        took_s = asyncio.get_running_loop().time() - started_s
        self.counters.answers[question, "late" if found.is_late else str(found.where)] += 1
        self.counters.took.setdefault(question, Latency()).observe(took_s)
        return replace(found, took_ms=round(took_s * 1000))

    async def _begin(self, enterprise: str, phone: str, until_s: float) -> Found:
        """The settings and the number; with a ``reason`` where nobody needs to be asked."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        current = await self._current(enterprise, until_s)
        settings_ms = round((loop.time() - started_s) * 1000)
        if current is None:
            return Found(reason=NO_SETTINGS, is_late=True, settings_ms=settings_ms)
        number = normalise_number(phone, current.settings.country)
        reason = ""
        if not current.settings.enabled:
            reason = OFF
        elif is_hidden(phone):
            reason = HIDDEN
        elif not is_somebodys(number):
            reason = SHORT
        return Found(number=number, current=current, reason=reason, settings_ms=settings_ms)

    async def _current(self, enterprise: str, until_s: float) -> Current | None:
        """The settings in force, or as they were last seen if the database does not say in time; None: never seen."""
        last = self._settings.last_known(enterprise)
        left_s = until_s - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._times.settings_s, left_s) if last is not None else left_s):
                current = await self._settings.current(enterprise)
        except (TimeoutError, StoreUnavailable):
            return last
        if current is None:
            raise UnknownEnterprise(enterprise)
        return current

    async def _remembered(self, current: Current, mark: Mark, number: str) -> tuple[Entry | None, Where]:
        entry = self.memory.find(mark, number)
        if self.memory.trust(entry) is not Trust.NOTHING:
            return entry, Where.MEMORY
        kept = await self.table.find(mark, number)
        if kept is None:
            entry = self.memory.find(mark, number)  # somebody else may have learned it meanwhile
            return entry, Where.NOWHERE if entry is None else Where.MEMORY
        self.memory.take(current.enterprise, mark, kept.known, changed_ms=kept.changed_ms, tell=False)
        return self.memory.find(mark, number), Where.DATABASE

    async def _look(self, begun: Found, until_s: float, *, for_name: bool, anew: bool = False) -> Found:
        """What is remembered, if it is good enough; otherwise what MoySklad says until then."""
        assert begun.current is not None
        current, number = begun.current, begun.number
        entry, where = await self._remembered(current, mark_of(current.account), number)
        trust = self.memory.trust(entry, for_name=for_name)
        known = entry.known if entry is not None and trust is not Trust.NOTHING else None
        whence = where if known is not None else Where.NOWHERE
        found = replace(begun, known=known, where=whence, before=entry, before_from=where, trust=trust)
        if not current.account.api_token:
            enough = known is not None and (known.is_named or not for_name)
            return found if enough else replace(found, reason=NO_TOKEN)
        if trust is Trust.FRESH and not anew:
            return found
        if trust is Trust.AGED and not anew:
            self.lookups.find(current.account, number, Urgency.ENDED)
            return found
        task = self.lookups.find(current.account, number)
        if task is None:
            return replace(found, reason=CROWDED)
        left_s = until_s - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait((task,), timeout=max(0.0, left_s))
        if not done:
            return replace(found, reason=LATE, is_late=True)
        if task.cancelled() or task.exception() is not None:
            return replace(found, reason="the look-up broke: see the service's log")
        lookup = task.result()
        if lookup.known is None:
            return replace(found, reason=lookup.error, lookup=lookup)
        return replace(found, known=lookup.known, where=Where.MOYSKLAD, lookup=lookup)

    async def _roster(self, current: Current, until_s: float) -> Roster | None:
        """Who has which extension; None when that is not known by then."""
        account, now_ms = current.account, self._now_ms()
        mark = mark_of(account)
        roster = self.memory.roster(mark)
        if roster is None and (kept := await self.table.find_roster(mark)) is not None:
            roster = kept if self.memory.take_roster(account.enterprise, mark, kept) else None
        if not account.phone_key or (roster is not None and now_ms - roster.asked_ms <= ROSTER_FRESH_MS):
            return roster
        if roster is not None and now_ms - roster.asked_ms <= ROSTER_AGED_MS:
            self.lookups.extensions(account, Urgency.ENDED)
            return roster
        if (task := self.lookups.extensions(account)) is not None:
            left_s = until_s - asyncio.get_running_loop().time()
            await asyncio.wait((task,), timeout=max(0.0, left_s))
        return self.memory.roster(mark)

