"""What an order is made of besides its customer: legal entity, states, sales channels, remembered a while (CONTRACT-MOYSKLAD 2.7).

An account has few of each, and they change rarely, while every call may want an order: so they are asked for once in five
minutes, and at once where something is not among those known. Bounded, per account, like the directory of extensions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.moysklad.json_api import JsonApi, listed
from adapters.moysklad.limits import Clock
from adapters.moysklad.per_account import PerAccount, held
from adapters.moysklad.phone_api import linked_id
from adapters.moysklad.transport import Outgoing, Trail
from core.effects import Account, Refused

FRESH_MS: Final = 300_000
"""How long a list is believed."""
AGAIN_MS: Final = 30_000
"""How long a list is believed that does not have what is looked for: somebody may be adding it right now."""
MOST: Final = 1_000
"""Rows of each kind that are read: one page. An account has far fewer legal entities, states or channels."""
CLOSED: Final = frozenset({"Successful", "Unsuccessful"})
"""``stateType`` of an order that is done with (2.5)."""
CHANNEL_TYPE: Final = "OTHER"
"""The telephone is none of the kinds that MoySklad names (2.7)."""

CHOOSE: Final = "choose the legal entity for orders in the integration's settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Something that is chosen by id or by name. ``closed``, of a state: an order that has it is done with."""

    id: str
    name: str
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    asked_ms: int
    rows: tuple[Named, ...]


@dataclass(slots=True, kw_only=True)
class _Known:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lists: dict[str, _List] = field(default_factory=dict)


class Terms:
    """Legal entities, order states and sales channels of all accounts. Every method may raise Refused or Unavailable."""

    def __init__(self, json: JsonApi, *, now_ms: Clock) -> None:
        self._json = json
        self._now_ms = now_ms
        self._accounts = PerAccount(_Known)

    def forget(self, account: Account) -> None:
        """Ask MoySklad anew next time."""
        self._accounts.forget(account)

    async def organization(self, account: Account, trail: Trail) -> Named:
        """For whom orders are made: the only legal entity, or the one the account's settings name. Refused: in words, why not."""
        rows = await self._list(account, "organization", trail)
        if len(rows) > 1 and account.organization and chosen(rows, account.organization) is None:
            rows = await self._list(account, "organization", trail, believed_ms=AGAIN_MS)
        if not rows:
            raise Refused("MoySklad has no legal entity to make an order for", remedy="create one in the customer's MoySklad")
        if len(rows) == 1:
            return rows[0]
        if found := chosen(rows, account.organization):
            return found
        if account.organization:
            raise Refused(f"the legal entity of the settings, {account.organization}, is not in MoySklad", remedy=CHOOSE)
        names = ", ".join(row.name for row in rows[:5])
        raise Refused(f"MoySklad has {len(rows)} legal entities and the settings choose none of them: {names}", remedy=CHOOSE)

    async def state(self, account: Account, wanted: str, trail: Trail) -> Named | None:
        """The order state with this id or name; None when there is none."""
        if found := chosen(await self.states(account, trail), wanted):
            return found
        return chosen(await self._list(account, "state", trail, believed_ms=AGAIN_MS), wanted)

    async def states(self, account: Account, trail: Trail) -> tuple[Named, ...]:
        """All states an order may have."""
        return await self._list(account, "state", trail)

    async def is_open(self, account: Account, state: str | None, trail: Trail) -> bool:
        """Whether an order in this state (a uuid, or None for no state at all) still wants something done."""
        if state is None:
            return True
        found = chosen(await self.states(account, trail), state)
        found = found or chosen(await self._list(account, "state", trail, believed_ms=AGAIN_MS), state)
        return found is None or not found.closed

    async def channel(self, account: Account, name: str, trail: Trail) -> Named:
        """The sales channel with this name; made if there is none."""
        known, began_ms = self._accounts.of(account), self._now_ms()
        if found := chosen(self._fresh(known, "saleschannel", FRESH_MS) or (), name):
            return found
        async with held(known.lock, trail):
            # Nothing makes a repeated POST harmless here: it is made by one call at a time, and on no older list than this call.
            rows = self._fresh(known, "saleschannel", self._now_ms() - began_ms + 1)
            if rows is None:
                rows = await self._ask(account, "saleschannel", trail)
            if (found := chosen(rows, name)) is None:
                made = await self._json.create("saleschannel", {"name": name, "type": CHANNEL_TYPE}, account.api_token, trail)
                found = Named(id=str(made["id"]), name=name)
                rows = (*rows, found)
            known.lists["saleschannel"] = _List(asked_ms=self._now_ms(), rows=rows)
            return found

    async def _list(self, account: Account, kind: str, trail: Trail, *, believed_ms: int = FRESH_MS) -> tuple[Named, ...]:
        known = self._accounts.of(account)
        if (fresh := self._fresh(known, kind, believed_ms)) is not None:
            return fresh
        async with held(known.lock, trail):
            if (fresh := self._fresh(known, kind, believed_ms)) is None:
                fresh = await self._ask(account, kind, trail)
                known.lists[kind] = _List(asked_ms=self._now_ms(), rows=fresh)
            return fresh

    def _fresh(self, known: _Known, kind: str, believed_ms: int) -> tuple[Named, ...] | None:
        found = known.lists.get(kind)
        return found.rows if found is not None and self._now_ms() - found.asked_ms < believed_ms else None

    async def _ask(self, account: Account, kind: str, trail: Trail) -> tuple[Named, ...]:
        if kind == "state":
            body = await self._json.get("/entity/customerorder/metadata", account.api_token, trail)
            states = body.get("states") if isinstance(body, Mapping) else None
            return named(states if isinstance(states, list) else [])
        outgoing = Outgoing(method="GET", path=f"/entity/{kind}", query=(("limit", str(MOST)),), digest=_digest)
        return named(listed(await self._json.transport.send(outgoing, account.api_token, trail)))


def named(rows: Any) -> tuple[Named, ...]:
    """Rows of an answer as things to choose from, archived ones left out."""
    return tuple(
        Named(id=str(row.get("id") or linked_id(row) or ""), name=str(row.get("name") or ""), closed=row.get("stateType") in CLOSED)
        for row in rows
        if isinstance(row, Mapping) and (row.get("id") or linked_id(row)) and row.get("archived") is not True
    )


def chosen(rows: tuple[Named, ...], wanted: str) -> Named | None:
    """The one with this id, or else with this name, however it is capitalised."""
    text = wanted.strip().casefold()
    if not text:
        return None
    by_name = (row for row in rows if row.name.strip().casefold() == text)
    return next((row for row in rows if row.id.casefold() == text), None) or next(by_name, None)


def _digest(body: Any) -> Any:
    rows = body.get("rows") if isinstance(body, Mapping) else None
    found = [row for row in rows or () if isinstance(row, Mapping)]
    brief = [{name: row[name] for name in ("id", "name", "archived") if name in row} for row in found[:50]]
    return {"received": len(found), "rows": brief}
