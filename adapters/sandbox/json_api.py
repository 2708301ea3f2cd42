"""The JSON (Remap) API's routes that a telephony service needs: CONTRACT-MOYSKLAD 2.4 to 2.8."""

from __future__ import annotations

import hashlib
from typing import Any

from adapters.sandbox import entities, lists
from adapters.sandbox.errors import ApiError, error_body, refuse
from adapters.sandbox.hrefs import is_uuid
from adapters.sandbox.rendering import Renderer
from adapters.sandbox.routing import Answer, Ask, Handler, Routes, read_json, read_object
from adapters.sandbox.state import Entity, Json, State

MAX_BATCH = 1000


def list_of(kind: str) -> Handler:
    """GET /entity/{kind}."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        _check_right(ask, kind, "view")
        page = lists.page_of(ask.query)
        expand = lists.expand_of(ask.query, page)
        found = lists.select(state, ask.account, kind, ask.query)
        renderer = Renderer(state, ask.account)
        rows = [renderer.entity(one, expand) for one in lists.cut(found, page)]
        return Answer(body=renderer.envelope(f"/entity/{kind}", kind, rows, len(found), page, ask.query))

    return handle


def create_of(kind: str) -> Handler:
    """POST /entity/{kind}: one object, or an array of them, each answered by the entity or its errors (2.3)."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        _check_right(ask, kind, "create")
        value = read_json(state, ask)
        if isinstance(value, dict):
            return Answer(body=_create(state, ask, kind, value))
        if len(value) > MAX_BATCH:
            raise refuse(1044, 20)
        results, failed = [], False
        for one in value:
            try:
                if not isinstance(one, dict):
                    raise refuse(2005)
                results.append(_create(state, ask, kind, one))
            except ApiError as error:
                failed = True
                results.append(error_body(error.problem.items, more_info=True))
        return Answer(status=400 if failed else 200, body=results)

    return handle


def _create(state: State, ask: Ask, kind: str, body: Json) -> Json:
    made = entities.create(state, ask.account, ask.user, kind, body, now_ms=ask.now_ms)
    return Renderer(state, ask.account).entity(made)


def one_of(kind: str) -> Handler:
    """GET /entity/{kind}/{id}; expand always works here."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        _check_right(ask, kind, "view")
        found = _find(state, ask, kind, params[0])
        expand = lists.expand_of(ask.query, None)
        return Answer(body=Renderer(state, ask.account).entity(found, expand))

    return handle


def update_of(kind: str) -> Handler:
    """PUT /entity/{kind}/{id}."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        _check_right(ask, kind, "edit")
        found = _find(state, ask, kind, params[0])
        body = read_object(state, ask)
        changed = entities.update(state, ask.account, ask.user, found, body, now_ms=ask.now_ms)
        return Answer(body=Renderer(state, ask.account).entity(changed))

    return handle


def delete_of(kind: str) -> Handler:
    """DELETE /entity/{kind}/{id}: 200 with an empty body."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        _check_right(ask, kind, "delete")
        found = _find(state, ask, kind, params[0])
        entities.remove(state, ask.account, ask.user, found, now_ms=ask.now_ms)
        return Answer()

    return handle


def metadata_of(kind: str) -> Handler:
    """GET /entity/{kind}/metadata."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        expand = lists.expand_of(ask.query, None)
        return Answer(body=Renderer(state, ask.account).metadata(kind, expand))

    return handle


def attributes_of(kind: str) -> Handler:
    """GET /entity/{kind}/metadata/attributes."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        page = lists.page_of(ask.query)
        renderer = Renderer(state, ask.account)
        rows = renderer.attributes(kind)
        shown = rows[page.offset : page.offset + page.limit]
        path = f"/entity/{kind}/metadata/attributes"
        return Answer(body=renderer.envelope(path, "attributemetadata", shown, len(rows), page, ask.query))

    return handle


def children_of(kind: str, name: str) -> Handler:
    """GET /entity/counterparty/{id}/contactpersons and /notes."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        parent = _find(state, ask, "counterparty", params[0])
        page = lists.page_of(ask.query)
        renderer = Renderer(state, ask.account)
        shelf = ask.account.of_type(kind)
        all_of_them = [shelf[one] for one in ask.account.children.get((kind, parent.id), [])]
        rows = [renderer.entity(one) for one in lists.cut(all_of_them, page)]
        path = f"/entity/counterparty/{parent.id}/{name}"
        return Answer(body=renderer.envelope(path, kind, rows, len(all_of_them), page, ask.query))

    return handle


