"""The live board (PRODUCT F4): the calls of now and how the accounts are, for any number of people who watch.

One watcher for each process, alive while anybody watches: it looks whether the read model moved, reads the few hundred calls
that go on, and tells every listener what is different. What it tells comes from the database alone, so it does not matter
which instance somebody watches. Whoever joins, or comes back, gets everything first and then changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import orjson
import structlog

from adapters.postgres.database import DATABASE_ERRORS, explain, load_sql, still_wanted

log = structlog.get_logger("board")

EVERY_S: Final = 0.25
"""Between two looks: faster than a person notices."""

HEALTH_EVERY_S: Final = 2.0
READ_EVERY_S: Final = 5.0
"""The calls are read so often also when the read model says that nothing moved: it may have been rebuilt."""

PATIENCE_S: Final = 2.0
"""Whoever opens the board waits no longer for a database that is slow."""

MAX_CALLS: Final = 2_000
"""Calls at once on one board, of an enterprise or of all: more than anybody reads; the board says that there are more."""

MAX_READ: Final = 20_000
"""Calls at once on all boards together."""

MAX_LISTENERS: Final = 200
MAX_OF_ONE: Final = 40
"""Of one enterprise alone: whoever was given its link must not be able to keep everybody else from the board."""

MAX_WAITING: Final = 100
"""Messages that a listener may be behind: half a minute of a busy board. Then it is let go, and starts over with a snapshot."""

_CALLS, _POSITION = load_sql("board"), load_sql("checkpoint_read")

Key = tuple[str, str]
Calls = Mapping[Key, dict[str, Any]]
Boards = Mapping[str | None, Calls]
"""Enterprise (None: all) -> its calls."""

Status = Callable[[], Awaitable[Mapping[str, Any]]]
"""How the service is, as ``adapters/status.py`` tells it."""


class TooManyListeners(Exception):
    """Nobody else can watch just now."""


class Listener:
    """One who watches. ``next`` waits for the next message; None: it is over."""

    def __init__(self, enterprise: str | None) -> None:
        self.enterprise = enterprise
        self._waiting: deque[bytes] = deque()
        self._bell = asyncio.Event()
        self._closed = False

    def push(self, message: bytes) -> None:
        """Say one thing more; whoever is too far behind is let go."""
        if len(self._waiting) >= MAX_WAITING:
            self.close()
        self._waiting.append(message)
        self._bell.set()

    def close(self) -> None:
        """It is over, also for what was not heard yet."""
        self._closed = True
        self._bell.set()

    async def next(self) -> bytes | None:
        """The next message."""
        while not self._closed:
            if self._waiting:
                return self._waiting.popleft()
            self._bell.clear()
            await self._bell.wait()
        return None


class Board:
    """What is to be seen now, and those who watch it."""

    def __init__(self, pool: Any, status: Status, *, now_ms: Callable[[], int], every_s: float = EVERY_S) -> None:
        self._pool = pool
        self._status = status
        self._now_ms = now_ms
        self._every_s = every_s
        self._listeners: set[Listener] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._boards: Boards = {}
        self._cut = False
        self._position: int | None = None
        self._health: Mapping[str, Any] = {}
        self._away = ""
        self._read_at = self._health_at = float("-inf")

    @property
    def listeners(self) -> int:
        """How many watch."""
        return len(self._listeners)

    def _listeners_of(self, enterprise: str) -> int:
        return sum(listener.enterprise == enterprise for listener in self._listeners)

    async def snapshot(self, enterprise: str | None) -> dict[str, Any]:
        """Everything that is to be seen now, of one enterprise or of all."""
        if self._watcher is None:
            await self._catch_up()
        return self._seen_by(enterprise)

    @contextlib.asynccontextmanager
    async def listening(self, enterprise: str | None) -> AsyncIterator[Listener]:
        """Watch: a snapshot is the first message, and no change after it is missed. Raises :class:`TooManyListeners`."""
        if len(self._listeners) >= MAX_LISTENERS or (enterprise is not None and self._listeners_of(enterprise) >= MAX_OF_ONE):
            raise TooManyListeners
        if self._watcher is None:
            await self._catch_up()
        listener = Listener(enterprise)
        listener.push(message("snapshot", self._seen_by(enterprise)))
        self._listeners.add(listener)
        self._watch()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None

    def close(self) -> None:
        """Let everybody go: the service stops."""
        for listener in self._listeners:
            listener.close()

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._run(), name="board")
            self._watcher.add_done_callback(self._ended)

    def _ended(self, watcher: asyncio.Task[None]) -> None:
        if watcher.cancelled() or watcher.exception() is None:
            return
        log.error("board_failed", exc_info=watcher.exception())
        if self._watcher is watcher:
            self._watcher, self._boards, self._position = None, {}, None
        self.close()  # they come back, and get another watcher

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def _catch_up(self) -> None:
        self._read_at, self._health_at = float("-inf"), asyncio.get_running_loop().time()
        await asyncio.gather(self.look(), self._look_at_health())  # whoever opens the board does not wait for one after the other

    async def look(self) -> None:
        """See what is different, and tell it."""
        now_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE_S):
                position = await self._pool.fetchval(_POSITION, "calls")
                if position != self._position or now_s >= self._read_at + READ_EVERY_S:
                    rows = await self._pool.fetch(_CALLS, MAX_CALLS, MAX_READ)
                    self._position, self._read_at = position, now_s
                    self._cut = len(rows) >= MAX_READ
                    self._take(boards(rows))
        except DATABASE_ERRORS as error:
            still_wanted(error)
            self._lost(explain(error))
            return
        if self._away:
            self._away = ""
            for listener in self._listeners:
                listener.push(message("snapshot", self._seen_by(listener.enterprise)))
        if now_s >= self._health_at + HEALTH_EVERY_S:
            self._health_at = now_s
            await self._look_at_health()

    def _lost(self, reason: str) -> None:
        if not self._away:
            self._away = reason
            self._tell("away", lambda _enterprise: {"reason": reason, "now_ms": self._now_ms()})

    def _take(self, boards: Boards) -> None:
        before, self._boards = self._boards, boards
        if not self._away:  # else everybody gets a snapshot
            self._tell("calls", lambda enterprise: self._changes(before.get(enterprise, {}), enterprise))

    def _changes(self, before: Calls, enterprise: str | None) -> dict[str, Any] | None:
        calls = self._boards.get(enterprise, {})
        changed = [call for key, call in calls.items() if before.get(key) != call]
        gone = [list(key) for key in before if key not in calls]
        if not changed and not gone:
            return None
        return {"now_ms": self._now_ms(), "changed": changed, "gone": gone, "more": self._more(calls)}

    def _more(self, calls: Calls) -> bool:
        return self._cut or len(calls) >= MAX_CALLS

    async def _look_at_health(self) -> None:
        before, self._health = self._health, await self._status()
        if _steady(before) != _steady(self._health):
            self._tell("health", self._health_of)

    def _tell(self, kind: str, make: Callable[[str | None], dict[str, Any] | None]) -> None:
        """The same words for all who watch the same, made once."""
        told: dict[str | None, bytes | None] = {}
        for listener in self._listeners:
            enterprise = listener.enterprise
            if enterprise not in told:
                data = make(enterprise)
                told[enterprise] = None if data is None else message(kind, data)
            if (words := told[enterprise]) is not None:
                listener.push(words)

    # -- what is seen --------------------------------------------------------------------------------------------

    def _seen_by(self, enterprise: str | None) -> dict[str, Any]:
        calls = self._boards.get(enterprise, {})
        return {
            "now_ms": self._now_ms(),
            "calls": list(calls.values()),
            "more": self._more(calls),
            "away": self._away,
            "health": self._health_of(enterprise),
        }

    def _health_of(self, enterprise: str | None) -> dict[str, Any]:
        return health(self._health, enterprise)


def boards(rows: Iterable[Mapping[str, Any]]) -> Boards:
    """What is to be seen by those who watch an enterprise, and by those who watch all; ``rows``: the oldest call first."""
    found: dict[str | None, dict[Key, dict[str, Any]]] = {None: {}}
    for row in rows:
        key = row["enterprise"], row["call"]
        call = dict(row)
        found.setdefault(row["enterprise"], {})[key] = call
        if len(found[None]) < MAX_CALLS:
            found[None][key] = call
    return found


def health(status: Mapping[str, Any], enterprise: str | None) -> dict[str, Any]:
    """What the status says that concerns one enterprise, or all: accounts in trouble, how far behind, what needs a person."""
    backlog, parked = status.get("backlog") or {}, status.get("parked") or {}
    accounts = [dict(each) for each in status.get("accounts") or () if enterprise in (None, each.get("enterprise"))]
    if enterprise is None:
        behind = {key: backlog.get(key, 0) for key in ("calls", "oldest_s", "estimate_s")}
        return {"accounts": accounts, "behind": behind, "parked": parked.get("calls", 0)}
    theirs: Mapping[str, Any] = {}
    for each in backlog.get("enterprises") or ():
        if each.get("enterprise") == enterprise:
            theirs = each
    return {
        "accounts": accounts,
        "behind": {key: theirs.get(key, 0) for key in ("calls", "oldest_s", "estimate_s")},
        "parked": (parked.get("enterprises") or {}).get(enterprise, 0),
    }


def _steady(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a status is worth telling: not that a moment went by."""
    backlog = {key: value for key, value in (status.get("backlog") or {}).items() if key != "at_ms"}
    return status.get("accounts"), backlog, status.get("parked")


def message(kind: str, data: Any) -> bytes:
    """One Server-Sent Event; JSON has no raw line breaks, so one data line is enough."""
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
