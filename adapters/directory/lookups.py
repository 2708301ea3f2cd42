"""Asking MoySklad on behalf of a ringing telephone: once for everybody who asks the same, bounded, and to the end.

A look-up goes on when whoever asked has been answered without it: the next question finds what it learned. It takes its place at
the account's turnstile like every request of a call (docs/decisions/0011), with the urgency of whoever waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from adapters.directory.memory import Memory
from adapters.latency import Latency
from adapters.moysklad.contacts import Candidate, Contacts, for_number
from adapters.moysklad.per_account import Mark, mark_of
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.transport import Trail
from core.contacts import Known, Roster, Source, numbers_of
from core.effects import Account, Deferred, Refused, Turn, Unavailable
from core.events import Exchange
from core.values import Urgency

log = structlog.get_logger("directory")

MAX_LOOKUPS: Final = 200
"""At once, of all accounts: more questions than that are answered without."""
MAX_EACH: Final = 20
"""Of one account. Its limit lets five through at a time, and what waits behind twenty comes too late for any telephone."""
PATIENCE_S: Final = 20.0
"""For one look-up with all its requests; each has its own time and its own wait for room within that."""

GetTurn = Callable[[str, Urgency], Awaitable[Turn]]
"""How an enterprise's requests take their places, on this instance, now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How a look-up ended. ``known`` None: it did not; ``error`` says why. ``exchanges``: what it asked and was answered."""

    known: Known | None = None
    candidates: tuple[Candidate, ...] = ()
    error: str = ""
    exchanges: tuple[Exchange, ...] = ()


@dataclass(slots=True, kw_only=True)
class Counters:
    """Since the process started; read by metrics."""

    ended: Counter[str] = field(default_factory=Counter)
    took: Latency = field(default_factory=Latency)
    turned_away: int = 0


class Lookups:
    """See the module. Close it at the end."""

    def __init__(
        self,
        *,
        contacts: Contacts,
        phone: PhoneApi,
        memory: Memory,
        turn: GetTurn,
        now_ms: Callable[[], int],
        roster_learned: Callable[[str, Mark, Roster], None] = lambda *_: None,
    ) -> None:
        self._contacts = contacts
        self._phone = phone
        self._memory = memory
        self._turn = turn
        self._now_ms = now_ms
        self._roster_learned = roster_learned
        self._tasks: dict[tuple[Mark, str], asyncio.Task[Lookup]] = {}
        self._each: Counter[Mark] = Counter()
        self.counters = Counters()

    @property
    def open(self) -> int:
        """How many go on now."""
        return len(self._tasks)

    def find(self, account: Account, number: str, urgency: Urgency = Urgency.LIVE) -> asyncio.Task[Lookup] | None:
        """Look a number up, or join whoever does. None: there is no room for another one."""
        return self._begin(account, number, lambda: self._find(account, number, urgency))

    def extensions(self, account: Account, urgency: Urgency = Urgency.LIVE) -> asyncio.Task[Lookup] | None:
        """Ask who has which extension, likewise; the memory has it afterwards."""
        return self._begin(account, ":extensions", lambda: self._extensions(account, urgency))

    def changed(self, account: Account, contact: str, country: str) -> asyncio.Task[Lookup] | None:
        """A customer was made or changed: have it ready before one of its numbers calls. In nobody's way."""
        return self._begin(account, f":contact {contact}", lambda: self._changed(account, contact, country))

    async def close(self) -> None:
        """Nobody needs the answers any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside ----------------------------------------------------------------------------------------------

    def _begin(self, account: Account, what: str, work: Callable[[], Coroutine[Any, Any, Lookup]]) -> asyncio.Task[Lookup] | None:
        mark = mark_of(account)
        key = (mark, what)
        if (task := self._tasks.get(key)) is not None:
            return task
        if len(self._tasks) >= MAX_LOOKUPS or self._each[mark] >= MAX_EACH:
            self.counters.turned_away += 1
            return None
        task = asyncio.create_task(work(), name="directory look-up")
        self._tasks[key] = task
        self._each[mark] += 1
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: tuple[Mark, str], task: asyncio.Task[Lookup]) -> None:
        del self._tasks[key]
        self._each[key[0]] -= 1
        if not self._each[key[0]]:
            del self._each[key[0]]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self.counters.ended["failed"] += 1
            log.error("look_up_broke", exc_info=error)

    async def _asking(
        self, account: Account, urgency: Urgency, ask: Callable[[Trail], Coroutine[Any, Any, tuple[Known | None, tuple[Candidate,
        ...]]]] ) -> Lookup:
        trail = Trail(enterprise=account.enterprise)
        loop = asyncio.get_running_loop()
        started = loop.time()
        error, how = "", "done"
        known: Known | None = None
        candidates: tuple[Candidate, ...] = ()
        try:
            async with asyncio.timeout(PATIENCE_S):
                trail.turn = await self._turn(account.enterprise, urgency)
                known, candidates = await ask(trail)
        except Refused as failure:
            error, how = failure.error, "refused"
        except Deferred as failure:
            error, how = failure.error, "deferred"
        except Unavailable as failure:
            error, how = failure.error, "failed"
        except TimeoutError:
            error, how = "MoySklad did not answer in time", "failed"
        self.counters.ended[how] += 1
        self.counters.took.observe(loop.time() - started)
        return Lookup(known=known, candidates=candidates, error=error, exchanges=tuple(trail.exchanges))

    async def _find(self, account: Account, number: str, urgency: Urgency) -> Lookup:
        async def ask(trail: Trail) -> tuple[Known | None, tuple[Candidate, ...]]:
            looked = await self._contacts.look_up(number, account, trail, now_ms=self._now_ms())
            self._memory.learn(account, looked.known)
            return looked.known, looked.candidates

        return await self._asking(account, urgency, ask)

    async def _extensions(self, account: Account, urgency: Urgency) -> Lookup:
        async def ask(trail: Trail) -> tuple[Known | None, tuple[Candidate, ...]]:
            asked_ms = self._now_ms()
            employees = await self._phone.employees(account.phone_key, trail)
            roster = Roster(asked_ms=asked_ms, extensions=tuple((each.id, each.extension) for each in employees))
            mark = mark_of(account)
            if self._memory.take_roster(account.enterprise, mark, roster):
                self._roster_learned(account.enterprise, mark, roster)
            return None, ()

        return await self._asking(account, urgency, ask)

    async def _changed(self, account: Account, contact: str, country: str) -> Lookup:
        async def ask(trail: Trail) -> tuple[Known | None, tuple[Candidate, ...]]:
            asked_ms, mark = self._now_ms() + 1, mark_of(account)  # after the change, of which we have just heard
            found = await self._contacts.read(contact, account, trail)
            for number in numbers_of(found, country):
                mine = for_number(found, number)
                entry = self._memory.find(mark, number)
                others = entry is not None and entry.known.contact is not None and entry.known.contact.id != contact
                if mine is None or others or found.is_archived:
                    continue  # who of several is the one is found out by a search, when somebody asks
                self._memory.learn(
                    account,
                    Known(
                        number=number,
                        asked_ms=asked_ms,
                        contact=mine,
                        matches=1,
                        rule="own phone" if not mine.person_id else "contact person's phone",
                        source=Source.CHANGED,
                    ),
                )
            return None, ()

        return await self._asking(account, Urgency.BACKLOG, ask)