def add_child_of(kind: str) -> Handler:
    """POST /entity/counterparty/{id}/contactpersons and /notes: an array of one, or an object where switched (2.5)."""

    def handle(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
        parent = _find(state, ask, "counterparty", params[0])
        value = read_json(state, ask)
        bodies: list[Any] = value if isinstance(value, list) else [value]
        if not bodies or not all(isinstance(one, dict) for one in bodies):
            raise refuse(2005)
        made = [entities.create(state, ask.account, ask.user, kind, one, now_ms=ask.now_ms, parent_id=parent.id) for one in bodies]
        renderer = Renderer(state, ask.account)
        rows = [renderer.entity(one) for one in made]
        as_object = state.switches.subresource_answer == "object" and isinstance(value, dict)
        return Answer(body=rows[0] if as_object else rows)

    return handle


def get_employees(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /entity/employee."""
    page = lists.page_of(ask.query)
    renderer = Renderer(state, ask.account)
    found = lists.select_employees(ask.account, ask.query)
    rows = [renderer.employee(one) for one in found[page.offset : page.offset + page.limit]]
    return Answer(body=renderer.envelope("/entity/employee", "employee", rows, len(found), page, ask.query))


def get_employee(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /entity/employee/{id}."""
    _check_id(params[0])
    found = ask.account.employees.get(params[0].lower())
    if found is None:
        raise refuse(1021, "employee", params[0])
    return Answer(body=Renderer(state, ask.account).employee(found))


def get_context_employee(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """GET /context/employee: who the token is, with permissions; ``tariff_crm`` tells of the CRM option (2.6)."""
    permissions: Json = {"apiRequest": {"view": "ALL"}, "listenCalls": {"view": "ALL"}}
    if ask.account.crm:
        permissions["tariff_crm"] = {"view": "ALL"}
    if ask.user.id == ask.account.admin_id:
        permissions["admin"] = {"view": "ALL"}
    return Answer(body={**Renderer(state, ask.account).employee(ask.user), "permissions": permissions})


def post_token(state: State, ask: Ask, params: tuple[str, ...]) -> Answer:
    """POST /security/token: a new token, the user's previous ones end (2.1)."""
    token = hashlib.sha1(state.new_id().encode(), usedforsecurity=False).hexdigest()
    state.give_token(ask.account, ask.user.id, token, revoke_others=True)
    return Answer(body={"access_token": token})


def _find(state: State, ask: Ask, kind: str, entity_id: str) -> Entity:
    _check_id(entity_id)
    found = ask.account.of_type(kind).get(entity_id.lower())
    if found is None:
        raise refuse(1021, kind, entity_id)
    return found


def _check_id(entity_id: str) -> None:
    if not is_uuid(entity_id):
        raise refuse(1052)


_RIGHTS = {"view": 1016, "create": 1045, "edit": 1017, "delete": 1018}


def _check_right(ask: Ask, kind: str, right: str) -> None:
    """What the user may not do, and what the tariff lets nobody do (2.3, 2.7). Webhooks are the administrator's alone (2.8)."""
    if right != "view":
        if kind == "task" and not ask.account.crm:
            raise refuse(1043)
        if (kind, "tariff") in ask.account.denied:
            raise refuse(1070)
    if (kind, right) in ask.account.denied or (kind == "webhook" and ask.user.id != ask.account.admin_id):
        raise refuse(_RIGHTS[right])


def _directory(kind: str, *, writable: bool, deletable: bool = False) -> list[tuple[str, dict[str, Handler]]]:
    collection: dict[str, Handler] = {"GET": list_of(kind)}
    member: dict[str, Handler] = {"GET": one_of(kind)}
    if writable:
        collection["POST"] = create_of(kind)
        member["PUT"] = update_of(kind)
    if deletable:
        member["DELETE"] = delete_of(kind)
    return [(f"/entity/{kind}", collection), (f"/entity/{kind}/{{}}", member)]


def _with_metadata(kind: str) -> list[tuple[str, dict[str, Handler]]]:
    return [
        (f"/entity/{kind}/metadata", {"GET": metadata_of(kind)}),
        (f"/entity/{kind}/metadata/attributes", {"GET": attributes_of(kind)}),
    ]


def _below_counterparty(kind: str, name: str) -> tuple[str, dict[str, Handler]]:
    return f"/entity/counterparty/{{}}/{name}", {"GET": children_of(kind, name), "POST": add_child_of(kind)}


REMAP_ROUTES = Routes(
    [
        ("/security/token", {"POST": post_token}),
        ("/context/employee", {"GET": get_context_employee}),
        ("/entity/employee", {"GET": get_employees}),
        ("/entity/employee/{}", {"GET": get_employee}),
        *_with_metadata("counterparty"),
        *_with_metadata("customerorder"),
        _below_counterparty("contactperson", "contactpersons"),
        _below_counterparty("note", "notes"),
        *_directory("counterparty", writable=True),
        *_directory("customerorder", writable=True),
        *_directory("organization", writable=False),
        *_directory("saleschannel", writable=True),
        *_directory("task", writable=True, deletable=True),
        *_directory("webhook", writable=True, deletable=True),
    ]
)
"""Static paths stand before ``{}`` ones, so that ``metadata`` is never taken for an id."""
