"""Which entities a list request means: ``filter``, ``search``, ``order``, ``limit``, ``offset``, ``expand`` (2.1, 2.4). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from adapters.sandbox.errors import refuse
from adapters.sandbox.filters import Condition, matches, parse_filter
from adapters.sandbox.moscow import format_moscow, parse_moscow
from adapters.sandbox.rendering import EXPAND_LIMIT, MAX_LIMIT, Page, Renderer
from adapters.sandbox.schema import SCHEMAS, TIME_FIELDS, Schema
from adapters.sandbox.state import Account, Employee, Entity, State, digits_of

_PHONE_CHARS = frozenset("0123456789+-() .")
_TEXT_OPERATORS = ("~", "~=", "=~")
EMPLOYEE_FIELDS = ("id", "name", "email", "phone", "uid", "archived")


def page_of(query: Mapping[str, str]) -> Page:
    """``limit`` (default and greatest 1000) and ``offset``; 1040 for anything else."""
    limit, offset = query.get("limit", str(MAX_LIMIT)), query.get("offset", "0")
    for text in (limit, offset):
        if not (text.isascii() and text.isdigit()):
            raise refuse(1040, parameter="limit")
    if int(limit) > MAX_LIMIT:
        raise refuse(1040, parameter="limit")
    return Page(limit=int(limit), offset=int(offset))


def expand_of(query: Mapping[str, str], page: Page | None) -> frozenset[str]:
    """What to expand: in a list silently nothing when the limit is over 100, the default included (2.4)."""
    if page is not None and page.limit > EXPAND_LIMIT:
        return frozenset()
    return frozenset(part.strip() for part in query.get("expand", "").split(",") if part.strip())


def cut(rows: Sequence[Entity], page: Page) -> Sequence[Entity]:
    """The page of the rows."""
    return rows[page.offset : page.offset + page.limit]


def select(state: State, account: Account, kind: str, query: Mapping[str, str]) -> list[Entity]:
    """All entities of a type that a list request means, in its order."""
    schema = SCHEMAS[kind]
    renderer = Renderer(state, account)
    conditions = _conditions(schema, query.get("filter"), state.options.href_origin)
    if kind == "task" and not state.switches.task_text_filter and any(one.field == "description" for one in conditions):
        raise refuse(1034, "неизвестное поле фильтрации description", parameter="filter")
    found: Iterable[Entity] = account.of_type(kind).values()
    if not state.switches.search_includes_archived and all(one.field != "archived" for one in conditions):
        found = (one for one in found if not one.fields.get("archived", False))
    if conditions:
        found = (one for one in found if matches(conditions, _reader(renderer, account, one)))
    wanted = query.get("search")
    if wanted:
        hit = _searcher(state, account, schema, wanted)
        found = (one for one in found if hit(one))
    return _ordered(renderer, account, schema, list(found), query.get("order"))


def select_employees(account: Account, query: Mapping[str, str]) -> list[Employee]:
    """The employees a list request means (2.6): the archived ones only when asked for."""
    text = query.get("filter")
    conditions = parse_filter(text, fields=EMPLOYEE_FIELDS) if text is not None else ()
    rows = list(account.employees.values())
    if all(one.field != "archived" for one in conditions):
        rows = [one for one in rows if one.active]
    rows = [one for one in rows if matches(conditions, _employee_reader(one))]
    wanted = query.get("search", "").casefold()
    if wanted:
        rows = [one for one in rows if any(wanted in text.casefold() for text in (one.name, one.email or "", one.phone or ""))]
    return rows


def _employee_reader(employee: Employee) -> Callable[[str], Sequence[str]]:
    values = {
        "id": employee.id,
        "name": employee.name,
        "email": employee.email,
        "phone": employee.phone,
        "uid": employee.login,
        "archived": "false" if employee.active else "true",
    }
    return lambda name: (values[name] or "",)


def _conditions(schema: Schema, text: str | None, origin: str) -> tuple[Condition, ...]:
    if text is None:
        return ()
    times = [name for name in (*schema.times, "created", "updated") if name in TIME_FIELDS]
    conditions = parse_filter(text, fields=schema.filterable, comparisons=times)
    return tuple(_checked(schema, one, times, origin) for one in conditions)


def _checked(schema: Schema, condition: Condition, times: Sequence[str], origin: str) -> Condition:
    name, value = condition.field, condition.value
    if condition.operator in _TEXT_OPERATORS and not (name in schema.texts or name == "state.name"):
        raise refuse(1034, f"оператор {condition.operator} неприменим к полю {name}", parameter="filter")
    if not value:
        return condition
    if name in times:
        at_ms = parse_moscow(value, minutes_allowed=True)
        if at_ms is None:
            raise refuse(1034, f"неверная дата {value}", parameter="filter")
        return replace(condition, value=format_moscow(at_ms))
    if name in schema.links:
        if not value.startswith(("http://", "https://")):
            raise refuse(1034, f"значение поля {name} должно быть ссылкой", parameter="filter")
        if not value.startswith(origin + "/"):
            raise refuse(1059, parameter="filter")
    return condition


def _reader(renderer: Renderer, account: Account, entity: Entity) -> Callable[[str], Sequence[str]]:
    def read(name: str) -> Sequence[str]:
        match name:
            case "id":
                return (entity.id,)
            case "syncId":
                return (entity.sync_id or "",)
            case "created":
                return (format_moscow(entity.created_ms),)
            case "updated":
                return (format_moscow(entity.updated_ms),)
            case "state.name":
                link = entity.links.get("state")
                return (renderer.state(entity.type, link[1])["name"],) if link else ()
        if name in entity.links:
            kind, target = entity.links[name]
            shown = f"/entity/{entity.type}/metadata/states/{target}" if kind == "state" else f"/entity/{kind}/{target}"
            return (renderer.href(shown),)
        value = entity.fields.get(name)
        if isinstance(value, list):
            return [str(one) for one in value]
        if isinstance(value, bool):
            return ("true" if value else "false",)
        return (str(value),) if value is not None else ("false",) if name == "archived" else ()

    return read


def _searcher(state: State, account: Account, schema: Schema, wanted: str) -> Callable[[Entity], bool]:
    """Substring in the type's texts, in phones (by digits where switched on), and in contact persons' (2.4)."""
    text = wanted.casefold()
    only_phone = bool(digits_of(wanted)) and all(char in _PHONE_CHARS for char in wanted)
    digits = digits_of(wanted) if only_phone and state.switches.search_normalises_digits else None
    persons = account.of_type("contactperson")

    def hit_one(entity: Entity, names: Iterable[str]) -> bool:
        phone = str(entity.fields.get("phone", ""))
        return (
            any(text in str(entity.fields.get(name, "")).casefold() for name in names)
            or text in phone.casefold()
            or (digits is not None and digits in digits_of(phone))
        )

    def hit(entity: Entity) -> bool:
        return hit_one(entity, schema.searched) or any(
            hit_one(persons[one], SCHEMAS["contactperson"].searched)
            for one in account.children.get(("contactperson", entity.id), ())
        )

    return hit


def _ordered(renderer: Renderer, account: Account, schema: Schema, rows: list[Entity], order: str | None) -> list[Entity]:
    if not order:
        return rows
    sortable = (*schema.texts, *schema.times, "id", "created", "updated")
    # the last criterion is applied first: sorting is stable
    for part in reversed(order.split(";")):
        name, _, direction = part.partition(",")
        if name not in sortable or direction not in ("", "asc", "desc"):
            raise refuse(1040, parameter="order")

        def key(entity: Entity, name: str = name) -> str:
            texts = _reader(renderer, account, entity)(name)
            return texts[0] if texts else ""

        rows.sort(key=key, reverse=direction == "desc")
    return rows
