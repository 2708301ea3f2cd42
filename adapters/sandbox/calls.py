"""The rules of the Phone API's calls: what is required, what fills what, what PUT may touch (CONTRACT-MOYSKLAD 1.4).

Pure. A request is understood and checked as a whole before anything of it happens, so a refused POST or PUT leaves
no trace but its error. The cards that its ``events`` ask for are done by ``cards.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.sandbox.cards import EventRequest, apply_event, read_event
from adapters.sandbox.errors import ErrorItem, item, refuse, refuse_all
from adapters.sandbox.hrefs import PHONE_PATH, meta, read_flat_meta
from adapters.sandbox.moscow import format_moscow, parse_moscow
from adapters.sandbox.state import Account, CallRow, Employee, Entity, Json, State, match_key

COMMENT_LIMIT = 4096
TEXT_LIMIT = 255
REQUIRED = ("externalId", "number", "isIncoming", "startTime")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFields:
    """The fields both POST and PUT may carry, checked. None: absent."""

    counterparty_id: str | None
    extension: str | None
    employee: Employee | None
    end_ms: int | None
    duration_ms: int | None
    record_urls: tuple[str, ...]
    comment: str | None
    events: tuple[EventRequest, ...]


def create_call(state: State, account: Account, body: Json, *, now_ms: int, request_id: int) -> CallRow:
    """POST /call: register a call, or do with a repeated externalId what the switch says (1.9)."""
    missing = [item(3000, name, parameter=name) for name in REQUIRED if body.get(name) in (None, "")]
    if missing:
        raise refuse_all(missing)
    external_id = _text(body, "externalId")
    number = _text(body, "number")
    incoming = body["isIncoming"]
    if not isinstance(incoming, bool):
        raise refuse(2017, parameter="isIncoming")
    start_ms = _time(body, "startTime")
    fields = _read_fields(state, account, body, creating=True)
    assert external_id is not None
    assert number is not None
    assert start_ms is not None

    known = state.call_by_external_id(account, external_id)
    if known is not None:
        match state.switches.repeated_external_id:
            case "reject-3006":
                raise refuse(3006, "externalId", parameter="externalId")
            case "return-existing":
                known.request_ids.append(request_id)
                return known
            case "update-existing":
                return _update(state, account, known, fields, now_ms=now_ms, request_id=request_id)
            case "create-duplicate":
                pass

    found = fields.counterparty_id or _matched_id(state, account, number)
    call = CallRow(
        id=state.new_id(),
        external_id=external_id,
        number=number,
        is_incoming=incoming,
        start_ms=start_ms,
        counterparty_id=found,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    state.add_call(account, call)
    state.tell("call_created", account, call)
    return _update(state, account, call, fields, now_ms=now_ms, request_id=request_id)


def update_call(state: State, account: Account, call: CallRow, body: Json, *, now_ms: int, request_id: int) -> CallRow:
    """PUT: only what is present, never over what is filled, except the comment (1.4, PUT rules)."""
    fields = _read_fields(state, account, body, creating=False)
    return _update(state, account, call, fields, now_ms=now_ms, request_id=request_id)


def add_event(state: State, account: Account, call: CallRow, body: Json, *, now_ms: int, request_id: int) -> None:
    """POST .../event: one card event."""
    event = read_event(state, account, body)
    call.request_ids.append(request_id)
    apply_event(state, account, call, event, now_ms=now_ms, request_id=request_id)


def _update(state: State, account: Account, call: CallRow, fields: CallFields, *, now_ms: int, request_id: int) -> CallRow:
    call.request_ids.append(request_id)
    call.updated_ms = now_ms
    _fill_person(account, call, fields)
    _fill_times(call, fields, computed=state.switches.duration_computed)
    for url in fields.record_urls:
        if not (state.switches.record_url_deduplicated and url in call.record_urls):
            call.record_urls.append(url)
    if fields.comment is not None:
        call.comment = fields.comment
    for event in fields.events:
        apply_event(state, account, call, event, now_ms=now_ms, request_id=request_id)
    state.tell("call_updated", account, call)
    return call


def _fill_person(account: Account, call: CallRow, fields: CallFields) -> None:
    """The employee takes precedence over the extension, and each brings the other along where it is still empty."""
    if call.employee_id is None:
        by_extension = account.employee_at(fields.extension) if call.extension is None else None
        employee = fields.employee or by_extension
        call.employee_id = employee.id if employee is not None else None
    if call.extension is None:
        named = fields.employee
        brought = named.extension if named is not None and named.id == call.employee_id else None
        call.extension = brought or fields.extension


def _fill_times(call: CallRow, fields: CallFields, *, computed: bool) -> None:
    """The end takes precedence over the duration; where the service computes, each makes the other (6.8)."""
    if not computed:
        call.end_ms = fields.end_ms if call.end_ms is None else call.end_ms
        call.duration_ms = fields.duration_ms if call.duration_ms is None else call.duration_ms
        return
    if call.end_ms is not None:
        return
    if fields.end_ms is not None:
        call.end_ms = fields.end_ms
    elif fields.duration_ms is not None and call.duration_ms is None:
        call.end_ms = call.start_ms + fields.duration_ms
    if call.end_ms is not None:
        call.duration_ms = call.end_ms - call.start_ms


def _matched_id(state: State, account: Account, number: str) -> str | None:
    found = state.counterparty_for(account, number)
    return found.id if found is not None else None


def link_retroactively(state: State, account: Account, counterparty: Entity, phones: tuple[str, ...]) -> None:
    """When switched on (6.7): calls from a number that now belongs to somebody get their counterparty."""
    keys = {key for phone in phones if (key := match_key(phone)) is not None}
    if not state.switches.retroactive_linking or not keys:
        return
    for call in account.calls.values():
        if call.counterparty_id is None and match_key(call.number) in keys:
            found = state.counterparty_for(account, call.number)
            if found is not None and found.id == counterparty.id:
                call.counterparty_id = found.id
                state.tell("call_updated", account, call)


# -- understanding a body ------------------------------------------------------------------------------------


def _read_fields(state: State, account: Account, body: Json, *, creating: bool) -> CallFields:
    origin = state.options.href_origin
    counterparty_id: str | None = None
    if creating and body.get("counterparty") is not None:
        counterparty_id = read_flat_meta(body["counterparty"], field="counterparty", kind="counterparty", origin=origin)
        if counterparty_id not in account.of_type("counterparty"):
            raise refuse(1021, "counterparty", counterparty_id, parameter="counterparty")
    employee: Employee | None = None
    if body.get("employee") is not None:
        employee_id = read_flat_meta(body["employee"], field="employee", kind="employee", origin=origin)
        employee = account.employees.get(employee_id)
        if employee is None:
            raise refuse(1021, "employee", employee_id, parameter="employee")
    extension = _text(body, "extension") or None
    if (
        extension is not None
        and employee is None
        and state.switches.unknown_extension == "reject-3007"
        and account.employee_at(extension) is None
    ):
        raise refuse(3007, f"сотрудник с добавочным номером {extension} не найден", parameter="extension")
    comment = body.get("comment")
    if comment is not None and not isinstance(comment, str):
        raise refuse(2017, parameter="comment")
    return CallFields(
        counterparty_id=counterparty_id,
        extension=extension,
        employee=employee,
        end_ms=_time(body, "endTime"),
        duration_ms=_duration(body),
        record_urls=_record_urls(body),
        comment=comment[:COMMENT_LIMIT] if comment is not None else None,
        events=_events(state, account, body),
    )


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise refuse(2017, parameter=name)
    if len(value) > TEXT_LIMIT:
        raise refuse(3007, f"слишком длинное значение поля {name}", parameter=name)
    return value


def _time(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    at_ms = parse_moscow(value) if isinstance(value, str) else None
    if at_ms is None:
        raise refuse(3007, f"неверный формат даты в поле {name}", parameter=name)
    return at_ms


def _duration(body: Json) -> int | None:
    value = body.get("duration")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refuse(2017, parameter="duration")
    return value


def _record_urls(body: Json) -> tuple[str, ...]:
    value = body.get("recordUrl")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise refuse(2017, parameter="recordUrl")
    problems: list[ErrorItem] = [
        item(3007, "recordUrl: не URL", parameter="recordUrl") for url in value if not url.startswith(("http://", "https://"))
    ]
    if problems:
        raise refuse_all(problems)
    return tuple(value)


def _events(state: State, account: Account, body: Json) -> tuple[EventRequest, ...]:
    value: Any = body.get("events")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(event, dict) for event in value):
        raise refuse(2017, parameter="events")
    return tuple(read_event(state, account, event) for event in value)


# -- the answer ----------------------------------------------------------------------------------------------


def call_answer(state: State, account: Account, call: CallRow) -> Json:
    """The call object as POST, PUT and GET answer it: absent, null and empty where the live service has them so."""
    origin = state.options.href_origin
    answer: Json = {
        "meta": {
            "href": f"{origin}{PHONE_PATH}/call/{call.id}",
            "type": "call",
            "mediaType": "application/json",
        },
        "id": call.id,
        "externalId": call.external_id,
        "number": call.number,
    }
    if call.counterparty_id is not None:
        answer["counterparty"] = meta(origin, "counterparty", call.counterparty_id)
        owner = _owner_answer(origin, account, account.of_type("counterparty")[call.counterparty_id])
        if owner is not None:
            answer["counterpartyowner"] = owner
    if call.extension is not None:
        answer["extension"] = call.extension
    if call.comment is not None:
        answer["comment"] = call.comment
    if call.employee_id is not None:
        answer["employee"] = meta(origin, "employee", call.employee_id)
    answer["isIncoming"] = call.is_incoming
    answer["startTime"] = format_moscow(call.start_ms)
    answer["endTime"] = format_moscow(call.end_ms) if call.end_ms is not None else None
    answer["duration"] = call.duration_ms
    answer["recordUrl"] = list(call.record_urls)
    return answer


def _owner_answer(origin: str, account: Account, counterparty: Entity) -> Json | None:
    link = counterparty.links.get("owner")
    owner = account.employees.get(link[1]) if link is not None else None
    if owner is None:
        return None
    wrapped: Json = {"meta": meta(origin, "employee", owner.id)}
    # spelt as the service spells it (1.4)
    return {"extention": owner.extension, **wrapped} if owner.extension is not None else wrapped
