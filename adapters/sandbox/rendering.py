"""How entities of the JSON API look in answers: meta, links, collections, list envelopes (CONTRACT-MOYSKLAD 2.1, 2.5). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from adapters.sandbox.hrefs import MEDIA_TYPE, REMAP_PATH
from adapters.sandbox.moscow import format_moscow
from adapters.sandbox.state import Account, Employee, Entity, Json, State

MAX_LIMIT = 1000
EXPAND_LIMIT = 100
_UI_PATHS = {"counterparty": "company", "customerorder": "customerorder", "employee": "employee"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list was asked for."""

    limit: int
    offset: int


class Renderer:
    """Renders for one account."""

    def __init__(self, state: State, account: Account) -> None:
        self._state = state
        self._account = account
        self._base = f"{state.options.href_origin}{REMAP_PATH}"

    def href(self, path: str) -> str:
        """The full address of a path below the API's base."""
        return self._base + path

    def meta(self, kind: str, entity_id: str) -> Json:
        """The link to an entity, with its metadata and its page where it has them.

        The id in ``uuidHref`` is not the entity's, as with the real service: a page address must be taken, not built.
        """
        link: Json = {
            "href": self.href(f"/entity/{kind}/{entity_id}"),
            "metadataHref": self.href(f"/entity/{kind}/metadata"),
            "type": kind,
            "mediaType": MEDIA_TYPE,
        }
        if kind in _UI_PATHS:
            page_id = uuid5(NAMESPACE_URL, entity_id)
            link["uuidHref"] = f"https://online.moysklad.ru/app/#{_UI_PATHS[kind]}/edit?id={page_id}"
        return link

    def collection(self, path: str, kind: str, size: int, page: Page | None = None) -> Json:
        """The meta of a list."""
        shown = page or Page(limit=MAX_LIMIT, offset=0)
        return {
            "href": self.href(path),
            "type": kind,
            "mediaType": MEDIA_TYPE,
            "size": size,
            "limit": shown.limit,
            "offset": shown.offset,
        }

    def envelope(self, path: str, kind: str, rows: Sequence[Json], size: int, page: Page, query: Mapping[str, str]) -> Json:
        """A list answer: context, meta with neighbours (which ask the same question of ``query``), rows."""
        link = self.collection(path, kind, size, page)
        asked = {name: value for name, value in query.items() if name not in ("limit", "offset")}
        step = f"{self.href(path)}?{urlencode({**asked, 'limit': page.limit})}&offset="
        if page.limit and page.offset + page.limit < size:
            link["nextHref"] = f"{step}{page.offset + page.limit}"
        if page.limit and page.offset > 0:
            link["previousHref"] = f"{step}{max(0, page.offset - page.limit)}"
        who = {"href": self.href("/context/employee"), "type": "employee", "mediaType": MEDIA_TYPE}
        return {"context": {"employee": {"meta": who}}, "meta": link, "rows": list(rows)}

    # -- entities --------------------------------------------------------------------------------------------

    def employee(self, employee: Employee) -> Json:
        """An employee; without an extension (only the Phone API knows it), ``uid`` only of those who can log in."""
        given, _, family = employee.name.partition(" ")
        answer: Json = {
            "meta": self.meta("employee", employee.id),
            "id": employee.id,
            "accountId": self._account.id,
            "owner": {"meta": self.meta("employee", self._account.admin_id)},
            "shared": True,
            "updated": format_moscow(employee.created_ms),
            "created": format_moscow(employee.created_ms),
            "name": employee.name,
            "archived": not employee.active,
            "lastName": family or given,
            "fullName": employee.name,
            "shortFio": employee.name,
        }
        if family:
            answer["firstName"] = given
        for name, value in (("uid", employee.login), ("email", employee.email), ("phone", employee.phone)):
            if value is not None:
                answer[name] = value
        return answer

    def entity(self, entity: Entity, expand: Collection[str] = ()) -> Json:
        """Any other entity; ``expand`` names links and collections to be shown in full."""
        fields = {name: value for name, value in entity.fields.items() if name != "positions"}
        answer: Json = {
            "meta": self._own_meta(entity),
            "id": entity.id,
            "accountId": self._account.id,
            "updated": format_moscow(entity.updated_ms),
            "created": format_moscow(entity.created_ms),
            **fields,
        }
        if entity.sync_id is not None:
            answer["syncId"] = entity.sync_id
        for name, (kind, target) in entity.links.items():
            answer[name] = self._linked(entity, name, kind, target, expand)
        if entity.attributes:
            answer["attributes"] = self._attribute_values(entity)
        match entity.type:
            case "counterparty":
                self._finish_counterparty(entity, answer, expand)
            case "customerorder":
                self._finish_order(entity, answer)
            case "webhook":
                del answer["updated"], answer["created"]
        return answer

    def _own_meta(self, entity: Entity) -> Json:
        if entity.type in ("contactperson", "note"):
            path = {"contactperson": "contactpersons", "note": "notes"}[entity.type]
            parent = entity.links["agent"][1]
            return {
                "href": self.href(f"/entity/counterparty/{parent}/{path}/{entity.id}"),
                "type": entity.type,
                "mediaType": MEDIA_TYPE,
            }
        return self.meta(entity.type, entity.id)

    def _linked(self, entity: Entity, name: str, kind: str, target: str, expand: Collection[str]) -> Json:
        if kind == "state":
            return self.state(entity.type, target) if name in expand else {"meta": self._state_meta(entity.type, target)}
        if name in expand:
            if kind == "employee":
                return self.employee(self._account.employees[target])
            found = self._account.of_type(kind).get(target)
            if found is not None:
                return self.entity(found)
        return {"meta": self.meta(kind, target)}

    def _finish_counterparty(self, entity: Entity, answer: Json, expand: Collection[str]) -> None:
        base = f"/entity/counterparty/{entity.id}"
        children = self._account.children
        persons = children.get(("contactperson", entity.id), [])
        notes = children.get(("note", entity.id), [])
        link = self.collection(f"{base}/contactpersons", "contactperson", len(persons))
        answer["contactpersons"] = {"meta": link}
        if "contactpersons" in expand:
            link["limit"] = EXPAND_LIMIT
            shelf = self._account.of_type("contactperson")
            answer["contactpersons"]["rows"] = [self.entity(shelf[one]) for one in persons[:EXPAND_LIMIT]]
        answer["notes"] = {"meta": self.collection(f"{base}/notes", "note", len(notes))}
        answer["accounts"] = {"meta": self.collection(f"{base}/accounts", "account", 0)}
        answer["files"] = {"meta": self.collection(f"{base}/files", "files", 0)}
        answer["salesAmount"] = 0.0
        answer["bonusPoints"] = 0

    def _finish_order(self, entity: Entity, answer: Json) -> None:
        positions = entity.fields.get("positions", [])
        path = f"/entity/customerorder/{entity.id}/positions"
        answer["positions"] = {"meta": self.collection(path, "customerorderposition", len(positions))}
        answer["sum"] = float(sum(one["quantity"] * one["price"] for one in positions))
        answer["printed"] = answer["published"] = False
        for name in ("reservedSum", "payedSum", "shippedSum", "invoicedSum"):
            answer[name] = 0.0

    def _attribute_values(self, entity: Entity) -> list[Json]:
        known = {one["id"]: one for one in self._account.attributes.get(entity.type, [])}
        return [
            {
                "meta": self._attribute_meta(entity.type, attribute_id),
                "id": attribute_id,
                "name": known[attribute_id]["name"],
                "type": known[attribute_id]["type"],
                "value": value,
            }
            for attribute_id, value in entity.attributes.items()
        ]

    # -- metadata --------------------------------------------------------------------------------------------

    def metadata(self, kind: str, expand: Collection[str]) -> Json:
        """States, attributes and tags of a type; each is absent where there are none (2.5)."""
        answer: Json = {
            "meta": {"href": self.href(f"/entity/{kind}/metadata"), "mediaType": MEDIA_TYPE},
            "createShared": False,
        }
        attributes = self.attributes(kind)
        if attributes and self._state.switches.metadata_attributes == "inline":
            answer["attributes"] = attributes
        elif attributes:
            path = f"/entity/{kind}/metadata/attributes"
            answer["attributes"] = {"meta": self.collection(path, "attributemetadata", len(attributes))}
            if "attributes" in expand:
                answer["attributes"]["rows"] = attributes
        states = self._account.states.get(kind, [])
        if states:
            answer["states"] = [self.state(kind, one["id"]) for one in states]
        tags = {tag for one in self._account.of_type(kind).values() for tag in one.fields.get("tags", [])}
        if tags:
            answer["tags"] = sorted(tags)
        return answer

    def attributes(self, kind: str) -> list[Json]:
        """The additional fields of a type."""
        return [{"meta": self._attribute_meta(kind, one["id"]), **one} for one in self._account.attributes.get(kind, [])]

    def state(self, kind: str, state_id: str) -> Json:
        """One state of a type."""
        found = next(one for one in self._account.states[kind] if one["id"] == state_id)
        return {
            "meta": self._state_meta(kind, state_id),
            "accountId": self._account.id,
            "entityType": kind,
            **found,
        }

    def _state_meta(self, kind: str, state_id: str) -> Json:
        return {
            "href": self.href(f"/entity/{kind}/metadata/states/{state_id}"),
            "metadataHref": self.href(f"/entity/{kind}/metadata"),
            "type": "state",
            "mediaType": MEDIA_TYPE,
        }

    def _attribute_meta(self, kind: str, attribute_id: str) -> Json:
        return {
            "href": self.href(f"/entity/{kind}/metadata/attributes/{attribute_id}"),
            "type": "attributemetadata",
            "mediaType": MEDIA_TYPE,
        }
