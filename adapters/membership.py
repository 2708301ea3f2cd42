"""This instance's lease: kept by beats, believed in for as long as it is certain, and who else lives (docs/decisions/0010)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from core.errors import StoreUnavailable
from core.ports import SELF_MS, LeaseStore, Node

log = structlog.get_logger("ownership")

BEAT_S: Final = 0.7
"""Four beats may fail in a row before an instance stops believing in its lease."""

SETTLED_S: Final = 3.0
"""A newcomer is given nothing that is another's before: an instance that starts over and over moves nothing."""


def boottime() -> float:
    """Seconds since the machine started, its sleep included: a lease also runs out while everything is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Membership:
    """One instance among those that live. ``lost``: called when the lease is gone, before a new one is begun.

    ``changed``: called when an instance came, went, is about to leave, or reaches MoySklad no more or again. ``away``: whether
    this one does not reach it.
    """

    def __init__(
        self,
        *,
        leases: LeaseStore,
        address: str,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        report: Callable[[], Mapping[str, Any]],
        lost: Callable[[], None],
        changed: Callable[[], None],
        away: Callable[[], bool],
    ) -> None:
        self._leases = leases
        self._address = address
        self._clock = clock
        self._new_id = new_id
        self._report = report
        self._lost = lost
        self._changed = changed
        self._away_from_moysklad = away
        self._tried_id = ""
        self._valid_until = float("-inf")
        self._seen_since: dict[str, float] = {}
        self._away_since: float | None = None
        self.id = ""
        self.nodes: tuple[Node, ...] = ()
        self.leaving = False

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken this instance for gone yet."""
        return self._clock() < self._valid_until

    def others(self) -> tuple[Node, ...]:
        """The other instances that lived at the last beat."""
        return tuple(node for node in self.nodes if node.id != self.id)

    def fit(self) -> list[str]:
        """The ids of the instances that should attend to calls: those that are not about to leave and that reach MoySklad.

        If none reaches it, MoySklad itself is away, and no enterprise moves because of that.
        """
        staying = [node for node in self.nodes if not node.report.get("leaving")]
        return [node.id for node in staying if not node.report.get("away")] or [node.id for node in staying]

    def settled(self, node_id: str) -> bool:
        """Whether an instance has been there, and reached MoySklad, for a while."""
        return self._clock() - self._seen_since.get(node_id, self._clock()) >= SETTLED_S

    async def beat(self) -> bool:
        """Keep the lease, or begin a new one when it is lost. False: the database is away; belief ends by itself."""
        try:
            alive = await self._beat() or await self._beat()
        except StoreUnavailable as error:
            if self._away_since is None:
                log.warning("database_away", reason=str(error))
                self._away_since = self._clock()
            return False
        if alive and self._away_since is not None:
            log.info("database_back", away_s=round(self._clock() - self._away_since, 1))
            self._away_since = None
        return alive

    async def leave(self) -> None:
        """Be gone: nothing is held from this moment, whatever becomes of the statement. Raises StoreUnavailable."""
        self.leaving = True
        self._end()
        if self._tried_id:
            await self._leases.leave(self._tried_id)

    async def _beat(self) -> bool:
        if not self.id:
            await self._join()
        node_id, started = self.id, self._clock()
        if not node_id:
            return False  # it is leaving
        flags = {"leaving": self.leaving, "away": self._away_from_moysklad()}
        nodes = await self._leases.beat(node_id, {**self._report(), **{name: True for name, is_so in flags.items() if is_so}})
        if self.id != node_id:
            return False  # it left meanwhile
        if nodes is None:
            log.warning("lease_was_lost")
            self._end()
            return False
        # From before the database was asked: whenever it counted this beat, it was later.
        self._valid_until = started + SELF_MS / 1_000
        self._see(tuple(nodes))
        return True

    async def _join(self) -> None:
        """Begin under a new id. Whether an earlier one joined may be unknown: it would be taken for a neighbour until it lapsed."""
        if self.leaving:
            return
        if self._tried_id:
            await self._leases.leave(self._tried_id)
        self._tried_id = self._new_id()
        await self._leases.join(self._tried_id, self._address)
        if not self.leaving:
            self.id = self._tried_id

    def _see(self, nodes: tuple[Node, ...]) -> None:
        before, self.nodes = (self.nodes, self.fit()), nodes
        now = self._clock()
        self._seen_since = {node.id: now if node.report.get("away") else self._seen_since.get(node.id, now) for node in nodes}
        if ([node.id for node in before[0]], before[1]) != ([node.id for node in nodes], self.fit()):
            log.info("instances", living=len(nodes))
            self._changed()

    def _end(self) -> None:
        self.id = ""
        self._valid_until = float("-inf")
        self._seen_since.clear()
        self._lost()
