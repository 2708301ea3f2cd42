"""Which instance keeps which PBX's connection: one each, and another within seconds when that one is gone.

A claim is a row that names an instance; it counts for as long as that instance lives (``adapters/membership.py`` beats anyway).
While the database is away for long the holder listens on, but every lease runs out, and whoever is back first takes all. So an
instance that loses a PBX records what it had heard by the time the other took it: nobody else can have heard that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from adapters.asterisk.config import PbxConfig
from adapters.asterisk.source import Recorder, Source, State
from core.errors import StoreUnavailable

log = structlog.get_logger("pbx")

CLAIM_EVERY_S: Final = 1.0
"""With an instance's lease of four seconds and a login of some milliseconds, a killed one's PBX is heard again within six."""


class Claims(Protocol):
    """Which instance holds which PBX, over all instances. Every method may raise StoreUnavailable."""

    async def claim(self, node_id: str, names: Sequence[str]) -> list[str]:
        """Take those that no living instance holds; all of these names that this one holds now. None if it is gone itself."""
        ...

    async def held_for_ms(self, names: Sequence[str]) -> dict[str, int]:
        """How long ago whoever was the last to take each of these took it. One that nobody has is left out."""
        ...

    async def release(self, node_id: str) -> None:
        """Hold none any more."""
        ...


class Membership(Protocol):
    """This instance among the others."""

    @property
    def node_id(self) -> str:
        """Its id now; empty: it takes no part."""
        ...

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken it for gone."""
        ...


class Duty:
    """This instance's part: claims, and a source for each PBX that it holds."""

    def __init__(
        self,
        configs: Sequence[PbxConfig],
        claims: Claims,
        recorder: Recorder,
        membership: Membership,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._configs: Mapping[str, PbxConfig] = {config.pbx.name: config for config in configs}
        self._claims = claims
        self._recorder = recorder
        self._membership = membership
        self._now_ms = now_ms
        self._held_as = ""
        self._sources: dict[str, Source] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def states(self) -> list[State]:
        """How the connections that this instance keeps are."""
        return [source.state for source in self._sources.values()]

    async def run(self) -> None:
        """Claim and keep, until cancelled; then give everything back."""
        if not self._configs:
            return
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._claim(group)
                    await asyncio.sleep(CLAIM_EVERY_S)
        finally:
            if self._held_as:
                try:
                    await self._claims.release(self._held_as)
                except StoreUnavailable as error:
                    log.warning("pbx_claims_run_out", reason=str(error))

    def may_record(self) -> bool:
        """Whether this instance certainly still holds its PBXes, so that what its sources hear may be recorded; otherwise they
        wait."""
        return self._membership.certain and self._held_as == self._membership.node_id

    async def _claim(self, group: asyncio.TaskGroup) -> None:
        """A database that is away changes nothing: nobody else can claim either, and what is heard waits."""
        node_id = self._membership.node_id
        if not node_id or not self._membership.certain:
            return
        try:
            mine = set(await self._claims.claim(node_id, list(self._configs)))
            lost = [name for name in self._tasks if name not in mine]
            held_for_ms = await self._claims.held_for_ms(lost) if lost else {}
        except StoreUnavailable:
            return
        for name in lost:
            log.info("pbx_is_another_s", pbx=name)
            self._drop(name, self._now_ms() - held_for_ms.get(name, 0))
        self._held_as = node_id
        for name in mine:
            if name not in self._tasks:
                source = Source(self._configs[name], self._recorder, now_ms=self._now_ms, may_record=self.may_record)
                self._sources[name] = source
                self._tasks[name] = group.create_task(source.run(), name=f"pbx {name}")

    def _drop(self, name: str, taken_ms: int) -> None:
        task = self._tasks.pop(name)
        if not self._sources.pop(name).let_go(taken_ms):
            task.cancel()

