"""The rules of the JSON API's entities: required fields, types, links, syncId, and what follows from a write. Pure.

A write is checked as a whole before anything changes. What each type may hold is in ``schema.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.sandbox.calls import link_retroactively
from adapters.sandbox.errors import item, refuse, refuse_all
from adapters.sandbox.hrefs import is_uuid, read_wrapped_meta
from adapters.sandbox.moscow import format_moscow, parse_moscow
from adapters.sandbox.schema import SCHEMAS, Schema
from adapters.sandbox.state import Account, Employee, Entity, Json, State

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
_KEPT_ELSEWHERE = ("store", "project", "contract", "group")
"""Link targets the sandbox has no directory of: any well-formed link is taken."""
MAX_WEBHOOKS_PER_KIND = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityWritten:
    """A write as webhooks tell of it (2.8)."""

    entity_type: str
    entity_id: str
    action: str
    updated_fields: tuple[str, ...]
    uid: str
    moment_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    fields: Json
    links: dict[str, tuple[str, str]]
    attributes: Json
    removed: tuple[str, ...]


def create(
    state: State,
    account: Account,
    user: Employee,
    kind: str,
    body: Json,
    *,
    now_ms: int,
    parent_id: str | None = None,
) -> Entity:
    """Create one entity of ``kind``; the same ``syncId`` again gives the entity made the first time (2.5)."""
    sync_id = _sync_id(body)
    if sync_id is not None and (known := account.sync_ids.get((kind, sync_id))) is not None:
        return account.of_type(kind)[known]
    schema = SCHEMAS[kind]
    missing = [item(3000, name, parameter=name) for name in schema.required if body.get(name) in (None, "")]
    missing += [
        item(3000, one["name"], parameter="attributes")
        for one in account.attributes.get(kind, [])
        if one["required"] and not _names_attribute(body, one["id"])
    ]
    if missing:
        raise refuse_all(missing)
    write = _read(state, account, schema, body)
    persons = _persons(state, account, body) if kind == "counterparty" else None
    entity = Entity(
        id=state.new_id(),
        type=kind,
        fields={**_defaults(schema), **write.fields},
        links={**_default_links(account, user, kind), **write.links},
        attributes=write.attributes,
        created_ms=now_ms,
        updated_ms=now_ms,
        sync_id=sync_id,
    )
    if parent_id is not None:
        entity.links["agent"] = ("counterparty", parent_id)
    _BEFORE_KEEPING.get(kind, _nothing)(account, entity, now_ms)
    state.keep(account, entity)
    if parent_id is not None:
        account.children.setdefault((kind, parent_id), []).append(entity.id)
    if persons:
        _replace_persons(state, account, user, entity, persons, now_ms)
    _after_phones_changed(state, account, entity, None)
    _tell(state, account, user, entity, "CREATE", (), now_ms)
    return entity


def update(state: State, account: Account, user: Employee, entity: Entity, body: Json, *, now_ms: int) -> Entity:
    """Change what is present; null empties an optional field and is refused for a required one."""
    schema = SCHEMAS[entity.type]
    emptied = [name for name in schema.required if name in body and body[name] in (None, "")]
    if emptied:
        raise refuse_all([item(3000, name, parameter=name) for name in emptied])
    sync_id = _sync_id(body)
    if sync_id is not None and sync_id != entity.sync_id:
        raise refuse(1047, parameter="syncId")
    write = _read(state, account, schema, body)
    persons = _persons(state, account, body) if entity.type == "counterparty" else None
    if entity.type == "webhook":
        _check_webhook(account, {**entity.fields, **write.fields}, besides=entity.id)
    old_phone = entity.fields.get("phone")
    entity.fields.update(write.fields)
    entity.links.update(write.links)
    entity.attributes.update(write.attributes)
    for name in write.removed:
        entity.fields.pop(name, None)
        entity.links.pop(name, None)
    entity.updated_ms = now_ms
    if persons is not None:
        _replace_persons(state, account, user, entity, persons, now_ms)
    _after_phones_changed(state, account, entity, old_phone)
    changed = (*write.fields, *write.links, *write.removed, *(["attributes"] if write.attributes else []))
    _tell(state, account, user, entity, "UPDATE", changed, now_ms)
    return entity


def remove(state: State, account: Account, user: Employee, entity: Entity, *, now_ms: int) -> None:
    """Delete an entity that nothing in the sandbox hangs on (webhooks, tasks)."""
    account.forget(entity)
    _tell(state, account, user, entity, "DELETE", (), now_ms)


# -- understanding a body ------------------------------------------------------------------------------------


def _read(state: State, account: Account, schema: Schema, body: Json) -> _Write:
    fields: Json = {}
    links: dict[str, tuple[str, str]] = {}
    removed: list[str] = []
    for name, value in body.items():
        reader = _reader(schema, name)
        if name in schema.links:
            if value is None:
                removed.append(name)
            else:
                links[name] = _link(state, account, schema, name, value)
        elif reader is not None:
            if value is None:
                removed.append(name)
            else:
                fields[name] = reader(name, value)
    if schema.kind == "customerorder" and isinstance(body.get("positions"), list):
        fields["positions"] = _positions(body["positions"])
    attributes = _attributes(state, account, schema.kind, body)
    return _Write(fields=fields, links=links, attributes=attributes, removed=tuple(removed))


def _reader(schema: Schema, name: str) -> Callable[[str, Any], Any] | None:
    if name in schema.texts:
        return lambda field, value: _text(field, value, schema.texts[field])
    if name in schema.flags:
        return _flag
    if name in schema.times:
        return _time
    if name in schema.choices:
        return lambda field, value: _choice(field, value, schema.choices[field])
    return _text_list if name in schema.text_lists else None


def _text(name: str, value: Any, limit: int) -> str:
    if not isinstance(value, str):
        raise refuse(2016, name, "string", parameter=name)
    if len(value) > limit:
        raise refuse(3040, name, limit, parameter=name)
    if name == "email" and value and not _EMAIL.match(value):
        raise refuse(3015, value, parameter=name)
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refuse(2016, name, "boolean", parameter=name)
    return value


def _time(name: str, value: Any) -> str:
    at_ms = parse_moscow(value) if isinstance(value, str) else None
    if at_ms is None:
        raise refuse(2016, name, "datetime", parameter=name)
    # planned and document moments have minute precision (2.1)
    return format_moscow(at_ms - at_ms % 60_000)


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise refuse(3005, value, name, ", ".join(allowed), parameter=name)
    return str(value)


def _text_list(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise refuse(2016, name, "array", parameter=name)
    return list(value)


def _link(state: State, account: Account, schema: Schema, name: str, value: Any) -> tuple[str, str]:
    kind, target = read_wrapped_meta(value, field=name, kinds=schema.links[name], origin=state.options.href_origin)
    if kind == "employee":
        found = target in account.employees
    elif kind == "state":
        found = any(one["id"] == target for one in account.states.get(schema.kind, []))
    else:
        found = kind in _KEPT_ELSEWHERE or target in account.of_type(kind)
    if not found:
        raise refuse(1021, kind, target, parameter=name)
    return kind, target


def _attributes(state: State, account: Account, kind: str, body: Json) -> Json:
    given = body.get("attributes")
    if given is None:
        return {}
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise refuse(2016, "attributes", "array", parameter="attributes")
    known = {one["id"] for one in account.attributes.get(kind, [])}
    read: Json = {}
    for one in given:
        _, target = read_wrapped_meta(one, field="attributes", kinds=("attributemetadata",), origin=state.options.href_origin)
        if target not in known:
            raise refuse(1021, "attributemetadata", target, parameter="attributes")
        read[target] = one.get("value")
    return read


def _names_attribute(body: Json, attribute_id: str) -> bool:
    given = body.get("attributes")
    return isinstance(given, list) and any(
        isinstance(one, dict)
        and one.get("value") not in (None, "")
        and str((one.get("meta") or {}).get("href", "")).endswith(attribute_id)
        for one in given
    )


def _positions(given: list[Any]) -> list[Json]:
    positions: list[Json] = []
    for one in given:
        quantity, price = (one.get("quantity", 1), one.get("price", 0)) if isinstance(one, dict) else (None, None)
        if not isinstance(quantity, int | float) or not isinstance(price, int | float):
            raise refuse(2016, "positions", "array", parameter="positions")
        positions.append({"quantity": quantity, "price": price})
    return positions


def _sync_id(body: Json) -> str | None:
    value = body.get("syncId")
    if value is None:
        return None
    if not isinstance(value, str) or not is_uuid(value):
        raise refuse(1052, parameter="syncId")
    return value.lower()


def _persons(state: State, account: Account, body: Json) -> list[Json] | None:
    given = body.get("contactpersons")
    if given is None or isinstance(given, dict):
        return None  # a MetaArray as answers show it: nothing to replace
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise refuse(2016, "contactpersons", "array", parameter="contactpersons")
    for one in given:
        if one.get("name") in (None, ""):
            raise refuse(3000, "name", parameter="name")
        _read(state, account, SCHEMAS["contactperson"], one)
    return given


# -- what follows from a write -------------------------------------------------------------------------------


def _defaults(schema: Schema) -> Json:
    # lists in defaults are copied: two entities must not share one
    return {name: list(value) if isinstance(value, list) else value for name, value in schema.defaults.items()}


def _default_links(account: Account, user: Employee, kind: str) -> dict[str, tuple[str, str]]:
    if kind in ("webhook", "note"):
        return {}
    links = {"author" if kind == "task" else "owner": ("employee", user.id)}
    states = account.states.get(kind, [])
    if states:
        links["state"] = ("state", states[0]["id"])
    return {} if kind == "contactperson" else links


def _nothing(account: Account, entity: Entity, now_ms: int) -> None:
    """Most types need nothing."""


def _complete_order(account: Account, entity: Entity, now_ms: int) -> None:
    account.last_order_number += 1
    entity.fields.setdefault("name", f"{account.last_order_number:05d}")
    entity.fields.setdefault("moment", format_moscow(now_ms - now_ms % 60_000))


def _check_new_webhook(account: Account, entity: Entity, now_ms: int) -> None:
    _check_webhook(account, entity.fields, besides=entity.id)


def _check_webhook(account: Account, fields: Json, *, besides: str) -> None:
    same = [
        one.fields
        for one in account.of_type("webhook").values()
        if one.id != besides and (one.fields["entityType"], one.fields["action"]) == (fields["entityType"], fields["action"])
    ]
    if any(one["url"] == fields["url"] for one in same):
        raise refuse(3006, "entityType, action, url")
    if len(same) >= MAX_WEBHOOKS_PER_KIND:
        raise refuse(3007, "не более 5 вебхуков на тип сущности и действие")
    if fields.get("diffType") == "FIELDS" and fields["action"] != "UPDATE":
        raise refuse(3007, "diffType FIELDS допустим только для UPDATE", parameter="diffType")


_BEFORE_KEEPING: dict[str, Callable[[Account, Entity, int], None]] = {
    "customerorder": _complete_order,
    "webhook": _check_new_webhook,
}


def _replace_persons(state: State, account: Account, user: Employee, owner: Entity, bodies: list[Json], now_ms: int) -> None:
    shelf = account.of_type("contactperson")
    for old in account.children.pop(("contactperson", owner.id), []):
        state.index_phone(account, shelf[old].fields.get("phone"), None, (owner.id, True))
        account.forget(shelf[old])
    for body in bodies:
        create(state, account, user, "contactperson", body, now_ms=now_ms, parent_id=owner.id)


def _after_phones_changed(state: State, account: Account, entity: Entity, old_phone: str | None) -> None:
    phone = entity.fields.get("phone")
    if entity.type == "counterparty":
        owner, through_person = entity, False
    elif entity.type == "contactperson":
        owner, through_person = account.of_type("counterparty")[entity.links["agent"][1]], True
    else:
        return
    if phone == old_phone:
        return
    state.index_phone(account, old_phone, phone, (owner.id, through_person))
    if phone:
        link_retroactively(state, account, owner, (phone,))


def _tell(
    state: State,
    account: Account,
    user: Employee,
    entity: Entity,
    action: str,
    changed: tuple[str, ...],
    now_ms: int,
) -> None:
    written = EntityWritten(
        entity_type=entity.type,
        entity_id=entity.id,
        action=action,
        updated_fields=changed,
        uid=user.login or "",
        moment_ms=now_ms,
    )
    state.tell("entity_written", account, written)
