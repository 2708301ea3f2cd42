"""Leases on PostgreSQL (``core.ports.LeaseStore``); the statements are functions of ``migrations/0021_leases.sql``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Self

import structlog

from adapters.errands import Errands
from adapters.postgres.database import connect, load_sql
from adapters.postgres.line import Line
from adapters.postgres.neighbours import Process, has_ended, this_process
from core.errors import StoreUnavailable
from core.ports import LEASE_MS, SELF_MS, Claim, Node

log = structlog.get_logger("leases")

BEAT_S: Final = 1.0
"""A beat's patience: one that takes longer has failed, and the next is due anyway."""

ASK_S: Final = 2.0
"""The patience of everything else. It may wait for its turn among the instances, and for the disk."""

BURY_S: Final = 0.2
"""A beat waits so long for its ended neighbours to be removed; on a slow database the next one sees it done. Waiting for it would
cost the belief in one's own lease."""

KEEP_DAYS: Final = 7
"""So long it is remembered when an enterprise was last attended to; what is asked of it is seconds."""

_JOIN: Final = load_sql("lease_join")
_BEAT: Final = load_sql("lease_beat")
_CLAIM: Final = load_sql("lease_claim")
_WAITING: Final = load_sql("lease_waiting")
_RELEASE: Final = load_sql("lease_release")
_REMOVE: Final = load_sql("lease_remove")
_OWNERS: Final = load_sql("lease_owners")


class PostgresLeases:
    """One per process and database, on two connections of its own: a beat waits neither for readers nor for claims.

    ``process``: the process whose end would end every instance that joins here.
    """

    def __init__(
        self, dsn: str, *, process: Process | None = None, beat_s: float = BEAT_S, ask_s: float = ASK_S
    ) -> None:
        self._process = this_process() if process is None else process
        # A beat that a crash of the server takes back does no harm (see lease_turn), so it does not wait for the disk.
        self._beats = Line(lambda: connect(dsn, statement_s=beat_s, synchronous_commit="off"), patience_s=beat_s)
        self._rest = Line(lambda: connect(dsn, statement_s=ask_s), patience_s=ask_s)
        self._burials = Errands(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections; leases run out by themselves."""
        await self._beats.close()
        await self._rest.close()

    async def join(self, node_id: str, address: str) -> None:
        """See ``LeaseStore.join``."""
        mine = self._process
        await self._rest.fetch(_JOIN, node_id, address, mine.host, mine.pid, mine.started, LEASE_MS, KEEP_DAYS)

    async def beat(self, node_id: str, report: Mapping[str, Any]) -> list[Node] | None:
        """See ``LeaseStore.beat``. Neighbours whose process has ended are removed at once."""
        rows = await self._beats.fetch(_BEAT, node_id, dict(report), LEASE_MS)
        if not rows:
            return None
        ended = [row["id"] for row in rows if has_ended(_process(row), self._process)]
        if ended:
            try:
                ended = await self._burials.within(BURY_S, self._bury(ended))
            except (TimeoutError, StoreUnavailable):  # it goes on
                ended = []
        return [_node(row) for row in rows if row["id"] not in ended]

    async def claim(self, node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
        """See ``LeaseStore.claim``."""
        rows = await self._rest.fetch(_CLAIM, node_id, list(enterprises), list(enterprises.values()), LEASE_MS, SELF_MS)
        return [Claim(enterprise=row["claimed"], quiet_ms=row["quiet_ms"]) for row in rows]

    async def waiting(self, now_ms: int) -> list[str]:
        """See ``LeaseStore.waiting``."""
        return [row["enterprise"] for row in await self._rest.fetch(_WAITING, now_ms)]

    async def release(self, node_id: str, enterprises: Collection[str]) -> None:
        """See ``LeaseStore.release``."""
        await self._rest.fetch(_RELEASE, node_id, list(enterprises), LEASE_MS)

    async def leave(self, node_id: str) -> None:
        """See ``LeaseStore.leave``."""
        await self._rest.fetch(_REMOVE, [node_id], LEASE_MS)

    async def owners(self) -> dict[str, str]:
        """See ``LeaseStore.owners``."""
        return {row["enterprise"]: row["node"] for row in await self._rest.fetch(_OWNERS)}

    async def _bury(self, ended: list[str]) -> list[str]:
        try:
            await self._rest.fetch(_REMOVE, ended, LEASE_MS)
        except StoreUnavailable as error:
            log.warning("ended_neighbours_stay_for_now", reason=str(error))  # the next beat tries again
            return []
        log.info("neighbours_have_ended", nodes=len(ended))
        return ended


def _process(row: Any) -> Process:
    return Process(host=row["host"], pid=row["pid"], started=row["process_started"])


def _node(row: Any) -> Node:
    return Node(id=row["id"], address=row["address"], started_ms=row["started_ms"], report=row["report"])
