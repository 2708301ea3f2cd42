"""The task "call back" (PRODUCT C11, CONTRACT-MOYSKLAD 2.7): without a ``syncId``, a mark in its description names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from adapters.moysklad.directory import Directory
from adapters.moysklad.errors import ApiRefusal
from adapters.moysklad.json_api import JsonApi, listed
from adapters.moysklad.moments import MOSCOW, from_moscow, to_moscow, to_people
from adapters.moysklad.phone_api import flat_meta, linked_id
from adapters.moysklad.transport import Outgoing, Trail
from core.cards import INACTIVE
from core.effects import Account, CompleteTask, CreateTask, InspectTask, Refused

BAD_FILTER: Final = 1034
LATEST: Final = 100
"""Tasks looked through for a mark where MoySklad does not let us filter by it."""

NOBODY: Final = "nobody can be named for the task: the client has no responsible employee, and not one known extension rang"
NAME_SOMEBODY: Final = "choose who gets such tasks in the integration's settings"

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Tasks:
    """Makes and ends tasks. Every method raises Refused or Unavailable."""

    def __init__(self, json: JsonApi, directory: Directory, *, zone: tzinfo) -> None:
        self._json = json
        self._directory = directory
        self._zone = zone

    async def create(self, effect: CreateTask, account: Account, trail: Trail) -> dict[str, Any]:
        """See :class:`core.effects.CreateTask`."""
        if not account.api_token:
            raise Refused("no main API token", remedy="enter the main API token in the integration's settings")
        if effect.look and (found := await self._marked(effect.mark, account, trail)) is not None:
            return {"task": str(found["id"]), "existed": True, "assignee": linked_id(found.get("assignee")) or ""}
        assignee = effect.assignee or await self._fallback(account, trail)
        if not assignee:
            raise Refused(NOBODY, remedy=NAME_SOMEBODY)
        body = task_body(effect, assignee, self._zone)
        try:
            made = await self._post(body, account, trail)
        except ApiRefusal as refusal:
            if not effect.assignee or not (refusal.is_about("assignee") or INACTIVE in refusal.codes):
                raise
            # Whoever it was meant for is gone, or cannot log in: somebody must call back all the same.
            assignee = await self._fallback(account, trail)
            if assignee in ("", effect.assignee):
                raise
            made = await self._post(body | {"assignee": {"meta": flat_meta("employee", assignee)}}, account, trail)
        return {"task": str(made["id"]), "existed": False, "assignee": assignee}

    async def complete(self, effect: CompleteTask, account: Account, trail: Trail) -> dict[str, Any]:
        """See :class:`core.effects.CompleteTask`. A task that somebody deleted is done with as well."""
        outgoing = Outgoing(method="PUT", path=f"/entity/task/{effect.task}", body={"done": True}, entity=effect.task)
        try:
            await self._json.transport.send(outgoing, account.api_token, trail)
        except ApiRefusal as refusal:
            if not refusal.not_found:
                raise
            return {"gone": True}
        return {"gone": False}

    async def inspect(self, effect: InspectTask, account: Account, trail: Trail) -> dict[str, Any]:
        """See :class:`core.effects.InspectTask`. The history keeps only whether it is done."""
        outgoing = Outgoing(method="GET", path=f"/entity/task/{effect.task}", digest=lambda body: {"done": _is_done(body)})
        try:
            body = await self._json.transport.send(outgoing, account.api_token, trail)
        except ApiRefusal as refusal:
            if not refusal.not_found:
                raise
            return {"open": False, "ended_ms": None}
        if not _is_done(body):
            return {"open": True, "ended_ms": None}
        return {"open": False, "ended_ms": from_moscow(body.get("completed") or body.get("updated"), MOSCOW)}

    async def _post(self, body: dict[str, Any], account: Account, trail: Trail) -> Mapping[str, Any]:
        try:
            return await self._json.create("task", body, account.api_token, trail)
        except ApiRefusal as refusal:
            if "agent" not in body or not refusal.is_about("agent"):
                raise
        # The customer was deleted since we found him, or it is not said who is gone: his number is in the description.
        rest = {name: value for name, value in body.items() if name != "agent"}
        return await self._json.create("task", rest, account.api_token, trail)

    async def _fallback(self, account: Account, trail: Trail) -> str:
        """Whoever the settings name: a uuid, or an extension that is looked up; empty for nobody."""
        named = account.assignee
        if not named or _UUID.fullmatch(named):
            return named
        found = (await self._directory.find(account, (named,), trail)).get(named)
        return str(found["id"]) if found else ""

    async def _marked(self, mark: str, account: Account, trail: Trail) -> Mapping[str, Any] | None:
        """The task with this mark, if an earlier request made one."""
        try:
            rows = await self._look((("filter", f"description~{mark}"), ("limit", "10")), account, trail)
        except ApiRefusal as refusal:
            if BAD_FILTER not in refusal.codes:
                raise
            rows = await self._look((("order", "created,desc"), ("limit", str(LATEST))), account, trail)
        return next((row for row in rows if mark in str(row.get("description") or "") and row.get("id")), None)

    async def _look(self, query: tuple[tuple[str, str], ...], account: Account, trail: Trail) -> list[Mapping[str, Any]]:
        outgoing = Outgoing(method="GET", path="/entity/task", query=query, digest=_digest)
        return listed(await self._json.transport.send(outgoing, account.api_token, trail))


def task_body(effect: CreateTask, assignee: str, zone: tzinfo) -> dict[str, Any]:
    """The body of POST /entity/task. ``zone``: in which its reader is told when the call was."""
    body: dict[str, Any] = {
        "description": describe(effect, zone),
        "assignee": {"meta": flat_meta("employee", assignee)},
        "dueToDate": to_moscow(effect.due_ms, MOSCOW),
    }
    if effect.contact:
        body["agent"] = {"meta": flat_meta("counterparty", effect.contact)}
    return body


def describe(effect: CreateTask, zone: tzinfo) -> str:
    """What the assignee reads: whom to call back, what happened, and the mark."""
    name = effect.name if effect.name != effect.number else ""
    rang = f", звонили: {', '.join(effect.rang)}" if effect.rang else ""
    who = f"{name}, {effect.number}" if name else effect.number
    return f"Перезвонить: {who}. Пропущенный звонок {to_people(effect.missed_ms, zone)}{rang} {effect.mark}"


def _is_done(body: Any) -> bool:
    return isinstance(body, Mapping) and body.get("done") is True


def _digest(body: Any) -> Any:
    """For the history: which tasks were there, without what they are about."""
    rows = body.get("rows") if isinstance(body, Mapping) else None
    found = [row for row in rows or () if isinstance(row, Mapping)]
    return {"received": len(found), "rows": [{"id": row.get("id")} for row in found[:20]]}
