"""The JSON (Remap 1.2) API as functions: customers, colleagues, and what the connection test asks (CONTRACT-MOYSKLAD 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from adapters.moysklad.errors import ApiUnavailable
from adapters.moysklad.numbers import number_key
from adapters.moysklad.phone_api import flat_meta, linked_id
from adapters.moysklad.transport import Outgoing, Trail, Transport

MAIN_API_URL: Final = "https://api.moysklad.ru/api/remap/1.2"

PAGE: Final = 100
"""``expand`` is silently ignored above this limit (2.4)."""
EXPANDED: Final = "contactpersons,owner"
"""A search then names who is responsible as well, and whether he is archived, without a request more (2.5)."""
MAX_PAGES: Final = 3
EMPLOYEE_PAGE: Final = 1000
MAX_EMPLOYEE_PAGES: Final = 10
MAX_FORMER: Final = 5
"""Customers made of one number who were given another one since: so many are passed over."""
CREATED_TAG: Final = "Создан автоматически"


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """A colleague as the JSON API knows one: no extension here (1.6, 2.6)."""

    id: str
    name: str
    email: str
    login: str
    archived: bool


DIFF_TYPE: Final = "FIELDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One of the account's webhooks (2.8)."""

    id: str
    url: str
    entity_type: str
    action: str
    enabled: bool
    diff_type: str = ""


class JsonApi:
    """The JSON API over a transport. Every method raises Refused or Unavailable."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def search_counterparties(
        self, text: str, token: str, trail: Trail, *, verified: Callable[[Mapping[str, Any]], bool]
    ) -> list[Mapping[str, Any]]:
        """Counterparties that ``search=text`` finds and ``verified`` accepts, contact persons inside, from a few pages."""
        found: list[Mapping[str, Any]] = []
        for page in range(MAX_PAGES):
            rows, size = await self.counterparties(text, token, trail, told=verified, page=page)
            found.extend(row for row in rows if verified(row))
            if not rows or size <= (page + 1) * PAGE:
                break
        return found

    async def counterparties(
        self, text: str, token: str, trail: Trail, *, told: Callable[[Mapping[str, Any]], bool], page: int = 0
    ) -> tuple[list[Mapping[str, Any]], int]:
        """One page of those that ``search=text`` finds, contact persons inside, and how many there are in all.

        The history keeps only those of whom it is ``told``: the others are customers this call has nothing to do with.
        """

        def digest(body: Any) -> Any:
            rows = _rows(body)
            kept = [_briefly(row) for row in rows if told(row)]
            return {"size": _size(body, rows), "received": len(rows), "matching": kept}

        query = [("search", text), ("expand", EXPANDED), ("limit", str(PAGE))]
        if page:
            query.append(("offset", str(page * PAGE)))
        outgoing = Outgoing(method="GET", path="/entity/counterparty", query=tuple(query), digest=digest)
        body = await self.transport.send(outgoing, token, trail)
        rows = listed(body)
        return rows, _size(body, rows)

    async def create_counterparty(self, number: str, sync_id: str, token: str, trail: Trail, *, owner: str = "") -> str:
        """POST /entity/counterparty; a repeat with the same ``sync_id`` returns the first one (2.5). The new uuid.

        Whoever was made of this number long ago and has another telephone now is not meant: the next one has a name of his own.
        """
        key = number_key(number)
        for _ in range(1 + MAX_FORMER):
            made = await self.create("counterparty", counterparty_body(number, sync_id, owner), token, trail)
            phone = made.get("phone")
            if not isinstance(phone, str) or not phone or key is None or key.is_in(phone):
                break
            whole = await self.counterparty(str(made["id"]), token, trail)
            if any(key.is_in(person.get("phone")) for person in contact_persons(whole)):
                break  # a firm was made of him, and he is its contact person
            sync_id = str(uuid5(NAMESPACE_URL, f"{sync_id}:{made['id']}"))
        return str(made["id"])

    async def create(self, kind: str, body: Mapping[str, Any], token: str, trail: Trail) -> Mapping[str, Any]:
        """POST /entity/{kind}: what was made, with its ``id``."""
        made = await self.transport.send(Outgoing(method="POST", path=f"/entity/{kind}", body=body), token, trail)
        found = made.get("id") if isinstance(made, dict) else None
        if not isinstance(made, dict) or not isinstance(found, str) or not found:
            raise ApiUnavailable(f"the answer names no {kind}", ambiguous=True)
        return made

    async def counterparty(self, contact: str, token: str, trail: Trail) -> Mapping[str, Any]:
        """GET /entity/counterparty/{id}, contact persons and owner inside; the history keeps only that it was there."""
        path = f"/entity/counterparty/{quote(contact, safe='')}"
        outgoing = Outgoing(method="GET", path=path, query=(("expand", EXPANDED),), digest=lambda _: {"id": contact})
        body = await self.transport.send(outgoing, token, trail)
        if not isinstance(body, Mapping) or not isinstance(body.get("id"), str):
            raise ApiUnavailable("the answer names no counterparty", ambiguous=False)
        return body

    async def webhooks(self, token: str, trail: Trail) -> tuple[Webhook, ...]:
        """GET /entity/webhook: all of the account, whoever made them (2.8)."""
        body = await self.get("/entity/webhook", token, trail, query=(("limit", str(EMPLOYEE_PAGE)),))
        return tuple(_webhook(row) for row in listed(body) if isinstance(row.get("id"), str))

    async def create_webhook(self, url: str, entity_type: str, action: str, token: str, trail: Trail) -> None:
        """POST /entity/webhook; an UPDATE names the fields that changed."""
        body: dict[str, Any] = {"url": url, "action": action, "entityType": entity_type, "enabled": True}
        if action == "UPDATE":
            body["diffType"] = DIFF_TYPE
        await self.transport.send(Outgoing(method="POST", path="/entity/webhook", body=body), token, trail)

    async def mend_webhook(self, webhook: Webhook, token: str, trail: Trail) -> None:
        """PUT /entity/webhook/{id}: on again, and with the fields that changed."""
        body: dict[str, Any] = {"enabled": True} | ({"diffType": DIFF_TYPE} if webhook.action == "UPDATE" else {})
        path = f"/entity/webhook/{quote(webhook.id, safe='')}"
        await self.transport.send(Outgoing(method="PUT", path=path, body=body, entity=webhook.id), token, trail)

    async def delete_webhook(self, id_: str, token: str, trail: Trail) -> None:
        """DELETE /entity/webhook/{id}."""
        await self.transport.send(Outgoing(method="DELETE", path=f"/entity/webhook/{quote(id_, safe='')}"), token, trail)

    async def employees(self, token: str, trail: Trail) -> tuple[Employee, ...]:
        """GET /entity/employee, all pages within the bound."""
        found: list[Employee] = []
        for page in range(MAX_EMPLOYEE_PAGES):
            query = [("limit", str(EMPLOYEE_PAGE))] + ([("offset", str(page * EMPLOYEE_PAGE))] if page else [])
            body = await self.get("/entity/employee", token, trail, query=tuple(query))
            rows = listed(body)
            found.extend(_employee(row) for row in rows if isinstance(row.get("id"), str))
            if not rows or _size(body, rows) <= (page + 1) * EMPLOYEE_PAGE:
                break
        return tuple(found)

    async def get(self, path: str, token: str, trail: Trail, *, query: tuple[tuple[str, str], ...] = ()) -> Any:
        """GET anything: the connection test looks at what an integration needs."""
        return await self.transport.send(Outgoing(method="GET", path=path, query=query), token, trail)


def counterparty_body(number: str, sync_id: str, owner: str) -> dict[str, Any]:
    """A customer known by nothing but a number (PRODUCT C5). ``owner`` is an employee's uuid or empty."""
    body: dict[str, Any] = {"name": number, "phone": number, "tags": [CREATED_TAG], "syncId": sync_id}
    if owner:
        body["owner"] = {"meta": flat_meta("employee", owner)}
    return body


