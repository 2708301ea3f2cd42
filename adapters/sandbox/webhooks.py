"""Webhooks as MoySklad delivers them: links only, 1500 ms, three more tries at once, then gone (CONTRACT-MOYSKLAD 2.8).

Auto-disabling after days of failures is not imitated: no test runs for days.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from adapters.sandbox.entities import EntityWritten
from adapters.sandbox.hrefs import REMAP_PATH
from adapters.sandbox.moscow import format_moscow
from adapters.sandbox.state import Account, Json, State

TIMEOUT_S = 1.5
ATTEMPTS = 4
WORKERS = 4
MAX_WAITING = 1_000
USER_AGENT = "MoySklad webhook touch agent 2.0 (/https://www.moysklad.ru)"
DISABLE_HEADER = "X-Lognex-WebHook-DisableByPrefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook to be sent; a retry keeps its ``request_id``."""

    url: str
    request_id: str
    body: Json


def deliveries_for(state: State, account: Account, written: EntityWritten, headers: Mapping[str, str]) -> list[Delivery]:
    """What a write triggers; ``headers`` of the write may suppress the echo to its own author."""
    prefix = headers.get(DISABLE_HEADER)
    base = f"{state.options.href_origin}{REMAP_PATH}"
    wanted = [
        one.fields
        for one in account.of_type("webhook").values()
        if one.fields["enabled"]
        and (one.fields["entityType"], one.fields["action"]) == (written.entity_type, written.action)
        and not (prefix and str(one.fields["url"]).startswith(prefix))
    ]
    found: list[Delivery] = []
    for fields in wanted:
        event: Json = {
            "meta": {
                "type": written.entity_type,
                "href": f"{base}/entity/{written.entity_type}/{written.entity_id}",
            },
            "action": written.action,
            "accountId": account.id,
        }
        if fields.get("diffType") == "FIELDS":
            event["updatedFields"] = list(written.updated_fields)
        audit = {
            "meta": {"type": "audit", "href": f"{base}/audit/{state.new_id()}"},
            "moment": format_moscow(written.moment_ms, millis=False),
            "uid": written.uid,
        }
        body = {"auditContext": audit, "events": [event]}
        found.append(Delivery(url=fields["url"], request_id=state.new_id(), body=body))
    return found


class WebhookSender:
    """Sends deliveries in the background; :attr:`journal` remembers how each went."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(maxsize=MAX_WAITING)
        self.journal: deque[Json] = deque(maxlen=MAX_WAITING)

    def offer(self, delivery: Delivery) -> None:
        """Take a delivery in; one too many is dropped, and the journal says so."""
        try:
            self._queue.put_nowait(delivery)
        except asyncio.QueueFull:
            self._note(delivery, [], dropped=True)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            delivery = await self._queue.get()
            outcomes: list[int] = []
            for _ in range(ATTEMPTS):
                outcomes.append(await _post(session, delivery))
                if outcomes[-1] in (200, 204):
                    break
            self._note(delivery, outcomes, dropped=False)

    def _note(self, delivery: Delivery, outcomes: list[int], *, dropped: bool) -> None:
        self.journal.append(
            {
                "url": delivery.url,
                "request_id": delivery.request_id,
                "statuses": outcomes,
                "delivered": bool(outcomes) and outcomes[-1] in (200, 204),
                "dropped": dropped,
            }
        )


async def _post(session: aiohttp.ClientSession, delivery: Delivery) -> int:
    """The status of one attempt; 0 for none."""
    params: dict[str, Any] = {"requestId": delivery.request_id}
    headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with session.post(
            delivery.url, params=params, data=orjson.dumps(delivery.body), headers=headers, timeout=timeout
        ) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0
