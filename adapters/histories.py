"""Reads recorded calls as they are to be run again: their events, and the settings they were worked on under (PRODUCT F3).

Everything here reads, in transactions that can do nothing else. Calls are read by the page, so that millions of them pass through
without being held.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import tzinfo
from typing import Any, Final

from adapters.postgres.database import load_sql
from adapters.vault import Vault, is_encrypted
from adapters.zones import pbx_zone
from core.decisions import Limits
from core.history_file import HistoryFile, Stored, without_secrets
from core.other_settings import LATEST
from core.settings import read_object

PAGE: Final = 200
"""Calls read at once: some megabytes."""

CACHED: Final = 5_000
"""Revisions of settings kept; a call's enterprise has few, and calls come by enterprise."""

_DAY, _ALL, _READ = load_sql("histories_of_day"), load_sql("histories_of_all"), load_sql("histories_read")
_REVISION: Final = "SELECT settings FROM settings_revisions WHERE enterprise = $1 AND revision = $2"
_LAST_REVISION: Final = "SELECT max(revision) FROM settings_revisions WHERE enterprise = $1 AND NOT inline"


class Histories:
    """Recorded calls, one, a day's, or all. ``now_ms``: a call that goes on is run again until then."""

    def __init__(self, pool: Any, vault: Vault, *, limits: Limits, now_ms: Callable[[], int]) -> None:
        self._pool = pool
        self._vault = vault
        self._limits = limits
        self._now_ms = now_ms
        self._configs: OrderedDict[tuple[str, int], dict[str, Any] | None] = OrderedDict()

    async def one(self, enterprise: str, call: str) -> HistoryFile | None:
        """One call; None when nothing was heard of it."""
        found = await self._page([(enterprise, f"call/{call}")])
        return found[0] if found else None

    async def zone(self, enterprise: str, otherwise: tzinfo) -> tzinfo:
        """In which an enterprise's days are its PBX's; ``otherwise``: the service's, where its settings say none."""
        async with self._reading() as connection:
            return await pbx_zone(connection, enterprise, otherwise)

    async def day(self, enterprise: str, from_ms: int, to_ms: int) -> AsyncIterator[HistoryFile]:
        """The calls of an enterprise that began within a time, in order."""
        place: tuple[int, str] = (from_ms - 1, "")
        while True:
            async with self._reading() as connection:
                rows = await connection.fetch(_DAY, enterprise, from_ms, to_ms, *place, PAGE)
            for history in await self._page([(enterprise, f"call/{row['call']}") for row in rows]):
                yield history
            if len(rows) < PAGE:
                return
            place = (rows[-1]["started_ms"], rows[-1]["call"])

    async def count_day(self, enterprise: str, from_ms: int, to_ms: int) -> int:
        """How many those are."""
        async with self._reading() as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM calls WHERE enterprise = $1 AND started_ms >= $2 AND started_ms < $3",
                    enterprise,
                    from_ms,
                    to_ms,
                )
            )

    async def everything(self) -> AsyncIterator[HistoryFile]:
        """Every call of every enterprise."""
        place = ("", "")
        while True:
            async with self._reading() as connection:
                rows = await connection.fetch(_ALL, *place, PAGE)
            for history in await self._page([(row["enterprise"], row["stream"]) for row in rows]):
                yield history
            if len(rows) < PAGE:
                return
            place = (rows[-1]["enterprise"], rows[-1]["stream"])

    async def count_all(self) -> int:
        """How many those are."""
        async with self._reading() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM streams WHERE stream > 'call/' AND stream < 'call0'"))

    async def config(self, enterprise: str, revision: int) -> dict[str, Any] | None:
        """The settings of a revision, without secrets; None for one nobody knows."""
        async with self._reading() as connection:
            if revision == LATEST:
                revision = int(await connection.fetchval(_LAST_REVISION, enterprise) or 0)
            return await self._config(connection, enterprise, revision)

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            yield connection

    async def _page(self, streams: Sequence[tuple[str, str]]) -> list[HistoryFile]:
        found: dict[tuple[str, str], list[Stored]] = {stream: [] for stream in streams}
        async with self._reading() as connection:
            rows = await connection.fetch(_READ, [stream[0] for stream in streams], [stream[1] for stream in streams])
            for row in rows:
                stored = Stored(type=row["type"], schema=row["schema"], data=row["data"])
                found[row["enterprise"], row["stream"]].append(stored)
            return [
                await self._history(connection, enterprise, stream, stored)
                for (enterprise, stream), stored in found.items()
                if stored
            ]

    async def _history(self, connection: Any, enterprise: str, stream: str, stored: Sequence[Stored]) -> HistoryFile:
        revision = next((int(number) for each in stored if (number := each.data.get("settings_revision"))), 0)
        return HistoryFile(
            enterprise=enterprise,
            call=stream.removeprefix("call/"),
            config=await self._config(connection, enterprise, revision) or {},
            stored=tuple(stored),
            limits=self._limits,
            until_ms=self._now_ms(),
        )

    async def _config(self, connection: Any, enterprise: str, revision: int) -> dict[str, Any] | None:
        key = (enterprise, revision)
        if key not in self._configs:
            stored = await connection.fetchval(_REVISION, enterprise, revision)
            config = None
            if stored is not None:
                config = self._vault.decrypt_fields(read_object(stored))
                # What another key encrypted is nobody's token, for the service too.
                config = without_secrets({name: value for name, value in config.items() if not is_encrypted(value)})
            self._configs[key] = config
            while len(self._configs) > CACHED:
                self._configs.popitem(last=False)
        self._configs.move_to_end(key)
        return self._configs[key]
