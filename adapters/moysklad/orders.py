"""One customer order per call (PRODUCT C6, CONTRACT-MOYSKLAD 2.7): its body, and what it may do without.

An order is worth more than its state, its source or its owner: what the account does not have, or does not let us set, is
left out, and the history says so. A legal entity and the customer it cannot do without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final
from weakref import WeakValueDictionary

from adapters.moysklad.errors import ApiRefusal
from adapters.moysklad.json_api import JsonApi, listed
from adapters.moysklad.limits import Clock
from adapters.moysklad.moments import to_people
from adapters.moysklad.per_account import held
from adapters.moysklad.phone_api import flat_meta, linked_id
from adapters.moysklad.terms import Named, Terms
from adapters.moysklad.transport import Outgoing, Trail
from core.effects import Account, CreateOrder, Refused

PAGE: Final = 100
MAX_PAGES: Final = 10
"""A customer's latest orders that are looked through for an open one; what is older than a thousand orders is forgotten."""

NOT_FOUND: Final = 1021

OPTIONAL: Final[Mapping[str, str]] = {"owner": "the owner", "state": "the state", "salesChannel": "the sales channel"}
"""Fields that an order can do without, in the order in which they are given up, and how they are called."""


class Orders:
    """Makes orders. Remembers what they are made of (``terms``), nothing of the orders themselves."""

    def __init__(self, json: JsonApi, *, zone: tzinfo, now_ms: Clock) -> None:
        self._json = json
        self._zone = zone
        self.terms = Terms(json, now_ms=now_ms)
        self._looking: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def create(self, effect: CreateOrder, account: Account, trail: Trail) -> dict[str, Any]:
        """See :class:`core.effects.CreateOrder`. Raises Refused or Unavailable."""
        if not account.api_token:
            raise Refused("no main API token", remedy="enter the main API token in the integration's settings")
        if not effect.unless_open:
            return await self._create(effect, account, trail)
        # Two calls of one customer that end together must not both find that he has no order.
        lock = self._looking.setdefault((account.enterprise, effect.contact), asyncio.Lock())
        async with held(lock, trail):
            if (found := await self._open_order(effect, account, trail)) is None:
                return await self._create(effect, account, trail)
            ours = found.get("syncId") == effect.sync_id
            name = str(found.get("name") or "")
            return {"order": str(found["id"]) if ours else None, "name": name if ours else "", "open": None if ours else name}

    async def _create(self, effect: CreateOrder, account: Account, trail: Trail) -> dict[str, Any]:
        organization = await self.terms.organization(account, trail)
        without: list[str] = []
        state = await self._state(effect, account, trail, without)
        channel = await self._channel(effect, account, trail, without)
        body = order_body(effect, organization, state, channel, self._zone)
        made = await self._post(body, account, trail, without)
        return {
            "order": str(made["id"]),
            "name": str(made.get("name") or ""),
            "open": None,
            "organization": organization.name,
            "state": state.name if state is not None and "state" in body else "",
            "channel": channel.name if channel is not None and "salesChannel" in body else "",
            "without": "; ".join(without),
        }

    async def _post(self, body: dict[str, Any], account: Account, trail: Trail, without: list[str]) -> Mapping[str, Any]:
        """POST; what is refused because of a field that may be absent is asked for without it, under the same ``syncId``."""
        while True:
            try:
                return await self._json.create("customerorder", body, account.api_token, trail)
            except ApiRefusal as refusal:
                field = next((field for field in OPTIONAL if field in body and refusal.is_about(field)), None)
                if NOT_FOUND in refusal.codes:
                    self.terms.forget(account)  # something is gone that we remember
                if field is None:
                    raise
                del body[field]
                without.append(f"{OPTIONAL[field]}: {refusal.error}")

    async def _state(self, effect: CreateOrder, account: Account, trail: Trail, without: list[str]) -> Named | None:
        if not effect.state:
            return None
        found = await self.terms.state(account, effect.state, trail)
        if found is None:
            without.append(f"{OPTIONAL['state']}: {effect.state} is none of the account's")
        return found

    async def _channel(self, effect: CreateOrder, account: Account, trail: Trail, without: list[str]) -> Named | None:
        if not effect.source:
            return None
        try:
            return await self.terms.channel(account, effect.source, trail)
        except Refused as refusal:  # no right to see or to make channels: the source stands in the description too
            without.append(f"{OPTIONAL['salesChannel']}: {refusal.error}")
            return None

    async def _open_order(self, effect: CreateOrder, account: Account, trail: Trail) -> Mapping[str, Any] | None:
        """The customer's latest order whose state is neither successful nor unsuccessful, or that has none; None: no such."""
        link = flat_meta("counterparty", effect.contact)["href"]
        for page in range(MAX_PAGES):
            query = [("filter", f"agent={link}"), ("order", "moment,desc"), ("limit", str(PAGE))]
            query += [("offset", str(page * PAGE))] if page else []
            outgoing = Outgoing(method="GET", path="/entity/customerorder", query=tuple(query), digest=_digest)
            rows = listed(await self._json.transport.send(outgoing, account.api_token, trail))
            for row in rows:
                if row.get("id") and await self.terms.is_open(account, linked_id(row.get("state")), trail):
                    return row
            if len(rows) < PAGE:
                break
        return None


def order_body(
    effect: CreateOrder, organization: Named, state: Named | None, channel: Named | None, zone: tzinfo
) -> dict[str, Any]:
    """The body of POST /entity/customerorder: what is known, nothing else."""
    body: dict[str, Any] = {
        "syncId": effect.sync_id,
        "organization": {"meta": flat_meta("organization", organization.id)},
        "agent": {"meta": flat_meta("counterparty", effect.contact)},
        "description": describe(effect, zone),
    }
    if effect.owner:
        body["owner"] = {"meta": flat_meta("employee", effect.owner)}
    if state is not None:
        body["state"] = {"meta": flat_meta("customerorder/metadata/states", state.id) | {"type": "state"}}
    if channel is not None:
        body["salesChannel"] = {"meta": flat_meta("saleschannel", channel.id)}
    return body


def describe(effect: CreateOrder, zone: tzinfo) -> str:
    """What the manager reads in the order: its source, and the call it comes from, in MoySklad's own time."""
    way = "Входящий звонок" if effect.incoming else "Исходящий звонок"
    said = f"{way} {to_people(effect.start_ms, zone)}, номер {effect.number}."
    return said if not effect.source or effect.source == way else f"{effect.source}. {said}"


def _digest(body: Any) -> Any:
    """For the history: which orders were there, without what is in them."""
    rows = body.get("rows") if isinstance(body, Mapping) else None
    found = [row for row in rows or () if isinstance(row, Mapping)]
    kept = [{"id": row.get("id"), "name": row.get("name"), "state": linked_id(row.get("state"))} for row in found]
    return {"received": len(found), "rows": kept[:20]}
