"""Who is to be called back, in memory: the same contract as PostgreSQL's, for simulations and tests without a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.ports import HOLD_MS, Claimed, Ended


@dataclass(slots=True, kw_only=True)
class _Matter:
    clients: set[str]
    missed_ms: int
    task: str = ""
    waits: bool = False
    closed_by: str | None = None


class MemoryCallbacks:
    """Implements ``core.ports.Callbacks``; one object is the database of all instances.

    ``again``: told who is asked again. Every method runs to its end without giving way, so the caller's order is the order.
    """

    def __init__(self, now_ms: Callable[[], int], again: Callable[[str, str], None] = lambda enterprise, call: None) -> None:
        self._now_ms = now_ms
        self._again = again
        self._matters: dict[tuple[str, str], _Matter] = {}
        self._talks: dict[tuple[str, str], int] = {}
        self._holds: dict[str, tuple[str, int]] = {}

    async def claim(
        self, enterprise: str, call: str, clients: Sequence[str], missed_ms: int, over: Ended | None = None
    ) -> Claimed:
        """See ``Callbacks.claim``."""
        if over is not None:
            self._end(enterprise, over.task, call)
            if over.at_ms is not None:
                self._talk(enterprise, clients, over.at_ms)
        known = self._matters.get((enterprise, call))
        talked = max((self._talks.get((enterprise, client), -1) for client in clients), default=-1)
        if known is not None and known.closed_by is not None:
            if self._holds.get(enterprise, ("", 0))[0] == call:
                del self._holds[enterprise]
                self._ask_next(enterprise)
            return Claimed(granted=False, talked_ms=talked if talked >= 0 else known.missed_ms)
        if known is None:
            if talked >= missed_ms:
                return Claimed(granted=False, talked_ms=talked)
            if others := self._open(enterprise, clients):
                for matter in others.values():
                    matter.missed_ms = max(matter.missed_ms, missed_ms)
                    matter.clients |= set(clients)
                return Claimed(granted=False, by=min(others), task=others[min(others)].task)
            known = self._matters[enterprise, call] = _Matter(clients=set(clients), missed_ms=missed_ms)
        held = self._holds.get(enterprise)
        if held is None or held[0] == call:
            return Claimed(granted=True)
        if held[1] > self._now_ms():
            known.waits = True
            return Claimed(granted=True, held_by=held[0])
        self._holds[enterprise] = (held[0], self._now_ms() + HOLD_MS)
        return Claimed(granted=True)

    async def keep(self, enterprise: str, call: str, task: str) -> bool:
        """See ``Callbacks.keep``."""
        matter = self._matters.get((enterprise, call))
        if matter is not None:
            matter.task, matter.waits = task, False
        held = self._holds.pop(enterprise, None)
        again = [held[0]] if held is not None else []
        for (owner, waiting), each in self._matters.items():
            if owner == enterprise and each.waits:
                each.waits = False
                again.append(waiting)
        for waiting in dict.fromkeys(again):
            self._again(enterprise, waiting)
        return matter is None or matter.closed_by is None

    async def hold(self, enterprise: str, call: str) -> str:
        """See ``Callbacks.hold``."""
        teller = self._holds.get(enterprise, (call, 0))[0]
        self._holds[enterprise] = (teller, self._now_ms() + HOLD_MS)
        matter = self._matters.get((enterprise, call))
        if teller != call and matter is not None and matter.closed_by is None:
            matter.waits = True
        return teller

    async def close(self, enterprise: str, call: str, clients: Sequence[str], talked_ms: int) -> tuple[str, ...]:
        """See ``Callbacks.close``."""
        self._talk(enterprise, clients, talked_ms)
        for matter in self._open(enterprise, clients).values():
            if matter.missed_ms <= talked_ms:
                matter.closed_by, matter.waits = call, False
        ended = {name: each for (owner, name), each in self._matters.items() if owner == enterprise and each.closed_by == call}
        return tuple(ended[name].task for name in sorted(ended) if ended[name].task)

    def _talk(self, enterprise: str, clients: Sequence[str], talked_ms: int) -> None:
        for client in clients:
            self._talks[enterprise, client] = max(talked_ms, self._talks.get((enterprise, client), talked_ms))

    def _end(self, enterprise: str, task: str, call: str) -> None:
        for (owner, _), matter in self._matters.items():
            if owner == enterprise and matter.task == task and matter.closed_by is None:
                matter.closed_by = call

    def _ask_next(self, enterprise: str) -> None:
        waiting = [(each.missed_ms, call) for (owner, call), each in self._matters.items() if owner == enterprise and each.waits]
        if waiting:
            _, call = max(waiting)
            self._matters[enterprise, call].waits = False
            self._again(enterprise, call)

    def _open(self, enterprise: str, clients: Sequence[str]) -> dict[str, _Matter]:
        return {
            name: matter
            for (owner, name), matter in self._matters.items()
            if owner == enterprise and matter.closed_by is None and not matter.clients.isdisjoint(clients)
        }
