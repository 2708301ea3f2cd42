"""What MoySklad tells of changes: taken in within its second and a half, whatever else goes on (CONTRACT-MOYSKLAD 2.8).

A delivery holds links only. What they concern is doubted at once, here and in the table, so that every instance asks again; a
customer who was just made is read in nobody's way, so that his first call finds him ready.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from adapters.directory.lookups import Lookups
from adapters.directory.memory import Memory
from adapters.directory.table import LOOK_BACK_S, MAX_CHANGES_READ, WRITE_S, Table
from adapters.postgres.database import DATABASE_ERRORS, explain, in_time, is_poison, load_sql, still_wanted
from adapters.settings_store import SettingsStore
from core.errors import StoreUnavailable
from core.hooks import Changed, told

log = structlog.get_logger("hooks")

PATIENCE_S: Final = 0.6
"""For the secret and for the table, each: MoySklad waits for 1.5 s in all."""
LOOKING: Final = 4
"""Addresses that are looked up at once: whoever guesses at them gets no more of the database than that."""
KNOWN_S: Final = 30.0
MAX_KNOWN: Final = 10_000
MAX_READ: Final = 5
"""Customers of one delivery that are read ahead; after an import of thousands the next question does."""
MAX_REQUEST_CHARS: Final = 64
FOLLOW_S: Final = 1.0
"""How soon this instance hears what another one was told."""
MAX_SEEN: Final = 5_000
MAX_UNRECORDED: Final = 1_000
"""Deliveries that wait for the database."""

_BY_SECRET: Final = load_sql("hooks_by_secret")


class Hooks:
    """See the module. ``run`` follows what other instances are told, while there are others."""

    def __init__(
        self,
        pool: Any,
        *,
        table: Table,
        memory: Memory,
        lookups: Lookups,
        settings: SettingsStore,
        now_ms: Callable[[], int],
        others: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._table = table
        self._memory = memory
        self._lookups = lookups
        self._settings = settings
        self._now_ms = now_ms
        self._others = others
        self._known: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._seen: OrderedDict[int, float] = OrderedDict()
        self._looking = 0
        self._followed_s = asyncio.get_running_loop().time()
        self._unrecorded: dict[tuple[str, str], tuple[Changed, int]] = {}
        self.taken: Counter[str] = Counter()

    async def by_secret(self, shown: str) -> str | None:
        """The enterprise whose webhooks come to this address; None for nobody's. Raises StoreUnavailable."""
        try:
            wanted = str(UUID(shown))
        except ValueError:
            return None
        loop = asyncio.get_running_loop()
        known = self._known.get(wanted)
        if known is not None and known[0] > loop.time():
            return known[1]
        if self._looking >= LOOKING:
            self.taken["unavailable"] += 1
            raise StoreUnavailable("too many addresses are looked up at once")
        self._looking += 1
        try:
            row = await self._in_time(self._pool.fetchrow(_BY_SECRET, wanted))
        finally:
            self._looking -= 1
        found = None
        if row is not None and hmac.compare_digest(str(row["secret"]), wanted):
            found = str(row["enterprise"])
        self._known[wanted] = (loop.time() + KNOWN_S, found)
        self._known.move_to_end(wanted)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    async def take(self, enterprise: str, request: str, body: object) -> str:
        """Take a delivery in: ``taken``, ``repeated`` or ``nothing`` (it concerns nobody). Raises StoreUnavailable: send it
        again."""
        changed = told(body)
        if not changed:
            self.taken["nothing"] += 1
            return "nothing"
        at_ms = self._now_ms()
        self._memory.changed(enterprise, changed, at_ms)
        name = request[:MAX_REQUEST_CHARS] if request.isascii() and request.isprintable() else ""
        name = name or hashlib.blake2b(orjson.dumps(body), digest_size=16).hexdigest()
        try:
            recorded = await self._in_time(self._table.record_change(enterprise, name, changed, at_ms))
        except StoreUnavailable:
            if len(self._unrecorded) < MAX_UNRECORDED:  # MoySklad does not send it for long, and the others must hear of it
                self._unrecorded.setdefault((enterprise, name), (changed, at_ms))
            raise
        if not recorded:
            self.taken["repeated"] += 1
            return "repeated"
        self.taken["taken"] += 1
        current = self._settings.last_known(enterprise)
        if current is not None and current.settings.enabled and current.account.api_token:
            for contact in sorted(changed.made)[:MAX_READ]:
                self._lookups.changed(current.account, contact, current.settings.country)
        return "taken"

    async def run(self) -> None:
        """Follow what others are told."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.record_the_rest()
                if self._others():
                    await self.follow()
                else:
                    self._followed_s = asyncio.get_running_loop().time()
            except DATABASE_ERRORS as error:
                still_wanted(error)
                log.warning("changes_not_heard", reason=explain(error))

    async def record_the_rest(self) -> None:
        """What could not be recorded when it was told. Raises database errors."""
        for (enterprise, name), (changed, at_ms) in list(self._unrecorded.items()):
            try:
                await in_time(self._table.record_change(enterprise, name, changed, at_ms), WRITE_S)
            except DATABASE_ERRORS as error:
                if not is_poison(error):
                    raise
                log.error("change_not_writable", enterprise=enterprise, reason=explain(error))  # and the others are not held up
            self._unrecorded.pop((enterprise, name), None)

    async def follow(self) -> None:
        """Hear what others were told since it was last heard, however long that is ago. Raises database errors."""
        now_s = asyncio.get_running_loop().time()
        changes = await self._table.changes(self._seen, now_s - self._followed_s)
        self._followed_s = now_s - (changes[-1].age_s if len(changes) == MAX_CHANGES_READ else 0.0)
        for change in changes:
            self._seen[change.id] = now_s - change.age_s
            self._memory.changed(change.enterprise, change.changed, change.at_ms)
        # Only what is not read again is forgotten: it would come as news, before all that is newer.
        while len(self._seen) > MAX_SEEN and next(iter(self._seen.values())) < self._followed_s - LOOK_BACK_S - 1:
            self._seen.popitem(last=False)

    async def _in_time(self, work: Any) -> Any:
        try:
            return await in_time(work, PATIENCE_S)
        except DATABASE_ERRORS as error:
            still_wanted(error)
            self.taken["unavailable"] += 1
            raise StoreUnavailable("the change cannot be recorded") from error
