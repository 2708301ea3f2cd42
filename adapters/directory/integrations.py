"""Which enterprises have MoySklad switched on, and what changes (PRODUCT E4), so that the dispatcher's cache is never stale.

What is true stands in the dispatcher's own table, and anybody may change it: the page, another instance, a person with SQL. So the
table is looked at, three times a second while somebody listens: one cheap statement says whether any row was written, and only the
rows that were are read. The answer's ETag is made of its content, so that it is the same on every instance.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from adapters.postgres.database import DATABASE_ERRORS, explain, in_time, load_sql, still_wanted
from core.errors import StoreUnavailable
from core.integrations import Integration, etag_of, read_integration

log = structlog.get_logger("integrations")

EVERY_S: Final = 0.3
"""Between two looks: a change reaches whoever listens well within a second."""
PATIENCE_S: Final = 2.0
LATE_S: Final = 1.5
ANSWER_S: Final = 1.0
"""Whoever asks waits no longer for a table that is slow: what was seen last is told, and that it is old."""
FIRST_PATIENCE_S: Final = 10.0
"""The first look reads every enterprise's settings."""
BATCH: Final = 500
MAX_LISTENERS: Final = 200
"""Streams and long polls at once: dispatchers are few."""
HISTORY: Final = 500
"""Changes remembered for who comes back after a lost connection; who was away for longer gets everything."""

_MARK, _VERSIONS, _ROWS = load_sql("integrations_mark"), load_sql("integrations_versions"), load_sql("integrations_rows")


class TooManyListeners(Exception):
    """Nobody else can listen just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything, as of the last look. ``away``: why the table could not be looked at since."""

    etag: str
    integrations: Mapping[str, Integration]
    away: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is different since an earlier ETag. ``is_whole``: that one is not remembered, so this is everything."""

    etag: str
    is_whole: bool
    changed: tuple[Integration, ...]
    gone: tuple[str, ...] = ()


@dataclass(slots=True)
class _State:
    mark: tuple[int, int] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    etag: str = ""
    looked_at: float = float("-inf")
    away: str = ""


class Integrations:
    """See the module. ``close`` lets everybody go."""

    def __init__(self, pool: Any, *, every_s: float = EVERY_S) -> None:
        self._pool = pool
        self._every_s = every_s
        self._state = _State()
        self._history: deque[tuple[str, frozenset[str]]] = deque(maxlen=HISTORY)
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._closed = False
        self._made: tuple[str, bytes] = ("", b"")
        self.listeners = 0

    async def snapshot(self) -> Snapshot:
        """Everything, at most a third of a second old, or as it was last seen. Raises StoreUnavailable if it was never seen."""
        state = self._state
        if state.looked_at + self._every_s < asyncio.get_running_loop().time():
            await self._look_once()
        if not state.etag:
            raise StoreUnavailable(f"the enterprises cannot be read: {state.away or 'no answer yet'}")
        late = state.looked_at + LATE_S < asyncio.get_running_loop().time()
        away = state.away or ("no answer in time" if late else "")
        return Snapshot(etag=state.etag, integrations=state.integrations, away=away)

    def made_once(self, snapshot: Snapshot, make: Callable[[Snapshot], bytes]) -> bytes:
        """The whole as it is sent, made once for each ETag: it is megabytes where there are ten thousand enterprises."""
        if self._made[0] != snapshot.etag:
            self._made = (snapshot.etag, make(snapshot))
        return self._made[1]

    def since(self, etag: str) -> Difference:
        """What is different from what somebody saw who has this ETag."""
        state = self._state
        if etag == state.etag:
            return Difference(etag=state.etag, is_whole=False, changed=())
        names: set[str] = set()
        for before, changed in reversed(self._history):
            names |= changed
            if before == etag:
                found = tuple(state.integrations[name] for name in sorted(names) if name in state.integrations)
                gone = tuple(name for name in sorted(names) if name not in state.integrations)
                return Difference(etag=state.etag, is_whole=False, changed=found, gone=gone)
        return Difference(etag=state.etag, is_whole=True, changed=tuple(_sorted(state.integrations.values())))

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """As long as the block runs the table is looked at by itself. Raises :class:`TooManyListeners`."""
        if self.listeners >= MAX_LISTENERS:
            raise TooManyListeners
        self.listeners += 1
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="integrations")
        try:
            yield
        finally:
            self.listeners -= 1
            if not self.listeners and self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None

    async def news(self, etag: str, away: str, wait_s: float) -> bool:
        """Wait until something is different from that; False: nothing is, or everybody is let go."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while not self._closed:
            if self._state.etag != etag or self._state.away != away:
                return True
            news = self._news
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, until_s - loop.time())):
                    await news.wait()
                    continue
            return self._state.etag != etag or self._state.away != away
        return False

    @property
    def closed(self) -> bool:
        """Whether everybody is let go."""
        return self._closed

    def close(self) -> None:
        """Let everybody go: the service stops."""
        self._closed = True
        self._ring()

    # -- looking ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._look_once()
            await asyncio.sleep(self._every_s)

    async def _look_once(self) -> None:
        """One look for everybody who wants one at this moment."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="integrations look")
            self._looking.add_done_callback(self._looked)
        await asyncio.wait((self._looking,), timeout=ANSWER_S if self._state.etag else PATIENCE_S)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("integrations_not_read", exc_info=error)
            self._away("they could not be understood: see the service's log")

    async def _look(self) -> None:
        state = self._state
        try:
            patience_s = PATIENCE_S if state.etag else FIRST_PATIENCE_S
            row = await in_time(self._pool.fetchrow(_MARK), patience_s)
            mark = (int(row["rows"]), int(row["mark"]))
            if mark != state.mark:
                await self._take(await in_time(self._pool.fetch(_VERSIONS), patience_s), patience_s)
                state.mark = mark
        except DATABASE_ERRORS as error:
            still_wanted(error)
            self._away(explain(error))
            return
        state.looked_at = asyncio.get_running_loop().time()
        self._away("")

    async def _take(self, rows: Iterable[Any], patience_s: float) -> None:
        """Read the rows whose version is new, and tell whoever listens if that changes anything."""
        state = self._state
        versions = {row["number"]: row["version"] for row in rows}
        wanted = [number for number, version in versions.items() if state.versions.get(number) != version]
        found = {number: each for number, each in state.integrations.items() if number in versions}
        read = {number: version for number, version in state.versions.items() if number in versions}
        for start in range(0, len(wanted), BATCH):
            for row in await in_time(self._pool.fetch(_ROWS, wanted[start : start + BATCH]), patience_s):
                number = row["number"]
                read[number] = row["version"]
                integration = read_integration(number, row["integrations_config"])
                if integration is None:
                    found.pop(number, None)
                else:
                    found[number] = integration
            await asyncio.sleep(0)  # others have a turn between two batches
        before, state.versions = state.integrations, read
        changed = frozenset(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        etag = etag_of(list(found.values()))
        if changed or not state.etag:
            if state.etag:
                self._history.append((state.etag, changed))
            state.integrations, state.etag = found, etag
            self._ring()

    def _away(self, reason: str) -> None:
        if reason != self._state.away:
            self._state.away = reason
            self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _sorted(integrations: Iterable[Integration]) -> list[Integration]:
    return sorted(integrations, key=lambda each: each.number)