def contact_persons(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The expanded contact persons of a counterparty; none when only their link came."""
    return _rows(row.get("contactpersons"))


def owner_of(row: Mapping[str, Any]) -> str | None:
    """The uuid of the responsible employee: lists hold only a link (2.5)."""
    return linked_id(row.get("owner"))


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return Webhook(
        id=str(row["id"]),
        url=str(row.get("url") or ""),
        entity_type=str(row.get("entityType") or ""),
        action=str(row.get("action") or ""),
        enabled=row.get("enabled") is not False,
        diff_type=str(row.get("diffType") or ""),
    )


def _employee(row: Mapping[str, Any]) -> Employee:
    return Employee(
        id=str(row["id"]),
        name=str(row.get("name") or row.get("fullName") or ""),
        email=str(row.get("email") or ""),
        login=str(row.get("uid") or ""),
        archived=row.get("archived") is True,
    )


def _rows(body: Any) -> list[Mapping[str, Any]]:
    rows = body.get("rows") if isinstance(body, Mapping) else body
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def listed(body: Any) -> list[Mapping[str, Any]]:
    """The rows of a list answer. Raises ApiUnavailable for an answer that is none."""
    if not isinstance(body, Mapping) or not isinstance(body.get("rows"), list):
        raise ApiUnavailable("the answer holds no list", ambiguous=False)
    return _rows(body)


def _size(body: Any, rows: list[Mapping[str, Any]]) -> int:
    meta = body.get("meta") if isinstance(body, Mapping) else None
    size = meta.get("size") if isinstance(meta, Mapping) else None
    return size if isinstance(size, int) else len(rows)


def _briefly(row: Mapping[str, Any]) -> dict[str, Any]:
    brief = {name: row[name] for name in ("id", "name", "phone", "archived", "updated") if name in row}
    phones = [person.get("phone") for person in contact_persons(row) if person.get("phone")]
    return brief | ({"contactPersonPhones": phones[:20]} if phones else {})
