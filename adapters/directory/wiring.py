"""The room's parts, put together once for the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from adapters.directory.desk import Desk, Times
from adapters.directory.hooks import Hooks
from adapters.directory.integrations import Integrations
from adapters.directory.keeper import Keeper, may_register
from adapters.directory.lookups import Lookups
from adapters.directory.memory import Memory
from adapters.directory.table import Table
from adapters.moysklad.per_account import Mark
from adapters.moysklad.wiring import MoySklad
from adapters.settings_store import INLINE_ENTERPRISE, SettingsStore
from core.contacts import Known
from core.effects import Turn
from core.values import Urgency

CLAIM_LOOKS: Final = 10
CLAIM_LOOK_S: Final = 0.02
"""How often to look whether a claim has come through. Without other instances it takes some ten milliseconds, and a request
sent before it may use only the small share of the limit that owners leave free."""


class Ownership(Protocol):
    """Whose an enterprise is (``adapters/ownership.py``)."""

    @property
    def alone(self) -> bool:
        """Whether there is no other instance."""
        ...

    def owns(self, enterprise: str) -> bool:
        """Whether it is this instance's."""
        ...

    def quiet_ms(self, enterprise: str) -> int | None:
        """For how long no other instance has asked MoySklad under its account; not ours: 0."""
        ...

    def request(self, enterprise: str) -> None:
        """There is work of it here."""
        ...

    def others(self) -> Any:
        """The other living instances."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Everything of the room. ``close`` it at the end."""

    memory: Memory
    table: Table
    lookups: Lookups
    desk: Desk
    hooks: Hooks
    keeper: Keeper
    integrations: Integrations

    async def run(self) -> None:
        """Write what is learned, hear what others are told, keep the webhooks, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.table.run())
            group.create_task(self.hooks.run())
            group.create_task(self.keeper.run())

    async def close(self) -> None:
        """Let everybody go."""
        self.integrations.close()
        await self.lookups.close()

    def report(self) -> Mapping[str, Any]:
        """How it is, for ``GET /internal/ms/status``."""
        return {
            "numbers_in_memory": len(self.memory),
            "lookups": self.lookups.open,
            "waiting_to_be_written": self.table.unwritten,
            "webhooks": dict(self.keeper.states()),
        }


def taking_turns(ownership: Ownership | None) -> Callable[[str, Urgency], Awaitable[Turn]]:
    """How the room takes its turns at MoySklad: what is nobody's is taken first, and an enterprise that is another's is asked about
    within what its owner leaves free.

    Not only for who waits: an account whose webhooks were registered without owning it has but that small share left, for some
    seconds after each request, for whoever calls next.
    """

    async def turn(enterprise: str, urgency: Urgency) -> Turn:
        if ownership is None:
            return Turn(urgency=urgency)
        if not ownership.owns(enterprise):
            ownership.request(enterprise)
            for _ in range(CLAIM_LOOKS if ownership.alone or urgency is not Urgency.LIVE else 0):
                await asyncio.sleep(CLAIM_LOOK_S)
                if ownership.owns(enterprise):
                    break
        return Turn(urgency=urgency, quiet_ms=ownership.quiet_ms(enterprise))

    return turn


def build_directory(
    *,
    pool: Any,
    settings: SettingsStore,
    moysklad: MoySklad,
    memory: Memory,
    ownership: Ownership | None,
    now_ms: Callable[[], int],
    public_url: str,
    main_url: str,
    times: Times | None = None,
) -> Directory:
    """Put the parts together. ``memory``: the one that the gateway uses."""

    def learned(enterprise: str, mark: Mark, known: Known) -> None:
        if enterprise != INLINE_ENTERPRISE:  # nobody can ask about it
            table.save(enterprise, mark, known)

    turn = taking_turns(ownership)
    table = Table(pool, now_ms=now_ms)
    lookups = Lookups(
        contacts=moysklad.gateway.contacts,
        phone=moysklad.phone,
        memory=memory,
        turn=turn,
        now_ms=now_ms,
        roster_learned=table.save_roster,
    )
    integrations = Integrations(pool)
    keeper = Keeper(
        pool,
        settings=settings,
        json=moysklad.json,
        integrations=integrations,
        turn=turn,
        public_url=public_url if may_register(public_url, main_url) else "",
    )
    memory.learned, memory.watched = learned, keeper.watches
    return Directory(
        memory=memory,
        table=table,
        lookups=lookups,
        desk=Desk(settings=settings, memory=memory, table=table, lookups=lookups, now_ms=now_ms, times=times),
        hooks=Hooks(
            pool,
            table=table,
            memory=memory,
            lookups=lookups,
            settings=settings,
            now_ms=now_ms,
            others=lambda: ownership is not None and bool(ownership.others()),
        ),
        keeper=keeper,
        integrations=integrations,
    )
