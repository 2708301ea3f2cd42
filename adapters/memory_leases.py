"""Leases in memory: the same contract as PostgreSQL's, for simulations of several instances in one process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.ports import LEASE_MS, SELF_MS, Claim, Node


@dataclass(slots=True, kw_only=True)
class _Lease:
    node: Node
    expires_ms: int


@dataclass(slots=True, kw_only=True)
class _Held:
    """What is known of one enterprise; ``node`` None: it is free. ``quiet_since_ms``: as in ``migrations/0021_leases.sql``."""

    account: str
    node: str | None = None
    quiet_since_ms: int | None = None


class MemoryLeaseStore:
    """Implements ``core.ports.LeaseStore``; one object is the database of all instances.

    ``now_ms``: the clock that leases run by. ``due_enterprises``: whose work is due at a time (of the caller's clock). Every
    method runs to its end without giving way, so the caller's order is the order.
    """

    def __init__(self, now_ms: Callable[[], int], due_enterprises: Callable[[int], Collection[str]]) -> None:
        self._now_ms = now_ms
        self._due_enterprises = due_enterprises
        self._leases: dict[str, _Lease] = {}
        self._held: dict[str, _Held] = {}

    async def join(self, node_id: str, address: str) -> None:
        """See ``LeaseStore.join``."""
        assert node_id not in self._leases, "ids are used once"
        now = self._now_ms()
        node = Node(id=node_id, address=address, started_ms=now, report={})
        self._leases[node_id] = _Lease(node=node, expires_ms=now + LEASE_MS)

    async def beat(self, node_id: str, report: Mapping[str, Any]) -> list[Node] | None:
        """See ``LeaseStore.beat``."""
        if node_id not in self._living():
            return None
        lease = self._leases[node_id]
        lease.expires_ms = self._now_ms() + LEASE_MS
        lease.node = replace(lease.node, report=dict(report))
        return sorted((self._leases[each].node for each in self._living()), key=lambda node: (node.started_ms, node.id))

    async def claim(self, node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
        """See ``LeaseStore.claim``."""
        now = self._now_ms()
        for gone in [each for each, lease in self._leases.items() if lease.expires_ms < now]:
            self._remove(gone, quiet_since_ms=self._leases[gone].expires_ms - LEASE_MS + SELF_MS)
        if node_id not in self._living():
            return []
        taken = []
        elsewhere = {held.account for held in self._held.values() if held.node not in (None, node_id)}
        for enterprise, account in enterprises.items():
            held = self._held.get(enterprise)
            if (held is None or held.node is None) and account not in elsewhere:
                held = self._held.setdefault(enterprise, _Held(account=account))
                held.node = node_id
            if held is not None and held.node == node_id:
                held.account = account
                taken.append(enterprise)
        return [Claim(enterprise=each, quiet_ms=self._quiet_ms(each)) for each in taken]

    async def waiting(self, now_ms: int) -> list[str]:
        """See ``LeaseStore.waiting``."""
        return sorted(set(self._due_enterprises(now_ms)) - set(await self.owners()))

    async def release(self, node_id: str, enterprises: Collection[str]) -> None:
        """See ``LeaseStore.release``."""
        for enterprise in enterprises:
            held = self._held.get(enterprise)
            if held is not None and held.node == node_id:
                held.node, held.quiet_since_ms = None, self._now_ms()

    async def leave(self, node_id: str) -> None:
        """See ``LeaseStore.leave``."""
        self.bury(node_id)

    async def owners(self) -> dict[str, str]:
        """See ``LeaseStore.owners``."""
        living = self._living()
        return {enterprise: held.node for enterprise, held in self._held.items() if held.node in living and held.node}

    def bury(self, node_id: str) -> None:
        """What a beat on PostgreSQL does of itself once it finds that an instance's process on the same host has ended."""
        self._remove(node_id, quiet_since_ms=self._now_ms())

    def _living(self) -> set[str]:
        now = self._now_ms()
        return {node_id for node_id, lease in self._leases.items() if lease.expires_ms > now}

    def _remove(self, node_id: str, *, quiet_since_ms: int) -> None:
        self._leases.pop(node_id, None)
        for held in self._held.values():
            if held.node == node_id:
                held.node, held.quiet_since_ms = None, quiet_since_ms

    def _quiet_ms(self, enterprise: str) -> int | None:
        of = self._held[enterprise]
        since = [
            each.quiet_since_ms
            for each in self._held.values()
            if each.quiet_since_ms is not None and (each is of or each.account == of.account)
        ]
        return self._now_ms() - max(since) if since else None
